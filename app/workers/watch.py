"""Watching a cluster: what changed goes to Postgres in batches, and marks its runs due."""

import time

import structlog

from app.clusters.base import Cluster, ClusterUnavailable, Machine, ObjectStatus
from app.db import read_session, unit_of_work
from app.faults import crash_point
from app.repositories.clusters import LOCAL
from app.services import observations
from app.services.leases import Term
from app.settings import get_settings

log = structlog.get_logger(__name__)

# A round looks at all that runs. So much longer than it takes, changes gather before the next one: a cluster where
# something always changes takes a quarter of a processor at most, and a quiet one is looked at at once.
_GATHERING = 3
_LONGEST_GATHERING = 0.5


class Watcher:
    """The loop's state for one cluster: what was last written, and when everything was last compared."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._written: dict[tuple[str, int], ObjectStatus] = {}
        self._term: Term | None = None
        self._synced_at = 0.0
        self._seen_at = 0.0
        self._took = 0.0

    def work(self, term: Term) -> bool:
        """One round. Always goes back to waiting: the cluster says when to look again."""
        if term != self._term:
            self._term, self._written, self._synced_at = term, {}, 0.0
        now = time.monotonic()
        is_resync = now - self._synced_at > get_settings().convergence.resync_seconds
        is_fresh = is_resync and self._refresh()
        try:
            statuses = self._cluster.statuses()
            is_seen = now - self._seen_at <= get_settings().convergence.sweep_seconds
            if isinstance(self._cluster, Machine) and not is_seen:
                self._record_machine(term, self._cluster)
                self._seen_at = now
        except ClusterUnavailable as error:
            log.warning("cluster does not answer", cluster=self._cluster.name, error=str(error))
            return False
        known = {(status.run_id, status.attempt): status for status in statuses}
        changed = [status for key, status in known.items() if is_resync or self._written.get(key) != status]
        if changed:
            with unit_of_work() as session:
                observations.record_statuses(session, term, changed)
                crash_point("watch.before_commit")
            crash_point("watch.after_commit")
        self._written = known
        self._took = time.monotonic() - now
        # Absence needs two looks, so it is checked more often than everything else.
        if is_resync or now % 10 < 1:
            self._check_absent(term, statuses, is_fresh=is_fresh)
        if is_resync:
            self._synced_at = now
        return False

    def wait(self, timeout: float) -> None:
        self._cluster.wait_for_change(timeout)
        time.sleep(min(self._took * _GATHERING, _LONGEST_GATHERING))

    def _record_machine(self, term: Term, machine: Machine) -> None:
        capacity, facts = machine.capacity(), machine.facts()
        with unit_of_work() as session:
            observations.record_cluster(session, term, machine.name, LOCAL, capacity, facts)

    def _refresh(self) -> bool:
        """Whether what is told next is of now: a watch may be silent, or have lost something, and nobody knows."""
        try:
            self._cluster.refresh()
        except ClusterUnavailable as error:
            log.warning("cluster cannot be listed", cluster=self._cluster.name, error=str(error))
            return False
        return True

    def _check_absent(self, term: Term, statuses: list[ObjectStatus], *, is_fresh: bool = False) -> None:
        """What was started and is not there counts as missing only when a list of now says so: a program that a silent
        watch has not told of would be started again beside itself."""
        with read_session() as session:
            is_any = observations.is_any_absent(session, self._cluster.name, statuses)
        if is_any and not is_fresh:
            if not self._refresh():
                return
            statuses = self._cluster.statuses()
        with unit_of_work() as session:
            if is_any:
                observations.record_missing(session, term, self._cluster.name, statuses)
            late = observations.leftovers(session, statuses)
        if late:  # many were only cleaned since the list was read
            statuses = self._cluster.statuses()
            late = [key for key in late if key in {(status.run_id, status.attempt) for status in statuses}]
        for run_id, attempt in late:
            log.warning("ending what came after its own end", run=run_id, attempt=attempt)
            self._cluster.stop(run_id, attempt, 0)
            try:
                # Also where it never began: a start that slept through the clean-up leaves its plan behind.
                self._cluster.clean_up(run_id, attempt, last=False)
            except ClusterUnavailable as error:
                log.info("not gone yet", run=run_id, attempt=attempt, error=str(error))
