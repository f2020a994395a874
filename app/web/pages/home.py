"""The start page: where a one-time link leads, else the first project's runs; and the list of projects."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.errors import N_
from app.i18n import translate
from app.repositories import projects
from app.services import links, sessions
from app.services.links import LinkNotValid
from app.web.deps import Visitor, colour_of, see_other, visit
from app.web.pages.login import address_of, agent_of, signed_in
from app.web.templating import Crumb, render

router = APIRouter(include_in_schema=False)

ROLES = {"owner": N_("owner"), "editor": N_("editor"), "viewer": N_("viewer")}
_MOST = 500


@dataclass(frozen=True)
class LinkPage:
    """A button, so that a preview of the address does not use the link up."""

    key: str


@dataclass(frozen=True)
class ProjectRow:
    """A project and what the visitor is in it."""

    name: str
    title: str
    url: str
    colour: str
    role: str


@dataclass
class HomePage:
    """The visitor's projects."""

    projects: list[ProjectRow] = field(default_factory=list)


@router.get("/")
def start(request: Request, k: str = "") -> Response:
    """Where a link leads; for others their first project's runs, or what to do when there is none."""
    with visit(request) as visitor:
        link = links.find(visitor.session, k) if k else None
        if k and link is None and visitor.identity is None:
            raise LinkNotValid
        if link is None:
            names = sorted(visitor.signed_in.projects)
            if names:
                return see_other(f"/projects/{names[0]}/runs")
            return _list(visitor)
        shell = visitor.shell()
    if link.kind == links.SIGN_IN:
        shell.title = translate(shell.language, "Sign in")
        return render("account/link.html", shell, LinkPage(k))
    return see_other(f"/{'setup' if link.kind == links.SETUP else 'invitation'}?k={quote(k)}")


@router.post("/sign-in")
def sign_in_by_link(request: Request, k: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Uses a sign-in link up and opens a session."""
    sessions.check_not_cross_site(request.headers)
    with visit(request) as visitor:
        made = sessions.sign_in_by_link(visitor.session, k, address=address_of(request), agent=agent_of(request))
    return signed_in(made, "/")


@router.get("/projects")
def project_list(request: Request) -> Response:
    """All projects that the visitor may see."""
    with visit(request) as visitor:
        return _list(visitor)


def _list(visitor: Visitor) -> Response:
    shell = visitor.shell()
    rows = []
    for found in projects.list_projects(visitor.session, visitor.actor, None, _MOST):
        name = found["name"]
        role = ROLES[found["role"]]
        word = translate(visitor.language, role)
        rows.append(ProjectRow(name, found["title"], f"/projects/{quote(name)}/runs", colour_of(name), word))
    shell.title = translate(visitor.language, "Projects")
    shell.crumbs = [Crumb(shell.title)]
    shell.keys = ("everywhere", "lists")
    return render("account/home.html", shell, HomePage(rows))
