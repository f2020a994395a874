"""Job definitions on the wire."""

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.errors import N_, BadValue
from app.i18n import translate
from app.repositories.definitions import DefinitionRow, VersionRow
from app.settings import get_settings
from app.workloads import definition_diff, parameters
from app.workloads.definition_diff import Change
from app.workloads.definitions import Definition
from app.workloads.rules import Ruled, rule
from app.workloads.yaml_source import MAX_BYTES

EXAMPLE_YAML = """\
# Trains the digits classifier.
name: digits
title: Train the digits classifier
parameters:
  lr:
    type: number
    title: Learning rate
    default: 0.1
    exclusiveMinimum: 0
spec:
  command: [python3, train.py, --lr, "${{ params.lr }}"]
  cpu: "1"
"""
_EXAMPLE: dict[str, Any] = {
    "name": "digits",
    "parameters": {"lr": {"type": "number", "default": 0.1, "exclusiveMinimum": 0}},
    "spec": {"command": ["python3", "train.py", "--lr", "${{ params.lr }}"]},
}
_Text = Annotated[str, StringConstraints(max_length=MAX_BYTES)]


class DefinitionWrite(Ruled):
    """A definition: its YAML as `source`, or its fields as `definition`. As application/yaml the YAML is the body."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"source": EXAMPLE_YAML}, {"definition": _EXAMPLE}]}
    )

    source: _Text | None = None
    definition: dict[str, Any] | None = None

    @rule("source", "definition")
    def _one(self) -> None:
        if (self.source is None) == (self.definition is None):
            raise BadValue(N_("give either source or definition"))


class VersionWrite(Ruled):
    """A new version: YAML, fields, or `changes` (a JSON Merge Patch) to an older one, which keep its comments."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"changes": {"parameters": {"lr": {"default": 0.2}}}, "based_on": 1}]},
    )

    source: _Text | None = None
    definition: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None
    based_on: Annotated[
        int | None, Field(ge=1, le=2**31, strict=True, description="Refused if a newer version exists.")
    ] = None

    @rule("source", "definition", "changes")
    def _one(self) -> None:
        given = [one for one in (self.source, self.definition) if one is not None]
        if len(given) > 1 or (not given and self.changes is None):
            raise BadValue(N_("give source, definition or changes"))


class DefinitionUpdate(BaseModel):
    """Archive it, or take it out of the archive."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"archived": True}]})

    archived: Annotated[bool, Field(strict=True)]


class DefinitionRun(BaseModel):
    """A run of a definition: values for its parameters, and fields of the spec to change for this run."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"parameters": {"lr": 0.2}}]})

    parameters: dict[str, Any] = Field(default={}, max_length=parameters.MOST)
    changes: dict[str, Any] = Field(default={}, max_length=50)
    version: Annotated[int | None, Field(ge=1, le=2**31, strict=True)] = None


class LastRun(BaseModel):
    """The newest run made of a definition."""

    id: str
    state: str
    created_at: datetime.datetime


class DefinitionItem(BaseModel):
    """A definition as lists give it. `version` is the newest."""

    name: str
    title: str
    version: int
    archived: bool
    created_by: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    last_run: LastRun | None
    url: str


class DefinitionRead(DefinitionItem):
    """A definition with what its newest version says; `parameters` is a JSON Schema."""

    description: str
    parameters: dict[str, Any]
    spec: dict[str, Any]
    source: str


class DefinitionPage(BaseModel):
    """A page of definitions, by name."""

    items: list[DefinitionItem]
    next: str | None
    has_more: bool


class VersionItem(BaseModel):
    """A version as lists give it."""

    version: int
    created_by: str
    created_at: datetime.datetime


class VersionRead(VersionItem):
    """One version. `parameters` is a JSON Schema, `source` the YAML as it was written."""

    name: str
    title: str
    description: str
    parameters: dict[str, Any]
    spec: dict[str, Any]
    source: str


class VersionPage(BaseModel):
    """A page of versions, newest first."""

    items: list[VersionItem]
    next: str | None
    has_more: bool


class ChangeRead(BaseModel):
    """One value that differs. `text` is in the reader's language."""

    pointer: str
    kind: Literal["added", "removed", "changed"]
    before: Any
    after: Any
    text: str


class DiffRead(BaseModel):
    """What differs between two versions: value by value, and as a unified diff of the YAML."""

    from_version: int
    to_version: int
    changes: list[ChangeRead]
    unified: str


def definition_item(row: DefinitionRow, project: str) -> dict[str, Any]:
    """A row of the list."""
    last = None
    if row.last_run is not None:
        last = {"id": row.last_run, "state": row.last_state, "created_at": row.last_at}
    return {
        "name": row.name,
        "title": row.title,
        "version": row.newest,
        "archived": row.archived_at is not None,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "last_run": last,
        "url": f"{get_settings().console_url}/projects/{project}/jobs/{row.name}",
    }


def definition_read(row: DefinitionRow, found: Definition, project: str) -> dict[str, Any]:
    """One definition."""
    return definition_item(row, project) | _says(found)


def version_item(row: VersionRow) -> dict[str, Any]:
    """A row of the list of versions."""
    return {"version": row.number, "created_by": row.created_by, "created_at": row.created_at}


def version_read(row: VersionRow, found: Definition) -> dict[str, Any]:
    """One version."""
    return version_item(row) | {"name": found.name, "title": found.title} | _says(found)


def _says(found: Definition) -> dict[str, Any]:
    return {
        "description": found.description,
        "parameters": parameters.schema_of(found.parameters),
        "spec": found.spec,
        "source": found.text,
    }


def diff_read(before: VersionRow, after: VersionRow, language: str) -> dict[str, Any]:
    """What differs."""
    changes = definition_diff.compare(before.document, after.document)
    name = str(after.document["name"])
    return {
        "from_version": before.number,
        "to_version": after.number,
        "changes": [_change(one, language) for one in changes],
        "unified": definition_diff.unified(before.source, after.source, name, before.number, after.number),
    }


def _change(one: Change, language: str) -> dict[str, Any]:
    what, slots = one.what
    text = translate(
        language,
        definition_diff.SENTENCES[one.kind],
        what=translate(language, what, **slots),
        before=definition_diff.shown(one.before),
        after=definition_diff.shown(one.after),
    )
    return {"pointer": one.pointer, "kind": one.kind, "before": one.before, "after": one.after, "text": text}
