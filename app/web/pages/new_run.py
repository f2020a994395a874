"""A new run: a form and its YAML side by side, checked while one types, submitted once."""

import hashlib
import re
import secrets as randoms
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from app.domain.access import Action
from app.domain.names import RUN_ID
from app.errors import N_, FieldError, Invalid, NotFound, TooMany
from app.i18n import translate
from app.repositories import secrets as secret_repository
from app.repositories.pools import Room
from app.services import capsules, idempotency, plans, runs
from app.services.identity import ProjectRef, require
from app.web import new_run_view as view
from app.web import spec_form
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.forecast import forecast
from app.web.new_run_view import Card, NewRunPage
from app.web.pages.definition import read_form
from app.web.run_frame import find_run
from app.web.spec_form import Changes, Shown
from app.web.templating import Crumb, Shell, render
from app.workloads import run_text, yaml_source
from app.workloads.run_text import Checked, Mistake
from app.workloads.yaml_edit import CannotEdit
from app.workloads.yaml_source import SourceError

_SECRETS = 500
_ONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")

router = APIRouter(include_in_schema=False)

STARTER = N_("""\
# What to start, with what, and where.
# Lines that begin with # are notes.
name: hello
script: |
  echo "hello $BERTH_PARAM_WHO"
parameters:
  WHO: world
cpu: 1
memory: 256Mi
""")


@router.get("/projects/{project}/runs/new")
def page(request: Request, project: str) -> Response:
    """An example to change, or with `from` the spec of a run. With `focus=yaml` one begins in the YAML."""
    with visit(request) as visitor:
        found = _writable(visitor, project)
        origin = _origin(visitor, found, request.query_params.get("from", ""))
        text = _text_of(visitor, origin) if origin else translate(visitor.language, STARTER)
        made, _ = _build(visitor, found, origin, {"text": text, "was": text})
        shell = _shell(visitor, found, origin)
    if not made.focus and request.query_params.get("focus") == "yaml":
        made.focus = "text"
    if not made.focus:
        made.focus = "p-0-value" if origin and made.shown.rows["p"] else "f-name"
    return render("runs/new.html", shell, made)


@router.post("/projects/{project}/runs/new/check")
def check(request: Request, project: str, form: Annotated[FormData, Depends(read_form)]) -> Response:
    """What is wrong and what a submit would do; with the text or the fields anew where they changed."""
    sent = _texts(form)
    with visit(request) as visitor:
        check_form(request, visitor, sent.get("csrf", ""))
        found = _writable(visitor, project)
        made, _ = _build(visitor, found, _origin(visitor, found, sent.get("from", "")), sent, is_part=True)
        shell = visitor.shell(found.name)
    return render("runs/_new_answer.html", shell, made)


@router.post("/projects/{project}/runs/new")
def submit(request: Request, project: str, form: Annotated[FormData, Depends(read_form)]) -> Response:
    """Submits the run and goes to it; or shows the page again, at the first mistake."""
    sent = _texts(form)
    with visit(request) as visitor:
        check_form(request, visitor, sent.get("csrf", ""))
        found = _writable(visitor, project)
        origin = _origin(visitor, found, sent.get("from", ""))
        made, checked = _build(visitor, found, origin, sent)
        status = 200
        if not sent.get("do") and checked.spec is not None and not made.problems and made.card.kind != "bad":
            try:
                run = _submit(visitor, found, origin, checked, made.once)
                return see_other(f"/projects/{run.project}/runs/{run.public_id}")
            except (Invalid, TooMany) as error:
                made.card, status = view.card_of_error(visitor.language, error, None, None), error.status
        elif not sent.get("do"):
            status = 422
        shell = _shell(visitor, found, origin)
        shell.mark = "✕" if status != 200 or made.problems else shell.mark
    return render("runs/new.html", shell, made, status)


def _submit(visitor: Visitor, project: ProjectRef, origin: Any, checked: Checked, once: str) -> Any:
    spec = checked.spec
    assert spec is not None, "the caller looked"
    key = hashlib.sha256(f"{once}\n{origin.public_id if origin else ''}\n{checked.text}".encode()).hexdigest()
    route = f"POST /projects/{project.name}/runs/new"
    claim = idempotency.claim_of(visitor.actor.user_id, route, key, b"")
    is_same_code = origin is not None and spec.snapshot == origin.spec.get("snapshot")
    return runs.submit_run(
        visitor.session,
        visitor.actor,
        project.id,
        spec,
        origin.source if is_same_code else {},
        once=claim,
        parent=origin,
        definition=runs.made_of(origin) if origin else None,
        source_text=checked.text,
    )


def _writable(visitor: Visitor, project: str) -> ProjectRef:
    found = visitor.project(project)
    require(visitor.actor, Action.RUN_WRITE, found.id)
    return found


def _origin(visitor: Visitor, project: ProjectRef, run: str) -> Any:
    """The run that is copied, or None. Raises NotFound for one of another project."""
    if not run:
        return None
    if not RUN_ID.fullmatch(run):
        raise NotFound
    return find_run(visitor, project.name, run)


def _text_of(visitor: Visitor, origin: Any) -> str:
    """The run's spec as it was written, with the labels of today; as Berth writes it where it was not sent as text."""
    spec = {**origin.spec, "tags": origin.tags, "experiment": origin.experiment, "kind": origin.kind}
    return capsules.sent_text(visitor.session, origin, spec) or run_text.write(spec)


def _texts(form: FormData) -> dict[str, str]:
    return {key: value for key, value in form.multi_items() if isinstance(value, str)}


