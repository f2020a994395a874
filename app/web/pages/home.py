"""The start page: where a one-time link leads, else what somebody's own runs do and need; and the list of projects."""

import datetime
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.i18n import translate
from app.repositories import home, projects
from app.services import links, sessions
from app.services.links import LinkNotValid
from app.web import home_view, outage_view, start_view, tabs
from app.web.deps import Visitor, colour_of, see_other, visit
from app.web.forms import ROLES
from app.web.home_view import HomeRun, counted
from app.web.pages.login import address_of, agent_of, signed_in
from app.web.start_view import Start
from app.web.templating import Crumb, Shell, render

router = APIRouter(include_in_schema=False)

_MOST_RUNS = 20


@dataclass(frozen=True)
class LinkPage:
    """A button, so that a preview of the address does not use the link up."""

    key: str


@dataclass(frozen=True)
class ProjectRow:
    """A project and what the visitor is in it; the counts are on the start page only."""

    name: str
    title: str
    url: str
    colour: str
    role: str
    running: str = ""
    waiting: str = ""
    members: str = ""
    running_url: str = ""
    waiting_url: str = ""


@dataclass
class ProjectsPage:
    """Projects that the visitor may see."""

    projects: list[ProjectRow] = field(default_factory=list)
    more_url: str = ""


@dataclass
class HomePage:
    """The visitor's own runs that live, what needs the visitor, and the projects that they are in."""

    live: list[HomeRun] = field(default_factory=list)
    failed: list[HomeRun] = field(default_factory=list)
    waiting: list[HomeRun] = field(default_factory=list)
    projects: list[ProjectRow] = field(default_factory=list)
    has_more_live: bool = False
    start: Start | None = None


@router.get("/")
def start(request: Request, k: str = "") -> Response:
    """Where a link leads; without one what the visitor's runs do, and what needs them."""
    with visit(request) as visitor:
        link = links.find(visitor.session, k) if k else None
        if k and link is None and visitor.identity is None:
            raise LinkNotValid
        if link is None:
            shell, page = _home(visitor)
        else:
            shell = visitor.shell()
    if link is None:
        return render("home.html", shell, page)
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
def project_list(request: Request, after: str = "", done: str = "") -> Response:
    """All projects that the visitor may see."""
    with visit(request) as visitor:
        shell = visitor.shell()
        rows = projects.list_projects(visitor.session, visitor.actor, after.replace("\0", "") or None, tabs.PAGE + 1)
        page = ProjectsPage([_row(visitor, row["name"], row["title"], row["role"]) for row in rows[: tabs.PAGE]])
    if len(rows) > tabs.PAGE:
        page.more_url = tabs.url("/projects", after=rows[tabs.PAGE - 1]["name"])
    shell.title = shell.heading = translate(shell.language, "Projects")
    shell.done = translate(shell.language, tabs.DONE[done]) if done in tabs.DONE else ""
    shell.crumbs = [Crumb(shell.title)]
    shell.keys = ("everywhere", "lists")
    return render("account/projects.html", shell, page)


def _home(visitor: Visitor) -> tuple[Shell, HomePage]:
    now = datetime.datetime.now(datetime.UTC)
    session, actor, say = visitor.session, visitor.actor, visitor.language
    shell = visitor.shell(is_live=True)
    live = home.list_live(session, actor, _MOST_RUNS + 1)
    failed = home.list_failed(session, actor, now - home_view.LATELY, _MOST_RUNS)
    waiting = home.list_waiting(session, actor, now - home_view.LONG, _MOST_RUNS)
    names = sorted(visitor.signed_in.projects)[: tabs.PAGE]
    counts = home.count_runs(session, names)

    def shown(rows: list[home.RunRow]) -> list[HomeRun]:
        return [
            home_view.build_run(row, say, visitor.zone, outage_view.known_at(visitor.outages, now, row))
            for row in rows[:_MOST_RUNS]
        ]

    page = HomePage(shown(live), shown(failed), shown(waiting), has_more_live=len(live) > _MOST_RUNS)
    writable = []
    for name in names:
        role = actor.roles[visitor.signed_in.projects[name].id]
        page.projects.append(_row(visitor, name, "", role.name.lower(), counts[name]))
        if role.name != "VIEWER":
            writable.append(name)
    if writable and not live:
        page.start = _start(visitor, writable)
    shell.title = translate(say, "Home")
    shell.crumbs = [Crumb(shell.title)]
    shell.current, shell.keys = "home", ("everywhere", "lists", "new") if page.start else ("everywhere", "lists")
    shell.mark = "●" if live else "○"
    return shell, page


def _start(visitor: Visitor, writable: list[str]) -> Start:
    """What stands where the live runs would, for where the visitor ran something last and else for the first of
    the projects in which they may submit."""
    session, actor, say = visitor.session, visitor.actor, visitor.language
    newest = home.find_newest(session, actor)
    projects = visitor.signed_in.projects
    project = newest.project if newest is not None and newest.project in writable else writable[0]
    if newest is None and not home.has_runs(session, actor):
        return start_view.build_first(say, project, projects)
    if newest is not None and start_view.is_over(newest):
        may_invite = can(actor, Action.MEMBER_WRITE, newest.project_id) == Verdict.ALLOWED
        return start_view.build_after(say, newest.project, projects, may_invite=may_invite)
    return start_view.build_quiet(say, project, projects)


def _row(visitor: Visitor, name: str, title: str, role: str, counts: home.ProjectCounts | None = None) -> ProjectRow:
    url = f"/projects/{quote(name)}/runs"
    word = translate(visitor.language, ROLES[role])
    if counts is None:
        return ProjectRow(name, title, url, colour_of(name), word)
    return ProjectRow(
        name,
        title,
        url,
        colour_of(name),
        word,
        counted(counts.running),
        counted(counts.waiting),
        counted(counts.members),
        tabs.url(url, q="status:starting,running"),
        tabs.url(url, q="status:queued"),
    )
