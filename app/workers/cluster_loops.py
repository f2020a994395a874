"""The loops of Kubernetes clusters: watching and logs of each, begun and ended as clusters come, change and go.

Each cluster has threads, leases and a connection of its own, so that one that is silent slows no other. Any number of
controllers may run them; for each loop one leads.
"""

import threading
import time
import uuid
from collections.abc import Callable

import structlog

from app.clusters.base import Cluster, ClusterUnavailable
from app.db import read_session
from app.repositories import clusters
from app.repositories.clusters import Target
from app.services.leases import Term
from app.workers import logs
from app.workers.clusters import Opened, open_kubernetes
from app.workers.loops import Loop
from app.workers.watch import Watcher

log = structlog.get_logger(__name__)

_WATCH_SECONDS, _LOG_SECONDS = 1.0, 0.3
_ROUND_SECONDS = 20.0  # of a cluster that is silent: the first look at it takes ten
_CLOSE_SECONDS = 5.0  # for what is under way at a cluster when the controller ends


class ClusterLoops:
    """Sees to it that each cluster has its loops. `run` is a thread's work; it needs no lease, as its loops have."""

    def __init__(self, wait: Callable[[float], None], pause: float, stopping: threading.Event) -> None:
        self._wait, self._pause, self._stopping = wait, pause, stopping
        self._running: dict[uuid.UUID, _Running] = {}

    def run(self) -> None:
        """Until `stopping` is set; then all loops have ended, but for those whose cluster is silent."""
        while not self._stopping.is_set():
            try:
                self.adjust()
            except Exception as error:
                log.warning("the clusters cannot be read", error=str(error))
            self._wait(self._pause)
        for running in self._running.values():
            running.end()
        deadline = time.monotonic() + _CLOSE_SECONDS
        for running in self._running.values():
            running.join(deadline)

    def adjust(self) -> None:
        """Begins the loops of new clusters and ends those of old ones. What is to be begun anew, with other credentials
        or settings, begins when the old has ended: two would undo each other's writes."""
        with read_session() as session:
            targets = {target.id: target for target in clusters.list_targets(session)}
        for key, running in list(self._running.items()):
            if key not in targets or not running.is_of(targets[key]):
                running.end()
                if running.has_ended():
                    del self._running[key]
        for key, target in targets.items():
            if key not in self._running:
                self._running[key] = _Running(target)

    def names(self) -> list[str]:
        """The clusters whose loops run."""
        return sorted(running.target.name for running in self._running.values() if not running.has_ended())


class _Running:
    """The loops of one cluster, and the connection that they share; it is opened by the first of them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._watcher: Watcher | None = None
        name = target.name
        loops = [
            Loop(f"watch:{name}", self._watch, self._wait, _WATCH_SECONDS, self._stopping, _ROUND_SECONDS),
            Loop(f"logs:{name}", self._ship_logs, self._sleep, _LOG_SECONDS, self._stopping, _ROUND_SECONDS),
        ]
        self._threads = [threading.Thread(target=loop.run, name=loop.name, daemon=True) for loop in loops]
        self._closer = threading.Thread(target=self._close, name=f"end:{name}", daemon=True)
        for thread in (*self._threads, self._closer):
            thread.start()

    def is_of(self, target: Target) -> bool:
        """Whether it works with what the row says now."""
        opened = self._opened
        return opened.is_of(target) if opened is not None else self.target == target

    def end(self) -> None:
        """Asks for the end, without waiting for it."""
        self._stopping.set()

    def has_ended(self) -> bool:
        return not self._closer.is_alive()

    def join(self, deadline: float) -> None:
        """Waits for the end until a time of the monotonic clock."""
        self._closer.join(max(deadline - time.monotonic(), 0.0))

    def _watch(self, term: Term) -> bool:
        try:
            cluster = self._cluster()
        except ClusterUnavailable as error:
            log.warning("cluster cannot be watched", cluster=self.target.name, error=str(error))
            self._stopping.wait(min(error.retry_after, 5.0))
            return False
        if self._watcher is None:
            self._watcher = Watcher(cluster)
        return self._watcher.work(term)

    def _wait(self, timeout: float) -> None:
        opened = self._opened
        if opened is None:
            self._stopping.wait(timeout)
        else:
            opened.cluster.wait_for_change(timeout)

    def _ship_logs(self, term: Term) -> bool:  # noqa: ARG002 - lines are keyed by their place, whoever stores them
        try:
            cluster = self._cluster()
        except ClusterUnavailable:
            self._stopping.wait(_WATCH_SECONDS)  # the watching loop says so
            return False
        return logs.ship_logs(cluster)

    def _sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _cluster(self) -> Cluster:
        with self._lock:
            if self._opened is None:
                self._opened = open_kubernetes(self.target)
            return self._opened.cluster

    def _close(self) -> None:
        for thread in self._threads:
            thread.join()
        if self._opened is not None:
            self._opened.close()
