"""One run: its page, the two partials that it polls, and the forms that stop it or run it again."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.domain.names import RUN_ID
from app.domain.states import TERMINAL, RunState
from app.errors import BadValue, FieldError, Invalid
from app.repositories import metrics, notifications, outputs, pools
from app.repositories import runs as repository
from app.repositories.clusters import LOCAL
from app.services import logs, reruns, runs
from app.web import (
    chart_view,
    formats,
    log_view,
    metrics_view,
    outage_view,
    output_view,
    run_frame,
    run_tables,
    run_view,
    start_view,
)
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.log_view import Asked
from app.web.run_phases import View
from app.web.run_view import Mute, RunPage
from app.web.templating import Shell, render
from app.workloads.debugging import USUAL_TTL, check_ttl

_EVENTS = 10
_OUTPUTS = 500

router = APIRouter(include_in_schema=False)


@router.get("/r/{run}")
def short_link(request: Request, run: str) -> Response:
    """The address that the CLI prints."""
    with visit(request) as visitor:
        found = repository.get_run(visitor.session, visitor.actor, run)
    return see_other(f"/projects/{found.project}/runs/{found.public_id}")


@router.get("/projects/{project}/runs/{run}")
def page(request: Request, project: str, run: str, attempt: str = "", line: str = "", q: str = "") -> Response:
    """The overview. An address with `attempt`, `line` or `q` is of the log, which has a page of its own."""
    if attempt or line or q:
        return see_other(f"{request.url.path}/logs?{request.url.query}")
    with visit(request) as visitor:
        loaded = _load(visitor, project, run)
        facts = pools.find_facts(visitor.session, loaded.row.pool)
        series = metrics.list_series(visitor.session, loaded.row.id)
        holders = _find_holders(visitor, loaded.row)
        more = _load_more(visitor, loaded.row)
        mute = _load_mute(visitor, loaded.row)
    made = _build(loaded, facts, holders)
    made.mute = mute
    _add_more(made, loaded, more)
    view = loaded.view
    chart_view.add(view, made, series, metrics_view.read_pins(request.cookies.get(metrics_view.PINS_COOKIE, "")))
    made.chart_start = (loaded.row.started_at or loaded.row.created_at).timestamp()
    made.log = log_view.build(loaded.row, f"{made.url}/logs", Asked(), view.language, view.zone, is_live=made.is_live)
    return render("runs/detail.html", loaded.shell, made)


@router.get("/projects/{project}/runs/{run}/live")
def live(request: Request, project: str, run: str, seen: str = "", live: str = "") -> Response:
    """State, time line, reasons and facts: 204 while the run has the version `seen`."""
    with visit(request) as visitor:
        loaded = _load(visitor, project, run)
        if loaded.is_seen(seen):
            return Response(status_code=204)
        facts = pools.find_facts(visitor.session, loaded.row.pool)
        holders = _find_holders(visitor, loaded.row)
    made = _build(loaded, facts, holders)
    made.swap_actions = live != str(int(made.is_live)) or made.is_stopping
    return render("runs/_live_swap.html", loaded.shell, made)


@router.get("/projects/{project}/runs/{run}/after")
def after(request: Request, project: str, run: str, seen: str = "") -> Response:
    """Attempts, outputs and events: 204 while the run has the version `seen`."""
    with visit(request) as visitor:
        loaded = _load(visitor, project, run)
        if loaded.is_seen(seen):
            return Response(status_code=204)
        more = _load_more(visitor, loaded.row)
    made = _build(loaded, {}, {})
    _add_more(made, loaded, more)
    return render("runs/_after_swap.html", loaded.shell, made)


@router.post("/projects/{project}/runs/{run}/stop")
def stop(request: Request, project: str, run: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Asks the run to end."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        visitor.project(project)
        runs.stop_run(visitor.session, visitor.actor, run)
    return see_other(f"/projects/{project}/runs/{run}")


@router.post("/projects/{project}/runs/{run}/rerun")
def rerun(request: Request, project: str, run: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Submits the same again and goes to the new run."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        visitor.project(project)
        made = reruns.rerun(visitor.session, visitor.actor, run)
    return see_other(f"/projects/{made.project}/runs/{made.public_id}")


@router.post("/projects/{project}/runs/{run}/debug")
def debug(
    request: Request, project: str, run: str, csrf: Annotated[str, Form()] = "", ttl: Annotated[str, Form()] = USUAL_TTL
) -> Response:
    """Submits a debug run of it and goes there."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        visitor.project(project)
        made = reruns.debug(visitor.session, visitor.actor, run, _checked_ttl(ttl))
    return see_other(f"/projects/{made.project}/runs/{made.public_id}")


