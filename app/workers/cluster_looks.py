"""The loop that knows how clusters are: who answers, what is there, checks that were asked for, and whether the
namespaces of projects are as they should be.

Each cluster is looked at in a thread of its own, so that one that does not answer slows no other. The Kubernetes client
is loaded with the first look: an installation without such clusters does not pay for it.
"""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.db import read_session, unit_of_work
from app.domain import preflight
from app.domain.clusters import ClusterSettings
from app.domain.pool_sizes import Node, facts_of
from app.domain.preflight_facts import Facts
from app.domain.quota import Resources
from app.errors import BadValue
from app.services import cluster_looks, project_namespaces
from app.services.cluster_looks import Look
from app.services.leases import FenceLost, Term
from app.services.sealing import CannotOpen
from app.settings import get_settings
from app.workers.clusters import INSIDE_SECONDS, connect, find_connection
from app.workers.namespaces import Namespaces
from app.workloads.pods import BESIDE

if TYPE_CHECKING:
    from app.clusters.kubernetes_api import Api

log = structlog.get_logger(__name__)

_AT_ONCE = 32  # looks and checks, of all clusters


@dataclass
class _Known:
    """What this process holds of one cluster."""

    credentials_version: int = 0
    api: "Api | None" = None
    until: float = 0.0
    nodes_at: float = float("-inf")
    settings: ClusterSettings | None = None


class Looker:
    """The loop's state: a connection for each cluster, and what is under way."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="clusters")
        self._known: dict[uuid.UUID, _Known] = {}
        self._busy: dict[tuple[uuid.UUID, str], Future[None]] = {}
        self._looked_at: dict[uuid.UUID, float] = {}
        self._resynced_at: dict[uuid.UUID, float] = {}
        self._turns: dict[uuid.UUID, int] = {}

    def work(self, term: Term) -> bool:
        """Begins what is due and does not wait for it; false: the loop may sleep."""
        with read_session() as session:
            looks = cluster_looks.list_looks(session)
        self._forget({look.id for look in looks})
        now = time.monotonic()
        for look in looks:
            is_due = now - self._looked_at.get(look.id, float("-inf")) >= get_settings().convergence.sweep_seconds
            if is_due and self._begin(look, "look", partial(self._look, term, look)):
                self._looked_at[look.id] = now
            if look.check_due_at is not None:
                self._begin(look, "check", partial(self._check, term, look))
            since = now - self._resynced_at.get(look.id, float("-inf"))
            is_resync = since >= get_settings().convergence.resync_seconds
            if (is_resync or look.has_requests) and self._begin(
                look, "namespaces", partial(self._look_after_namespaces, term, look, is_resync=is_resync)
            ):
                self._resynced_at[look.id] = now if is_resync else self._resynced_at[look.id]
        return False

    def wait_idle(self, timeout: float) -> None:
        """Returns when nothing is under way, for tests. Raises what a look raised, TimeoutError."""
        for future in list(self._busy.values()):
            future.result(timeout)

    def close(self) -> None:
        """Ends the connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._forget(set())

    def _begin(self, look: Look, what: str, work: Callable[[], None]) -> bool:
        """Whether it was begun: one of the same kind that is under way is not begun again."""
        before = self._busy.get((look.id, what))
        if before is not None and not before.done():
            return False
        self._busy[look.id, what] = self._pool.submit(_quietly, work, look.name)
        return True

    def _look(self, term: Term, look: Look) -> None:
        known = self._known.setdefault(look.id, _Known())
        try:
            api = self._api(look, known)
            facts: dict[str, Any] = {"version": api.get_version()[0]}
            now = time.monotonic()
            is_due = now - known.nodes_at > get_settings().convergence.resync_seconds
            if is_due or known.settings != look.settings:
                facts |= _sizes(api, look.settings)
                known.nodes_at, known.settings = now, look.settings
        except (ClusterUnavailable, ClusterRejected, BadValue, CannotOpen, OSError) as error:
            log.info("a cluster does not answer", cluster=look.name, error=str(error))
            with unit_of_work() as session:
                cluster_looks.record_away(session, term, look, str(error))
            return
        with unit_of_work() as session:
            cluster_looks.record_seen(session, term, look, facts)

    def _check(self, term: Term, look: Look) -> None:
        from app.clusters.preflight import collect

        try:
            api = connect(look.id, look.name)[0]
            try:
                facts = collect(api, look.settings)
            finally:
                api.close()
        except (BadValue, CannotOpen, OSError) as error:
            facts = Facts(trouble=str(error))
        with unit_of_work() as session:
            cluster_looks.record_findings(session, term, look, preflight.judge(facts))
            if facts.trouble:
                cluster_looks.record_away(session, term, look, facts.trouble)

    def _look_after_namespaces(self, term: Term, look: Look, *, is_resync: bool) -> None:
        """Does what was asked for; with `is_resync` also puts right what somebody else has changed."""
        from app.clusters.kubernetes_api import Api

        try:
            connection = find_connection(look.id)[0]
            with unit_of_work() as session:
                install = project_namespaces.install_id(session)
            api = Api(look.name, connection)
            try:
                of_cluster = Namespaces(api, look.id, look.settings, install)
                of_cluster.make_kubeconfigs(term, connection)
                of_cluster.delete_gone(term)
                if is_resync:
                    self._turns[look.id] = of_cluster.resync(term, self._turns.get(look.id, 0))
            finally:
                api.close()
        except (ClusterUnavailable, ClusterRejected, BadValue, CannotOpen, OSError) as error:
            log.info("the namespaces of a cluster cannot be looked after", cluster=look.name, error=str(error))

    def _api(self, look: Look, known: _Known) -> "Api":
        """The connection for looks, of which one is under way at a time; made anew when the credentials changed."""
        now = time.monotonic()
        if known.api is None or known.credentials_version != look.credentials_version or now > known.until:
            api, known.credentials_version, is_inside = connect(look.id, look.name)
            if known.api is not None:
                known.api.close()
            known.api, known.until = api, now + INSIDE_SECONDS if is_inside else float("inf")
        return known.api

    def _forget(self, there: set[uuid.UUID]) -> None:
        for gone in self._known.keys() - there:
            known = self._known.pop(gone)
            if known.api is not None:
                known.api.close()


def _sizes(api: "Api", settings: ClusterSettings) -> dict[str, Any]:
    """How much there is on nodes that runs may go to; nothing where Berth may not list nodes, which the check says."""
    from app.clusters.kubernetes_api import NotThere
    from app.clusters.preflight import nodes_of

    try:
        nodes = nodes_of(api, settings)
    except (ClusterUnavailable, ClusterRejected, NotThere):
        return {}
    usable = [node for node in nodes if node.is_ready and not node.is_cordoned]
    rooms = [
        (Resources(node.cpu_millis, node.memory_bytes, node.gpus), node.is_for_gpus)
        for node in usable
        if node.is_of_pool
    ]
    total = sum((room for room, _ in rooms), Resources())
    open_total = sum((room for room, is_for_gpus in rooms if not is_for_gpus), Resources())
    # A program has its node to itself but for what its own pod needs beside it.
    of_pool = [Node(room - BESIDE.capped(room), is_for_gpus) for room, is_for_gpus in rooms]
    return {"nodes": len(nodes), "ready_nodes": len(usable), **asdict(total), **facts_of(of_pool, open_total)}


def _quietly(work: Callable[[], None], name: str) -> None:
    try:
        work()
    except FenceLost:
        log.info("another leads now", cluster=name)
    except Exception:
        log.exception("looking at a cluster failed", cluster=name)
