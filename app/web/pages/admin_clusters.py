"""Clusters, for platform administrators: the list, one of them, and the forms that change it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.errors import N_, AppError, FieldError, Invalid
from app.i18n import translate
from app.repositories import clusters as repository
from app.repositories.clusters import LOCAL, ClusterRow
from app.services import cluster_registries, clusters, namespace_drift, project_namespaces
from app.services.identity import require
from app.settings import get_settings
from app.web import cluster_namespace_view, cluster_view, forms, tabs
from app.web.cluster_namespace_view import NamespaceParts
from app.web.cluster_view import ClusterListPage, ClusterPage
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.forms import REFUSALS, refused
from app.web.templating import Crumb, render

router = APIRouter(include_in_schema=False)

_RUNS = 50


@router.get("/admin/clusters")
def list_page(request: Request, after: str = "", done: str = "") -> Response:
    """By name."""
    return _show_list(request, after=after, done=done)


@router.post("/admin/clusters")
def add(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    kubeconfig: Annotated[str, Form()] = "",
    in_cluster: Annotated[str, Form()] = "",
    berth_url: Annotated[str, Form()] = "",
    runtime_image: Annotated[str, Form()] = "",
) -> Response:
    """Adds a cluster and leads to its page, where its check is seen."""
    values = {"name": name, "in_cluster": in_cluster, "berth_url": berth_url, "runtime_image": runtime_image}
    fields = ("name", "kubeconfig", "berth_url", "runtime_image")
    try:
        with visit(request) as visitor:
            tabs.admin_shell(visitor, "clusters")
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.CLUSTER_WRITE)
            text = kubeconfig.strip()
            if bool(text) == bool(in_cluster):
                said = N_("give a kubeconfig, or say that it is the cluster that Berth runs in")
                raise Invalid([FieldError("/kubeconfig", said)])
            given = {"berth_url": berth_url.strip(), "runtime_image": runtime_image.strip()}
            clusters.add_cluster(visitor.session, visitor.actor, name.strip(), text or None, given)
    except REFUSALS as problem:
        form = refused(_flat(problem), request.scope["berth.language"], values, fields, at="name")
        return _show_list(request, form=form, status=problem.status)
    return see_other(f"/admin/clusters/{quote(name.strip())}?done=added")


@router.get("/admin/clusters/{cluster}")
def page(request: Request, cluster: str, done: str = "") -> Response:
    """One cluster: how it is, what its check found, what runs on it."""
    return _show(request, cluster, done=done)


@router.post("/admin/clusters/{cluster}/settings")
def save(
    request: Request,
    cluster: str,
    csrf: Annotated[str, Form()] = "",
    version: Annotated[str, Form()] = "",
    berth_url: Annotated[str | None, Form()] = None,
    runtime_image: Annotated[str | None, Form()] = None,
    default_image: Annotated[str | None, Form()] = None,
    gpu_resource: Annotated[str | None, Form()] = None,
    runtime_class: Annotated[str | None, Form()] = None,
    pull_secret: Annotated[str | None, Form()] = None,
    namespace_prefix: Annotated[str | None, Form()] = None,
    egress: Annotated[str | None, Form()] = None,
    node_selector: Annotated[str | None, Form()] = None,
    tolerations: Annotated[str | None, Form()] = None,
) -> Response:
    """Changes the settings, unless somebody else did since the page was read; a check follows."""
    given = {
        "berth_url": berth_url,
        "runtime_image": runtime_image,
        "default_image": default_image,
        "gpu_resource": gpu_resource,
        "runtime_class": runtime_class,
        "pull_secret": pull_secret,
        "namespace_prefix": namespace_prefix,
        "egress": egress,
        "node_selector": node_selector,
        "tolerations": tolerations,
    }
    changes = {name: text.strip() for name, text in given.items() if text is not None}
    try:
        with _change(request, csrf) as visitor:
            found = _find(visitor, cluster)
            if version and version != str(found.version):
                raise Invalid([FieldError("/", N_("somebody else changed it meanwhile; look at it and save again"))])
            clusters.update_settings(visitor.session, visitor.actor, found.name, changes)
    except REFUSALS as problem:
        form = refused(_flat(problem), request.scope["berth.language"], changes, tuple(changes))
        return _show(request, cluster, settings=form, status=problem.status)
    return see_other(f"/admin/clusters/{quote(cluster)}?done=saved")


@router.post("/admin/clusters/{cluster}/check")
def check(request: Request, cluster: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Asks for a check."""
    try:
        with _change(request, csrf) as visitor:
            clusters.request_check(visitor.session, visitor.actor, cluster)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {}, ())
        return _show(request, cluster, settings=form, status=problem.status)
    return see_other(f"/admin/clusters/{quote(cluster)}")


