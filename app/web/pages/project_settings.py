"""A project's settings: its title, and deleting it by typing its name."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.errors import N_, FieldError, Invalid
from app.i18n import translate, translate_plural
from app.repositories import projects as repository
from app.services import project_deletion, project_kubeconfigs, projects
from app.services.identity import require
from app.web import formats, forms, tabs
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.forms import REFUSALS, check_line, refused
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Going:
    """A line of what would go with the project."""

    label: str
    value: str


@dataclass
class GeneralPage:
    """The forms. `going` is empty for who may not delete the project; `live` says which runs keep it from that."""

    name: str
    title: str
    url: str
    created: tabs.Stamp
    form: forms.Form
    deletion: forms.Form
    may_write: bool = False
    live: str = ""
    live_url: str = ""
    kubeconfig_url: str = ""
    going: list[Going] = field(default_factory=list)


@router.get("/projects/{project}/settings")
def page(request: Request, project: str, done: str = "") -> Response:
    """The tab General."""
    return _show(request, project, done=done)


@router.post("/projects/{project}/settings")
def save(
    request: Request, project: str, csrf: Annotated[str, Form()] = "", title: Annotated[str, Form()] = ""
) -> Response:
    """Sets the title."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.PROJECT_WRITE, found.id)
            before = projects.lock_project(visitor.session, found.id)
            projects.update_project(visitor.session, visitor.actor, found.id, before, check_line("title", title))
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {"title": title}, ("title",))
        return _show(request, project, form=form, status=problem.status)
    return see_other(f"/projects/{quote(project)}/settings?done=saved")


@router.post("/projects/{project}/settings/delete")
def delete(
    request: Request, project: str, csrf: Annotated[str, Form()] = "", name: Annotated[str, Form()] = ""
) -> Response:
    """Deletes the project, once its name was typed."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.PROJECT_DELETE, found.id)
            if name.strip() != found.name:
                raise Invalid([FieldError("/name", N_("must be the name of this project"))])
            project_deletion.delete_project(visitor.session, visitor.actor, found.id)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {"name": name}, ("name",))
        return _show(request, project, deletion=form, status=problem.status)
    return see_other("/projects?done=deleted")


def _show(
    request: Request,
    project: str,
    *,
    form: forms.Form | None = None,
    deletion: forms.Form | None = None,
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        found = visitor.project(project)
        shell = tabs.settings_shell(visitor, found, "general", done)
        row = repository.get_project(visitor.session, visitor.actor, found.id)
        url = f"/projects/{quote(found.name)}"
        made = GeneralPage(
            found.name,
            row["title"],
            f"{url}/settings",
            tabs.stamp(visitor, row["created_at"]),
            form or forms.Form({"title": row["title"]}),
            deletion or forms.Form(),
            live_url=f"{url}/runs?q=status:queued,starting,running",
        )
        made.may_write = can(visitor.actor, Action.PROJECT_WRITE, found.id) == Verdict.ALLOWED
        may_look = can(visitor.actor, Action.PROJECT_KUBECONFIG, found.id) == Verdict.ALLOWED
        if may_look and project_kubeconfigs.list_clusters(visitor.session, found.id):
            made.kubeconfig_url = f"{url}/settings/kubeconfig"
        if can(visitor.actor, Action.PROJECT_DELETE, found.id) == Verdict.ALLOWED:
            contents = project_deletion.find_contents(visitor.session, found.id)
            if contents.live_runs:
                made.live = translate_plural(
                    visitor.language,
                    "{count} run is not over, so the project cannot be deleted.",
                    "{count} runs are not over, so the project cannot be deleted.",
                    contents.live_runs,
                    count=formats.grouped(contents.live_runs),
                )
            made.going = _going(visitor, contents)
    return render("settings/general.html", shell, made, status)


def _going(visitor: Visitor, found: project_deletion.Contents) -> list[Going]:
    def say(text: str) -> str:
        return translate(visitor.language, text)

    def with_size(count: int, size: int) -> str:
        return f"{formats.grouped(count)} · {formats.size(size)}"

    return [
        Going(say("Runs"), formats.grouped(found.runs)),
        Going(say("Logs"), formats.size(found.log_bytes)),
        Going(say("Outputs"), with_size(found.outputs, found.output_bytes)),
        Going(say("Snapshots of code"), with_size(found.snapshots, found.snapshot_bytes)),
        Going(say("Members"), formats.grouped(found.members)),
        Going(say("Service accounts"), formats.grouped(found.service_accounts)),
        Going(say("Tokens"), formats.grouped(found.tokens)),
        *(Going(say("Namespace"), name) for name in found.namespaces),
    ]
