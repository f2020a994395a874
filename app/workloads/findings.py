"""Pydantic's findings as field errors: a pointer into what was sent, and a message that says what to do.

For requests and for documents that people write alike. Never with the value that was sent: it may be a password,
and it may be a megabyte.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from app.errors import N_, BadValue, FieldError
from app.workloads.patterns import IN_WORDS

# By pydantic's error type; slots are filled from its context.
_MESSAGES = {
    "missing": N_("is required"),
    "extra_forbidden": N_("is not a field here"),
    "string_type": N_("must be a text"),
    "string_too_short": N_("the number of characters must be at least {min_length}"),
    "string_too_long": N_("the number of characters must be at most {max_length}"),
    "string_pattern_mismatch": N_("does not match the regular expression {pattern}"),
    "bool_type": N_("must be true or false"),
    "bool_parsing": N_("must be true or false"),
    "int_type": N_("must be a whole number"),
    "int_parsing": N_("must be a whole number"),
    "int_parsing_size": N_("is too large"),
    "int_from_float": N_("must be a whole number"),
    "float_type": N_("must be a number"),
    "float_parsing": N_("must be a number"),
    "finite_number": N_("must be a finite number"),
    "greater_than": N_("must be greater than {gt}"),
    "greater_than_equal": N_("must be at least {ge}"),
    "less_than": N_("must be less than {lt}"),
    "less_than_equal": N_("must be at most {le}"),
    "list_type": N_("must be a list"),
    "too_short": N_("the number of items must be at least {min_length}"),
    "too_long": N_("the number of items must be at most {max_length}"),
    "dict_type": N_("must be an object"),
    "model_type": N_("must be an object"),
    "model_attributes_type": N_("must be an object"),
    "literal_error": N_("must be one of {expected}"),
    "enum": N_("must be one of {expected}"),
    "uuid_type": N_("must be an id"),
    "uuid_parsing": N_("must be an id"),
    "datetime_parsing": N_("must be a time as RFC 3339 writes it"),
}
_PARTS = {"body": "", "query": "/query", "path": "/path", "header": "/header", "cookie": "/cookie"}
# What other programs call a field.
_OTHER_NAMES = {
    "cores": "cpu",
    "mem": "memory",
    "ram": "memory",
    "gpu": "gpus",
    "cmd": "command",
    "run": "script",
    "params": "parameters",
    "environment": "env",
    "labels": "tags",
    "retries": "retry",
    "deadline": "timeout",
    "queue": "pool",
    "interpreter": "python",
}
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def escaped(name: str) -> str:
    """A reference token of a JSON pointer (RFC 6901, 3), fit to be sent."""
    return _NO_CHARACTER.sub("\ufffd", name).replace("~", "~0").replace("/", "~1")


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Which of the `known` fields somebody who wrote `name` may have meant, or None."""
    written = name[:200].lower()
    near = difflib.get_close_matches(written, list(known), n=1, cutoff=0.6)
    other = _OTHER_NAMES.get(written)
    return near[0] if near else other if other in known else None


def field_errors(findings: Sequence[Mapping[str, Any]], model: Any = None) -> list[FieldError]:
    """At most 50 field errors. A body's pointer starts at its root; other parts of the request are named first.

    With the `model` that the body should fit, a field that is not there comes with the nearest that is.
    """
    return [_field_error(finding, model) for finding in findings[:50]]


def _nearest(model: Any, location: Sequence[int | str]) -> str | None:
    """The name that the last part of `location` may stand for in the models that can be where it is."""
    found = list(_models(model))
    for part in location[:-1]:
        if isinstance(part, str):
            # A part that is no field tells the types of a union apart, and the models stay the same.
            inside = [one.model_fields[part].annotation for one in found if part in one.model_fields]
            found = [model for each in inside for model in _models(each)] if inside else found
    return nearest_name(str(location[-1]), {name for one in found for name in one.model_fields})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from _models(inside)


def _field_error(finding: Mapping[str, Any], model: Any) -> FieldError:
    location = list(finding.get("loc", ()))
    if location[-1:] == ["[key]"]:
        location.pop()  # pydantic's mark for: not the value, but the name itself
    prefix = _PARTS.get(str(location[0]), "") if location else ""
    pointer = prefix + "".join(f"/{escaped(str(part)[:200])}" for part in location[1:])
    context = finding.get("ctx") or {}
    cause = context.get("error")
    if isinstance(cause, BadValue):
        return FieldError(pointer + cause.place, cause.message, fix=cause.fix, slots=cause.slots)
    if finding.get("type") == "value_error" and isinstance(cause, ValueError):
        return FieldError(pointer, str(cause), fix=getattr(cause, "fix", None))
    if (words := IN_WORDS.get(str(context.get("pattern")))) is not None:
        return FieldError(pointer, words.text, slots={"example": words.example})
    template = _MESSAGES.get(str(finding.get("type")))
    if template is None:
        return FieldError(pointer, N_("is not valid"))
    if finding.get("type") == "extra_forbidden" and (near := _nearest(model, location[1:])) is not None:
        return FieldError(pointer, N_("is not a field here; did you mean {near}?"), slots={"near": near})
    slots = {name: str(value)[:200] for name, value in context.items()}
    if "expected" in slots:
        slots["expected"] = slots["expected"].replace(" or ", ", ").replace("'", "")  # a plain list, in every language
    return FieldError(pointer, template, fix=context.get("fix"), slots=slots)
