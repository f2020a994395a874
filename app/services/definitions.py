"""Job definitions: making them and new versions of them, and submitting runs of them."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.access import Action, Actor
from app.errors import N_, BadValue, Conflict, FieldError, Invalid
from app.models import Definition, DefinitionVersion
from app.repositories import definitions as repository
from app.repositories.definitions import DefinitionRow, VersionRow
from app.repositories.runs import RunRow
from app.services import audit, idempotency, runs, secrets
from app.services.identity import require
from app.workloads import definitions, parameters, placeholders, yaml_edit
from app.workloads.base import Spec
from app.workloads.findings import field_errors
from app.workloads.registry import KINDS
from app.workloads.yaml_edit import CannotEdit


class InvalidDefinition(Invalid):
    """A definition with mistakes; each has its place in `errors`."""

    code = "INVALID_DEFINITION"
    title = N_("The definition has mistakes")
    detail = N_("Places of the definition that cannot be accepted: {count}. Nothing was saved.")
    hint = N_("Each is listed with its line. docs/guides/jobs.md shows what a definition looks like.")


class DefinitionExists(Conflict):
    """Names are unique in a project, archived ones included."""

    code = "DEFINITION_EXISTS"
    title = N_("There is a job definition by that name")
    detail = N_("This project has a job definition named {name} already.")
    hint = N_("Save it as a new version of that one, or choose another name. Archived ones keep their names.")


class DefinitionArchived(Conflict):
    """Archived definitions are read, not run."""

    code = "DEFINITION_ARCHIVED"
    title = N_("The job definition is archived")
    detail = N_("{name} is archived: it can be read, but neither run nor changed.")
    hint = N_("Take it out of the archive first: `berth job archive --undo {name}`.")


class VersionChanged(Conflict):
    """Somebody saved a version meanwhile."""

    code = "DEFINITION_CHANGED"
    title = N_("There is a newer version")
    detail = N_("You began with version {based_on}; meanwhile {newest} is the newest. Nothing was saved.")
    hint = N_("Compare your text with the newest version, and save it again.")


def create_definition(session: Session, actor: Actor, project_id: uuid.UUID, text: str) -> DefinitionRow:
    """A new definition of what `text` (YAML) says, as version 1. Raises InvalidDefinition, DefinitionExists."""
    require(actor, Action.DEFINITION_WRITE, project_id)
    made = check(text)
    try:
        with session.begin_nested():
            key = session.scalar(
                insert(Definition)
                .values(project_id=project_id, name=made.name, title=made.title, newest=1, created_by=actor.user_id)
                .returning(Definition.id)
            )
    except IntegrityError:
        raise DefinitionExists(name=made.name) from None
    assert key is not None
    _add(session, actor, project_id, key, made, 1)
    return repository.get_definition(session, project_id, made.name)


def add_version(
    session: Session, actor: Actor, project_id: uuid.UUID, name: str, text: str, *, based_on: int | None = None
) -> tuple[DefinitionRow, bool]:
    """The definition with `text` as its newest version, and whether that is new: the same text again changes nothing.

    `based_on` is the version that the text was made of. Raises NotFound, InvalidDefinition, DefinitionArchived,
    VersionChanged.
    """
    require(actor, Action.DEFINITION_WRITE, project_id)
    row = _locked(session, project_id, name)
    if row.archived_at is not None:
        raise DefinitionArchived(name=name)
    newest = repository.get_version(session, row.id, row.newest)
    if newest.source == text:
        return row, False
    if based_on is not None and based_on != row.newest:
        raise VersionChanged(based_on=based_on, newest=row.newest)
    made = check(text, name)
    number = row.newest + 1
    session.execute(
        update(Definition)
        .where(Definition.id == row.id)
        .values(newest=number, title=made.title, updated_at=func.now(), revision=Definition.revision + 1)
    )
    _add(session, actor, project_id, row.id, made, number)
    return repository.get_definition(session, project_id, name), True


def save(session: Session, actor: Actor, project_id: uuid.UUID, text: str) -> tuple[DefinitionRow, bool]:
    """As `create_definition`; where there is one by that name, as `add_version`."""
    require(actor, Action.DEFINITION_WRITE, project_id)
    made = check(text)
    known = select(Definition.id).where(Definition.project_id == project_id, Definition.name == made.name)
    if session.scalar(known) is None:
        return create_definition(session, actor, project_id, text), True
    return add_version(session, actor, project_id, made.name, text)


def set_archived(session: Session, actor: Actor, project_id: uuid.UUID, name: str, archived: bool) -> DefinitionRow:
    """Takes a definition out of what is offered, or back in; again changes nothing. Raises NotFound."""
    require(actor, Action.DEFINITION_WRITE, project_id)
    row = _locked(session, project_id, name)
    if archived == (row.archived_at is not None):
        return row
    session.execute(
        update(Definition)
        .where(Definition.id == row.id)
        .values(archived_at=func.now() if archived else None, revision=Definition.revision + 1)
    )
    before, after = {"archived": not archived}, {"archived": archived}
    audit.record(session, actor, "definition.archive", "definition", name, project_id, before=before, after=after)
    return repository.get_definition(session, project_id, name)


def run_definition(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    name: str,
    given: Mapping[str, Any],
    *,
    changes: Mapping[str, Any] | None = None,
    version: int | None = None,
    once: idempotency.Claim | None = None,
) -> RunRow:
    """Submits a run of a version (the newest by default) with these parameters; `changes` are fields of its spec.

    Raises NotFound, DefinitionArchived, Invalid with a pointer to each parameter or change that cannot be, and what
    `runs.submit_run` raises.
    """
    require(actor, Action.RUN_WRITE, project_id)
    row = repository.get_definition(session, project_id, name)
    if row.archived_at is not None:
        raise DefinitionArchived(name=name)
    found = repository.get_version(session, row.id, version or row.newest)
    spec = _filled(session, project_id, definitions.read_stored(found.document), given, changes or {})
    made_of = runs.MadeOf(row.id, found.number, name)
    return runs.submit_run(session, actor, project_id, spec, {}, once=once, definition=made_of)


# The fields of a spec that say whether it starts, waits or is refused.
_DECIDING = ("cpu", "memory", "gpus", "replicas", "pool", "priority", "secrets", "snapshot")


def find_spec(
    session: Session, project_id: uuid.UUID, definition: definitions.Definition, given: Mapping[str, Any]
) -> Spec | None:
    """What would run with the parameters that are given so far, or None while that rests on those that are not.

    Raises Invalid with what is wrong with those that are given.
    """
    open_ = {name: one.sample() for name, one in definition.parameters.items() if one.required and name not in given}
    try:
        spec = _filled(session, project_id, definition, {**open_, **given}, {})
    except Invalid as error:
        wrong = [one for one in error.errors if not open_ or one.pointer.removeprefix("/parameters/") in given]
        if wrong:
            raise Invalid(wrong) from None
        return None
    decides = placeholders.names_in({name: definition.spec.get(name) for name in _DECIDING})
    return None if decides & open_.keys() else spec


def _filled(
    session: Session,
    project_id: uuid.UUID,
    definition: definitions.Definition,
    given: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> Spec:
    values, errors = parameters.check_values(definition.parameters, given)
    if "parameters" in changes:
        errors.append(FieldError("/changes/parameters", N_("are given as `parameters`, beside `changes`")))
    asked = {
        f"/parameters/{one.name}": values[one.name]
        for one in definition.parameters.values()
        if one.type == parameters.SECRET and one.name in values
    }
    errors += secrets.check_named(session, project_id, asked)
    if errors:
        raise Invalid(errors)
    try:
        return definitions.build_spec(definition, values, changes)
    except ValidationError as error:
        raise Invalid(_blamed(definition.spec, error, changes)) from None


def check(text: str, name: str | None = None) -> definitions.Definition:
    """The definition that `text` holds. Raises InvalidDefinition."""
    made, errors = definitions.check(text, name)
    if made is None:
        raise InvalidDefinition(errors, count=len(errors))
    return made


def changed_text(version: VersionRow, patch: Mapping[str, Any], pointer: str) -> str:
    """A version's text after a merge patch, comments kept. Raises Invalid with a pointer below `pointer`."""
    try:
        return yaml_edit.patched(version.source, patch)
    except CannotEdit as error:
        raise Invalid([FieldError(f"{pointer}{error.pointer}", error.message, slots=error.slots)]) from None


