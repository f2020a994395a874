"""Rows of metrics: points go in by one statement for a batch, and come out reduced by Postgres.

Arrays are passed as the text that Postgres reads: for a thousand points that takes a tenth of the time that
adapting Python lists does.
"""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db import driver

LARGEST_STEP = 2**53 - 1


@dataclass(frozen=True)
class Batch:
    """Points as columns of one length. `series` are names' places in `names`; `ats` are milliseconds."""

    names: list[str]
    series: list[int]
    steps: Sequence[int]
    ats: Sequence[int]
    values: Sequence[float]


class SeriesRow(NamedTuple):
    """A series and its summary. Extremes leave NaN out; all but the name are None before the first point."""

    run_id: uuid.UUID
    id: int
    name: str
    points: int
    last_step: int | None
    last_at: datetime.datetime | None
    last_value: float | None
    min_value: float | None
    max_value: float | None


class PointRow(NamedTuple):
    """A bucket of a series, or a single point: its last point, and the extremes, which leave NaN out."""

    series_id: int
    step: int
    at_ms: int
    last: float
    low: float | None
    high: float | None
    points: int


def series_ids(session: Session, run_id: uuid.UUID, names: Sequence[str]) -> dict[str, int]:
    """The keys of those of the named series that exist."""
    rows = _execute(
        session, "select name, id from metric_series where run_id = %s and name = any(%s)", run_id, [*names]
    )
    return dict(rows.fetchall())


def add_series(session: Session, run_id: uuid.UUID, names: Sequence[str], limit: int) -> dict[str, int] | None:
    """The keys of the named series, made where they are new; None, and nothing made, beyond `limit` in all."""
    _execute(session, "select pg_advisory_xact_lock(%s)", run_id.int & (2**63 - 1))
    found = series_ids(session, run_id, names)
    new = [name for name in names if name not in found]
    if not new:
        return found
    [(count,)] = _execute(session, "select count(*) from metric_series where run_id = %s", run_id).fetchall()
    if count + len(new) > limit:
        return None
    made = _execute(
        session,
        "insert into metric_series (run_id, name) select %s, unnest(%s::text[]) returning name, id",
        run_id,
        new,
    )
    return found | dict(made.fetchall())


# The series' rows are locked first and in one order, so that two batches of a run cannot wait for each other.
_ADD = """
  with locked as materialized (
    select id from metric_series where run_id = %(run_id)s and id = any(%(ids)s::bigint[])
    order by id for no key update
  ), new as (
    insert into metric_point (series_id, step, at, value)
    select p.series, p.step, to_timestamp(p.at::float8 / 1000), p.value
    from unnest(%(series)s::bigint[], %(steps)s::bigint[], %(ats)s::bigint[], %(values)s::float8[])
      as p(series, step, at, value)
    where (select count(*) from locked) = %(count)s
    on conflict do nothing
    returning series_id, step, at, value
  ), folded as (
    select series_id, count(*) as points,
      min(value) filter (where value <> 'NaN') as low, max(value) filter (where value <> 'NaN') as high,
      max(array[step::float8, date_part('epoch', at), value]) as last
    from new group by series_id
  ), kept as (
    update metric_series s set points = s.points + f.points,
      min_value = least(s.min_value, f.low), max_value = greatest(s.max_value, f.high),
      last_step = case when f.is_later then f.last[1] else s.last_step end,
      last_at = case when f.is_later then to_timestamp(f.last[2]) else s.last_at end,
      last_value = case when f.is_later then f.last[3] else s.last_value end
    from (
      select g.*, t.last_step is null or (g.last[1], to_timestamp(g.last[2])) >= (t.last_step, t.last_at) as is_later
      from folded g join metric_series t on t.id = g.series_id
    ) f
    where s.id = f.series_id
    returning 1
  )
  select (select count(*) from locked), (select count(*) from kept)
"""


def add_points(session: Session, run_id: uuid.UUID, batch: Batch, keys: Mapping[str, int]) -> bool:
    """Stores the points that are not there yet, and keeps their series' summaries.

    False, and nothing stored, where one of `keys` is no series of the run any more.
    """
    by_place = [keys[name] for name in batch.names]
    ids = sorted(set(by_place))
    values = {
        "run_id": run_id,
        "ids": _array(ids),
        "count": len(ids),
        "series": _array([by_place[place] for place in batch.series]),
        "steps": _array(batch.steps),
        "ats": _array(batch.ats),
        "values": _array(batch.values),
    }
    [(locked, _)] = driver(session).execute(_ADD, values).fetchall()
    return bool(locked == len(ids))


_PROGRESS = text("""
    update run set progress_done = :done, progress_total = :total, version = version + 1
    where id = :run_id and (progress_done, progress_total) is distinct from (cast(:done as bigint), :total)
""")


def set_progress(session: Session, run_id: uuid.UUID, done: int, total: int | None) -> None:
    """How far a run says it is."""
    session.execute(_PROGRESS, {"run_id": run_id, "done": done, "total": total})


