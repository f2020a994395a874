"""Lists of runs as SQL: the filter's terms, the order and the place of a page, such that an index gives the rows
in order. For `repositories/runs.py` alone.
"""

# ruff: noqa: S608 - statements are put together from constants; values are always passed beside them

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
from app.domain.access import Actor
from app.domain.filters import LOOKED_AT, Term, moment
from app.domain.states import RunState

PRIORITY_NAMES = {-10: "low", 0: "normal", 10: "high"}
_PRIORITIES = {name: number for number, name in PRIORITY_NAMES.items()}

Condition = tuple[str, list[Any]]  # with the values in it

# Statements name the run r, its project p and who submitted it u.
JOINED = 'join project p on p.id = r.project_id join "user" u on u.id = r.created_by'


@dataclass(frozen=True)
class Position:
    """Where a page continues: the last row's key, and its name where the list is sorted by it."""

    id: uuid.UUID
    name: str | None = None


class Listing(NamedTuple):
    """The halves of a list's statement around whatever else is joined, and the values in them."""

    tables: str
    rest: str
    values: list[Any]


def build_listing(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    terms: Sequence[Term],
    sort: str,
    after: Position | None,
    limit: int,
    now: datetime.datetime,
) -> Listing:
    """The list of a project's runs that `terms` describe, from `after` on, `limit` and one more.

    Of terms that look at each run's values, see `LOOKED_AT`.
    """
    direction, beyond = ("desc", "<") if sort.startswith("-") else ("asc", ">")
    is_by_name = sort.endswith("name")
    order = f"r.name {direction}, r.id {direction}" if is_by_name else f"r.id {direction}"
    # The limit stands in the text: with it as a value Postgres finds no general plan good and plans each time.
    last = f"order by {order} limit {int(limit) + 1}"
    place: list[Condition] = []
    if after is not None:
        columns, given = ("(r.name, r.id)", [after.name, after.id]) if is_by_name else ("r.id", [after.id])
        place.append((f"{columns} {beyond} ({', '.join(['%s'] * len(given))})", given))
    alternatives, left = _alternatives(session, actor, project_id, terms)
    conditions = [*_scope(actor, project_id), *(_term(term, now) for term in left if not term.looks_at_values)]
    values_looked_at = [_term(term, now) for term in left if term.looks_at_values]
    if values_looked_at:
        # The newest of those above a place are the same whether that is asked before or after.
        conditions += place if sort == "created" else []
        newest, values = _select(alternatives, conditions, f"order by r.id desc limit {LOOKED_AT}")
        where, found = _joined([*values_looked_at, *place])
        return Listing(
            f"(select * from ({newest}) r order by r.id desc limit {LOOKED_AT}) r {JOINED}",
            f"where {where} {last}",
            values + found,
        )
    if len(alternatives) == 1:
        where, values = _joined([*conditions, *place, *alternatives[0]])
        return Listing(f"run r {JOINED}", f"where {where} {last}", values)
    source, values = _select(alternatives, [*conditions, *place], last)
    return Listing(f"({source}) r {JOINED}", last, values)


def _scope(actor: Actor, project_id: uuid.UUID) -> list[Condition]:
    found: list[Condition] = [("r.project_id = %s", [project_id])]
    if actor.role_in(project_id) is None:
        found.append(("false", []))
    if actor.run is not None:
        found.append(("r.id = %s", [actor.run]))
    return found


def _select(
    alternatives: Sequence[Sequence[Condition]], conditions: Sequence[Condition], last: str
) -> tuple[str, list[Any]]:
    """The rows of each alternative in order, one after the other."""
    selects, values = [], []
    for alternative in alternatives:
        where, found = _joined([*conditions, *alternative])
        selects.append(f"(select * from run r where {where} {last})")
        values += found
    return " union all ".join(selects) if selects else "select * from run where false", values