def _locked(session: Session, project_id: uuid.UUID, name: str) -> DefinitionRow:
    """Two who change one definition take turns."""
    row = repository.get_definition(session, project_id, name)
    session.execute(select(Definition.id).where(Definition.id == row.id).with_for_update())
    return repository.get_definition(session, project_id, name)


def _add(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    key: uuid.UUID,
    made: definitions.Definition,
    number: int,
) -> None:
    session.execute(
        insert(DefinitionVersion).values(
            definition_id=key, number=number, source=made.text, document=made.document, created_by=actor.user_id
        )
    )
    verb = "definition.create" if number == 1 else "definition.version"
    audit.record(session, actor, verb, "definition", made.name, project_id, after={"version": number})


def _blamed(spec: Mapping[str, Any], error: ValidationError, changes: Mapping[str, Any]) -> list[FieldError]:
    """Findings about the filled spec, at what was given: a change, or the only parameter that the field is made of."""
    findings = [{**finding, "loc": ("body", *finding["loc"])} for finding in error.errors()]
    found = field_errors(findings, KINDS[spec.get("kind", "job")].spec)
    made = []
    for one in found:
        field = one.pointer.split("/")[1] if one.pointer else ""
        names = placeholders.names_in(spec.get(field))
        if field in changes:
            made.append(replace(one, pointer=f"/changes{one.pointer}"))
        elif len(names) == 1:
            made.append(replace(one, pointer=f"/parameters/{names.pop()}"))
        elif field == "parameters":
            made.append(replace(one, pointer=one.pointer))
        else:
            made.append(replace(one, pointer=f"/spec{one.pointer}"))
    return made


def text_of(document: Mapping[str, Any]) -> str:
    """The YAML of a definition that came as JSON. Raises Invalid."""
    try:
        return definitions.write(document)
    except BadValue as error:
        raise Invalid([FieldError("/definition", error.message, error.fix, slots=error.slots)]) from None
