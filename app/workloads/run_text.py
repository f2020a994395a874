"""A run's spec as YAML that people write: one reader, which gives the spec or, for each mistake, its place and remedy.

The rules are those of the kinds themselves, so what passes here is what a submit takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from app.errors import N_, BadValue, FieldError
from app.workloads import definitions, remedies, yaml_edit, yaml_source
from app.workloads.base import Spec
from app.workloads.findings import field_errors
from app.workloads.registry import KINDS
from app.workloads.remedies import Remedy
from app.workloads.yaml_edit import CannotEdit
from app.workloads.yaml_source import Source, SourceError

_ORDER = ("kind", "name", "command", "script", "experiment", "tags", "parameters", "env", "secrets", "pool", "cpu")
_LAST = "snapshot"
_MOST_ERRORS = 50


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and what would do, where one click can do it."""

    error: FieldError
    remedy: Remedy | None = None


@dataclass(frozen=True)
class Checked:
    """A text that was read. `source` is None for what is no YAML, `spec` for what is no spec."""

    text: str
    source: Source | None = None
    spec: Spec | None = None
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def value(self) -> dict[str, Any]:
        """What the text says, right or wrong."""
        return self.source.value if self.source else {}


def check(text: str) -> Checked:
    """The spec that `text` holds, or all that is wrong with it."""
    try:
        source = yaml_source.read(text)
    except SourceError as error:
        return Checked(text, mistakes=[Mistake(one, remedies.of_text(text, one)) for one in error.errors])
    found = _check(source.value)
    if isinstance(found, Spec):
        return Checked(text, source, found)
    return Checked(text, source, mistakes=placed(source, found))


def placed(source: Source, errors: Sequence[FieldError]) -> list[Mistake]:
    """Findings about a spec with the line of each and its remedy, in the order of the lines."""
    made = []
    for error in errors[:_MOST_ERRORS]:
        exact = replace(error, line=source.line_of(error.pointer))
        made.append(Mistake(exact, remedies.of_value(exact, source.value)))
    return sorted(made, key=lambda one: one.error.line or 0)


def _check(value: Mapping[str, Any]) -> Spec | list[FieldError]:
    kind = value.get("kind", "job")
    if not isinstance(kind, str) or kind not in KINDS:
        return [FieldError("/kind", N_("must be one of {expected}"), slots={"expected": ", ".join(KINDS)})]
    try:
        return KINDS[kind].spec.model_validate({"kind": kind, **value})
    except ValidationError as error:
        return field_errors([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])


def mended(text: str, mistake: Mistake) -> str:
    """The text after a mistake's remedy; the same text where that cannot be done."""
    remedy = mistake.remedy
    if remedy is None:
        return text
    path = [part.replace("~1", "/").replace("~0", "~") for part in mistake.error.pointer.split("/")[1:]]
    try:
        if remedy.kind == remedies.TEXT:
            return str(remedy.value)
        if remedy.kind == remedies.RENAME:
            return yaml_edit.renamed(text, path, str(remedy.value))
        value = None if remedy.kind == remedies.DROP else remedy.value
        return edited(text, remedies.patch_of(yaml_source.read(text).value, path, value))
    except (CannotEdit, SourceError):
        return text


def edited(text: str, patch: Mapping[str, Any], renames: Sequence[tuple[list[str], str]] = ()) -> str:
    """`text` with keys renamed and values changed, all else as it was written. Raises CannotEdit."""
    for path, name in renames:
        text = yaml_edit.renamed(text, path, name)
    if not patch:
        return text
    try:
        return yaml_edit.patched(text, patch, blocks=True)
    except CannotEdit:
        return yaml_edit.round_trip(text, patch)


def write(spec: Mapping[str, Any]) -> str:
    """A stored spec as YAML, in the order in which people think of it, without what need not be said."""
    given = {name: value for name, value in spec.items() if value not in (None, [], {}) and (name, value) != _USUAL}
    names = [name for name in _ORDER if name in given]
    names += [name for name in given if name not in names and name != _LAST]
    ordered = {name: given[name] for name in [*names, *([_LAST] if _LAST in given else [])]}
    try:
        return definitions.write(ordered)
    except BadValue:
        return "".join(f"{yaml_edit.flow(name)}: {yaml_edit.flow(value)}\n" for name, value in ordered.items())


_USUAL = ("kind", "job")
