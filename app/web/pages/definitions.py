"""Job definitions: the list, the page on which YAML is written, and the comparing of two versions."""

import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.errors import N_, AppError, Conflict
from app.i18n import translate, translate_plural
from app.repositories import definitions as repository
from app.services import definitions
from app.services.definitions import InvalidDefinition
from app.services.identity import require
from app.web import definition_view as view
from app.web.definition_view import DiffPage, EditPage, ListPage
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.start_view import project_flag
from app.web.templating import Crumb, Shell, render
from app.workloads import definition_diff, remedies, yaml_edit, yaml_source
from app.workloads.yaml_edit import CannotEdit
from app.workloads.yaml_source import SourceError

PAGE = 50
_CHOICES = 100  # versions that the fields for comparing offer

router = APIRouter(include_in_schema=False)

ABOUT = N_(
    "Notes and order stay as you write them. `${{ params.NAME }}` stands for the value of a parameter. Tab leaves the"
    " field."
)
STARTER = N_("""\
# A job definition: what is to run, and the form that others fill in to run it.
# Lines that begin with # are notes; they are kept.
name: hello
title: Say hello
description: Greets somebody as often as you like.
parameters:
  who:
    type: string
    title: Whom to greet
    default: world
  times:
    type: integer
    title: How often
    default: 3
    minimum: 1
    maximum: 100
spec:
  # Each parameter is in the environment of the program, too.
  script: |
    for i in $(seq "$BERTH_PARAM_TIMES"); do echo "hello $BERTH_PARAM_WHO"; done
  cpu: "1"
  memory: 256Mi
""")


@router.get("/projects/{project}/jobs")
def list_page(request: Request, project: str, archived: str = "", after: str = "") -> Response:
    """The definitions in use, or the archived ones."""
    now = datetime.datetime.now(datetime.UTC)
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.DEFINITION_READ, found.id)
        start = after[:200].replace("\0", "") or None
        rows = repository.list_definitions(
            visitor.session, found.id, archived=bool(archived), after=start, limit=PAGE + 1
        )
        shell = shell_of(visitor, found.name)
        may_write = can(visitor.actor, Action.DEFINITION_WRITE, found.id) == Verdict.ALLOWED
    page = ListPage(view.url_of(found.name), view.url_of(found.name, "new"), may_write=may_write)
    page.rows = [view.list_row(row, found.name, visitor.language, now, visitor.zone) for row in rows[:PAGE]]
    page.is_archive = bool(archived)
    page.archive_url = page.url if archived else view.url_of(found.name, archived=1)
    page.is_empty = not rows and not archived and not after
    page.command_line = f"berth job apply -f job.yaml{project_flag(found.name, visitor.signed_in.projects)}"
    if len(rows) > PAGE:
        page.more_url = view.url_of(found.name, archived=archived and 1, after=rows[PAGE - 1].name)
    shell.keys = ("everywhere", "lists")
    return render("definitions/list.html", shell, page)


@router.get("/projects/{project}/jobs/new")
def new_page(request: Request, project: str) -> Response:
    """A field with an example to change."""
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.DEFINITION_WRITE, found.id)
        shell = _edit_shell(visitor, found.name, "")
    page = EditPage(
        view.url_of(found.name, "new"), view.url_of(found.name), "", translate(visitor.language, STARTER), 0
    )
    return _show(shell, page)