def _checked_ttl(text: str) -> str:
    try:
        return check_ttl(text)
    except BadValue as error:
        raise Invalid([FieldError("/ttl", error.message, error.fix, slots=error.slots)]) from error


@dataclass(frozen=True)
class _Loaded:
    """A run as its page needs it, read while the session was open."""

    row: Any
    view: View
    shell: Shell
    may_write: bool
    may_invite: bool

    def is_seen(self, seen: str) -> bool:
        return str(self.row.version) == seen and self.row.state not in TERMINAL


def _load(visitor: Visitor, project: str, run: str) -> _Loaded:
    row = run_frame.find_run(visitor, project, run)
    may_write = can(visitor.actor, Action.RUN_WRITE, row.project_id) == Verdict.ALLOWED
    now = outage_view.known_at(visitor.outages, datetime.datetime.now(datetime.UTC), row)
    view = View(visitor.language, visitor.zone, now)
    shell = run_frame.run_shell(visitor, row, "overview")
    shell.keys = ("everywhere", "run", "charts", "log")
    may_invite = can(visitor.actor, Action.MEMBER_WRITE, row.project_id) == Verdict.ALLOWED
    return _Loaded(row, view, shell, may_write, may_invite)


def _find_holders(visitor: Visitor, row: Any) -> dict[str, str]:
    """Addresses of the runs that hold what a waiting one needs, as far as the visitor may see them."""
    named = str((row.reason or {}).get("holders", "")) if row.state == RunState.QUEUED else ""
    ids = RUN_ID.findall(named)
    found = repository.list_by_public_ids(visitor.session, visitor.actor, ids) if ids else []
    return {one.public_id: f"/projects/{quote(one.project)}/runs/{one.public_id}" for one in found}


def _build(loaded: _Loaded, facts: Mapping[str, Any], holders: Mapping[str, str]) -> RunPage:
    row = loaded.row
    is_failed = row.state == RunState.FAILED
    replica = log_view.telling_replica(row, row.attempt)
    error_line = logs.find_first_error(row.id, row.attempt, replica) if is_failed else None
    made = run_view.build(
        loaded.view,
        row,
        may_write=loaded.may_write,
        facts=facts,
        error_line=error_line,
        holders=holders,
    )
    if loaded.may_write and start_view.is_over(row):
        made.next_steps = start_view.next_steps(loaded.view.language, row.project, may_invite=loaded.may_invite)
    return made


def _load_more(visitor: Visitor, row: Any) -> tuple[list[Any], list[Any]]:
    found = outputs.list_outputs(visitor.session, row.id, limit=_OUTPUTS)
    return found, repository.list_newest_events(visitor.session, row.id, limit=_EVENTS)


def _load_mute(visitor: Visitor, row: Any) -> Mute | None:
    if can(visitor.actor, Action.OWN_NOTIFICATION_WRITE) != Verdict.ALLOWED:
        return None
    is_mine, is_all = notifications.find_mutes(visitor.session, row.id, visitor.actor.user_id)
    may_all = can(visitor.actor, Action.NOTIFICATION_WRITE, row.project_id) == Verdict.ALLOWED
    return Mute(is_mine, is_all, may_all)


def _add_more(made: RunPage, loaded: _Loaded, more: tuple[list[Any], list[Any]]) -> None:
    found, events = more
    view, row = loaded.view, loaded.row
    made.attempts = run_tables.build_attempts(view, row, made.url)
    made.outputs = run_tables.build_outputs(row, found[:_OUTPUTS])
    made.output_count = f"{_OUTPUTS}+" if len(found) > _OUTPUTS else str(len(found))
    made.outputs_size = formats.size(sum(one.bytes for one in found))
    is_over = row.state in TERMINAL
    made.outputs_note = view.say(output_view.why_none(is_over=is_over, is_local=row.pool == LOCAL))
    made.events = run_tables.build_events(view, events)
