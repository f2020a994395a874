"""Job definitions: a run's spec with placeholders, and the typed parameters that fill them.

One reader for every transport: `check` gives a definition or says, for each mistake, where it is (JSON pointer and
line), what it is, and what would do.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from app.domain.names import DEFINITION_NAME
from app.errors import N_, BadValue, FieldError
from app.workloads import placeholders, ranges, yaml_source
from app.workloads.base import Spec
from app.workloads.declarations import read_parameters
from app.workloads.findings import escaped, field_errors, nearest_name
from app.workloads.parameters import Parameter
from app.workloads.registry import KINDS
from app.workloads.yaml_source import Source, SourceError

RESERVED = frozenset({"new"})  # an address of the console
_KEYS = ("name", "title", "description", "parameters", "spec")
_MAX_TITLE, _MAX_DESCRIPTION = 200, 10_000


@dataclass(frozen=True)
class Definition:
    """What one version of a definition says. `document` is all of it as plain data."""

    name: str
    title: str
    description: str
    parameters: dict[str, Parameter]
    spec: dict[str, Any]
    document: dict[str, Any]
    text: str


def check(text: str, name: str | None = None) -> tuple[Definition | None, list[FieldError]]:
    """The definition that `text` holds, or what is wrong with it; its `name` where it must have a certain one."""
    try:
        source = yaml_source.read(text)
    except SourceError as error:
        return None, error.errors
    found, errors = _check_document(source.value, text, name)
    return (found if not errors else None), [_placed(error, source) for error in errors[:50]]


def read_stored(document: Mapping[str, Any], text: str = "") -> Definition:
    """A definition that was checked when it was stored."""
    declared, _ = read_parameters(document.get("parameters"), "/parameters")
    return Definition(
        str(document["name"]),
        str(document.get("title") or "").strip(),
        str(document.get("description") or "").strip(),
        declared,
        dict(document["spec"]),
        dict(document),
        text,
    )


def write(document: Mapping[str, Any]) -> str:
    """Plain data as YAML, for what did not come as YAML. Raises BadValue for what YAML cannot hold."""
    from ruamel.yaml import YAML

    writer = YAML()
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(_literal(document), stream)
    text = stream.getvalue()
    try:
        is_same = yaml_source.read(text).value == document
    except SourceError as error:
        raise BadValue(error.errors[0].message, **error.errors[0].slots) from None
    if not is_same:
        raise BadValue(N_("cannot be written as YAML; send the YAML itself"))
    return text


def _literal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _literal(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_literal(inside) for inside in value]
    if isinstance(value, str) and "\n" in value:
        from ruamel.yaml.scalarstring import LiteralScalarString

        return LiteralScalarString(value)
    return value


def build_spec(definition: Definition, values: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Spec:
    """The spec of a run with these values (of `parameters.check_values`). Raises pydantic's ValidationError."""
    spec = _with_usual(definition.spec, definition.name, definition.parameters)
    filled = placeholders.fill(spec, values) | dict(changes or {})
    if changes and "command" in changes:
        filled.pop("script", None)
    if changes and "script" in changes:
        filled.pop("command", None)
    return KINDS[spec["kind"]].spec.model_validate(filled)


