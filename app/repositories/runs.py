"""Reading runs: lists by keyset, one run with its attempts, its events. Rows are tuples with names, never entities."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Row,
    and_,
    case,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from app.domain.access import Actor
from app.domain.filters import Term, moment
from app.errors import NotFound
from app.models import Project, Run, RunEvent, User

PRIORITY_NAMES = {-10: "low", 0: "normal", 10: "high"}
_PRIORITIES = {name: number for number, name in PRIORITY_NAMES.items()}

SORTS = ("-created", "created", "name", "-name")

# Everything that a list shows, in this order; `get_run` adds what only the page of one run needs.
_LISTED = (
    Run.id,
    Run.public_id,
    Run.project_id,
    Project.name.label("project"),
    Run.name,
    Run.kind,
    Run.state,
    Run.desired,
    Run.tags,
    User.name.label("created_by"),
    Run.priority,
    Run.pool,
    Run.cpu_millis,
    Run.memory_bytes,
    Run.gpus,
    Run.replicas,
    Run.attempt,
    Run.reason_code,
    Run.reason,
    Run.exit_code,
    Run.first_error,
    Run.progress_done,
    Run.progress_total,
    Run.created_at,
    Run.queued_at,
    Run.started_at,
    Run.finished_at,
    Run.version,
)


@dataclass(frozen=True)
class Position:
    """Where a page continues: the last row's key, and its name where the list is sorted by it."""

    id: uuid.UUID
    name: str | None = None


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """The condition that every read of runs starts from."""
    if actor.sees_all_projects:
        return true()
    projects = [actor.only_project] if actor.only_project and actor.role_in(actor.only_project) else []
    if actor.only_project is None:
        projects = list(actor.roles)
    visible = Run.project_id.in_(projects) if projects else false()
    return and_(visible, Run.id == actor.run) if actor.run is not None else visible


def list_runs(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    *,
    terms: Sequence[Term] = (),
    sort: str = "-created",
    after: Position | None = None,
    limit: int = 50,
    now: datetime.datetime,
) -> list[Row[Any]]:
    """At most `limit` + 1 rows of a project: one more than asked says that there are more."""
    query = (
        select(*_LISTED)
        .join(Project, Project.id == Run.project_id)
        .join(User, User.id == Run.created_by)
        .where(Run.project_id == project_id, visible_to(actor))
    )
    for term in terms:
        condition = _owned(session, term, actor) if term.key == "owner" else _condition(term, now)
        query = query.where(~func.coalesce(condition, false()) if term.negated else condition)
    is_descending = sort.startswith("-")
    keys = (Run.name, Run.id) if sort.lstrip("-") == "name" else (Run.id,)
    if after is not None:
        place = tuple_(*keys)
        values = (after.name, after.id) if len(keys) == 2 else (after.id,)
        query = query.where(place < values if is_descending else place > values)
    query = query.order_by(*(key.desc() if is_descending else key.asc() for key in keys))
    return list(session.execute(query.limit(limit + 1)).all())


def _owned(session: Session, term: Term, actor: Actor) -> ColumnElement[bool]:
    """By ids looked up first: an index on the owner then gives the rows in order."""
    names = [actor.name if value == "me" else value for value in term.values]
    return Run.created_by.in_(session.scalars(select(User.id).where(User.name.in_(names))).all())


def _condition(term: Term, now: datetime.datetime) -> ColumnElement[bool]:
    key, values = term.key, term.values
    if key == "status":
        return Run.state.in_(values)
    if key == "tag":
        return or_(*(Run.tags.contains([value]) for value in values))
    if key == "pool":
        return Run.pool.in_(values)
    if key == "priority":
        return Run.priority.in_([_PRIORITIES[value] for value in values])
    if key == "created":
        return _compare_age(term.operator, Run.created_at, values[0], now)
    if key == "gpu":
        return _compare(term.operator, Run.gpus, int(values[0]))
    if key.startswith("param."):
        return or_(*(_has_parameter(key.removeprefix("param."), value) for value in values))
    return or_(*(Run.name.ilike(f"%{_escaped(value)}%", escape="\\") for value in values))


def _compare(operator: str, column: Any, value: Any) -> ColumnElement[bool]:
    made: ColumnElement[bool] = {
        "=": column == value,
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
    }[operator]
    return made


