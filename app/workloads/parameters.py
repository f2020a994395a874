"""Typed parameters of a definition: a part of JSON Schema (2020-12), and values checked against it.

A parameter is a scalar, a list of scalars, or the name of a secret of the project. It has to be given with every run
unless it has a default; `required: true` asks for it in spite of one. Types are a closed list, so that others can be
added without a change of meaning.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema
from pydantic_core import ValidationError as CoreError

from app.domain.names import SECRET_NAME
from app.errors import N_, BadValue, FieldError
from app.workloads.findings import escaped
from app.workloads.patterns import IN_WORDS

SCALARS = ("string", "integer", "number", "boolean")
SECRET = "secret"
TYPES = (*SCALARS, "array", SECRET)
MOST = 100
MAX_LENGTH = 4096
MAX_ITEMS = 500
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_MAX_PATTERN = 200
LARGEST = 2**53  # of what JSON carries exactly

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


@dataclass(frozen=True)
class Parameter:
    """One parameter. `limits` are keywords of JSON Schema; `items` is what each value of a list must be."""

    name: str
    type: str
    title: str = ""
    description: str = ""
    has_default: bool = False
    default: Any = None
    required: bool = True
    enum: tuple[Any, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    items: "Parameter | None" = None
    examples: tuple[Any, ...] = ()

    @property
    def label(self) -> str:
        """What a form calls it."""
        return self.title or self.name

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        made: dict[str, Any] = {"type": self.type}
        if self.type == SECRET:
            made = {"type": "string", "format": SECRET}
        for key in ("title", "description"):
            if getattr(self, key):
                made[key] = getattr(self, key)
        if self.has_default:
            made["default"] = self.default
        if self.enum:
            made["enum"] = list(self.enum)
        if self.examples:
            made["examples"] = list(self.examples)
        made |= self.limits
        if self.items is not None:
            made["items"] = self.items.schema()
        return made

    @property
    def example(self) -> str:
        """A value that is taken, as somebody would write it; "" where none is known."""
        known = [*self.examples, *([self.default] if self.has_default else [])]
        found = next((one for one in known if one != []), "")
        return as_text(found[0] if isinstance(found, list) else found)

    def check(self, value: Any, about: "Parameter | None" = None) -> Any:
        """The value as it is kept. Raises BadValue, which says of a form what `about`, usually itself, says of it."""
        if self.type == "array":
            return self._check_list(value)
        found = _TYPE_CHECKS[self.type](value)
        if self.enum and not any(_same(found, one) for one in self.enum):
            shown = [as_text(one) for one in self.enum]
            near = difflib.get_close_matches(as_text(found), shown, n=1)
            raise BadValue(N_("must be one of {expected}"), near[0] if near else None, expected=", ".join(shown)[:500])
        self._check_limits(found, about or self)
        return found

    def sample(self) -> Any:
        """A value to try the spec with: the default, else one that is likely to be fit."""
        if self.has_default:
            return self.default
        if self.enum:
            return self.enum[0]
        if self.type == "array":
            return [self.items.sample()] if self.items and self.limits.get("minItems") else []
        if self.type in ("integer", "number"):
            low = self.limits.get("minimum", self.limits.get("exclusiveMinimum"))
            return 1 if low is None or low < 1 else math.floor(low) + 1
        return False if self.type == "boolean" else "x"

    def _check_list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise BadValue(N_("must be a list"))
        least, most = self.limits.get("minItems", 0), self.limits.get("maxItems", MAX_ITEMS)
        if len(value) < least:
            raise BadValue(N_("must have at least {min_length} items"), min_length=least)
        if len(value) > most:
            raise BadValue(N_("must have at most {max_length} items"), max_length=most)
        assert self.items is not None, "a list says what it is of"
        return [self.items.check(one, self) for one in value]

    def _check_limits(self, value: Any, about: "Parameter") -> None:
        limits = self.limits
        for keyword, fails, message, slot in _BOUNDS:
            if keyword in limits and fails(value, limits[keyword]):
                is_fix = keyword in ("minimum", "maximum")
                raise BadValue(
                    message, as_text(limits[keyword]) if is_fix else None, **{slot: as_text(limits[keyword])}
                )
        if "pattern" in limits and not _matches(limits["pattern"], value):
            raise about.other_form(limits["pattern"])

    def other_form(self, pattern: str) -> BadValue:
        """What is said of a value that a pattern does not take: in words if there are some, by a value that it takes,
        by what the parameter is for; by the pattern itself only where there is nothing else."""
        words, example = IN_WORDS.get(pattern), self.items.example if self.items else ""
        example = (self.example or example)[:200]
        if words is not None:
            return BadValue(words.text, example=example or words.example)
        about = " ".join(self.description.split())[:300]
        if about and example:
            return BadValue(N_("must look like {example} ({about})"), example=example, about=about)
        if example:
            return BadValue(N_("must look like {example}"), example=example)
        if about:
            return BadValue(N_("does not have the form that is asked for: {about}"), about=about)
        return BadValue(N_("does not match the regular expression {pattern}"), pattern=pattern)


_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str, str], ...] = (
    ("minimum", lambda value, limit: value < limit, N_("must be at least {ge}"), "ge"),
    ("maximum", lambda value, limit: value > limit, N_("must be at most {le}"), "le"),
    ("exclusiveMinimum", lambda value, limit: value <= limit, N_("must be greater than {gt}"), "gt"),
    ("exclusiveMaximum", lambda value, limit: value >= limit, N_("must be less than {lt}"), "lt"),
    (
        "minLength",
        lambda value, limit: len(value) < limit,
        N_("must have at least {min_length} characters"),
        "min_length",
    ),
    (
        "maxLength",
        lambda value, limit: len(value) > limit,
        N_("must have at most {max_length} characters"),
        "max_length",
    ),
)


def as_text(value: Any) -> str:
    """A scalar as programs read it: "true", "0.1", "adam"; a list with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(as_text(one) for one in value)
    return str(value)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(N_("must be a text"), as_text(value) if isinstance(value, int | float) else None)
    if len(value) > MAX_LENGTH:
        raise BadValue(N_("must have at most {max_length} characters"), max_length=MAX_LENGTH)
    if _NO_TEXT.search(value):
        raise BadValue(N_("must not contain control characters"))
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(N_("must be a number"))
    if not math.isfinite(value) or abs(value) > 1e300:
        raise BadValue(N_("must be a finite number"))
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(N_("must be a whole number"))
    if not math.isfinite(value) or value != int(value):
        fix = str(round(value)) if math.isfinite(value) and abs(value) < LARGEST else None
        raise BadValue(N_("must be a whole number"), fix)
    if abs(value) > LARGEST:
        raise BadValue(N_("is too large"))
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadValue(N_("must be true or false"))
    return value


