"""Namespaces of projects in clusters: credentials of registries and what others changed, for administrators; read-only
kubeconfigs, for members. No route talks to a cluster: the controller does."""

import uuid
from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from app.api import wire
from app.api.deps import ActorDep, ProjectDep, ReadSessionDep, SessionDep, allowed
from app.api.routes.clusters import ClusterPath
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.namespaces import (
    DriftList,
    KubeconfigFetched,
    KubeconfigRead,
    KubeconfigRequest,
    RegistryList,
    RegistryRead,
    RegistrySet,
    drift_item,
    kubeconfig_item,
)
from app.domain.access import Action
from app.services import cluster_registries, clusters, namespace_drift, project_kubeconfigs, project_namespaces
from app.services.clusters import ClusterIsLocal
from app.services.idempotency import AnswerNotKept
from app.services.project_kubeconfigs import KubeconfigNotReady, NoNamespace

router = new_router("namespaces")

# A path, so that a slash in it is told to be wrong.
ServerPath = Annotated[str, Path(max_length=300, description="The registry.", examples=["registry.example.com:5000"])]
KubeconfigPath = Annotated[uuid.UUID, Path(description="The id of a kubeconfig that was asked for.")]


@router.get("/clusters/{cluster}/drift", response_model=DriftList, responses=problems(ClusterIsLocal))
@allowed(Action.CLUSTER_READ)
def list_drift(cluster: ClusterPath, session: ReadSessionDep) -> Response:
    """What somebody changed in the namespaces of projects, and Berth put right; and what is being deleted there."""
    cluster_id = clusters.find_added(session, cluster)
    items = [drift_item(one) for one in namespace_drift.list_drift(session, cluster_id)]
    deleting = project_namespaces.list_deleting(session, cluster_id)
    return wire.json_response({"items": items, "deleting": deleting})


@router.get("/clusters/{cluster}/registries", response_model=RegistryList, responses=problems(ClusterIsLocal))
@allowed(Action.CLUSTER_READ)
def list_registries(cluster: ClusterPath, session: ReadSessionDep) -> Response:
    """The image registries that Berth has credentials for; never the passwords."""
    found = cluster_registries.list_registries(session, clusters.find_added(session, cluster))
    return wire.json_response({"items": [one._asdict() for one in found]})


@router.put(
    "/clusters/{cluster}/registries/{server:path}",
    response_model=RegistryRead,
    responses=problems(ClusterIsLocal) | {201: {"model": RegistryRead, "description": "Was not there before"}},
)
@allowed(Action.CLUSTER_WRITE)
def set_registry(
    cluster: ClusterPath, server: ServerPath, body: RegistrySet, actor: ActorDep, session: SessionDep
) -> Response:
    """Give credentials for an image registry (201), or replace them (200). Namespaces get them within a minute."""
    found = clusters.find_added(session, cluster)
    password = body.password.get_secret_value()
    is_new = cluster_registries.set_registry(session, actor, (found, cluster), server, body.username, password)
    (made,) = (one for one in cluster_registries.list_registries(session, found) if one.server == server)
    return wire.json_response(made._asdict(), 201 if is_new else 200)


@router.delete("/clusters/{cluster}/registries/{server:path}", status_code=204, responses=problems(ClusterIsLocal))
@allowed(Action.CLUSTER_WRITE)
def remove_registry(cluster: ClusterPath, server: ServerPath, actor: ActorDep, session: SessionDep) -> Response:
    """Forget credentials for an image registry. They leave the namespaces within a minute."""
    cluster_registries.remove_registry(session, actor, (clusters.find_added(session, cluster), cluster), server)
    return wire.no_content()


@router.post(
    "/projects/{project}/kubeconfigs", status_code=202, response_model=KubeconfigRead, responses=problems(NoNamespace)
)
@allowed(Action.PROJECT_KUBECONFIG)
def request_kubeconfig(body: KubeconfigRequest, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """Ask for a kubeconfig that may look at the project's pods and their logs, and nothing else. It takes a moment."""
    made = project_kubeconfigs.request(session, actor, (project.id, project.name), body.cluster, body.hours)
    location = f"{PREFIX}/projects/{project.name}/kubeconfigs/{made.id}"
    return wire.json_response(kubeconfig_item(made), 202, {"location": location})


@router.get("/projects/{project}/kubeconfigs/{kubeconfig}", response_model=KubeconfigRead)
@allowed(Action.PROJECT_KUBECONFIG)
def get_kubeconfig(
    kubeconfig: KubeconfigPath, project: ProjectDep, actor: ActorDep, session: ReadSessionDep
) -> Response:
    """How one is that you have asked for."""
    return wire.json_response(kubeconfig_item(project_kubeconfigs.find(session, actor, project.id, kubeconfig)))


@router.post(
    "/projects/{project}/kubeconfigs/{kubeconfig}:fetch",
    response_model=KubeconfigFetched,
    responses=problems(KubeconfigNotReady, AnswerNotKept),
)
@allowed(Action.PROJECT_KUBECONFIG)
def fetch_kubeconfig(kubeconfig: KubeconfigPath, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response:
    """The kubeconfig that you have asked for. It is answered once and forgotten with that."""
    found = project_kubeconfigs.fetch(session, actor, (project.id, project.name), kubeconfig)
    return wire.secret_response({"kubeconfig": found}, 200)