def _term(term: Term, now: datetime.datetime) -> Condition:
    condition, found = _condition(term, now)
    return (f"not coalesce({condition}, false)" if term.negated else condition), found


def _joined(conditions: Sequence[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    texts = " and ".join(text for text, _ in conditions)
    return texts, [value for _, values in conditions for value in values]


# A page of several states or owners is put together from a page of each: an index gives the rows of one in the
# list's order, but not those of `state = any(…)`, for which Postgres reads all that match.
_MOST_ALTERNATIVES = 12
_STATES = {str(state) for state in RunState}


def _alternatives(
    session: Session, actor: Actor, project_id: uuid.UUID, terms: Sequence[Term]
) -> tuple[list[list[tuple[str, list[Any]]]], list[Term]]:
    """Conditions of which one must hold, as (text, values) each, and the terms that are left."""
    columns: dict[str, set[Any]] = {"r.archived": _archived(terms)}
    strangers: set[uuid.UUID] = set()
    left = []
    for term in terms:
        if term.key == "status":
            found = _STATES - set(term.values) if term.negated else set(term.values)
            columns["r.state"] = columns.get("r.state", _STATES) & found
        elif term.key == "owner":
            owners = _user_ids(session, actor, project_id, term)
            if term.negated:
                strangers |= owners
            else:
                columns["r.created_by"] = columns.get("r.created_by", owners) & owners
        elif term.key == "experiment" and not term.negated:
            found = set(term.values)
            columns["r.experiment"] = columns.get("r.experiment", found) & found
        elif term.key == "definition" and not term.negated:
            found_ids = _definition_ids(session, project_id, term)
            columns["r.definition_id"] = columns.get("r.definition_id", found_ids) & found_ids
        elif term.key != "archived":
            left.append(term)
    always = [("r.created_by <> all(%s)", [sorted(strangers)])] if strangers else []
    choices = list(product(*(sorted(values) for values in columns.values())))
    if len(choices) > _MOST_ALTERNATIVES:
        return [[*always, *(_one_of(name, values) for name, values in columns.items())]], left
    return [
        [*always, *((f"{name} = %s", [value]) for name, value in zip(columns, choice, strict=True))]
        for choice in choices
    ], left


def _one_of(name: str, values: set[Any]) -> tuple[str, list[Any]]:
    """With one value an index goes on to its next column, which `any` would end."""
    return (f"{name} = %s", [*values]) if len(values) == 1 else (f"{name} = any(%s)", [sorted(values)])


def _archived(terms: Sequence[Term]) -> set[bool]:
    """Which runs a list shows: those that are not archived, unless a term says otherwise."""
    given = [term for term in terms if term.key == "archived"]
    found = {True, False} if given else {False}
    for term in given:
        named = {flag for value in term.values for flag in _FLAGS[value]}
        found &= {True, False} - named if term.negated else named
    return found


_FLAGS = {"yes": {True}, "no": {False}, "any": {True, False}}


def _user_ids(session: Session, actor: Actor, project_id: uuid.UUID, term: Term) -> set[uuid.UUID]:
    """Looked up first: an index on the owner then gives the rows in order."""
    names = [value for value in term.values if value != "me"]
    found = {actor.user_id} if "me" in term.values else set()
    if names:
        rows = driver(session).execute(
            'select id from "user" where name = any(%s) and (project_id is null or project_id = %s)',
            [names, project_id],
        )
        found |= {key for (key,) in rows.fetchall()}
    return found


def _definition_ids(session: Session, project_id: uuid.UUID, term: Term) -> set[uuid.UUID]:
    """Looked up first, as owners are: an index on the definition then gives the rows in order."""
    rows = driver(session).execute(
        "select id from definition where project_id = %s and name = any(%s)", [project_id, list(term.values)]
    )
    return {key for (key,) in rows.fetchall()}


def _condition(term: Term, now: datetime.datetime) -> tuple[str, list[Any]]:
    key, values = term.key, list(term.values)
    if key == "tag":
        return _any_of("r.tags @> array[%s::text]", values)
    if key == "experiment":
        return "r.experiment = any(%s)", [values]
    if key == "is":  # debug: there is nothing else yet
        return "r.is_debug", []
    if key == "pool":
        return "r.pool = any(%s)", [values]
    if key == "definition":  # a negated one; the others are looked up
        known = "select d.id from definition d where d.project_id = r.project_id and d.name = any(%s)"
        return f"r.definition_id in ({known})", [values]
    if key == "priority":
        return "r.priority = any(%s)", [[_PRIORITIES[value] for value in values]]
    if key == "created":
        return _compare_age(term.operator, values[0], now)
    if key == "gpu":
        return f"r.gpus {_OPERATORS[term.operator]} %s", [int(values[0])]
    if key.startswith("metric."):
        return _compare_metric(key.removeprefix("metric."), term.operator, values)
    if key.startswith("param.") and term.operator != "=":
        name = key.removeprefix("param.")
        return f"{_AS_NUMBER} {_OPERATORS[term.operator]} %s", [name, name, Decimal(values[0])]
    if key.startswith("param."):
        found = [_has_parameter(key.removeprefix("param."), value) for value in values]
        return f"({' or '.join(text for text, _ in found)})", [value for _, some in found for value in some]
    return _any_of("r.name ilike %s", [f"%{_escaped(value)}%" for value in values])


def _any_of(condition: str, values: list[Any]) -> tuple[str, list[Any]]:
    return f"({' or '.join([condition] * len(values))})", values


_OPERATORS = {operator: operator for operator in ("=", "<", "<=", ">", ">=")}  # nothing else gets into a statement


def _compare_age(operator: str, value: str, now: datetime.datetime) -> tuple[str, list[Any]]:
    """`<7d` means younger than 7 days, so an age turns the comparison round; a date does not.

    Keys begin with the time of their making, so the list's own index finds the place.
    """
    point = moment(value, now)
    if not value[:4].isdecimal() or value[4:5] != "-":
        operator = operator.translate(str.maketrans("<>", "><"))
    slack = _CLOCKS_DIFFER if "<" in operator else -_CLOCKS_DIFFER
    return f"(r.created_at {_OPERATORS[operator]} %s and r.id {operator[0]} %s)", [point, _key_at(point + slack)]


# The web process makes the key and Postgres says when the run was created.
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)


def _key_at(point: datetime.datetime) -> uuid.UUID:
    """The least UUIDv7 of a moment (RFC 9562, 5.7): 48 bits of milliseconds lead."""
    return uuid.UUID(int=max(0, int(point.timestamp() * 1000)) % 2**48 << 80)


def _compare_metric(name: str, operator: str, values: list[str]) -> Condition:
    """A subquery for each run in place of a join, which Postgres may turn round and read all that ever was logged.

    Postgres has NaN greater than all numbers; here it is none.
    """
    last = "(select nullif(s.last_value, 'NaN') from metric_series s where s.run_id = r.id and s.name = %s)"
    return f"{last} {_OPERATORS[operator]} any(%s::float8[])", [name, [float(value) for value in values]]


# As `numeric`: JSON may hold numbers that no float can.
_AS_NUMBER = (
    "case when jsonb_typeof(r.spec -> 'parameters' -> %s::text) = 'number'"
    " then (r.spec -> 'parameters' ->> %s::text)::numeric end"
)


def _has_parameter(name: str, value: str) -> tuple[str, list[Any]]:
    """Equal as text, or as a number: `param.lr:0.10` finds 0.1."""
    as_text = "r.spec -> 'parameters' ->> %s::text = %s"
    try:
        number = Decimal(value)
    except InvalidOperation:
        return as_text, [name, value]
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        return as_text, [name, value]
    return f"({as_text} or {_AS_NUMBER} = %s)", [name, value, name, name, number]


_MOST_DIGITS = 1000  # before or behind the point; far fewer than `numeric` has


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
