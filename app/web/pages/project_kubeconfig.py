"""A project's read-only kubeconfig: asking for one, waiting for it, and fetching it once."""

import uuid
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.errors import N_, FieldError, Invalid, NotFound
from app.i18n import translate
from app.services import project_kubeconfigs
from app.services.identity import require
from app.services.project_kubeconfigs import HOURS, Kubeconfig
from app.web import forms, tabs
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.forms import REFUSALS, refused
from app.web.templating import Crumb, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asked:
    """One that the visitor has asked for."""

    key: str
    url: str
    cluster: str
    state: str
    trouble: str
    until: tabs.Stamp


@dataclass
class KubeconfigPage:
    """The form, and the one that was asked for last."""

    url: str
    clusters: list[tuple[str, str]]
    form: forms.Form
    hours: str
    asked: Asked | None = None


@router.get("/projects/{project}/settings/kubeconfig")
def page(request: Request, project: str, key: str = "") -> Response:
    """The form, and how the one of that key is."""
    return _show(request, project, key=key)


@router.post("/projects/{project}/settings/kubeconfig")
def ask(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    cluster: Annotated[str, Form()] = "",
    hours: Annotated[str, Form()] = str(HOURS),
) -> Response:
    """Asks for one."""
    values = {"cluster": cluster, "hours": hours}
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.PROJECT_KUBECONFIG, found.id)
            if not hours.strip().isascii() or not hours.strip().isdigit():
                raise Invalid([FieldError("/hours", N_("must be a whole number"))])
            length, where = int(hours.strip()[:6]), (found.id, found.name)
            made = project_kubeconfigs.request(visitor.session, visitor.actor, where, cluster.strip(), length)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, tuple(values), at="cluster")
        return _show(request, project, form=form, status=problem.status)
    return see_other(f"/projects/{quote(project)}/settings/kubeconfig?key={made.id}")


@router.post("/projects/{project}/settings/kubeconfig/download")
def download(
    request: Request, project: str, csrf: Annotated[str, Form()] = "", key: Annotated[str, Form()] = ""
) -> Response:
    """The file, once."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            own = _key(key)
            cluster = project_kubeconfigs.find(visitor.session, visitor.actor, found.id, own).cluster
            content = project_kubeconfigs.fetch(visitor.session, visitor.actor, (found.id, found.name), own)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {}, ())
        return _show(request, project, form=form, key=key, status=problem.status)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.name}-{cluster}.kubeconfig"',
        "Cache-Control": "no-store, private",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type="application/yaml", headers=headers)


def _show(
    request: Request, project: str, *, form: forms.Form | None = None, key: str = "", status: int = 200
) -> Response:
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.PROJECT_KUBECONFIG, found.id)
        shell = tabs.settings_shell(visitor, found, "general")
        names = project_kubeconfigs.list_clusters(visitor.session, found.id)
        url = f"/projects/{quote(found.name)}/settings/kubeconfig"
        made = KubeconfigPage(url, [(name, name) for name in names], form or forms.Form(), str(HOURS))
        if key:
            row = project_kubeconfigs.find(visitor.session, visitor.actor, found.id, _key(key))
            made.asked = _asked(visitor, url, row)
        shell.title = translate(visitor.language, N_("Read-only kubeconfig"))
        shell.crumbs.append(Crumb(shell.title))
    return render("settings/kubeconfig.html", shell, made, status)


def _asked(visitor: Visitor, url: str, row: Kubeconfig) -> Asked:
    until = tabs.stamp(visitor, row.expires_at)
    return Asked(str(row.id), f"{url}?key={row.id}", row.cluster, row.state, row.trouble or "", until)


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound from None