_SUMMARY = """
  select run_id, id, name, points, last_step, last_at, last_value, min_value, max_value
  from metric_series where run_id = any(%s) order by run_id, name
"""


def list_series(session: Session, run_id: uuid.UUID) -> list[SeriesRow]:
    """All series of a run with their summaries, by name."""
    return [SeriesRow(*row) for row in _execute(session, _SUMMARY, [run_id]).fetchall()]


def summaries(session: Session, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[SeriesRow]]:
    """The same for several runs by one statement; a run without metrics is not in it."""
    found: dict[uuid.UUID, list[SeriesRow]] = {}
    for row in _execute(session, _SUMMARY, [*run_ids]).fetchall():
        found.setdefault(row[0], []).append(SeriesRow(*row))
    return found


def last_values(session: Session, run_ids: Sequence[uuid.UUID], name: str) -> dict[uuid.UUID, float]:
    """The last value of one metric in several runs, which the caller has read; a run without it is not there."""
    statement = "select run_id, last_value from metric_series where run_id = any(%s) and name = %s"
    rows = _execute(session, statement, [*run_ids], name).fetchall()
    return {run_id: value for run_id, value in rows if value is not None}


_NEWEST_NAMES = """
  select distinct s.name from (
    select id from run where project_id = %s and not archived order by id desc limit 10
  ) r cross join lateral (
    select name from metric_series where run_id = r.id order by name limit 100
  ) s order by 1
"""


def list_newest_names(session: Session, project_id: uuid.UUID) -> list[str]:
    """What the project's ten newest runs measure, by name: of each its first hundred."""
    return [name for (name,) in _execute(session, _NEWEST_NAMES, project_id).fetchall()]


_COUNT = """
  select series_id, count(*), min(step), max(step), min(at), max(at) from metric_point
  where series_id = any(%s) and step > %s group by series_id
"""
_EXACT = """
  select series_id, step, (date_part('epoch', at) * 1000)::bigint, value,
    nullif(value, 'NaN'), nullif(value, 'NaN'), 1
  from metric_point where series_id = any(%s) and step > %s order by series_id, step, at
"""
_BUCKETS = """
  select series_id, last[1]::bigint, round(last[2] * 1000)::bigint, last[3], low, high, points from (
    select p.series_id, count(*) as points,
      min(p.value) filter (where p.value <> 'NaN') as low, max(p.value) filter (where p.value <> 'NaN') as high,
      max(array[p.step::float8, date_part('epoch', p.at), p.value]) as last
    from metric_point p
    join unnest(%(ids)s::bigint[], %(low)s::float8[], %(high)s::float8[]) as s(id, low, high) on s.id = p.series_id
    where p.step > %(after)s
    group by p.series_id, width_bucket({x}, s.low, s.high, %(buckets)s)
  ) b order by series_id, 2, 3
"""
_X = {"step": "p.step::float8", "time": "date_part('epoch', p.at)"}


def read_points(
    session: Session, ids: Sequence[int], *, x: str, buckets: int, after_step: int | None
) -> tuple[list[PointRow], set[int]]:
    """The points of series, by series and step; and which of the series have buckets instead.

    A series with at most `buckets` points is given as it is. Otherwise the span from its first to its last
    point, along `x` ("step" or "time"), is cut into that many equal parts; empty ones are left out.
    """
    after = -LARGEST_STEP - 1 if after_step is None else after_step
    counts = _execute(session, _COUNT, [*ids], after).fetchall()
    exact = [row[0] for row in counts if row[1] <= buckets]
    dense = [row for row in counts if row[1] > buckets]
    rows: list[Any] = _execute(session, _EXACT, exact, after).fetchall() if exact else []
    if dense:
        spans = [(row[2], row[3]) if x == "step" else (row[4].timestamp(), row[5].timestamp()) for row in dense]
        values = {
            "ids": [row[0] for row in dense],
            "low": [float(low) for low, _ in spans],
            "high": [high + max(1e-6, (high - low) * 1e-9) for low, high in spans],  # the last one is inside
            "after": after,
            "buckets": buckets,
        }
        rows += driver(session).execute(_BUCKETS.format(x=_X[x]), values).fetchall()
    return [PointRow(*row) for row in rows], {row[0] for row in dense}


_POINTS = """
  select step, at, value from metric_point where series_id = %s and (step, at) > (%s, %s) order by step, at limit %s
"""
_FIRST = (-LARGEST_STEP - 1, datetime.datetime(1, 1, 1, tzinfo=datetime.UTC))


def list_points(
    session: Session, series_id: int, after: tuple[int, datetime.datetime] | None, limit: int
) -> list[tuple[int, datetime.datetime, float]]:
    """The points of one series as they came, by step and time: at most `limit` of them behind `after`."""
    return [(*row,) for row in _execute(session, _POINTS, series_id, *(after or _FIRST), limit).fetchall()]


def _array(values: Sequence[int] | Sequence[float]) -> str:
    return "{" + str(list(values))[1:-1] + "}"


def _execute(session: Session, statement: str, *values: object) -> Any:
    return driver(session).execute(statement, values)