def _with_usual(spec: Mapping[str, Any], name: str, declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """With what need not be written: the name, the kind, and each parameter as one of the run."""
    own = spec.get("parameters")
    usual = {one: f"${{{{ params.{one} }}}}" for one in declared}
    own = dict(own) if isinstance(own, Mapping) else {}
    return {"name": name or "x", "kind": "job", **spec, "parameters": usual | own}


def _check_document(raw: dict[str, Any], text: str, expected: str | None) -> tuple[Definition | None, list[FieldError]]:
    errors = [_unknown(key) for key in raw if key not in _KEYS]
    name = _name(raw, expected, errors)
    title = _line(raw, "title", _MAX_TITLE, errors)
    description = _line(raw, "description", _MAX_DESCRIPTION, errors)
    declared, found = read_parameters(raw.get("parameters"), "/parameters")
    errors += [*found, *ranges.find_empty(declared, "/parameters")]
    spec = raw.get("spec")
    if not isinstance(spec, dict):
        message = N_("must be an object") if "spec" in raw else N_("is required: what is to run, such as `command`")
        return None, [*errors, FieldError("/spec", message)]
    # A parameter that is itself wrong is there all the same: one mistake, one message.
    known = raw.get("parameters") if isinstance(raw.get("parameters"), dict) else {}
    holes = list(placeholders.check(spec, known or {}, "/spec"))
    is_small = placeholders.count_in(spec) <= placeholders.MOST
    if not is_small:
        holes.append(FieldError("/spec", N_("has more than {most} placeholders"), slots={"most": placeholders.MOST}))
    made = Definition(name, title, description, declared, spec, raw, text)
    if is_small:
        holes += _try_others(made, known or {}, {hole.pointer for hole in holes})
    return made, [*errors, *holes]


def _unknown(key: str) -> FieldError:
    near = nearest_name(key, _KEYS)
    inside = ("command", "script", "cpu", "memory", "gpus", "env", "image", "pool", "tags", "retry", "timeout")
    pointer = f"/{key[:200].replace('~', '~0').replace('/', '~1')}"
    if key in inside:
        return FieldError(pointer, N_("belongs below `spec`"))
    message = N_("is not a field here; did you mean {near}?") if near else N_("is not a field here")
    return FieldError(pointer, message, slots={"near": near} if near else {})


def _name(raw: dict[str, Any], expected: str | None, errors: list[FieldError]) -> str:
    name = raw.get("name")
    if name is None:
        errors.append(FieldError("/name", N_("is required"), expected))
        return expected or ""
    if not isinstance(name, str) or not DEFINITION_NAME.fullmatch(name) or name in RESERVED:
        errors.append(FieldError("/name", N_("must be small letters, digits and dashes, and begin with a letter")))
        return ""
    if expected is not None and name != expected:
        message = N_("must stay {name}; another name is another definition")
        errors.append(FieldError("/name", message, expected, slots={"name": expected}))
    return name


def _line(raw: dict[str, Any], key: str, most: int, errors: list[FieldError]) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        errors.append(FieldError(f"/{key}", N_("must be a text")))
        return ""
    if len(value) > most:
        errors.append(
            FieldError(
                f"/{key}", N_("the number of characters must be at most {max_length}"), slots={"max_length": most}
            )
        )
    return value.strip()


def _try_others(made: Definition, named: Mapping[str, Any], holes: set[str]) -> list[FieldError]:
    """As `_try`, of all but the places where a placeholder is wrong: what that would be, nobody knows."""
    found = _try(replace(made, spec=_without(made.spec, holes, "/spec")), named)
    return [one for one in found if not any(f"{one.pointer}/".startswith(f"{hole}/") for hole in holes)]


def _without(value: Any, holes: set[str], pointer: str) -> Any:
    """A value in which each text at one of these places is a text without a placeholder."""
    if isinstance(value, dict):
        return {name: _without(one, holes, f"{pointer}/{escaped(name[:200])}") for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, holes, f"{pointer}/{number}") for number, one in enumerate(value)]
    return "x" if isinstance(value, str) and pointer in holes else value


def _try(made: Definition, named: Mapping[str, Any]) -> list[FieldError]:
    """The spec filled with defaults, or likely values, must be one; what depends on a value nobody knows may fail."""
    guessed = {name for name in named if name not in made.parameters or not made.parameters[name].has_default}
    values = {name: made.parameters[name].sample() if name in made.parameters else "x" for name in named}
    if made.spec.get("kind", "job") not in KINDS:
        return [FieldError("/spec/kind", N_("must be one of {expected}"), slots={"expected": ", ".join(KINDS)})]
    own = made.spec.get("parameters")
    if own is not None and not isinstance(own, dict):
        return [FieldError("/spec/parameters", N_("must be an object"))]
    try:
        build_spec(made, values)
    except ValidationError as error:
        kind = KINDS[made.spec.get("kind", "job")].spec
        findings = [{**finding, "loc": ("body", *finding["loc"])} for finding in error.errors()]
        found = [replace(one, pointer=f"/spec{one.pointer}") for one in field_errors(findings, kind)]
        return [one for one in found if not _rests_on(made.spec, one.pointer, guessed)]
    return []


def _rests_on(spec: Any, pointer: str, guessed: set[str]) -> bool:
    if not guessed:
        return False
    value: Any = {"spec": spec}
    for part in pointer.split("/")[1:]:
        if isinstance(value, dict):
            inside = value.get(part.replace("~1", "/").replace("~0", "~"), value)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            inside = value[int(part)]
        else:
            break
        value = inside
    return bool(placeholders.names_in(value) & guessed) and pointer != "/spec"


def _placed(error: FieldError, source: Source) -> FieldError:
    return replace(error, line=source.line_of(error.pointer))
