"""Hands due runs to Celery. What the broker does not take, or no worker heeds, is converged here.

That is slower than many workers, but never stuck.
"""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text

from app.db import unit_of_work
from app.faults import crash_point
from app.services.leases import Term, fence
from app.settings import get_settings
from app.workers.broker import celery
from app.workers.runs import converge_run

log = structlog.get_logger(__name__)

_BATCH = 100
_BROKER_REST_SECONDS = 5.0

# One from each project in turn, so that a tenant with many due runs does not hold up one with few. A run
# that somebody holds is left alone until its lease ends. What was handed over is due again a little later,
# in case the message is lost.
_TAKE = text("""
with due as materialized (
  select id, project_id, due_at from run
   where due_at <= now() and (lease_until is null or lease_until < now()) order by due_at limit 2000
), turns as (
  select id, row_number() over (partition by project_id order by due_at) as turn, due_at from due
), taken as (
  select run.id, run.due_at from run join turns on turns.id = run.id
   where run.due_at <= now() order by turns.turn, turns.due_at limit :batch for update of run skip locked
)
update run set due_at = now() + make_interval(secs => :again) from taken where run.id = taken.id
returning run.id, taken.due_at as was_due_at, run.due_at
""")


class Dispatcher:
    """The loop's state: the connection to the broker, and the pool for when it does not answer."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="converge")
        # Not one of Celery's pools: a pool that was cleared of broken connections blocks for ever.
        self._producer: Any = None
        self._broker_back_at = 0.0
        # What was handed over, and when it is due again if nobody claims it: a claim changes that time.
        self._handed: dict[uuid.UUID, datetime] = {}

    def work(self, term: Term) -> bool:
        """One round; whether there is more."""
        again = get_settings().convergence.redeliver_seconds
        with unit_of_work() as session:
            fence(session, term)
            rows = session.execute(_TAKE, {"batch": _BATCH, "again": again}).all()
        if rows:
            crash_point("dispatch.before_publish")
            unheeded = [row.id for row in rows if self._handed.pop(row.id, None) == row.was_due_at]
            left = self._hand_over({row.id: row.due_at for row in rows if row.id not in set(unheeded)}, again)
            if unheeded:
                log.warning("no worker takes its messages; converging here", runs=len(unheeded))
            list(self._pool.map(_converge_quietly, [*unheeded, *left]))
        return len(rows) == _BATCH

    def _hand_over(self, due: dict[uuid.UUID, datetime], expires: float) -> list[uuid.UUID]:
        """Returns those that the broker did not take."""
        if len(self._handed) > 10_000:
            self._handed.clear()
        if time.monotonic() >= self._broker_back_at:
            try:
                if self._producer is None:
                    self._producer = celery.amqp.Producer(celery.connection_for_write())
                while due:
                    run_id = next(iter(due))
                    celery.send_task("runs.converge", (str(run_id),), producer=self._producer, expires=expires)
                    self._handed[run_id] = due.pop(run_id)
                    crash_point("dispatch.after_publish")
            except Exception as error:  # whatever it is: a hint that cannot be given is acted on here
                log.warning("the broker does not answer; converging here", error=repr(error))
                self._broker_back_at = time.monotonic() + _BROKER_REST_SECONDS
                if self._producer is not None:
                    self._producer.connection.collect()
                    self._producer = None
        return list(due)


def _converge_quietly(run_id: uuid.UUID) -> None:
    try:
        converge_run(run_id)
    except Exception:
        log.exception("converging failed", run=str(run_id))