def _build(
    visitor: Visitor, project: ProjectRef, origin: Any, sent: Mapping[str, str], *, is_part: bool = False
) -> tuple[NewRunPage, Checked]:
    """The page of what was sent: the fields' edits put into the text, a remedy carried out, and all of it checked."""
    language = visitor.language
    text, was = (sent.get(name, "").replace("\r\n", "\n") for name in ("text", "was"))
    shown_before = spec_form.show(_value_of(was))
    typed = spec_form.read(sent, shown_before)
    if sent.get("last") == "text" and (value := _value_of(text)):
        typed = spec_form.without_older(typed, shown_before, spec_form.show(value))
    new, typed_changes = _with_edits(text, typed, shown_before)
    rooms = plans.list_rooms(visitor.session)
    checked, card = _check(visitor, project, new, rooms, typed_changes)
    mended = _mended(sent.get("do", ""), checked)
    if mended is not None:
        new = mended
        checked, card = _check(visitor, project, new, rooms, Changes())
    is_readable = checked.source is not None
    keeps_typed = not is_readable or (bool(typed_changes.errors) and mended is None)
    shown = typed if keeps_typed else spec_form.show(checked.value)
    url = f"/projects/{quote(project.name)}/runs"
    made = NewRunPage(f"{url}/new", url, new, new if is_readable else was, _once(sent.get("once", "")), shown)
    made.send_fields = not keeps_typed and (text != was or mended is not None)
    made.send_text, made.is_forced = new != text, mended is not None
    # A form that stays as it is has its rows where they were when it was sent.
    in_place = typed if is_part and not made.send_fields else shown
    made.problems = view.problems_of(language, checked.mistakes, in_place)
    made.problems_title = view.title_of(language, len(made.problems))
    made.card = card
    _add_origin(made, visitor, origin, checked)
    made.pools = view.pool_choices(rooms, shown.fields["pool"])
    made.secrets = [one["name"] for one in secret_repository.list_secrets(visitor.session, project.id, None, _SECRETS)]
    made.others = view.others_of(checked)
    made.more_title = view.more_title(language, shown)
    first = next((one.field or "text" for one in made.problems), "")
    made.focus = first
    if mended is not None:
        made.focus = spec_form.field_of(sent["do"].split(" ", 2)[2], shown) or "text"
    return made, checked


def _add_origin(made: NewRunPage, visitor: Visitor, origin: Any, checked: Checked) -> None:
    """What it was copied from, and what differs from that."""
    changed: set[int] = set()
    snapshot = checked.value.get("snapshot")
    made.snapshot = snapshot[:12] if isinstance(snapshot, str) else ""
    if origin is not None:
        before = _value_of(_text_of(visitor, origin))
        made.origin, made.origin_url = origin.public_id, f"{made.list_url}/{origin.public_id}"
        made.differs, changed, count = view.differences(before, checked)
        made.differs_title = view.differs_title(visitor.language, count)
        if snapshot == origin.spec.get("snapshot"):
            made.commit = str(origin.source.get("git_commit") or "")[:12]
    made.marks = view.marks_of(made.text, made.problems, changed)


def _with_edits(text: str, typed: Shown, shown: Shown) -> tuple[str, Changes]:
    """The text with what was typed into fields; as it was while it cannot be read."""
    value = _value_of(text)
    if not value:
        return text, Changes()
    found = spec_form.changes(shown, typed, value)
    if not found:
        return text, found
    renames = [one for one in found.renames if one[0][-1] in (value.get(one[0][0]) or {})]
    try:
        return run_text.edited(text, found.patch, renames), found
    except CannotEdit as error:
        found.errors.append(FieldError(error.pointer, error.message, slots=error.slots))
        return text, found


def _check(
    visitor: Visitor, project: ProjectRef, text: str, rooms: Sequence[Room], typed: Changes
) -> tuple[Checked, Card]:
    """The rules of the spec, then those of the project and its pools."""
    checked = run_text.check(text)
    if typed.errors and checked.source is not None:
        places = {one.pointer for one in typed.errors}
        rest = [one for one in checked.mistakes if one.error.pointer not in places]
        own = [Mistake(replace(one, line=checked.source.line_of(one.pointer))) for one in typed.errors]
        checked = replace(checked, spec=None, mistakes=[*own, *rest])
    if checked.spec is None or checked.source is None:
        return checked, view.card_of_mistakes(visitor.language)
    card, errors = forecast(visitor, project.id, checked.spec, rooms)
    if errors:
        found = [replace(one, pointer=one.pointer.removeprefix("/spec")) for one in errors]
        checked = replace(checked, mistakes=run_text.placed(checked.source, found))
    return checked, card


def _mended(do: str, checked: Checked) -> str | None:
    """The text after the remedy that a button asks for ("fix <number> <pointer>"), if that is still the mistake."""
    word, _, rest = do.partition(" ")
    number, _, pointer = rest.partition(" ")
    if word != "fix" or not number.isdecimal() or not number.isascii() or len(number) > 3:
        return None
    if int(number) >= len(checked.mistakes) or checked.mistakes[int(number)].error.pointer != pointer:
        return None
    return run_text.mended(checked.text, checked.mistakes[int(number)])


def _value_of(text: str) -> dict[str, Any]:
    try:
        return yaml_source.read(text).value
    except SourceError:
        return {}


def _once(sent: str) -> str:
    return sent if _ONCE.fullmatch(sent) else randoms.token_urlsafe(18)


def _shell(visitor: Visitor, project: ProjectRef, origin: Any) -> Shell:
    shell = visitor.shell(project.name)
    runs_url = f"/projects/{quote(project.name)}/runs"
    word = translate(visitor.language, N_("New run"))
    shell.crumbs = [Crumb(project.name, runs_url), Crumb(translate(visitor.language, "Runs"), runs_url), Crumb(word)]
    shell.title = f"{word} · {origin.name if origin else project.name}"
    shell.current, shell.keys = "runs", ("everywhere", "form")
    return shell
