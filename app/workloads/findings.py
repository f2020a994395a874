"""Pydantic's findings as field errors: a pointer into what was sent, and a message that says what to do.

For requests and for documents that people write alike. Never with the value that was sent: it may be a password,
and it may be a megabyte.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import N_, BadValue, FieldError
from app.workloads.patterns import IN_WORDS

# By pydantic's error type; slots are filled from its context.
_MESSAGES = {
    "missing": N_("is required"),
    "extra_forbidden": N_("is not a field here"),
    "string_type": N_("must be a text"),
    "string_too_short": N_("must have at least {min_length} characters"),
    "string_too_long": N_("must have at most {max_length} characters"),
    "string_pattern_mismatch": N_("does not have the form {pattern}"),
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
    "too_short": N_("must have at least {min_length} items"),
    "too_long": N_("must have at most {max_length} items"),
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
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def escaped(name: str) -> str:
    """A reference token of a JSON pointer (RFC 6901, 3), fit to be sent."""
    return _NO_CHARACTER.sub("\ufffd", name).replace("~", "~0").replace("/", "~1")


def field_errors(findings: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """At most 50 field errors. A body's pointer starts at its root; other parts of the request are named first."""
    return [_field_error(finding) for finding in findings[:50]]


def _field_error(finding: Mapping[str, Any]) -> FieldError:
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
    slots = {name: str(value)[:200] for name, value in context.items()}
    if "expected" in slots:
        slots["expected"] = slots["expected"].replace(" or ", ", ").replace("'", "")  # a plain list, in every language
    return FieldError(pointer, template, fix=context.get("fix"), slots=slots)
