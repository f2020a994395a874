"""How long outputs stay: a project's rules, what they would remove, announcing it, and removing just that.

Nothing is removed that was not announced, run by run. A run that is kept for another reason when its time comes (a
tag, an experiment, a change of the rules) is spared, so less may be freed than announced, never more and nothing else.
"""

import datetime
import uuid
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.db import unit_of_work
from app.domain.access import Actor
from app.domain.retention import MAX_DAYS, MAX_EXPERIMENTS, MAX_NOTICE_HOURS, MAX_RUNS, MAX_TAGS, Rules
from app.errors import N_, FieldError, Invalid
from app.i18n import Phrase
from app.models import Output, RetentionPlan, RetentionPlanRun, RetentionRules, Run, RunEvent
from app.repositories import retention
from app.services import audit
from app.stores import objects

RUNS_PER_PLAN = 10_000
_BATCH = 50
_FREE_AT_ONCE = 1000
_NEXT_ROUND = datetime.timedelta(hours=1)
_OPEN = ("announced", "working")


class Removed(NamedTuple):
    """What was marked as removed."""

    files: int
    bytes: int


def set_rules(session: Session, actor: Actor, project_id: uuid.UUID, rules: Rules, notice_hours: int) -> None:
    """Makes these the project's rules; an announcement that stands is withdrawn, and the next round makes a new
    one. Nothing happens for the same rules. Raises Invalid.
    """
    check(rules, notice_hours)
    session.execute(
        text("insert into retention_rules (project_id) values (:project) on conflict do nothing"),
        {"project": project_id},
    )
    row = session.scalars(select(RetentionRules).where(RetentionRules.project_id == project_id).with_for_update()).one()
    before = retention.rules_of(row).as_dict() | {"notice_hours": row.notice_hours}
    after = rules.as_dict() | {"notice_hours": notice_hours}
    if before == after and row.updated_by is not None:
        return
    row.keep_days, row.keep_last = rules.keep_days, rules.keep_last
    row.keep_tags, row.keep_experiments = list(rules.keep_tags), list(rules.keep_experiments)
    row.notice_hours, row.updated_by, row.version = notice_hours, actor.user_id, row.version + 1
    row.updated_at = func.now()
    row.next_round_at = func.now() if rules.removes else None
    session.flush()
    withdrawn = session.scalars(
        update(RetentionPlan)
        .where(RetentionPlan.project_id == project_id, RetentionPlan.state.in_(_OPEN))
        .values(state="withdrawn", finished_at=func.now())
        .returning(RetentionPlan.id)
    ).all()
    audit.record(session, actor, "retention.set", "project", str(project_id), project_id, before, after)
    for plan_id in withdrawn:
        audit.record(session, actor, "retention.withdraw", "retention_plan", str(plan_id), project_id)


def check(rules: Rules, notice_hours: int) -> None:
    """Raises Invalid for rules that nobody can have."""
    errors = []
    between = N_("must be a whole number from {least} to {most}")
    for pointer, value, least, most in (
        ("/keep_days", rules.keep_days, 1, MAX_DAYS),
        ("/keep_last", rules.keep_last, 1, MAX_RUNS),
        ("/notice_hours", notice_hours, 0, MAX_NOTICE_HOURS),
    ):
        if value is not None and not least <= value <= most:
            errors.append(FieldError(pointer, between, slots={"least": least, "most": most}))
    if len(rules.keep_tags) > MAX_TAGS:
        errors.append(FieldError("/keep_tags", N_("has more than {most} tags"), slots={"most": MAX_TAGS}))
    if any(not tag or len(tag) > 200 or not tag.isprintable() for tag in rules.keep_tags):
        errors.append(FieldError("/keep_tags", N_("has a tag that no run can have")))
    if len(rules.keep_experiments) > MAX_EXPERIMENTS:
        too_many = N_("has more than {most} experiments")
        errors.append(FieldError("/keep_experiments", too_many, slots={"most": MAX_EXPERIMENTS}))
    if any(not name or len(name) > 200 or not name.isprintable() for name in rules.keep_experiments):
        errors.append(FieldError("/keep_experiments", N_("has a name that no experiment can have")))
    if errors:
        raise Invalid(errors)


_UNUSED = {"experiment": N_("No run is in experiment {name}."), "tag": N_("No run has the tag {name}.")}


def notes(session: Session, project_id: uuid.UUID, rules: Rules) -> list[Phrase]:
    """What whoever writes such rules may not have meant: names that no run of the project has. They are no mistake,
    because a run that has one may come."""
    found = retention.list_unused(session, project_id, rules)
    return [Phrase((_UNUSED[kind], {"name": name})) for kind, name in found]


