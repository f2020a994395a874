"""One job definition: its page with the form that runs it, and the forms of archiving."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from app.domain import filters
from app.domain.access import Action, Verdict, can
from app.errors import AppError, Conflict, FieldError, Invalid, TooMany
from app.i18n import translate, translate_plural
from app.repositories import definitions as repository
from app.repositories import runs as run_repository
from app.repositories import secrets
from app.repositories.definitions import DefinitionRow
from app.services import definitions, plans
from app.services.identity import ProjectRef, require
from app.web import definition_form, new_run_view, statuses
from app.web import definition_view as view
from app.web.definition_view import DefinitionPage, RunLine
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.forecast import forecast
from app.web.new_run_view import Card
from app.web.pages.definitions import choices, number_of, shell_of
from app.web.start_view import project_flag
from app.web.templating import render
from app.workloads.definitions import Definition, read_stored
from app.workloads.parameters import SECRET

_RUNS, _VERSIONS = 10, 20

router = APIRouter(include_in_schema=False)


async def read_form(request: Request) -> FormData:
    """All fields of a form whose fields are not known beforehand."""
    return await request.form()


@router.get("/projects/{project}/jobs/{name}")
def page(request: Request, project: str, name: str, version: str = "", before: str = "") -> Response:
    """The whole page, for the newest version or the one that is asked for."""
    with visit(request) as visitor:
        found = visitor.project(project)
        made = _build(visitor, found, name, number_of(version), before=number_of(before))
        shell = shell_of(visitor, found.name, name)
    shell.crumbs[-1] = type(shell.crumbs[-1])(name, is_code=True)
    return render("definitions/detail.html", shell, made)


@router.post("/projects/{project}/jobs/{name}/run")
def run(request: Request, project: str, name: str, form: Annotated[FormData, Depends(read_form)]) -> Response:
    """Submits a run with what is in the form and goes to it, or shows the form again with what is wrong."""
    sent = {key: value for key, value in form.items() if isinstance(value, str)}
    with visit(request) as visitor:
        check_form(request, visitor, sent.get("csrf", ""))
        found = visitor.project(project)
        require(visitor.actor, Action.RUN_WRITE, found.id)
        row = repository.get_definition(visitor.session, found.id, name)
        version = number_of(sent.get("version", "")) or row.newest
        stored = repository.get_version(visitor.session, row.id, version)
        given = definition_form.read_fields(read_stored(stored.document).parameters, sent)
        if used := sent.get("use"):
            again = _build(visitor, found, name, version, typed=_with_fix(sent, used))
            return render("definitions/detail.html", shell_of(visitor, found.name, name), again)
        try:
            made = definitions.run_definition(visitor.session, visitor.actor, found.id, name, given, version=version)
        except (Invalid, Conflict, TooMany) as error:
            again = _build(visitor, found, name, version, typed=sent, error=error)
            shell = shell_of(visitor, found.name, name)
            shell.mark = "✕"
            return render("definitions/detail.html", shell, again, error.status)
    return see_other(f"/projects/{made.project}/runs/{made.public_id}")


@router.post("/projects/{project}/jobs/{name}/check")
def check(request: Request, project: str, name: str, form: Annotated[FormData, Depends(read_form)]) -> Response:
    """What a submit would lead to with what is in the form so far, and what of it is wrong: parts of the page.

    What is not filled in is a mistake once the form was sent (`tried`), and not before.
    """
    sent = {key: value for key, value in form.items() if isinstance(value, str)}
    with visit(request) as visitor:
        check_form(request, visitor, sent.get("csrf", ""))
        found = visitor.project(project)
        require(visitor.actor, Action.RUN_WRITE, found.id)
        row = repository.get_definition(visitor.session, found.id, name)
        stored = repository.get_version(visitor.session, row.id, number_of(sent.get("version", "")) or row.newest)
        made = DefinitionPage(view.url_of(found.name, name), name, name, "", stored.number, row.newest, False, True)
        _fill(visitor, found, read_stored(stored.document), made, sent)
        shell = visitor.shell(found.name)
    return render("definitions/_answer.html", shell, made)


def _with_fix(sent: Mapping[str, str], used: str) -> dict[str, str]:
    """What was typed, with the value that the button beside a mistake offers ("p.times=10")."""
    key, _, value = used.partition("=")
    return {**sent, key: value} if key in sent else dict(sent)


@router.post("/projects/{project}/jobs/{name}/archive")
def archive(
    request: Request, project: str, name: str, csrf: Annotated[str, Form()] = "", undo: Annotated[str, Form()] = ""
) -> Response:
    """Takes it out of what is offered, or back in."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        definitions.set_archived(visitor.session, visitor.actor, found.id, name, not undo)
    return see_other(view.url_of(found.name, name))