@router.post("/admin/clusters/{cluster}/drain")
def drain(
    request: Request, cluster: str, csrf: Annotated[str, Form()] = "", draining: Annotated[str, Form()] = "yes"
) -> Response:
    """Lets nothing new start there, or with `draining` no lets it again."""
    with _change(request, csrf) as visitor:
        clusters.set_draining(visitor.session, visitor.actor, cluster, draining=draining != "no")
    return see_other(f"/admin/clusters/{quote(cluster)}")


@router.post("/admin/clusters/{cluster}/credentials")
def rotate(
    request: Request, cluster: str, csrf: Annotated[str, Form()] = "", kubeconfig: Annotated[str, Form()] = ""
) -> Response:
    """Replaces the credentials; a check follows."""
    try:
        with _change(request, csrf) as visitor:
            clusters.rotate(visitor.session, visitor.actor, cluster, kubeconfig.strip())
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {}, ("kubeconfig",))
        return _show(request, cluster, credentials=form, status=problem.status)
    return see_other(f"/admin/clusters/{quote(cluster)}?done=saved")


@router.post("/admin/clusters/{cluster}/registries")
def set_registry(
    request: Request,
    cluster: str,
    csrf: Annotated[str, Form()] = "",
    server: Annotated[str, Form()] = "",
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    """Gives credentials for an image registry, or replaces them."""
    values = {"server": server, "username": username}
    try:
        with _change(request, csrf) as visitor:
            found = clusters.find_added(visitor.session, cluster), cluster
            given = server.strip(), username.strip(), password
            cluster_registries.set_registry(visitor.session, visitor.actor, found, *given)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, ("server", "username", "password"))
        return _show(request, cluster, registry=form, status=problem.status)
    return see_other(f"/admin/clusters/{quote(cluster)}?done=saved")


@router.post("/admin/clusters/{cluster}/registries/remove")
def remove_registry(
    request: Request, cluster: str, csrf: Annotated[str, Form()] = "", server: Annotated[str, Form()] = ""
) -> Response:
    """Forgets credentials for an image registry."""
    with _change(request, csrf) as visitor:
        found = clusters.find_added(visitor.session, cluster), cluster
        cluster_registries.remove_registry(visitor.session, visitor.actor, found, server)
    return see_other(f"/admin/clusters/{quote(cluster)}?done=removed")


@router.post("/admin/clusters/{cluster}/remove")
def remove(
    request: Request, cluster: str, csrf: Annotated[str, Form()] = "", name: Annotated[str, Form()] = ""
) -> Response:
    """Forgets the cluster, once its name was typed."""
    try:
        with _change(request, csrf) as visitor:
            found = _find(visitor, cluster)
            if name.strip() != found.name:
                raise Invalid([FieldError("/name", N_("must be the name of this cluster"))])
            clusters.remove(visitor.session, visitor.actor, found.name)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {"name": name}, ("name",))
        return _show(request, cluster, removal=form, status=problem.status)
    return see_other("/admin/clusters?done=removed")


@contextmanager
def _change(request: Request, csrf: str) -> Iterator[Visitor]:
    """`visit` for a form of one cluster: who may not change clusters gets no further."""
    with visit(request) as visitor:
        tabs.admin_shell(visitor, "clusters")
        check_form(request, visitor, csrf)
        require(visitor.actor, Action.CLUSTER_WRITE)
        yield visitor


