"""The clusters that this process talks to, by the name of the pool that a run asked for.

No session is open during a call to a cluster: what is needed of Postgres is read before it.
"""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from app.clusters.base import Cluster, ClusterUnavailable
from app.clusters.kubeconfig import Connection, check_resolved, in_cluster, read_kubeconfig
from app.clusters.registry import Access, build_cluster
from app.clusters.removed import RemovedCluster
from app.db import read_session, unit_of_work
from app.domain.clusters import ClusterSettings
from app.domain.placement import read_selector, read_tolerations
from app.errors import BadValue
from app.repositories import clusters
from app.repositories.clusters import Target
from app.services import cluster_credentials, project_namespaces
from app.services.sealing import CannotOpen
from app.services.snapshots import open_snapshot
from app.settings import get_settings
from app.workers.namespaces import MENDED_SECONDS, Namespaces
from app.workloads.namespaces import ACCOUNT, PULL_SECRET
from app.workloads.pods import Place

if TYPE_CHECKING:
    from app.clusters.kubernetes_api import Api

LOCAL = clusters.LOCAL
INSIDE_SECONDS = 600.0
"""How long a connection of the cluster that Berth runs in is used: the kubelet replaces its token every hour or so."""
_COUNTED_SECONDS = 1.0  # until a new quota was counted


def cluster_of(pool: str) -> Cluster:
    """The cluster that the pool belongs to. Raises ClusterUnavailable where its credentials cannot be had now."""
    if pool == LOCAL:
        return local_cluster()
    with read_session() as session:
        target = clusters.find_target(session, pool)
    if target is None:
        return RemovedCluster(pool)
    return _open_clusters.of(target)


@lru_cache
def local_cluster() -> Cluster:
    """This machine, for this process."""
    return build_cluster(_LocalRow(), get_settings(), open_snapshot)


@dataclass(frozen=True)
class _LocalRow:
    name: str = LOCAL
    kind: str = LOCAL


def connect(cluster_id: uuid.UUID, name: str) -> tuple["Api", int, bool]:
    """(a connection, the number of its credentials, whether Berth runs inside of the cluster). Raises CannotOpen,
    BadValue, OSError."""
    from app.clusters.kubernetes_api import Api

    connection, version, is_inside = find_connection(cluster_id)
    return Api(name, connection), version, is_inside


def find_connection(cluster_id: uuid.UUID) -> tuple[Connection, int, bool]:
    """The same before it is connected."""
    with read_session() as session:
        kubeconfig, version = cluster_credentials.open_kubeconfig(session, cluster_id)
    settings = get_settings().clusters
    if kubeconfig is None:
        connection = in_cluster(settings.in_cluster_folder, settings.in_cluster_server)
    else:
        connection = read_kubeconfig(kubeconfig)
    check_resolved(connection)
    return connection, version, kubeconfig is None


@dataclass(frozen=True)
class Opened:
    """A Kubernetes to work with, of these credentials and settings, to be used until `until` (monotonic, seconds)."""

    cluster: Cluster
    credentials_version: int
    settings: ClusterSettings
    until: float
    close: Callable[[], None]

    def is_of(self, target: Target) -> bool:
        """Whether it is what the row asks for now."""
        is_same = (self.credentials_version, self.settings) == (target.credentials_version, target.settings)
        return is_same and time.monotonic() < self.until


def open_kubernetes(target: Target) -> Opened:
    """The cluster of that row, for whoever closes it again. Raises ClusterUnavailable."""
    try:
        api, version, is_inside = connect(target.id, target.name)
    except (CannotOpen, BadValue, OSError) as error:
        raise ClusterUnavailable(f"{target.name}: {error}", MENDED_SECONDS) from error
    with unit_of_work() as session:
        install = project_namespaces.install_id(session)
    places = _Places(api, target, install)
    access = Access(api, install, places.of)
    cluster = build_cluster(target, get_settings(), open_snapshot, access)
    until = time.monotonic() + INSIDE_SECONDS if is_inside else float("inf")
    return Opened(cluster, version, target.settings, until, cluster.close)  # type: ignore[attr-defined]


class OpenClusters:
    """One object for each cluster, shared by all threads; made anew when its credentials or settings changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[uuid.UUID, Opened] = {}

    def of(self, target: Target) -> Cluster:
        """Raises ClusterUnavailable. One that is replaced is closed: a call under way there may have to be repeated."""
        with self._lock:
            known = self._opened.get(target.id)
        if known is not None and known.is_of(target):
            return known.cluster
        made = open_kubernetes(target)  # without the lock: asking for an address may take its time
        with self._lock:
            known = self._opened.get(target.id)
            is_late = known is not None and known.is_of(target)
            if not is_late:
                self._opened[target.id] = made
        old = made if is_late else known
        if old is not None:
            old.close()
        return known.cluster if known is not None and is_late else made.cluster

    def close(self) -> None:
        """Closes all."""
        with self._lock:
            opened, self._opened = [*self._opened.values()], {}
        for one in opened:
            one.close()


_open_clusters = OpenClusters()


class _Places:
    """The places of projects in one cluster. A project's namespace is made, or put right, before a start there."""

    def __init__(self, api: "Api", target: Target, install: str) -> None:
        self._namespaces = Namespaces(api, target.id, target.settings, install)
        self._cluster_id, self._settings = target.id, target.settings
        self._ensured: dict[str, tuple[float, Place]] = {}

    def of(self, project_id: str) -> Place:
        """Raises ClusterUnavailable."""
        ensured_at, place = self._ensured.get(project_id, (float("-inf"), None))
        now = time.monotonic()
        if place is None or now - ensured_at > get_settings().convergence.resync_seconds:
            place = self._ensure(project_id)
            self._ensured[project_id] = now, place
        return place

    def _ensure(self, project_id: str) -> Place:
        settings = self._settings
        if not settings.runtime_image:
            name = self._namespaces.api.name
            raise ClusterUnavailable(f"cluster {name} has not been told the name of its runtime image", MENDED_SECONDS)
        with unit_of_work() as session:
            namespace = project_namespaces.namespace_of(
                session, uuid.UUID(project_id), self._cluster_id, settings.namespace_prefix
            )
        pull_secret = self._namespaces.pull_secret()
        tenancy = self._namespaces.tenancy(project_id, namespace, pull_secret)
        if self._namespaces.ensure(tenancy).is_counting:
            raise ClusterUnavailable(f"the quota of the namespace {namespace} is being counted", _COUNTED_SECONDS)
        return Place(
            install=tenancy.install,
            namespace=namespace,
            url=tenancy.url,
            runtime_image=settings.runtime_image,
            default_image=settings.default_image,
            service_account=ACCOUNT,
            pull_secret=PULL_SECRET if pull_secret else None,
            gpu=settings.gpu_resource,
            runtime_class=settings.runtime_class or None,
            selector=read_selector(settings.node_selector),
            tolerations=read_tolerations(settings.tolerations),
        )
