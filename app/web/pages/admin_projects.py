"""All projects, for platform administrators, and the form that makes one."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.repositories import home
from app.repositories import projects as repository
from app.services import projects
from app.services.identity import require
from app.web import forms, tabs
from app.web.deps import check_form, colour_of, see_other, visit
from app.web.forms import REFUSALS, check_line, refused
from app.web.home_view import counted
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ProjectRow:
    """A project of the list."""

    name: str
    title: str
    url: str
    settings_url: str
    colour: str
    running: str
    waiting: str
    members: str
    created: tabs.Stamp


@dataclass
class ProjectsPage:
    """The list, and the form."""

    form: forms.Form
    rows: list[ProjectRow] = field(default_factory=list)
    more_url: str = ""


@router.get("/admin/projects")
def list_page(request: Request, after: str = "", done: str = "") -> Response:
    """By name."""
    return _show(request, after=after, done=done)


@router.post("/admin/projects")
def create(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    title: Annotated[str, Form()] = "",
) -> Response:
    """Makes a project; who makes it is its first owner, and adds the others on its page."""
    values = {"name": name, "title": title}
    try:
        with visit(request) as visitor:
            tabs.admin_shell(visitor, "projects")
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.PROJECT_CREATE)
            made = name.strip()
            projects.create_project(visitor.session, visitor.actor, made, check_line("title", title))
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, tuple(values), at="name")
        return _show(request, form=form, status=problem.status)
    return see_other(f"/projects/{quote(made)}/settings/members?done=added")


def _show(
    request: Request, *, form: forms.Form | None = None, after: str = "", status: int = 200, done: str = ""
) -> Response:
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "projects", done)
        rows = repository.list_projects(visitor.session, visitor.actor, after.replace("\0", "") or None, tabs.PAGE + 1)
        shown = rows[: tabs.PAGE]
        counts = home.count_runs(visitor.session, [row["name"] for row in shown])
        page = ProjectsPage(form or forms.Form())
        for row in shown:
            found, name = counts[row["name"]], quote(row["name"])
            page.rows.append(
                ProjectRow(
                    row["name"],
                    row["title"],
                    f"/projects/{name}/runs",
                    f"/projects/{name}/settings",
                    colour_of(row["name"]),
                    counted(found.running),
                    counted(found.waiting),
                    counted(found.members),
                    tabs.stamp(visitor, row["created_at"]),
                )
            )
    if len(rows) > tabs.PAGE:
        page.more_url = tabs.url("/admin/projects", after=shown[-1]["name"])
    return render("admin/projects.html", shell, page, status)
