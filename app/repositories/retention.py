"""Rows of retention: rules, what they do not keep, and announcements."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.retention import Rules
from app.models import RetentionPlan, RetentionPlanRun, RetentionRules, Run


class RemovableRun(NamedTuple):
    """A run whose outputs no rule keeps, with what they are now."""

    id: uuid.UUID
    public_id: str
    name: str
    finished_at: datetime.datetime
    files: int
    bytes: int


class Totals(NamedTuple):
    """How much that is."""

    runs: int
    files: int
    bytes: int


# Outputs of a run that ended change no more once those of its last attempt are stored; only such runs are named.
_REMOVABLE = """
    select r.id, r.public_id, r.name, r.finished_at, count(*) as files, sum(o.bytes)::bigint as bytes
    from run r join output o on o.run_id = r.id and o.removed_at is null
    where r.project_id = :project and r.finished_at is not null
      and r.state in ('succeeded', 'failed', 'stopped')
      and not exists (
        select 1 from attempt a where a.run_id = r.id and a.number = r.attempt and a.outputs_stored_at is null)
      and (cast(:days as bigint) is null or r.finished_at < now() - make_interval(days => cast(:days as int)))
      and not r.tags && cast(:tags as text[])
      and (r.experiment is null or r.experiment <> all(cast(:experiments as text[])))
      and (cast(:last as bigint) is null or r.id not in (
        select id from run where project_id = :project order by id desc limit :last))
      and (cast(:after as uuid) is null or r.id > cast(:after as uuid))
      and (cast(:only as uuid) is null or r.id = cast(:only as uuid))
    group by r.id
"""
_LIST = text(f"{_REMOVABLE} order by r.id limit :limit")
_TOTAL = text(
    "select count(*) as runs, coalesce(sum(files), 0)::bigint as files, coalesce(sum(bytes), 0)::bigint as bytes"  # noqa: S608
    f" from ({_REMOVABLE} order by r.id limit :limit) found"
)


def _values(project_id: uuid.UUID, rules: Rules, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"project": project_id, "days": rules.keep_days, "last": rules.keep_last}
    given |= {"tags": list(rules.keep_tags), "experiments": list(rules.keep_experiments)}
    return {**given, "after": None, "only": None, **more}


def list_removable(
    session: Session,
    project_id: uuid.UUID,
    rules: Rules,
    *,
    after: uuid.UUID | None = None,
    limit: int,
    only: uuid.UUID | None = None,
) -> list[RemovableRun]:
    """At most `limit` runs of the project whose outputs the rules do not keep, oldest first, from after a run on.

    `only` looks at that run alone.
    """
    if not rules.removes:
        return []
    found = session.execute(_LIST, _values(project_id, rules, after=after, only=only, limit=limit))
    return [RemovableRun(*row) for row in found]


def total_removable(session: Session, project_id: uuid.UUID, rules: Rules, *, limit: int) -> Totals:
    """How many runs (at most `limit`, oldest first), files and bytes the rules do not keep."""
    if not rules.removes:
        return Totals(0, 0, 0)
    return Totals(*session.execute(_TOTAL, _values(project_id, rules, limit=limit)).one())


# Of each experiment the first run is looked for by itself, by the index that keeps archived ones apart: with a limit,
# because a join would read all runs that are in any.
_UNUSED = """
    select 'experiment' as kind, wanted from unnest(cast(:experiments as text[])) as wanted
    left join lateral (
      select id from run where project_id = :project and not archived and experiment = wanted limit 1) listed on true
    left join lateral (
      select id from run where project_id = :project and archived and experiment = wanted limit 1) hidden on true
    where listed.id is null and hidden.id is null
    union all
    select 'tag', wanted from unnest(cast(:tags as text[])) as wanted
    where not exists (select 1 from run where project_id = :project and tags @> array[wanted])
"""


def list_unused(session: Session, project_id: uuid.UUID, rules: Rules) -> list[tuple[str, str]]:
    """The rules' names that no run of the project has, each as ("experiment" or "tag", name)."""
    if not rules.keep_tags and not rules.keep_experiments:
        return []
    values = {"project": project_id, "tags": list(rules.keep_tags), "experiments": list(rules.keep_experiments)}
    return [(kind, name) for kind, name in session.execute(text(_UNUSED), values)]


def find_rules(session: Session, project_id: uuid.UUID) -> RetentionRules | None:
    """The project's rules, or None where nobody made any."""
    return session.get(RetentionRules, project_id, populate_existing=True)


def rules_of(row: RetentionRules | None) -> Rules:
    """The rules of such a row; those that keep everything where there is none."""
    if row is None:
        return Rules()
    return Rules(row.keep_days, row.keep_last, tuple(row.keep_tags), tuple(row.keep_experiments))


_PLAN = (
    RetentionPlan.id,
    RetentionPlan.state,
    RetentionPlan.rules,
    RetentionPlan.runs,
    RetentionPlan.files,
    RetentionPlan.bytes,
    RetentionPlan.freed_runs,
    RetentionPlan.freed_files,
    RetentionPlan.freed_bytes,
    RetentionPlan.announced_at,
    RetentionPlan.due_at,
    RetentionPlan.finished_at,
)


def list_plans(session: Session, project_id: uuid.UUID, *, after: uuid.UUID | None = None, limit: int) -> Sequence[Any]:
    """The project's announcements, newest first."""
    query = select(*_PLAN).where(RetentionPlan.project_id == project_id).order_by(RetentionPlan.id.desc()).limit(limit)
    if after is not None:
        query = query.where(RetentionPlan.id < after)
    return session.execute(query).all()


def find_plan(session: Session, project_id: uuid.UUID, plan_id: uuid.UUID) -> Any:
    """An announcement of the project as `list_plans` gives it, or None."""
    return session.execute(
        select(*_PLAN).where(RetentionPlan.project_id == project_id, RetentionPlan.id == plan_id)
    ).one_or_none()


def list_plan_runs(
    session: Session, plan_id: uuid.UUID, *, after: uuid.UUID | None = None, limit: int
) -> Sequence[Any]:
    """The runs of an announcement, oldest first, with what was announced and what became of it."""
    query = (
        select(
            Run.id,
            Run.public_id,
            Run.name,
            Run.finished_at,
            RetentionPlanRun.files,
            RetentionPlanRun.bytes,
            RetentionPlanRun.outcome,
        )
        .join(Run, Run.id == RetentionPlanRun.run_id)
        .where(RetentionPlanRun.plan_id == plan_id)
        .order_by(RetentionPlanRun.run_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(RetentionPlanRun.run_id > after)
    return session.execute(query).all()


def find_due(session: Session, run_id: uuid.UUID) -> datetime.datetime | None:
    """When the run's outputs will be removed, as it was announced; None where nothing was."""
    found: datetime.datetime | None = session.scalar(
        select(RetentionPlan.due_at)
        .join(RetentionPlanRun, RetentionPlanRun.plan_id == RetentionPlan.id)
        .where(
            RetentionPlanRun.run_id == run_id,
            RetentionPlanRun.outcome.is_(None),
            RetentionPlan.state.in_(("announced", "working")),
        )
        .limit(1)
    )
    return found
