"""Converging one run: claim it, do the one next thing until there is none, give it back.

Every task may run twice, late or never. Cluster calls happen between transactions, under a lease that is
kept alive meanwhile.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.clusters.base import Cluster, ClusterRejected, ClusterUnavailable
from app.db import unit_of_work
from app.faults import crash_point
from app.services import attempt_files, convergence
from app.services.convergence import Act, Claim, LeaseLostError, Step
from app.settings import get_settings
from app.workers.broker import celery
from app.workers.clusters import cluster_of
from app.workers.outputs import store_outputs
from app.workers.usage import ship_rest

log = structlog.get_logger(__name__)

# More steps than any run needs in a row; a loop that does not end gives the run back instead.
_MOST_STEPS = 20


@celery.task(name="runs.converge")
def converge(run_id: str) -> None:
    """Looks at one run. The message is a hint: everything else is read from Postgres."""
    converge_run(uuid.UUID(run_id))
    crash_point("converge.before_ack")


def converge_run(run_id: uuid.UUID) -> None:
    """Does what is to be done for the run now; returns at once while another worker has it."""
    with unit_of_work() as session:
        held = convergence.claim(session, run_id)
    if held is None:
        return
    crash_point("converge.after_claim")
    again_in: float | None = None
    failed = False
    with _kept_alive(held):
        try:
            again_in = _take_steps(held)
        except LeaseLostError:
            log.info("lease lost; result thrown away", run=str(run_id))
            return
        except ClusterUnavailable as error:
            again_in = error.retry_after
            log.warning("cluster unavailable", run=str(run_id), error=str(error))
        except Exception:
            # One bad run must not stop the others: it is tried again later, ever more rarely.
            failed = True
            log.exception("converging failed", run=str(run_id))
    with unit_of_work() as session:
        convergence.release(session, held, again_in, failed=failed)


def _take_steps(held: Claim) -> float | None:
    for _ in range(_MOST_STEPS):
        with unit_of_work() as session:
            step = convergence.next_step(session, held)
            crash_point("converge.before_plan_commit")
        crash_point("converge.after_plan")
        if step.act == Act.NOTHING:
            return step.again_in
        if not _act(held, step):
            return step.again_in
    return 1.0


def _act(held: Claim, step: Step) -> bool:
    """Whether there may be more to do at once. After a start or a stop there is not: the watcher sees its
    effect and marks the run due."""
    cluster = cluster_of(step.pool)
    if step.act == Act.START:
        assert step.plan is not None, "a start comes with its plan"
        try:
            handle = cluster.start(step.plan, step.secrets)
        except ClusterRejected as error:
            with unit_of_work() as session:
                convergence.record_rejected(session, held, step.attempt, str(error))
            return True
        crash_point("converge.after_start")
        with unit_of_work() as session:
            convergence.record_started(session, held, step.attempt, handle)
            crash_point("converge.before_commit")
        crash_point("converge.after_record")
        return False
    if step.act == Act.STOP:
        cluster.stop(step.public_id, step.attempt, step.grace_seconds, step.project_id)
        crash_point("converge.after_stop")
        with unit_of_work() as session:
            convergence.record_stop_asked(session, held)
        return False
    if step.act == Act.STORE_OUTPUTS:
        _keep_usage(cluster, held.run_id, step.attempt)
        store_outputs(cluster, held.run_id, step.public_id, step.attempt)
        crash_point("converge.after_outputs")
    elif step.act == Act.DESCRIBE:
        # What was there and is gone, with the attempt's folder, is not known; it is not asked for again.
        found = cluster.environment(step.public_id, step.attempt) or {"note": "What it ran in could not be read."}
        with unit_of_work() as session:
            convergence.record_described(session, held, step.attempt, found)
    elif step.act == Act.CLEAN_UP:
        cluster.clean_up(step.public_id, step.attempt, last=step.is_last)
        if step.is_last and cluster.outputs(step.public_id, step.attempt) is None:
            attempt_files.drop_checkpoint(held.run_id, uuid.UUID(step.project_id))
        crash_point("converge.after_clean_up")
        with unit_of_work() as session:
            convergence.record_cleaned(session, held, step.attempt)
    return True


def _keep_usage(cluster: Cluster, run_id: uuid.UUID, attempt: int) -> None:
    """Before the attempt's folder goes. Figures are not worth holding up the end of a run."""
    try:
        ship_rest(cluster, run_id, attempt)
    except ClusterUnavailable:
        raise
    except Exception:
        log.exception("the usage cannot be kept", run=str(run_id), attempt=attempt)


@contextmanager
def _kept_alive(held: Claim) -> Iterator[None]:
    """Prolongs the lease while the block works, three times as often as it would end."""
    done = threading.Event()
    pause = get_settings().convergence.lease_seconds / 3

    def prolong() -> None:
        while not done.wait(pause):
            try:
                with unit_of_work() as session:
                    if not convergence.prolong(session, held):
                        return
            except Exception:
                log.warning("could not prolong a lease", run=str(held.run_id), exc_info=True)

    thread = threading.Thread(target=prolong, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
