"""How long a project keeps its outputs: the rules, what they would remove, and what was announced and freed."""

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.domain.retention import Rules
from app.errors import N_, FieldError, Invalid
from app.repositories import retention as repository
from app.services import identity, retention
from app.services.outputs import rule_text
from app.web import formats
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.output_view import exact_size
from app.web.pages.setup import errors_of
from app.web.run_phases import View
from app.web.tabs import settings_shell
from app.web.templating import render

_SHOWN = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Removal:
    """A run whose outputs go, or went."""

    run: str
    name: str
    url: str
    ended: str
    files: str
    size: str


@dataclass(frozen=True)
class Plan:
    """An announcement. `kind` is the colour of its state."""

    state: str
    kind: str
    rules: str
    announced: str
    due: str
    promised: str
    freed: str


@dataclass
class RetentionPage:
    """The form with its values as texts, and its errors by field."""

    url: str
    may_write: bool
    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    is_set: bool = False
    in_force: str = ""
    notes: list[str] = field(default_factory=list)
    is_preview: bool = False
    preview: list[Removal] = field(default_factory=list)
    preview_text: str = ""
    plans: list[Plan] = field(default_factory=list)


@router.get("/projects/{project}/settings/retention")
def page(
    request: Request,
    project: str,
    keep_days: str = "",
    keep_last: str = "",
    keep_tags: str = "",
    keep_experiments: str = "",
    preview: str = "",
) -> Response:
    """The rules; with `preview`, also what those of the address would remove now. Nothing is changed by it."""
    with visit(request) as visitor:
        return _show(visitor, project, [keep_days, keep_last, keep_tags, keep_experiments, ""] if preview else None)


@router.post("/projects/{project}/settings/retention")
def save(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    keep_days: Annotated[str, Form(max_length=100)] = "",
    keep_last: Annotated[str, Form(max_length=100)] = "",
    keep_tags: Annotated[str, Form(max_length=20_000)] = "",
    keep_experiments: Annotated[str, Form(max_length=20_000)] = "",
    notice_hours: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Makes these the rules, and shows the form again where they cannot be."""
    given = [keep_days, keep_last, keep_tags, keep_experiments, notice_hours]
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            identity.require(visitor.actor, Action.PROJECT_WRITE, found.id)
            rules, notice = _read(given)
            retention.set_rules(visitor.session, visitor.actor, found.id, rules, notice)
    except Invalid as problem:
        with visit(request) as visitor:
            return _show(visitor, project, given, problem)
    return see_other(f"/projects/{project}/settings/retention")


def _read(given: list[str]) -> tuple[Rules, int]:
    """The rules of the form's texts. Raises Invalid for what is no number."""
    errors = []
    numbers: list[int | None] = []
    for name, told in zip(("keep_days", "keep_last", "notice_hours"), (given[0], given[1], given[4]), strict=True):
        told = told.strip()
        is_number = told.isascii() and told.isdecimal() and len(told) < 12
        if told and not is_number:
            errors.append(FieldError(f"/{name}", N_("must be a whole number, or empty")))
        numbers.append(int(told) if is_number else None)
    if errors:
        raise Invalid(errors)
    notice = 24 if numbers[2] is None else numbers[2]
    return Rules(numbers[0], numbers[1], _names(given[2]), _names(given[3])), notice


def _names(told: str) -> tuple[str, ...]:
    """Each of what stands between commas or on lines once."""
    return tuple(dict.fromkeys(name.strip() for name in told.replace("\n", ",").split(",") if name.strip()))


def _show(visitor: Visitor, project: str, given: list[str] | None, problem: Invalid | None = None) -> Response:
    found = visitor.project(project)
    view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
    row = repository.find_rules(visitor.session, found.id)
    rules = repository.rules_of(row)
    notice = str(row.notice_hours) if row is not None else "24"
    listed = [", ".join(rules.keep_tags), ", ".join(rules.keep_experiments)]
    kept = [str(rules.keep_days or ""), str(rules.keep_last or ""), *listed, notice]
    shown = (
        [one if at < len(kept) - 1 else one or notice for at, one in enumerate(given)] if given is not None else kept
    )
    may_write = can(visitor.actor, Action.PROJECT_WRITE, found.id) == Verdict.ALLOWED
    names = ("keep_days", "keep_last", "keep_tags", "keep_experiments", "notice_hours")
    made = RetentionPage(f"/projects/{project}/settings/retention", may_write, dict(zip(names, shown, strict=True)))
    made.is_set, made.in_force = rules.removes, rule_text(rules).said_in(view.language)
    if problem is None and given is not None:
        try:
            rules = _read(given)[0]
            retention.check(rules, 24)
            made.is_preview = True
            _add_preview(visitor, view, made, project, found.id, rules)
        except Invalid as refused:
            problem = refused
    if problem is None:
        made.notes = [one.said_in(view.language) for one in retention.notes(visitor.session, found.id, rules)]
    else:
        made.errors = errors_of(problem, visitor.language)
    made.plans = [_plan(view, one) for one in repository.list_plans(visitor.session, found.id, limit=20)]
    shell = settings_shell(visitor, found, "retention")
    return render("settings/retention.html", shell, made, 200 if problem is None else problem.status)


def _add_preview(
    visitor: Visitor, view: View, made: RetentionPage, project: str, project_id: Any, rules: Rules
) -> None:
    totals = repository.total_removable(visitor.session, project_id, rules, limit=retention.RUNS_PER_PLAN)
    rows = repository.list_removable(visitor.session, project_id, rules, limit=_SHOWN)
    made.preview = [
        Removal(
            row.public_id,
            row.name,
            f"/projects/{project}/runs/{row.public_id}/outputs",
            formats.moment(row.finished_at, view.now, view.zone),
            formats.grouped(row.files),
            formats.size(row.bytes),
        )
        for row in rows
    ]
    made.preview_text = _amount(view, totals.runs, totals.files, totals.bytes)


def _amount(view: View, runs: int, files: int, size: int) -> str:
    return view.say(
        "Runs: {runs} · files: {files} · {size}",
        runs=formats.grouped(runs),
        files=formats.grouped(files),
        size=exact_size(size),
    )


_STATES = {
    "announced": (N_("announced"), "warn"),
    "working": (N_("being removed"), "run"),
    "done": (N_("freed"), "ok"),
    "withdrawn": (N_("withdrawn"), "wait"),
}


def _plan(view: View, row: Any) -> Plan:
    word, kind = _STATES[row.state]
    freed = _amount(view, row.freed_runs, row.freed_files, row.freed_bytes) if row.freed_runs else "–"
    return Plan(
        view.say(word),
        kind,
        rule_text(Rules.of(row.rules)).said_in(view.language),
        formats.moment(row.announced_at, view.now, view.zone),
        formats.moment(row.due_at, view.now, view.zone),
        _amount(view, row.runs, row.files, row.bytes),
        freed,
    )
