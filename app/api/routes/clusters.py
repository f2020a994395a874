"""Clusters, for platform administrators. No route talks to a cluster: the controller does, and writes what it found."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Path, Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, IfMatchDep, LimitDep, ReadSessionDep, SessionDep, allowed
from app.api.problems import PreconditionFailed, PreconditionRequired
from app.api.routing import PREFIX, new_router, problems
from app.api.schemas.clusters import (
    ClusterCreate,
    ClusterCredentials,
    ClusterDetail,
    ClusterPage,
    ClusterRemoved,
    ClusterUpdate,
    cluster_detail,
    cluster_item,
)
from app.domain.access import Action
from app.errors import N_, FieldError, Invalid
from app.repositories import clusters as repository
from app.repositories.clusters import ClusterRow
from app.services import clusters
from app.services.clusters import ClusterExists, ClusterInUse, ClusterIsLocal
from app.settings import get_settings

router = new_router("clusters")

ClusterPath = Annotated[str, Path(max_length=200, description="The cluster's name.", examples=["east"])]
DryRun = Annotated[bool, Query(description="Say what would go, and do nothing.", examples=[True])]


@router.get("/clusters", response_model=ClusterPage)
@allowed(Action.CLUSTER_READ)
def list_clusters(request: Request, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50) -> Response:
    """All clusters, by name, each with how it is, what it has, and how many runs are on it."""
    start = cursors.decode("clusters", after)[0] if after else None
    rows = repository.list_clusters(session, _away(), start, limit + 1)
    following = cursors.encode("clusters", [rows[limit - 1].name]) if len(rows) > limit else None
    return wire.page_response(request, [cluster_item(row) for row in rows[:limit]], following)


@router.post("/clusters", status_code=201, response_model=ClusterDetail, responses=problems(ClusterExists))
@allowed(Action.CLUSTER_WRITE)
def create_cluster(body: ClusterCreate, actor: ActorDep, session: SessionDep) -> Response:
    """Add a cluster. Its check begins at once and takes a minute: look at it until `checking` is false."""
    if (body.kubeconfig is None) != body.in_cluster:
        said = N_("give a kubeconfig, or say that it is the cluster that Berth runs in")
        raise Invalid([FieldError("/kubeconfig", said)])
    text = body.kubeconfig.get_secret_value() if body.kubeconfig is not None else None
    clusters.add_cluster(session, actor, body.name, text, body.settings.given())
    return _answer(_find(session, body.name), 201, {"location": f"{PREFIX}/clusters/{body.name}"})


@router.get("/clusters/{cluster}", response_model=ClusterDetail)
@allowed(Action.CLUSTER_READ)
def get_cluster(cluster: ClusterPath, session: ReadSessionDep) -> Response:
    """One cluster with its settings and the findings of its last check. Its ETag is for If-Match."""
    return _answer(_find(session, cluster))


@router.patch(
    "/clusters/{cluster}",
    response_model=ClusterDetail,
    responses=problems(ClusterIsLocal, PreconditionRequired, PreconditionFailed),
)
@allowed(Action.CLUSTER_WRITE)
def update_cluster(
    cluster: ClusterPath, body: ClusterUpdate, actor: ActorDep, session: SessionDep, if_match: IfMatchDep = None
) -> Response:
    """Change settings; a check follows. If-Match is required; with an old ETag nothing happens."""
    row = _find(session, cluster)
    wire.require_if_match(if_match, row.version, cluster_detail(row))
    clusters.update_settings(session, actor, cluster, body.settings.given())
    return _answer(_find(session, cluster))


@router.put("/clusters/{cluster}/credentials", response_model=ClusterDetail, responses=problems(ClusterIsLocal))
@allowed(Action.CLUSTER_WRITE)
def rotate_credentials(
    cluster: ClusterPath, body: ClusterCredentials, actor: ActorDep, session: SessionDep
) -> Response:
    """Replace the credentials in place. Runs go on; the next call to the cluster uses the new ones. A check follows."""
    clusters.rotate(session, actor, cluster, body.kubeconfig.get_secret_value())
    return _answer(_find(session, cluster))


@router.post(
    "/clusters/{cluster}:check", status_code=202, response_model=ClusterDetail, responses=problems(ClusterIsLocal)
)
@allowed(Action.CLUSTER_WRITE)
def check_cluster(cluster: ClusterPath, actor: ActorDep, session: SessionDep) -> Response:
    """Ask for a check: `checking` is true until it has ended, about a minute later."""
    clusters.request_check(session, actor, cluster)
    return _answer(_find(session, cluster), 202)


@router.post("/clusters/{cluster}:drain", response_model=ClusterDetail)
@allowed(Action.CLUSTER_WRITE)
def drain_cluster(cluster: ClusterPath, actor: ActorDep, session: SessionDep) -> Response:
    """Let nothing new start there. What runs goes on, what waits goes on waiting, and submitting to it is refused."""
    clusters.set_draining(session, actor, cluster, draining=True)
    return _answer(_find(session, cluster))


@router.post("/clusters/{cluster}:undrain", response_model=ClusterDetail)
@allowed(Action.CLUSTER_WRITE)
def undrain_cluster(cluster: ClusterPath, actor: ActorDep, session: SessionDep) -> Response:
    """Let runs start there again."""
    clusters.set_draining(session, actor, cluster, draining=False)
    return _answer(_find(session, cluster))


@router.delete("/clusters/{cluster}", response_model=ClusterRemoved, responses=problems(ClusterInUse, ClusterIsLocal))
@allowed(Action.CLUSTER_WRITE)
def remove_cluster(cluster: ClusterPath, actor: ActorDep, session: SessionDep, dry_run: DryRun = False) -> Response:
    """Forget a cluster with its pools and credentials. In the cluster itself nothing is deleted.

    Refused unless it is drained and empty, or never had a pool. With `dry_run` the answer says what would go.
    """
    found = clusters.find_removal(session, cluster) if dry_run else clusters.remove(session, actor, cluster)
    shown = asdict(found)
    shown["allowed"] = shown.pop("is_allowed")
    return wire.json_response({"cluster": cluster, "removed": not dry_run} | shown)


def _away() -> float:
    return get_settings().convergence.away_seconds


def _find(session: Session, name: str) -> ClusterRow:
    return repository.get_cluster(session, _away(), name)


def _answer(row: ClusterRow, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return wire.json_response(cluster_detail(row), status, {"etag": wire.etag(row.version), **(headers or {})})
