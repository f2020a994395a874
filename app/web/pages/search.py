"""The palette: places, projects, job definitions and runs by a few letters of their names. Also a page by itself."""

from dataclasses import dataclass, field
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from app.domain.access import Action, Verdict, can
from app.errors import N_
from app.i18n import translate
from app.repositories import search
from app.web import navigation, statuses
from app.web.deps import Visitor, visit
from app.web.templating import Crumb, render

MOST = 8
_LONGEST = 100

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Hit:
    """Where a line leads. `note` says which of several it is."""

    url: str
    text: str
    icon: str = ""
    status: Markup = field(default_factory=Markup)
    note: str = ""


@dataclass(frozen=True)
class Group:
    """Hits of one kind."""

    title: str
    hits: list[Hit]


@dataclass
class SearchPage:
    """What was looked for, and what was found."""

    q: str
    project: str
    groups: list[Group] = field(default_factory=list)


@router.get("/search")
def page(request: Request, q: str = "", project: str = "") -> Response:
    """Hits for the letters in `q`; without any, the places. To htmx the list alone."""
    asked = " ".join(q.replace("\0", "").split())[:_LONGEST]
    with visit(request) as visitor:
        known = project if project in visitor.signed_in.projects else ""
        shell = visitor.shell(known or None)
        made = SearchPage(asked, known)
        for title, hits in _find(visitor, asked, known):
            if hits:
                made.groups.append(Group(translate(visitor.language, title), hits))
    if request.headers.get("hx-request"):
        return render("search/_hits.html", shell, made)
    shell.title = shell.heading = translate(shell.language, "Search")
    shell.crumbs = [Crumb(shell.title)]
    return render("search/page.html", shell, made)


def _find(visitor: Visitor, asked: str, project: str) -> list[tuple[str, list[Hit]]]:
    session, say = visitor.session, visitor.language
    places = _places(visitor, project)
    if not asked:
        return [(N_("Places"), places)]
    places += _settings(visitor, project)
    found = search.find_runs_by_id(session, visitor.actor, asked.lower(), MOST) if asked.lower()[:2] == "r-" else []
    definitions: list[Hit] = []
    if project:
        ref = visitor.project(project)
        found += search.find_runs_by_name(session, ref.id, asked, MOST)
        definitions = [
            Hit(f"/projects/{quote(project)}/jobs/{quote(one.name)}", one.title or one.name, "job", note=one.name)
            for one in search.find_definitions(session, ref.id, asked, MOST)
        ]
    runs = [
        Hit(
            f"/projects/{quote(one.project)}/runs/{one.public_id}",
            one.name,
            status=statuses.chip(say, one.state),
            note=one.public_id,
        )
        for one in found
    ]
    part = asked.casefold()
    projects = [
        Hit(f"/projects/{quote(name)}/runs", name, "projects")
        for name in sorted(visitor.signed_in.projects)
        if part in name.casefold()
    ]
    return [
        (N_("Runs"), runs[:MOST]),
        (N_("Jobs"), definitions),
        (N_("Projects"), projects),
        (N_("Places"), [hit for hit in places if part in hit.text.casefold()][: 2 * MOST]),
    ]


def _settings(visitor: Visitor, project: str) -> list[Hit]:
    """What is done in a project, and its settings; without a current one, those of the first few."""
    say, made = visitor.language, []
    for name in [project] if project else sorted(visitor.signed_in.projects)[:3]:
        ref, at = visitor.signed_in.projects[name], f"/projects/{quote(name)}"
        if can(visitor.actor, Action.RUN_WRITE, ref.id) == Verdict.ALLOWED:
            made.append(Hit(f"{at}/runs/new", translate(say, "New run"), "run", note=name))
        for tab in navigation.SETTINGS:
            if tab.action is None or can(visitor.actor, tab.action, ref.id) == Verdict.ALLOWED:
                text = f"{translate(say, 'Settings')} · {translate(say, tab.text)}"
                made.append(Hit(tab.url.replace("{project}", quote(name)), text, "settings", note=name))
    return made


def _places(visitor: Visitor, project: str) -> list[Hit]:
    places = [navigation.HOME, *(navigation.PROJECT if project else ())]
    places += navigation.PLATFORM if visitor.actor.is_admin else ()
    places += navigation.HELP
    say = visitor.language
    made = [Hit(one.url.replace("{project}", quote(project)), translate(say, one.text), one.icon) for one in places]
    return made + [Hit(tab.url, translate(say, tab.text), tab.icon) for tab in navigation.ACCOUNT]