def _secret(value: Any) -> str:
    if not isinstance(value, str) or not SECRET_NAME.fullmatch(value):
        raise BadValue(N_("must be the name of a secret"))
    return value


_TYPE_CHECKS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    SECRET: _secret,
}


def _matches(pattern: str, value: str) -> bool:
    """By an engine without backtracking: a pattern of a stranger cannot hold the process up."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern)).validate_python(value)
    except (CoreError, ValidationError):
        return False
    return True


def read_parameters(raw: Any, pointer: str) -> tuple[dict[str, Parameter], list[FieldError]]:
    """The parameters that a document declares, in its order, and what is wrong with them."""
    if raw is None:
        return {}, []
    if not isinstance(raw, dict):
        return {}, [FieldError(pointer, N_("must be an object"))]
    if len(raw) > MOST:
        return {}, [FieldError(pointer, N_("must have at most {max_length} items"), slots={"max_length": MOST})]
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
        text = _string(value)
    except BadValue as error:
        errors.append(FieldError(f"{place}/{key}", error.message, error.fix, slots=error.slots))
        return ""
    if len(text) > most:
        message = N_("must have at most {max_length} characters")
        errors.append(FieldError(f"{place}/{key}", message, slots={"max_length": most}))
    return text.strip()


def _check_limits(limits: dict[str, Any], place: str, errors: list[FieldError]) -> None:
    for key, value in limits.items():
        try:
            if key == "pattern":
                _check_pattern(value)
            elif key in _NUMERIC:
                _number(value)
            elif _integer(value) < 0:
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
        if any(_same(checked, one) for one in made):
            errors.append(FieldError(f"{place}/{number}", N_("stands twice")))
        made.append(checked)
    return tuple(made)


def schema_of(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """All parameters as one JSON Schema, for other programs' forms and checks."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {name: one.schema() for name, one in parameters.items()},
        "required": [name for name, one in parameters.items() if one.required],
        "additionalProperties": False,
    }


def check_values(
    parameters: Mapping[str, Parameter], given: Mapping[str, Any], pointer: str = "/parameters"
) -> tuple[dict[str, Any], list[FieldError]]:
    """The value of every parameter, defaults filled in, and what is wrong with those that were given."""
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name in given:
        if name not in parameters:
            near = difflib.get_close_matches(name, list(parameters), n=1)
            message = (
                N_("is no parameter of this definition; did you mean {near}?")
                if near
                else N_("is no parameter of this definition")
            )
            place = f"{pointer}/{escaped(name[:200])}"
            errors.append(FieldError(place, message, slots={"near": near[0]} if near else {}))
    for name, parameter in parameters.items():
        place = f"{pointer}/{name}"
        if name in given:
            try:
                values[name] = parameter.check(given[name])
            except BadValue as error:
                errors.append(FieldError(place, error.message, error.fix, slots=error.slots))
        elif parameter.required:
            errors.append(FieldError(place, N_("is required")))
        else:
            values[name] = parameter.default
    return values, errors


def from_text(parameter: Parameter, text: str) -> Any:
    """What somebody typed into a form, as the parameter's type; a list has a value on each line.

    What cannot be read comes back as the text, so that `check` says what is wrong with it.
    """
    if parameter.type == "array":
        assert parameter.items is not None, "a list says what it is of"
        return [from_text(parameter.items, line.strip()) for line in text.splitlines() if line.strip()]
    if parameter.type == "boolean":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if parameter.type in ("integer", "number"):
        return _typed_number(text.strip())
    return text.strip() if parameter.type == SECRET else text.replace("\r\n", "\n")


def _typed_number(text: str) -> Any:
    if re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return int(text)
    try:
        return float(text) if re.fullmatch(r"[-+.0-9eE]{1,40}", text) else text
    except ValueError:
        return text


def typed(value: Any) -> str:
    """The reverse of `from_text`: what stands in the form's field."""
    return "\n".join(as_text(one) for one in value) if isinstance(value, list) else as_text(value)
