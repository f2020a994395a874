"""Reading the parameters that a definition declares: a part of JSON Schema (2020-12), each mistake at its place."""

import difflib
import re
from dataclasses import replace
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

from app.errors import N_, BadValue, FieldError
from app.workloads.findings import escaped
from app.workloads.parameters import (
    MAX_ITEMS,
    MOST,
    SCALARS,
    SECRET,
    TYPES,
    Parameter,
    is_same,
    read_integer,
    read_number,
    read_string,
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MAX_PATTERN = 200
_COMMON = ("type", "title", "description", "default", "enum", "examples", "required")
_NUMERIC = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_TEXTUAL = ("minLength", "maxLength", "pattern")
_LISTED = ("items", "minItems", "maxItems")
_KEYWORDS = {
    "string": _TEXTUAL,
    "integer": _NUMERIC,
    "number": _NUMERIC,
    "boolean": (),
    "array": _LISTED,
    SECRET: (),
}
_ALL = {*_COMMON, *_NUMERIC, *_TEXTUAL, *_LISTED}


def read_parameters(raw: Any, pointer: str) -> tuple[dict[str, Parameter], list[FieldError]]:
    """The parameters that a document declares, in its order, and what is wrong with them."""
    if raw is None:
        return {}, []
    if not isinstance(raw, dict):
        return {}, [FieldError(pointer, N_("must be an object"))]
    if len(raw) > MOST:
        return {}, [
            FieldError(pointer, N_("the number of items must be at most {max_length}"), slots={"max_length": MOST})
        ]
    found: dict[str, Parameter] = {}
    errors: list[FieldError] = []
    for name, declared in raw.items():
        place = f"{pointer}/{escaped(name[:200])}"
        if not NAME.fullmatch(name):
            errors.append(FieldError(place, N_("is no name for a parameter: letters, digits and _ only")))
            continue
        made = _read_one(name, declared, place, errors)
        if made is not None:
            found[name] = made
    return found, errors


def _read_one(name: str, raw: Any, place: str, errors: list[FieldError], *, is_item: bool = False) -> Parameter | None:
    if not isinstance(raw, dict):
        errors.append(FieldError(place, N_("must say what it is, such as `type: number`")))
        return None
    before = len(errors)
    kind = raw.get("type", _type_of_enum(raw.get("enum")))
    types = SCALARS if is_item else TYPES
    if kind not in types:
        near = difflib.get_close_matches(str(kind), types, n=1, cutoff=0.4)
        message = N_("must be one of {expected}") if "type" in raw else N_("needs a type: one of {expected}")
        where = f"{place}/type" if "type" in raw else place
        errors.append(FieldError(where, message, near[0] if near else None, slots={"expected": ", ".join(types)}))
        return None
    _check_keywords(raw, kind, place, errors, is_item=is_item)
    title, description = _text(raw, "title", place, errors), _text(raw, "description", place, errors)
    limits = {key: raw[key] for key in _KEYWORDS[kind] if key in raw and key != "items"}
    _check_limits(limits, place, errors)
    required = raw.get("required", "default" not in raw)
    if not isinstance(required, bool):
        errors.append(FieldError(f"{place}/required", N_("must be true or false")))
    elif not required and "default" not in raw:
        errors.append(FieldError(f"{place}/required", N_("needs a default: every placeholder must have a value")))
    items = None
    if kind == "array":
        items = _read_one(name, raw.get("items", {"type": "string"}), f"{place}/items", errors, is_item=True)
    if len(errors) > before:
        return None
    bare = Parameter(name, kind, limits=limits, items=items)
    enum = _values_of(raw.get("enum"), bare, f"{place}/enum", errors)
    bare = replace(bare, enum=enum)
    examples = _values_of(raw.get("examples"), bare, f"{place}/examples", errors)
    made = Parameter(name, kind, title, description, False, None, required, enum, limits, items, examples)
    if "default" not in raw:
        return made if len(errors) == before else None
    try:
        default = bare.check(raw["default"])
    except BadValue as error:
        errors.append(FieldError(f"{place}/default", error.message, error.fix, slots=error.slots))
        return None
    if len(errors) > before:
        return None
    return replace(made, has_default=True, default=default)


def _check_keywords(raw: dict[str, Any], kind: str, place: str, errors: list[FieldError], *, is_item: bool) -> None:
    allowed = {*_COMMON, *_KEYWORDS[kind]} - ({"default", "required", "title", "description"} if is_item else set())
    if kind == "array":
        allowed.discard("enum")
    for key in raw:
        if key in allowed:
            continue
        where = f"{place}/{escaped(key[:200])}"
        if key in _ALL:
            errors.append(FieldError(where, N_("says nothing about type {type}"), slots={"type": kind}))
            continue
        known = {
            "example": "examples",
            "help": "description",
            "choices": "enum",
            "options": "enum",
            "min": "minimum",
            "max": "maximum",
        }
        near = [known[key]] if key in known else difflib.get_close_matches(key, sorted(allowed), n=1)
        message = N_("is not a field here; did you mean {near}?") if near else N_("is not a field here")
        errors.append(FieldError(where, message, slots={"near": near[0]} if near else {}))


def _text(raw: dict[str, Any], key: str, place: str, errors: list[FieldError]) -> str:
    value = raw.get(key, "")
    most = 100 if key == "title" else 2000
    try:
        text = read_string(value)
    except BadValue as error:
        errors.append(FieldError(f"{place}/{key}", error.message, error.fix, slots=error.slots))
        return ""
    if len(text) > most:
        message = N_("the number of characters must be at most {max_length}")
        errors.append(FieldError(f"{place}/{key}", message, slots={"max_length": most}))
    return text.strip()


def _check_limits(limits: dict[str, Any], place: str, errors: list[FieldError]) -> None:
    for key, value in limits.items():
        try:
            if key == "pattern":
                _check_pattern(value)
            elif key in _NUMERIC:
                read_number(value)
            elif read_integer(value) < 0:
                raise BadValue(N_("must be at least {ge}"), "0", ge=0)
        except BadValue as error:
            errors.append(FieldError(f"{place}/{key}", error.message, error.fix, slots=error.slots))
            return
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
        if low in limits and high in limits and limits[low] > limits[high]:
            errors.append(FieldError(f"{place}/{high}", N_("is less than {low}"), slots={"low": low}))


def _check_pattern(value: Any) -> None:
    if not isinstance(value, str) or len(value) > _MAX_PATTERN:
        raise BadValue(N_("must be a text of at most {max_length} characters"), max_length=_MAX_PATTERN)
    try:
        SchemaValidator(core_schema.str_schema(pattern=value))
    except SchemaError:
        raise BadValue(N_("is no regular expression that is taken here (no look-around, no back references)")) from None


def _type_of_enum(enum: Any) -> str:
    if not isinstance(enum, list) or not enum:
        return ""
    if all(isinstance(one, str) for one in enum):
        return "string"
    if all(isinstance(one, int) and not isinstance(one, bool) for one in enum):
        return "integer"
    return "number" if all(isinstance(one, int | float) and not isinstance(one, bool) for one in enum) else ""


def _values_of(values: Any, bare: Parameter, place: str, errors: list[FieldError]) -> tuple[Any, ...]:
    """The values of `enum` or `examples`, which stand at `place`."""
    if values is None:
        return ()
    if not isinstance(values, list) or not values or len(values) > MAX_ITEMS:
        errors.append(FieldError(place, N_("must be a list with at least one value")))
        return ()
    made: list[Any] = []
    for number, value in enumerate(values):
        try:
            checked = bare.check(value)
        except BadValue as error:
            errors.append(FieldError(f"{place}/{number}", error.message, error.fix, slots=error.slots))
            continue
        if any(is_same(checked, one) for one in made):
            errors.append(FieldError(f"{place}/{number}", N_("stands twice")))
        made.append(checked)
    return tuple(made)
