"""What all pages of one run share: which run it is, its heading and its tabs."""

from typing import Any
from urllib.parse import quote

from app.domain.states import TERMINAL, Desired
from app.errors import NotFound
from app.i18n import translate
from app.repositories import runs as repository
from app.web import navigation, statuses
from app.web.deps import Visitor
from app.web.templating import Crumb, Shell, TabLink


def find_run(visitor: Visitor, project: str, run: str) -> Any:
    """The run's row. Raises NotFound also when it belongs to another project than the address says."""
    found = visitor.project(project)
    row = repository.get_run(visitor.session, visitor.actor, run)
    if row.project_id != found.id:
        raise NotFound
    return row


def run_url(row: Any) -> str:
    """The address of the run's first page."""
    return f"/projects/{quote(row.project)}/runs/{row.public_id}"


def seen_state(row: Any) -> str:
    """What a page knows of a run's state: two of these differ where the label does."""
    return f"{row.state}.{row.desired}"


def run_shell(visitor: Visitor, row: Any, key: str) -> Shell:
    """Of the run's page on the tab `key`: heading, state, breadcrumb, tabs and keys."""
    shell = visitor.shell(row.project, is_live=row.state not in TERMINAL)
    say = visitor.language
    runs_url = f"/projects/{quote(row.project)}/runs"
    own = run_url(row)
    shell.heading = row.name
    is_stopping = row.desired == Desired.STOPPED and row.state not in TERMINAL
    shell.status = statuses.chip(say, row.state, is_stopping=is_stopping)
    if row.state not in TERMINAL:
        shell.status_url = f"{own}/state?tab={key}&seen={seen_state(row)}"
    shell.crumbs = [
        Crumb(row.project, runs_url),
        Crumb(translate(say, "Runs"), runs_url),
        Crumb(row.public_id, own, is_code=True),
    ]
    shell.mark = statuses.MARKS[row.state]
    shell.title = f"{row.name} · {row.project}"
    shell.current, shell.keys = "runs", ("everywhere", "run")
    for tab in navigation.RUN:
        text, is_on = translate(say, tab.text), tab.key == key
        shell.tabs.append(TabLink(text, own + tab.url, is_on, tab.key))
        if is_on and tab.url:
            shell.crumbs.append(Crumb(text))
            shell.title = f"{text} · {shell.title}"
    return shell
