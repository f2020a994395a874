"""A run's spec as YAML that people write: one reader, which gives the spec or, for each mistake, its place and remedy.

The rules are those of the kinds themselves, so what passes here is what a submit takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from app.domain.capsule import canonical
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
    given = ordered({name: value for name, value in spec.items() if value is not None and (name, value) not in _USUAL})
    try:
        return definitions.write(given)
    except BadValue:
        return "".join(f"{yaml_edit.flow(name)}: {yaml_edit.flow(value)}\n" for name, value in given.items())


def ordered(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A stored spec in the order in which people think of it: Postgres keeps none."""
    names = [name for name in _ORDER if name in spec]
    names += [name for name in spec if name not in names and name != _LAST]
    return {name: spec[name] for name in [*names, *([_LAST] if _LAST in spec else [])]}


_USUAL: tuple[tuple[str, Any], ...] = (("kind", "job"), ("tags", []))


def brought_to(text: str, spec: Mapping[str, Any]) -> str | None:
    """`text` with its notes and its order, saying what a stored spec says; None where it cannot be made to.

    It is `text` itself where that says it already: a spec in a file may have been changed by flags, and tags change
    later.
    """
    try:
        value = yaml_source.read(text).value
    except SourceError:
        return None
    taken = {name: value.get(name, inside) for name, inside in spec.items()}
    try:  # "1" is what the kind makes of 1, so that is no difference
        kind = KINDS[str(spec.get("kind", "job"))].spec
        said = kind.model_validate(taken).model_dump(mode="json", exclude_unset=True)
    except (ValidationError, KeyError):
        said = taken
    patch: dict[str, Any] = {name: None for name in value if name not in spec}
    for name, inside in spec.items():
        if name in value and _differ(said.get(name), inside):
            patch[name] = _difference(value[name], inside)
        elif name not in value and inside is not None and (name, inside) not in _USUAL:
            patch[name] = inside
    try:
        return edited(text, patch)
    except (CannotEdit, SourceError):
        return None


def _difference(before: Any, after: Any) -> Any:
    """The merge patch that makes `after` of `before`, of which only the names at the top are compared."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return after
    gone = dict.fromkeys(name for name in before if name not in after)
    return gone | {name: value for name, value in after.items() if _differ(before.get(name), value)}


def _differ(before: Any, after: Any) -> bool:
    return canonical(before) != canonical(after)  # to Python, true is 1
