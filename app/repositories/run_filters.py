"""Lists of runs as SQL: the filter's terms, the order and the place of a page, such that an index gives the rows
in order. For `repositories/runs.py` alone.
"""

# ruff: noqa: S608 - statements are put together from constants; values are always passed beside them

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.db import driver
from app.domain.access import Actor
from app.domain.filters import Term, moment
from app.domain.states import RunState

PRIORITY_NAMES = {-10: "low", 0: "normal", 10: "high"}
_PRIORITIES = {name: number for number, name in PRIORITY_NAMES.items()}

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
    """The list of a project's runs that `terms` describe, from `after` on, `limit` and one more."""
    direction, beyond = ("desc", "<") if sort.startswith("-") else ("asc", ">")
    is_by_name = sort.endswith("name")
    branches, others = _branches(session, actor, terms)
    source, values = _runs(project_id, branches, is_by_name)
    conditions = ["r.project_id = %s"]
    values.append(project_id)
    if actor.role_in(project_id) is None:
        conditions.append("false")
    if actor.run is not None:
        conditions.append("r.id = %s")
        values.append(actor.run)
    for term in others:
        condition, found = _condition(term, now, actor)
        conditions.append(f"not coalesce({condition}, false)" if term.negated else condition)
        values += found
    if after is not None:
        conditions.append(f"(r.name, r.id) {beyond} (%s, %s)" if is_by_name else f"r.id {beyond} %s")
        values += [after.name, after.id] if is_by_name else [after.id]
    order = f"r.name {direction}, r.id {direction}" if is_by_name else f"r.id {direction}"
    # The limit stands in the text: with it as a value Postgres finds no general plan good and plans each time.
    rest = f"where {' and '.join(conditions)} order by {order} limit {int(limit) + 1}"
    return Listing(f"{source} {JOINED}", rest, values)


# Each branch is read in the order of an index and they are merged, so a page of several states or owners
# costs no more rows than one of a single state. An index on `state = any(…)` would give no order.
_MOST_BRANCHES = 12
_STATES = {str(state) for state in RunState}


def _branches(session: Session, actor: Actor, terms: Sequence[Term]) -> tuple[list[dict[str, Any]] | None, list[Term]]:
    """The terms as alternatives {column: value}, None for no such terms, and the terms that are left."""
    columns: dict[str, set[Any]] = {}
    left = []
    for term in terms:
        if term.key == "status":
            found = _STATES - set(term.values) if term.negated else set(term.values)
            columns["state"] = columns.get("state", _STATES) & found
        elif term.key == "owner" and not term.negated:
            owners = set(_user_ids(session, actor, term))
            columns["created_by"] = columns.get("created_by", owners) & owners
        else:
            left.append(term)
    if not columns:
        return None, left
    alternatives = [dict(zip(columns, values, strict=True)) for values in product(*map(sorted, columns.values()))]
    return alternatives, left


def _runs(project_id: uuid.UUID, branches: list[dict[str, Any]] | None, is_by_name: bool) -> tuple[str, list[Any]]:
    """The runs of the branches, as a table named r, and the values in it."""
    if branches is None:
        return "run r", []
    if not branches:
        return "(select * from run where false) r", []
    if is_by_name or len(branches) > _MOST_BRANCHES:
        columns = ", ".join(branches[0])
        places = ", ".join("(" + ", ".join("%s" for _ in branch) + ")" for branch in branches)
        values = [value for branch in branches for value in branch.values()]
        return f"(select * from run where ({columns}) in ({places})) r", values
    selects = []
    values = []
    for branch in branches:
        selects.append("select * from run where project_id = %s" + "".join(f" and {name} = %s" for name in branch))
        values += [project_id, *branch.values()]
    return f"({' union all '.join(selects)}) r", values


def _user_ids(session: Session, actor: Actor, term: Term) -> list[uuid.UUID]:
    """Looked up first: an index on the owner then gives the rows in order."""
    names = [actor.name if value == "me" else value for value in term.values]
    return [key for (key,) in driver(session).execute('select id from "user" where name = any(%s)', [names])]


def _condition(term: Term, now: datetime.datetime, actor: Actor) -> tuple[str, list[Any]]:
    key, values = term.key, list(term.values)
    if key == "owner":
        names = [actor.name if value == "me" else value for value in values]
        return "u.name = any(%s)", [names]
    if key == "tag":
        return _any_of("r.tags @> array[%s::text]", values)
    if key == "pool":
        return "r.pool = any(%s)", [values]
    if key == "priority":
        return "r.priority = any(%s)", [[_PRIORITIES[value] for value in values]]
    if key == "created":
        return _compare_age(term.operator, values[0], now)
    if key == "gpu":
        return f"r.gpus {_OPERATORS[term.operator]} %s", [int(values[0])]
    if key.startswith("param."):
        found = [_has_parameter(key.removeprefix("param."), value) for value in values]
        return f"({' or '.join(text for text, _ in found)})", [value for _, some in found for value in some]
    return _any_of("r.name ilike %s", [f"%{_escaped(value)}%" for value in values])


def _any_of(condition: str, values: list[Any]) -> tuple[str, list[Any]]:
    return f"({' or '.join([condition] * len(values))})", values


_OPERATORS = {operator: operator for operator in ("=", "<", "<=", ">", ">=")}  # nothing else gets into a statement


def _compare_age(operator: str, value: str, now: datetime.datetime) -> tuple[str, list[Any]]:
    """`<7d` means younger than 7 days, so an age turns the comparison round; a date does not."""
    point = moment(value, now)
    if not value[:4].isdecimal() or value[4:5] != "-":
        operator = operator.translate(str.maketrans("<>", "><"))
    return f"r.created_at {_OPERATORS[operator]} %s", [point]


def _has_parameter(name: str, value: str) -> tuple[str, list[Any]]:
    """Equal as text, or as a number: `param.lr:0.10` finds 0.1."""
    as_text = "r.spec -> 'parameters' ->> %s::text = %s"
    try:
        number = float(value)
    except ValueError:
        return as_text, [name, value]
    as_number = (
        "case when jsonb_typeof(r.spec -> 'parameters' -> %s::text) = 'number'"
        " then (r.spec -> 'parameters' ->> %s::text)::float8 end = %s"
    )
    return f"({as_text} or {as_number})", [name, value, name, name, number]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