def announce_next(session: Session) -> uuid.UUID | None:
    """Looks at one project whose time has come and announces what its rules do not keep, if anything.

    Returns the project, or None where no project's time has come.
    """
    row = session.scalars(
        select(RetentionRules)
        .where(RetentionRules.next_round_at <= func.now())
        .order_by(RetentionRules.next_round_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    row.next_round_at = func.now() + _NEXT_ROUND
    is_open = select(RetentionPlan.id).where(RetentionPlan.project_id == row.project_id, RetentionPlan.state.in_(_OPEN))
    rules = retention.rules_of(row)
    if session.scalar(is_open) is None:
        _announce(session, row.project_id, rules, row.notice_hours)
    session.flush()
    return row.project_id


def _announce(session: Session, project_id: uuid.UUID, rules: Rules, notice_hours: int) -> None:
    found = retention.list_removable(session, project_id, rules, limit=RUNS_PER_PLAN)
    if not found:
        return
    plan_id = uuid7()
    totals = {
        "runs": len(found),
        "files": sum(run.files for run in found),
        "bytes": sum(run.bytes for run in found),
    }
    due = func.now() + datetime.timedelta(hours=notice_hours)
    session.execute(
        insert(RetentionPlan).values(
            id=plan_id, project_id=project_id, rules=rules.as_dict(), due_at=due, announced_at=func.now(), **totals
        )
    )
    session.execute(
        insert(RetentionPlanRun),
        [{"plan_id": plan_id, "run_id": run.id, "files": run.files, "bytes": run.bytes} for run in found],
    )
    after = {**totals, "rules": rules.as_dict(), "notice_hours": notice_hours}
    audit.record(session, None, "retention.announce", "retention_plan", str(plan_id), project_id, after=after)


def carry_out_next(session: Session) -> bool:
    """Marks some outputs of an announcement that is due as removed, or ends one of which all is freed.

    Returns whether there was anything to do. What is marked is freed by `free`.
    """
    plan = session.scalars(
        select(RetentionPlan)
        .where(RetentionPlan.state.in_(_OPEN), RetentionPlan.due_at <= func.now())
        .order_by(RetentionPlan.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if plan is None:
        return False
    plan.state = "working"
    waiting = session.execute(
        select(RetentionPlanRun.run_id, RetentionPlanRun.files, RetentionPlanRun.bytes)
        .where(RetentionPlanRun.plan_id == plan.id, RetentionPlanRun.outcome.is_(None))
        .order_by(RetentionPlanRun.run_id)
        .limit(_BATCH)
    ).all()
    rules = Rules.of(plan.rules)
    for run_id, files, size in waiting:
        removed = _remove(session, plan.project_id, rules, run_id, Removed(files, size))
        if removed is not None:
            plan.freed_runs += 1
            plan.freed_files += removed.files
            plan.freed_bytes += removed.bytes
        session.execute(
            update(RetentionPlanRun)
            .where(RetentionPlanRun.plan_id == plan.id, RetentionPlanRun.run_id == run_id)
            .values(outcome="spared" if removed is None else "freed")
        )
    if not waiting:
        _finish(session, plan)
    session.flush()
    return True


def _remove(
    session: Session, project_id: uuid.UUID, rules: Rules, run_id: uuid.UUID, announced: Removed
) -> Removed | None:
    """Marks the run's outputs, if they are what was announced and nothing keeps them; else None."""
    # As `replace_outputs` does, so that nothing is added meanwhile; and whoever tags the run waits.
    session.execute(text("select 1 from run where id = :id for update"), {"id": run_id})
    found = retention.list_removable(session, project_id, rules, only=run_id, limit=1)
    if not found or (found[0].files, found[0].bytes) != announced:
        return None
    session.execute(
        update(Output)
        .where(Output.run_id == run_id, Output.removed_at.is_(None))
        .values(removed_at=func.now(), removed_by=bindparam("rules")),
        {"rules": rules.as_dict()},
    )
    session.execute(update(Run).where(Run.id == run_id).values(version=Run.version + 1))
    attempt = session.scalar(select(Run.attempt).where(Run.id == run_id))
    told = {"files": announced.files, "bytes": announced.bytes}
    session.add(RunEvent(run_id=run_id, code="outputs_removed", attempt=attempt, data=told))
    return announced


def _finish(session: Session, plan: RetentionPlan) -> None:
    left = session.scalar(
        select(Output.run_id)
        .join(RetentionPlanRun, RetentionPlanRun.run_id == Output.run_id)
        .where(
            RetentionPlanRun.plan_id == plan.id,
            RetentionPlanRun.outcome == "freed",
            Output.removed_at.is_not(None),
            Output.freed_at.is_(None),
        )
        .limit(1)
    )
    if left is not None:
        return
    plan.state, plan.finished_at = "done", func.now()
    after: dict[str, Any] = {
        "announced": {"runs": plan.runs, "files": plan.files, "bytes": plan.bytes},
        "freed": {"runs": plan.freed_runs, "files": plan.freed_files, "bytes": plan.freed_bytes},
        "spared_runs": plan.runs - plan.freed_runs,
    }
    audit.record(session, None, "retention.free", "retention_plan", str(plan.id), plan.project_id, after=after)


def free() -> bool:
    """Deletes objects whose rows are marked; whether there may be more. Opens its own sessions.

    An object is deleted first and its row then told so: whoever dies between does it again, without harm.
    """
    with unit_of_work() as session:
        rows = session.execute(
            select(Output.run_id, Output.path, Output.object_key, Run.project_id)
            .join(Run, Run.id == Output.run_id)
            .where(Output.removed_at.is_not(None), Output.freed_at.is_(None))
            .order_by(Output.run_id)
            .limit(_FREE_AT_ONCE)
        ).all()
    by_project: dict[uuid.UUID, list[str]] = {}
    for row in rows:
        by_project.setdefault(row.project_id, []).append(row.object_key)
    for project_id, keys in by_project.items():
        objects.of(project_id).delete(keys)
    if rows:
        with unit_of_work() as session:
            session.execute(
                text("update output set freed_at = now() where run_id = :run and path = :path and freed_at is null"),
                [{"run": row.run_id, "path": row.path} for row in rows],
            )
    return len(rows) == _FREE_AT_ONCE