@router.post("/projects/{project}/jobs/check")
def check(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
) -> Response:
    """What is wrong with a text that is being written; `name` is that of the definition which it is to change."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        require(visitor.actor, Action.DEFINITION_WRITE, found.id)
        shell = visitor.shell(found.name)
    page = EditPage("", "", name, text, 0)
    try:
        definitions.check(text, name or None)
    except InvalidDefinition as error:
        _mark(page, error, visitor.language)
    return render("definitions/_problems.html", shell, page)


@router.get("/projects/{project}/jobs/{name}/edit")
def edit_page(request: Request, project: str, name: str, version: str = "") -> Response:
    """The YAML of a version (the newest by default), to be saved as a new one."""
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.DEFINITION_WRITE, found.id)
        row = repository.get_definition(visitor.session, found.id, name)
        source = repository.get_version(visitor.session, row.id, number_of(version) or row.newest).source
        shell = _edit_shell(visitor, found.name, name)
    url = view.url_of(found.name, name)
    return _show(shell, EditPage(f"{url}/edit", url, name, source, row.newest))


@router.post("/projects/{project}/jobs/new")
def create(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    fix: Annotated[str, Form()] = "",
) -> Response:
    """Saves version 1, or shows what is wrong."""
    return _save(request, project, "", csrf, text, fix, 0)


@router.post("/projects/{project}/jobs/{name}/edit")
def save(
    request: Request,
    project: str,
    name: str,
    csrf: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    fix: Annotated[str, Form()] = "",
    based_on: Annotated[str, Form()] = "",
) -> Response:
    """Saves a new version, or shows what is wrong."""
    return _save(request, project, name, csrf, text, fix, number_of(based_on))


def _save(request: Request, project: str, name: str, csrf: str, text: str, fix: str, based_on: int) -> Response:
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        require(visitor.actor, Action.DEFINITION_WRITE, found.id)
        text = _as_written(visitor, found.id, name, text)
        url = view.url_of(found.name, name or "new")
        page = EditPage(f"{url}/edit" if name else url, view.url_of(found.name, name), name, text, based_on)
        shell = _edit_shell(visitor, found.name, name)
        try:
            if fix:
                page.text = text = _mended(text, fix, name)
            if name:
                row, _ = definitions.add_version(
                    visitor.session, visitor.actor, found.id, name, text, based_on=based_on or None
                )
            else:
                row = definitions.create_definition(visitor.session, visitor.actor, found.id, text)
        except InvalidDefinition as error:
            _mark(page, error, visitor.language)
            shell.mark = "✕"
            return _show(shell, page, 422)
        except Conflict as error:
            _say(page, error, visitor.language)
            if name and "newest" in error.fields:
                newest = error.fields["newest"]
                page.diff_url = view.url_of(found.name, name, "diff", **{"from": based_on, "to": newest})
                page.based_on = newest
            shell.mark = "✕"
            return _show(shell, page, error.status)
    return see_other(view.url_of(found.name, row.name))


def _mark(page: EditPage, error: InvalidDefinition, language: str) -> None:
    page.problems = view.problems_of(error.errors, page.text, language)
    number = len(page.problems)
    page.problems_title = translate_plural(language, "{number} place to correct", "{number} places to correct", number)


def _say(page: EditPage, error: AppError, language: str) -> None:
    page.conflict = translate(language, error.title)
    detail, hint = (translate(language, text, **error.fields) for text in (error.detail, error.hint))
    page.conflict_text = f"{detail} {hint}"


def _as_written(visitor: Visitor, project_id: object, name: str, text: str) -> str:
    """Browsers send CR LF at the end of each line, whatever the text had."""
    before = ""
    if name:
        row = repository.get_definition(visitor.session, project_id, name)  # type: ignore[arg-type]
        before = repository.get_version(visitor.session, row.id, row.newest).source
    return text if "\r\n" in before else text.replace("\r\n", "\n")


def _mended(text: str, fix: str, name: str) -> str:
    """The text with the fix of one mistake put in, where that can be done in place."""
    try:
        definitions.check(text, name or None)
    except InvalidDefinition as error:
        index = number_of(fix) - 1
        if 0 <= index < len(error.errors) and error.errors[index].fix is not None:
            one = error.errors[index]
            path = [part.replace("~1", "/").replace("~0", "~") for part in one.pointer.split("/")[1:]]
            try:
                value = yaml_source.read(text).value
                return yaml_edit.patched(text, remedies.patch_of(value, path, _typed(one.fix or "", one.pointer)))
            except (CannotEdit, SourceError):
                return text
    return text


def _typed(fix: str, pointer: str) -> object:
    """Fixes are texts; those of parameters' numbers are numbers."""
    if not pointer.startswith("/parameters/"):
        return fix
    try:
        return int(fix)
    except ValueError:
        try:
            return float(fix)
        except ValueError:
            return fix


@router.get("/projects/{project}/jobs/{name}/diff")
def diff_page(request: Request, project: str, name: str, to: str = "") -> Response:
    """What differs between two versions, in words and line by line."""
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.DEFINITION_READ, found.id)
        row = repository.get_definition(visitor.session, found.id, name)
        second = number_of(to) or row.newest
        first = number_of(request.query_params.get("from", "")) or max(1, second - 1)
        before = repository.get_version(visitor.session, row.id, first)
        after = repository.get_version(visitor.session, row.id, second)
        shell = shell_of(visitor, found.name, name)
    shell.crumbs += [Crumb(translate(visitor.language, "Compare"))]
    shell.title = f"{translate(visitor.language, 'Compare')} · {name}"
    unified = definition_diff.unified(before.source, after.source, name, first, second)
    page = DiffPage(
        view.url_of(found.name, name, "diff"),
        name,
        first,
        second,
        choices(row.newest, first, second),
        view.diff_words(before.document, after.document, visitor.language),
        view.diff_lines(unified),
    )
    return render("definitions/diff.html", shell, page)


def choices(newest: int, *shown: int) -> list[int]:
    """Numbers of versions to choose from, newest first."""
    return sorted({*range(max(1, newest - _CHOICES + 1), newest + 1), *shown}, reverse=True)


def shell_of(visitor: Visitor, project: str, name: str = "") -> Shell:
    """The frame of these pages."""
    shell = visitor.shell(project)
    word = translate(visitor.language, "Jobs")
    shell.crumbs = [Crumb(project, f"/projects/{project}/runs")]
    shell.crumbs += [Crumb(word, view.url_of(project)), Crumb(name, view.url_of(project, name))] if name else []
    shell.crumbs += [] if name else [Crumb(word)]
    shell.title = f"{name or word} · {project}"
    shell.current = "jobs"
    return shell


def _show(shell: Shell, page: EditPage, status: int = 200) -> Response:
    page.about = translate(shell.language, ABOUT)
    if shell.project:
        page.check_url = view.url_of(shell.project.name, "check")
    return render("definitions/edit.html", shell, page, status)


def _edit_shell(visitor: Visitor, project: str, name: str) -> Shell:
    shell = shell_of(visitor, project, name)
    word = translate(visitor.language, N_("New version") if name else N_("New job definition"))
    if not name:
        shell.crumbs[-1] = Crumb(shell.crumbs[-1].text, view.url_of(project))
    shell.crumbs += [Crumb(word)]
    shell.title = f"{word} · {name or project}"
    return shell


def number_of(text: str) -> int:
    """A number of an address or a form; 0 for none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
