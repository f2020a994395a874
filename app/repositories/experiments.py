"""Experiments: the names that a project's runs have, and what became of the runs of each.

An experiment has no row of its own: it is there as long as a run that is not archived names it.
"""

import datetime
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.db import driver

LOOKED_AT = 1000  # the newest runs of an experiment that its figures are about


class ExperimentRow(NamedTuple):
    """An experiment's figures. `values` are of the metric that was asked for: (least, greatest), None without it;
    `low_run` and `high_run` are the public ids of the runs that had them."""

    name: str
    runs: int
    live: int
    failed: int
    active_at: datetime.datetime | None
    low: float | None
    high: float | None
    low_run: str | None
    high_run: str | None


# Each step takes the next name from the index, so that no run but the first of each is read.
_NAMES = """
  with recursive names(name) as (
    (select experiment from run where project_id = %(project)s and not archived and experiment is not null
       and experiment > %(after)s order by experiment limit 1)
    union all
    select (select r.experiment from run r where r.project_id = %(project)s and not r.archived
              and r.experiment is not null and r.experiment > names.name order by r.experiment limit 1)
    from names where names.name is not null
  )
  select name from names where name is not null limit %(limit)s
"""


def list_experiments(session: Session, project_id: uuid.UUID, *, after: str = "", limit: int = 50) -> list[str]:
    """Names of experiments after `after`, in order; at most `limit` + 1. The caller has checked the project."""
    values = {"project": project_id, "after": after, "limit": limit + 1}
    return [name for (name,) in driver(session).execute(_NAMES, values).fetchall()]


_FIGURES = f"""
  select n.name, f.runs, f.live, f.failed, f.active_at, f.low, f.high, f.low_run, f.high_run
  from unnest(%(names)s::text[]) with ordinality as n(name, place)
  cross join lateral (
    select count(*) as runs, count(*) filter (where l.state in ('queued', 'starting', 'running')) as live,
      count(*) filter (where l.state = 'failed') as failed,
      max(coalesce(l.finished_at, l.started_at, l.created_at)) as active_at,
      min(m.min_value) as low, max(m.max_value) as high,
      (array_agg(l.public_id order by m.min_value, l.id) filter (where m.min_value is not null))[1] as low_run,
      (array_agg(l.public_id order by m.max_value desc, l.id) filter (where m.max_value is not null))[1] as high_run
    from (
      select r.id, r.public_id, r.state, r.created_at, r.started_at, r.finished_at from run r
      where r.project_id = %(project)s and not r.archived and r.experiment = n.name
      order by r.id desc limit {LOOKED_AT}
    ) l
    left join metric_series m on m.run_id = l.id and m.name = %(metric)s
  ) f
  order by n.place
"""  # noqa: S608 - constants only


def read_figures(
    session: Session, project_id: uuid.UUID, names: Sequence[str], metric: str | None
) -> list[ExperimentRow]:
    """The figures of the newest `LOOKED_AT` runs of each, in the order given."""
    values = {"project": project_id, "names": [*names], "metric": metric}
    return [ExperimentRow(*row) for row in driver(session).execute(_FIGURES, values).fetchall()]


_METRICS = """
  select distinct m.name from (
    select r.id from run r where r.project_id = %s and not r.archived and r.experiment = any(%s)
    order by r.id desc limit 50
  ) l join metric_series m on m.run_id = l.id order by m.name limit 200
"""


def metric_names(session: Session, project_id: uuid.UUID, names: Sequence[str]) -> list[str]:
    """Names of metrics that the newest 50 runs of these experiments logged, to choose from."""
    return [name for (name,) in driver(session).execute(_METRICS, [project_id, [*names]]).fetchall()]
