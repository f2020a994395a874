"""The filter language of lists: `status:failed,stopped owner:me created:<7d metric.loss:<0.3 param.lr:0.1 -name:test`.

A term is `key:value`; several values are joined by commas and mean "any of"; `-` before a term means "not";
a term without a key looks into the name. Terms are joined by "and", so two of them make a range. The same text works
in the page's filter field, in `?q=` and in `berth run ls -q`.

`metric.NAME` is the last value of a metric. What comes before the last colon is its name, which may have colons itself.
"""

import datetime
import difflib
import math
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
    "is",
    "created",
    "pool",
    "priority",
    "gpu",
    "metric.",
    "param.",
)
_NAMED = tuple(key for key in KEYS if key.endswith("."))  # what follows is the name of what is looked at
PRIORITIES = ("low", "normal", "high")
ARCHIVED = ("yes", "no", "any")  # without a term it is no
MARKS = ("debug",)
_EXAMPLES = {"created": "created:<7d", "gpu": "gpu:>4"}
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
# No index gives the runs with such a value in the order of a list. So that a list costs no more as runs become more,
# terms that look at each run's values look at the newest so many that match all the others.
LOOKED_AT = 5_000
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

    @property
    def looks_at_values(self) -> bool:
        """Whether it is about the newest `LOOKED_AT` runs only: a metric, or a comparison of a parameter."""
        return self.key.startswith("metric.") or (self.key.startswith("param.") and self.operator != "=")


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
    key, colon, rest = body.rpartition(":") if body.startswith("metric.") else body.partition(":")
    if not colon:
        return Term("name", "=", (body,), negated)
    _known(key)
    match = re.match(r"(<=|>=|<|>)?(.*)", rest, re.DOTALL)
    assert match, "every text matches"
    operator, value = match[1] or "=", match[2]
    if not value:
        raise FilterError(N_("{key}: has no value"), key=key)
    ordered = key in {"created", "gpu"} or (key.startswith(_NAMED) and operator != "=")
    if operator != "=" and not ordered:
        raise FilterError(N_("{key} cannot be compared with {operator}"), f"{key}:{value}", key=key, operator=operator)
    values = tuple(part for part in value.split(",") if part)
    for part in values:
        _check(key, part)
        if key.startswith("metric.") or (key.startswith("param.") and ordered):
            _check_number(part)
    if ordered and (len(values) != 1 or (key == "created" and operator == "=")):
        example = _EXAMPLES.get(key, f"{key[:40]}:{operator}0.3")
        raise FilterError(N_("{key} takes one value, as in {example}"), key=key[:40], example=example)
    if not values:
        raise FilterError(N_("{key}: has no value"), key=key[:40])
    return Term(key, operator, values, negated)


def _known(key: str) -> None:
    if (key.startswith(_NAMED) and key not in _NAMED) or (key in KEYS and key not in _NAMED):
        return
    head, dot, name = key.partition(".")
    near = difflib.get_close_matches(head if name else key, [one.rstrip(".") for one in KEYS], n=1, cutoff=0.5)
    fix = near[0] if near else None
    if fix is not None and f"{fix}." in _NAMED:
        fix = f"{fix}{dot or '.'}{name or 'NAME'}"[:40]
    raise FilterError(
        N_("there is no filter {key}; there are {names}"),
        fix,
        key=key[:40],
        names=", ".join(f"{one}NAME" if one in _NAMED else one for one in KEYS),
    )


def _check_number(value: str) -> None:
    if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        raise FilterError(N_("{value} is not a number such as 0.3 or 1e-4"), value=value[:40])


def _check(key: str, value: str) -> None:
    choices: tuple[str, ...] = ()
    if key == "status":
        choices = tuple(RunState)
    elif key == "priority":
        choices = PRIORITIES
    elif key == "archived":
        choices = ARCHIVED
    elif key == "is":
        choices = MARKS
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