def _compare_age(operator: str, column: Any, value: str, now: datetime.datetime) -> ColumnElement[bool]:
    """`<7d` means younger than 7 days, so an age turns the comparison round; a date does not."""
    point = moment(value, now)
    if not value[:4].isdecimal() or value[4:5] != "-":
        operator = operator.translate(str.maketrans("<>", "><"))
    return _compare(operator, column, point)


def _has_parameter(name: str, value: str) -> ColumnElement[bool]:
    """Equal as text, or as a number: `param.lr:0.10` finds 0.1."""
    stored = Run.spec["parameters"][name]
    as_text: ColumnElement[bool] = stored.astext == value
    try:
        number = float(value)
    except ValueError:
        return as_text
    as_number = case((func.jsonb_typeof(stored) == "number", cast(stored.astext, Float)))
    return or_(as_text, as_number == number)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_parent = aliased(Run)
_ATTEMPTS: ColumnElement[Any] = literal_column("""(
  select coalesce(jsonb_agg(jsonb_build_object(
      'number', attempt.number, 'state', attempt.state, 'cause', attempt.cause,
      'reason_code', attempt.reason_code, 'reason', attempt.reason,
      'exit_code', attempt.exit_code, 'first_error', attempt.first_error, 'admitted_at', attempt.admitted_at,
      'started_at', attempt.started_at, 'finished_at', attempt.finished_at,
      'replicas', (select coalesce(jsonb_agg(jsonb_build_object('index', replica.index, 'state', replica.state,
                     'exit_code', replica.exit_code, 'usage', replica.usage) order by replica.index), '[]')
                     from replica where replica.run_id = run.id and replica.attempt = attempt.number)
    ) order by attempt.number), '[]') from attempt where attempt.run_id = run.id)""")
_PLACE: ColumnElement[Any] = literal_column("""case when run.state = 'queued' and run.desired = 'running' then (
  select count(*) from (select 1 from run q
   where q.pool = run.pool and q.state = 'queued' and q.desired = 'running'
     and (q.priority > run.priority or (q.priority = run.priority and q.id <= run.id))
   limit 1000) ahead) end""")
_ONE = (
    select(
        *_LISTED,
        Run.spec,
        Run.source,
        Run.generation,
        Run.observed_generation,
        select(_parent.public_id).where(_parent.id == Run.parent_id).scalar_subquery().label("parent"),
        _ATTEMPTS.label("attempts"),
        _PLACE.label("place"),
    )
    .join(Project, Project.id == Run.project_id)
    .join(User, User.id == Run.created_by)
)


def get_run(session: Session, actor: Actor, public_id: str) -> Row[Any]:
    """One run with its spec, its attempts (a list of dicts) and its place in line. Raises NotFound."""
    row = session.execute(_ONE.where(Run.public_id == public_id, visible_to(actor))).one_or_none()
    if row is None:
        raise NotFound
    return row


_REF = select(Run.id, Run.public_id, Run.project_id, Run.state, Run.attempt, Run.version)


def get_run_ref(session: Session, actor: Actor, public_id: str) -> Row[*tuple[Any, ...]]:
    """Just enough of a run to ask what may be done with it. Raises NotFound."""
    row = session.execute(_REF.where(Run.public_id == public_id, visible_to(actor))).one_or_none()
    if row is None:
        raise NotFound
    return row


def list_events(session: Session, run_id: uuid.UUID, *, after: int = 0, limit: int = 100) -> list[Row[Any]]:
    """A run's history, oldest first; at most `limit` + 1 rows. The caller has found the run by `get_run_ref`."""
    rows: Sequence[Row[Any]] = session.execute(
        select(
            RunEvent.id,
            RunEvent.at,
            RunEvent.code,
            RunEvent.attempt,
            RunEvent.old_state,
            RunEvent.new_state,
            RunEvent.data,
            User.name.label("actor"),
        )
        .outerjoin(User, User.id == RunEvent.actor_id)
        .where(RunEvent.run_id == run_id, RunEvent.id > after)
        .order_by(RunEvent.id)
        .limit(limit + 1)
    ).all()
    return list(rows)


def list_by_public_ids(session: Session, actor: Actor, public_ids: Sequence[str]) -> list[Row[Any]]:
    """The rows of a list for runs that a page already shows; what is gone or not visible is left out."""
    query = (
        select(*_LISTED)
        .join(Project, Project.id == Run.project_id)
        .join(User, User.id == Run.created_by)
        .where(Run.public_id.in_(public_ids), visible_to(actor))
    )
    return list(session.execute(query).all())