def _build(
    visitor: Visitor,
    project: ProjectRef,
    name: str,
    version: int,
    *,
    before: int = 0,
    typed: Mapping[str, str] | None = None,
    error: AppError | None = None,
) -> DefinitionPage:
    require(visitor.actor, Action.DEFINITION_READ, project.id)
    session, zone = visitor.session, visitor.zone
    now = datetime.datetime.now(datetime.UTC)
    row = repository.get_definition(session, project.id, name)
    stored = repository.get_version(session, row.id, version or row.newest)
    found = read_stored(stored.document, stored.source)
    versions = repository.list_versions(session, row.id, before=before or None, limit=_VERSIONS + 1)
    made = DefinitionPage(
        view.url_of(project.name, name),
        name,
        found.title or name,
        found.description,
        stored.number,
        row.newest,
        row.archived_at is not None,
        can(visitor.actor, Action.RUN_WRITE, project.id) == Verdict.ALLOWED,
    )
    made.asks_for = " · ".join(
        str(text) for text in (f"{found.spec.get('cpu', 1)} CPU", found.spec.get("memory", "1Gi")) if text
    )
    _fill(visitor, project, found, made, typed, error)
    made.runs = _runs(visitor, project, row, now)
    made.runs_url = f"/projects/{project.name}/runs?q=definition:{name}"
    made.versions = view.version_lines(versions[:_VERSIONS], project.name, name, stored.number, now, zone)
    if len(versions) > _VERSIONS:
        made.older_url = view.url_of(project.name, name, before=versions[_VERSIONS - 1].number) + "#versions"
    made.choices = choices(row.newest)
    made.lines = view.source_lines(stored.source)
    made.download_url = f"/api/v1/projects/{project.name}/jobs/{name}/versions/{stored.number}/source"
    made.command = _command(found.spec)
    made.updated, made.updated_by = view.moment(stored.created_at, now, zone), stored.created_by
    given = " ".join(f"-p {one.name}=…" for one in found.parameters.values() if one.required)
    flag = project_flag(project.name, visitor.signed_in.projects)
    made.command_line = f"berth job run {name}{' ' if given else ''}{given}{flag}"
    return made


def _fill(
    visitor: Visitor,
    project: ProjectRef,
    found: Definition,
    made: DefinitionPage,
    typed: Mapping[str, str] | None,
    error: AppError | None = None,
) -> None:
    """The form with what was typed (else what is usual), what is wrong with it, and what a submit would lead to."""
    language, session = visitor.language, visitor.session
    is_secret = any(one.type == SECRET for one in found.parameters.values())
    names = secrets.list_names(session, project.id) if is_secret else []
    sent = typed
    if sent is None:
        usual = definition_form.build_fields(found.parameters, language, secrets=names)
        sent = {one.key: one.value for one in usual}
    made.is_tried = error is not None or bool(sent.get("tried"))
    errors: list[FieldError] = error.errors if error is not None else []
    if made.may_write and not made.is_archived:
        given = definition_form.read_fields(found.parameters, sent)
        rooms = plans.list_rooms(session)
        try:
            spec = definitions.find_spec(session, project.id, found, given)
            if spec is None:
                made.card = new_run_view.card_of_missing(language, is_wrong=made.is_tried)
            else:
                made.asks_for = new_run_view.amount(spec.resources)
                made.card, _ = forecast(visitor, project.id, spec, rooms)
        except Invalid as refused:
            made.card = _card_of(language, refused)
            errors = errors or refused.errors
        if made.is_tried and error is None:
            errors = [*errors, *definition_form.missing(found.parameters, given)]
    of_fields = [one for one in errors if one.pointer.startswith("/parameters/")]
    made.fields = definition_form.build_fields(found.parameters, language, typed, of_fields, names)
    made.error_count = sum(bool(one.error) for one in made.fields)
    if error is not None:
        _say(made, error, of_fields, language)
    elif made.is_tried and made.error_count:
        made.error_title = _count(made, language)


def _card_of(language: str, refused: Invalid) -> Card:
    """Mistakes that stand at their fields are said there; others here."""
    others = [one for one in refused.errors if not one.pointer.startswith("/parameters/")]
    if len(others) < len(refused.errors):
        return new_run_view.card_of_mistakes(language)
    card = new_run_view.card_of_error(language, refused, None, None)
    card.text = _listed(others, language)
    return card


def _count(made: DefinitionPage, language: str) -> str:
    return translate_plural(language, "{number} field to correct", "{number} fields to correct", made.error_count)


def _say(made: DefinitionPage, error: AppError, of_fields: list[FieldError], language: str) -> None:
    """What is said above the form: how many fields are wrong, or what is wrong with none of them."""
    if made.error_count and len(of_fields) == len(error.errors):
        made.error_title = _count(made, language)
        return
    made.error_title = translate(language, error.title)
    detail, hint = (translate(language, text, **error.fields) for text in (error.detail, error.hint))
    rest = _listed([one for one in error.errors if one not in of_fields], language)
    made.error_text = " ".join([detail, rest, hint] if rest else [detail, hint])


def _listed(errors: Sequence[FieldError], language: str) -> str:
    return "; ".join(
        f"{one.pointer.removeprefix('/spec/')}: {translate(language, one.message, **one.slots)}" for one in errors
    )


def _runs(visitor: Visitor, project: ProjectRef, row: DefinitionRow, now: datetime.datetime) -> list[RunLine]:
    found = run_repository.list_runs(
        visitor.session,
        visitor.actor,
        project.id,
        terms=filters.parse(f"definition:{row.name}"),
        limit=_RUNS,
        now=now,
    )[:_RUNS]
    numbers = run_repository.list_definition_versions(visitor.session, [one.id for one in found])
    return [
        RunLine(
            one.name,
            f"/projects/{project.name}/runs/{one.public_id}",
            statuses.chip(visitor.language, one.state),
            numbers.get(one.id, 0),
            one.created_by,
            view.moment(one.created_at, now, visitor.zone),
        )
        for one in found
    ]


def _command(spec: Mapping[str, Any]) -> str:
    command = spec.get("command")
    text = " ".join(map(str, command)) if isinstance(command, list) else str(spec.get("script") or "").strip()
    return text.split("\n")[0][:200]
