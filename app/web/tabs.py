"""The frames of the settings' pages: which tabs there are for whom, and what a form before has done."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from app.domain.access import Verdict, can
from app.errors import N_, NotFound
from app.i18n import translate
from app.services.identity import ProjectRef
from app.web import formats, navigation
from app.web.deps import Visitor
from app.web.navigation import Tab
from app.web.templating import Crumb, Shell, TabLink

# What a page may be told by `?done=`, after a form has led back to it.
DONE = {
    "saved": N_("Saved."),
    "added": N_("Added."),
    "removed": N_("Removed."),
    "revoked": N_("Revoked. It works no more."),
    "disabled": N_("Disabled. Every session and token of it has ended."),
    "enabled": N_("Enabled."),
    "ended": N_("Ended."),
    "deleted": N_("The project is deleted. What it stored is removed in the next minutes."),
    "password": N_("The password is changed, and all your other sessions have ended."),
}
PAGE = 50


@dataclass(frozen=True)
class Stamp:
    """A moment: in short, and in full for who points at it."""

    text: str
    full: str = ""


def settings_shell(visitor: Visitor, project: ProjectRef, key: str, done: str = "") -> Shell:
    """Of a project's settings, on the tab `key`. Those that the visitor may not open are left out."""
    tabs = [
        tab
        for tab in navigation.SETTINGS
        if tab.action is None or can(visitor.actor, tab.action, project.id) == Verdict.ALLOWED
    ]
    name = quote(project.name)
    say = visitor.language
    shell = _shell(visitor, tabs, key, translate(say, "Settings"), done, project.name)
    runs = f"/projects/{name}/runs"
    shell.crumbs = [
        Crumb(project.name, runs),
        Crumb(translate(say, "Settings"), f"/projects/{name}/settings"),
        *shell.crumbs[-1:],
    ]
    shell.current = "settings"
    shell.title = f"{shell.crumbs[-1].text} · {project.name}"
    return shell


def account_shell(visitor: Visitor, key: str, done: str = "") -> Shell:
    """Of one's own account. Raises Unauthenticated."""
    visitor.signed_in  # noqa: B018 - raises
    shell = _shell(visitor, navigation.ACCOUNT, key, translate(visitor.language, "Your account"), done)
    shell.crumbs.insert(0, Crumb(shell.heading, "/me"))
    shell.title = shell.crumbs[-1].text
    return shell


def admin_shell(visitor: Visitor, key: str, done: str = "") -> Shell:
    """Of a page for platform administrators: for everybody else it does not exist. Raises NotFound."""
    if not visitor.actor.is_admin:
        raise NotFound
    shell = visitor.shell()
    place = next(place for place in navigation.PLATFORM if place.key == key)
    shell.heading = shell.title = translate(visitor.language, place.text)
    shell.crumbs = [Crumb(translate(visitor.language, "Platform"), "/admin/users"), Crumb(shell.heading)]
    shell.current, shell.keys = key, ("everywhere", "lists")
    shell.done = translate(visitor.language, DONE[done]) if done in DONE else ""
    return shell


def stamp(visitor: Visitor, at: datetime.datetime | None, missing: str = "–") -> Stamp:
    """A moment as the visitor reads it; `missing` for None."""
    if at is None:
        return Stamp(missing)
    now = datetime.datetime.now(datetime.UTC)
    return Stamp(formats.moment(at, now, visitor.zone), formats.full(at, visitor.zone))


def url(path: str, **query: str) -> str:
    """A path with those parts of the query that say something."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _shell(
    visitor: Visitor, tabs: Sequence[Tab], key: str, heading: str, done: str, project: str | None = None
) -> Shell:
    shell = visitor.shell(project)
    say = visitor.language
    shell.heading = heading
    for tab in tabs:
        address = tab.url.replace("{project}", quote(project or ""))
        shell.tabs.append(TabLink(translate(say, tab.text), address, tab.key == key))
        if tab.key == key:
            shell.crumbs = [Crumb(translate(say, tab.text))]
    shell.keys = ("everywhere", "lists")
    shell.done = translate(say, DONE[done]) if done in DONE else ""
    return shell
