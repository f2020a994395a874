"""The filter language of lists: `status:failed,stopped owner:me created:<7d tag:baseline param.lr:0.1 -name:test`.

A term is `key:value`; several values are joined by commas and mean "any of"; `-` before a term means "not";
a term without a key looks into the name. Terms are joined by "and". The same text works in the page's
filter field, in `?q=` and in `berth run ls -q`.
"""

import datetime
import difflib
import re
import shlex
from dataclasses import dataclass

from app.domain.quantities import QuantityError, parse_duration
from app.domain.states import RunState
from app.errors import N_, BadValue

KEYS = (
    "status",
    "owner",
    "name",
    "tag",
    "experiment",
    "definition",
    "archived",
    "created",
    "pool",
    "priority",
    "gpu",
    "param.",
)
PRIORITIES = ("low", "normal", "high")
ARCHIVED = ("yes", "no", "any")  # without a term it is no
_EXAMPLES = {"created": "created:<7d", "gpu": "gpu:>4"}
MAX_TERMS = 20
MAX_LENGTH = 1000


_ANY_TIME = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


class FilterError(BadValue):
    """A filter that cannot be understood; `fix` is the nearest that can."""


@dataclass(frozen=True)
class Term:
    """`operator` is "=", "<", "<=", ">" or ">=". `values` are checked, but still text."""

    key: str
    operator: str
    values: tuple[str, ...]
    negated: bool = False


def parse(text: str) -> list[Term]:
    """The terms of a filter, in order. Raises FilterError."""
    if len(text) > MAX_LENGTH:
        raise FilterError(N_("a filter has at most {most} characters"), most=MAX_LENGTH)
    if "\x00" in text or not text.isprintable():
        raise FilterError(N_("a filter is one line of printable text"))
    try:
        words = shlex.split(text, posix=True)
    except ValueError:
        raise FilterError(N_("a quotation mark is not closed"), text.replace('"', "").replace("'", "")) from None
    if len(words) > MAX_TERMS:
        raise FilterError(N_("a filter has at most {most} terms"), most=MAX_TERMS)
    return [_term(word) for word in words if word != "-"]


def _term(word: str) -> Term:
    negated = word.startswith("-")
    body = word[1:] if negated else word
    key, colon, rest = body.partition(":")
    if not colon:
        return Term("name", "=", (body,), negated)
    _known(key)
    match = re.match(r"(<=|>=|<|>)?(.*)", rest, re.DOTALL)
    assert match, "every text matches"
    operator, value = match[1] or "=", match[2]
    if not value:
        raise FilterError(N_("{key}: has no value"), key=key)
    ordered = key in {"created", "gpu"}
    if operator != "=" and not ordered:
        raise FilterError(N_("{key} cannot be compared with {operator}"), f"{key}:{value}", key=key, operator=operator)
    values = tuple(part for part in value.split(",") if part)
    for part in values:
        _check(key, part)
    if ordered and (len(values) != 1 or (key == "created" and operator == "=")):
        raise FilterError(N_("{key} takes one value, as in {example}"), key=key, example=_EXAMPLES[key])
    return Term(key, operator, values, negated)


def _known(key: str) -> None:
    if (key in KEYS and key != "param.") or (key.startswith("param.") and len(key) > len("param.")):
        return
    names = [name.rstrip(".") for name in KEYS]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    raise FilterError(
        N_("there is no filter {key}; there are {names}"),
        near[0] if near else None,
        key=key[:40],
        names=", ".join(names),
    )


def _check(key: str, value: str) -> None:
    choices: tuple[str, ...] = ()
    if key == "status":
        choices = tuple(RunState)
    elif key == "priority":
        choices = PRIORITIES
    elif key == "archived":
        choices = ARCHIVED
    if choices and value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        raise FilterError(
            N_("{value} is no {key}; there are {choices}"),
            near[0] if near else None,
            value=value[:40],
            key=key,
            choices=", ".join(choices),
        )
    if key == "gpu" and not re.fullmatch(r"\d{1,6}", value):
        raise FilterError(N_("{value} is not a number of GPUs"), value=value[:40])
    if key == "created":
        moment(value, _ANY_TIME)


def moment(value: str, now: datetime.datetime) -> datetime.datetime:
    """A point in time: "7d" ago, or an ISO date or time (UTC unless it says otherwise). Raises FilterError."""
    try:
        return now - datetime.timedelta(seconds=parse_duration(value))
    except QuantityError:
        pass
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise FilterError(
            N_("{value} is neither an age such as 7d nor a date such as 2026-11-22"), value=value[:40]
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
