"""Typed parameters of a definition: a part of JSON Schema (2020-12), and values checked against it.

A parameter is a scalar, a list of scalars, or the name of a secret of the project. It has to be given with every run
unless it has a default; `required: true` asks for it in spite of one. Types are a closed list, so that others can be
added without a change of meaning.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema
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
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
LARGEST = 2**53  # of what JSON carries exactly


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
        if self.enum and not any(is_same(found, one) for one in self.enum):
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
            raise BadValue(N_("the number of items must be at least {min_length}"), min_length=least)
        if len(value) > most:
            raise BadValue(N_("the number of items must be at most {max_length}"), max_length=most)
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
        N_("the number of characters must be at least {min_length}"),
        "min_length",
    ),
    (
        "maxLength",
        lambda value, limit: len(value) > limit,
        N_("the number of characters must be at most {max_length}"),
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


def is_same(one: Any, other: Any) -> bool:
    """Whether they are equal: 1 is 1.0, but True is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def read_string(value: Any) -> str:
    """The value itself. Raises BadValue for what is no text, or holds what no text may."""
    if not isinstance(value, str):
        raise BadValue(N_("must be a text"), as_text(value) if isinstance(value, int | float) else None)
    if len(value) > MAX_LENGTH:
        raise BadValue(N_("the number of characters must be at most {max_length}"), max_length=MAX_LENGTH)
    if _NO_TEXT.search(value):
        raise BadValue(N_("must not contain control characters"))
    return value


def read_number(value: Any) -> int | float:
    """The value itself. Raises BadValue for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(N_("must be a number"))
    if not math.isfinite(value) or abs(value) > 1e300:
        raise BadValue(N_("must be a finite number"))
    return value


def read_integer(value: Any) -> int:
    """The value as a whole number that JSON carries exactly. Raises BadValue."""
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
    "string": read_string,
    "integer": read_integer,
    "number": read_number,
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
