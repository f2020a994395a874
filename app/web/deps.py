"""What every page starts from: who visits, in which language, theme and zone, with one session for all of it.

`visit` opens the session and closes it before the template runs, so that no connection waits for a page to
be put together; logs and objects are read after it, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from fastapi import Request
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from app import i18n
from app.db import read_session, unit_of_work
from app.domain.access import Actor
from app.domain.health import Outage
from app.errors import NotFound, Unauthenticated
from app.services import identity, outages, sessions
from app.services.identity import Identity, ProjectRef
from app.web import outage_view
from app.web.formats import zone_of
from app.web.templating import THEMES, ProjectLink, Shell

LANGUAGE_COOKIE = "berth_language"
THEME_COOKIE = "berth_theme"
ZONE_COOKIE = "berth_zone"


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page, and how they like it. `identity` is None for somebody who is not signed in."""

    session: Session
    identity: Identity | None
    language: str
    theme: str | None
    zone: tzinfo
    csrf: str
    path: str
    outages: tuple[Outage, ...] = ()

    @property
    def signed_in(self) -> Identity:
        """The identity. Raises Unauthenticated, which a page answers with the way to sign in."""
        if self.identity is None:
            raise Unauthenticated
        return self.identity

    @property
    def actor(self) -> Actor:
        """The actor. Raises Unauthenticated."""
        return self.signed_in.actor

    def project(self, name: str) -> ProjectRef:
        """The project by that name. Raises NotFound for one that is not there or not for this visitor."""
        found = identity.find_project(self.session, self.signed_in, name)
        if found is None:
            raise NotFound
        return found

    def shell(self, project: str | None = None, *, is_live: bool = False) -> Shell:
        """The frame of a page; the page adds its title, its breadcrumb and its keys. A live one says what of Berth
        does not answer, and its polls bring and remove that."""
        made = Shell(self.language, self.theme, self.csrf, self.path, zone=str(self.zone))
        if is_live:
            made.outage = outage_view.build(self.outages, self.language, self.zone, datetime.now(UTC))
        if self.identity is not None:
            actor = self.identity.actor
            made.user = actor.name
            made.user_initials = actor.name[:2].upper()
            made.user_colour = colour_of(actor.name)
            made.is_admin = actor.is_admin
            names = sorted(self.identity.projects.keys() | ({project} if project else set()))
            made.projects = [project_link(name) for name in names[:100]]
            made.project = project_link(project) if project else None
        return made


@contextmanager
def visit(request: Request) -> Iterator[Visitor]:
    """The visitor of a request, with a session for the length of the block.

    Raises CrossSite for a request that another site made a browser send.
    """
    headers = request.headers
    cookie = sessions.read_cookie(headers.get("cookie"))
    if cookie:
        sessions.check_origin(request.method, headers)
    opened = read_session if request.method in sessions.SAFE_METHODS else unit_of_work
    with opened() as session:
        found = (
            identity.resolve_session(
                session,
                cookie,
                address=request.client.host if request.client else "",
                request_id=request.scope.get("berth.request_id", ""),
            )
            if cookie
            else None
        )
        language, theme = preferences(request, found)
        request.scope["berth.language"] = language
        hashed = found.actor.session_hash if found else None
        told = outages.list_outages(session) if found and request.method == "GET" else ()
        if told and "hx-request" in headers:
            request.scope["berth.outage"] = outage_view.key_of(told)
        yield Visitor(
            session,
            found,
            language,
            theme,
            zone_of(request.cookies.get(ZONE_COOKIE)),
            sessions.csrf_token(hashed) if hashed else "",
            own_path(request),
            told,
        )


def preferences(request: Request, found: Identity | None = None) -> tuple[str, str | None]:
    """Language and theme: this browser's choice, else the user's own, else what the browser asks for."""
    cookies = request.cookies
    actor = found.actor if found else None
    language = (
        i18n.known(cookies.get(LANGUAGE_COOKIE, ""))
        or (actor.language if actor and actor.language in i18n.LANGUAGES else None)
        or i18n.negotiate(request.headers.get("accept-language"))
    )
    theme = cookies.get(THEME_COOKIE) or (actor.theme if actor else None)
    return language, theme if theme in THEMES else None


def check_form(request: Request, visitor: Visitor, csrf: str) -> None:
    """Raises CrossSite for a form that was not sent from a page of ours, by this visitor's own session."""
    sessions.check_origin(request.method, request.headers)
    if visitor.identity is not None and visitor.identity.actor.session_hash is not None:
        sessions.check_csrf(visitor.identity.actor.session_hash, csrf)


def safe_next(path: str | None) -> str:
    """`path` if it is a place on this site, else "/". Browsers drop tabs and newlines and turn `\\` into `/`."""
    if not path or len(path) > 2000 or not path.startswith("/") or not path.isprintable():
        return "/"
    return "/" if path.startswith("//") or "\\" in path else path


def see_other(path: str) -> RedirectResponse:
    """After a form: go and look, with GET."""
    return RedirectResponse(path, status_code=303)


def own_path(request: Request) -> str:
    """Where the visitor is, to come back to after a form."""
    query = request.url.query
    path = f"{request.url.path}?{query}" if query else request.url.path
    return safe_next(path)


def project_link(name: str) -> ProjectLink:
    """A project as the shell shows it."""
    return ProjectLink(name, name, f"/projects/{name}/runs", colour_of(name))


def colour_of(name: str) -> str:
    """One of the style sheet's colours for avatars, always the same for a name."""
    number = sum(name.encode()) % 7
    return f"av-{number}" if number else ""