def _flat(problem: AppError) -> AppError:
    """The same with the pointers of settings as the fields of a form are named."""
    problem.errors = [replace(one, pointer=one.pointer.replace("/settings/", "/")) for one in problem.errors]
    return problem


def _find(visitor: Visitor, name: str) -> ClusterRow:
    return repository.get_cluster(visitor.session, get_settings().convergence.away_seconds, name)


def _show_list(
    request: Request, *, form: forms.Form | None = None, after: str = "", status: int = 200, done: str = ""
) -> Response:
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "clusters", done)
        away = get_settings().convergence.away_seconds
        rows = repository.list_clusters(visitor.session, away, after.replace("\0", "") or None, tabs.PAGE + 1)
        settings = cluster_view.settings_of(visitor.language, {})[:2]
        made = ClusterListPage(form or forms.Form(), settings)
        made.rows = [cluster_view.cluster_line(visitor, row) for row in rows[: tabs.PAGE]]
    if len(rows) > tabs.PAGE:
        made.more_url = tabs.url("/admin/clusters", after=rows[tabs.PAGE - 1].name)
    return render("admin/clusters.html", shell, made, status)


def _show(
    request: Request,
    cluster: str,
    *,
    settings: forms.Form | None = None,
    credentials: forms.Form | None = None,
    removal: forms.Form | None = None,
    registry: forms.Form | None = None,
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "clusters", done)
        row = _find(visitor, cluster)
        runs = repository.list_runs(visitor.session, row.name, _RUNS)
        made = _page(visitor, row, runs)
        made.inside = _inside(visitor, row.id)
    given = {"settings": settings, "credentials": credentials, "removal": removal, "registry": registry}
    made.sent = {name: form for name, form in given.items() if form is not None}
    shell.crumbs[-1] = Crumb(shell.heading, "/admin/clusters")
    shell.crumbs.append(Crumb(row.name, is_code=True))
    shell.heading = shell.title = row.name
    return render("admin/cluster.html", shell, made, status)


def _page(visitor: Visitor, row: ClusterRow, runs: list[dict[str, Any]]) -> ClusterPage:
    say = visitor.language
    values = row.settings.as_dict()
    return ClusterPage(
        cluster_view.cluster_line(visitor, row),
        is_local=row.kind == LOCAL,
        is_draining=row.state == clusters.DRAINING,
        is_checking=row.is_checking,
        in_cluster=row.in_cluster,
        server=row.server or "",
        pools=", ".join(row.pools),
        created=tabs.stamp(visitor, row.created_at),
        created_by=row.created_by or "",
        credentials=str(row.credentials_version),
        credentials_at=tabs.stamp(visitor, row.credentials_at),
        checked=tabs.stamp(visitor, row.checked_at),
        audit_url=tabs.url("/admin/audit", object_type="cluster", object_id=row.name),
        version=row.version,
        checks=cluster_view.check_lines(say, row.findings),
        summary=cluster_view.summary_of(say, row.findings),
        runs=cluster_view.run_lines(visitor, runs),
        settings=cluster_view.settings_of(say, values),
        removal=_hindrance(say, row),
    )


def _inside(visitor: Visitor, cluster_id: uuid.UUID) -> NamespaceParts:
    return NamespaceParts(
        cluster_namespace_view.drift_lines(visitor, namespace_drift.list_drift(visitor.session, cluster_id)),
        cluster_namespace_view.registry_lines(visitor, cluster_registries.list_registries(visitor.session, cluster_id)),
        ", ".join(project_namespaces.list_deleting(visitor.session, cluster_id)),
    )


def _hindrance(language: str, row: ClusterRow) -> str:
    """What keeps it from being removed."""
    if row.pools and row.state != clusters.DRAINING:
        return translate(language, N_("Drain it first, and let its runs end."))
    if row.running or row.waiting:
        said = N_("Runs on it: {running}, waiting for it: {waiting}. Stop them, or wait until they have ended.")
        return translate(language, said, running=row.running, waiting=row.waiting)
    return ""
