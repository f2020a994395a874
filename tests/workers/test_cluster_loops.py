"""The clusters that a worker works, and the loops of each: as they are added, changed and removed."""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, text

from app import db
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG
from app.clusters.base import ClusterUnavailable
from app.clusters.kubernetes import KubernetesCluster
from app.clusters.removed import RemovedCluster
from app.domain.access import Actor
from app.repositories import clusters as repository
from app.services import clusters, project_namespaces
from app.workers import clusters as workers
from app.workers.cluster_loops import ClusterLoops
from app.workers.clusters import OpenClusters
from tests import factories

SETTINGS = {"berth_url": "http://10.0.0.1:8800", "runtime_image": "runtime:1"}


@pytest.fixture
def actor(clean_database: Engine) -> Actor:
    with db.unit_of_work() as session:
        user = factories.make_user(session, is_admin=True)
        return Actor(user.id, user.name, is_admin=True)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def loops(actor: Actor) -> Iterator[ClusterLoops]:
    stopping = threading.Event()
    made = ClusterLoops(lambda seconds: (stopping.wait(seconds), None)[1], 0.05, stopping)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    stopping.set()
    thread.join(30)
    assert not thread.is_alive()
    _wait(lambda: not made.names())


def _kubeconfig(address: str) -> str:
    return EXAMPLE_KUBECONFIG.replace("east.example.com:6443", address)


def _add(actor: Actor, name: str, address: str) -> uuid.UUID:
    with db.unit_of_work() as session:
        added = clusters.add_cluster(session, actor, name, _kubeconfig(address), SETTINGS)
        session.execute(text("insert into pool values (:name, :id, 1000, 1000, 0)"), {"name": name, "id": added})
    return added


def _wait(look: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_pool_leads_to_its_cluster_until_that_is_changed(actor: Actor, silent: str) -> None:
    _add(actor, "east", silent)
    opened = OpenClusters()

    def find() -> object:
        with db.read_session() as session:
            target = repository.find_target(session, "east")
        assert target is not None
        return opened.of(target)

    first = find()
    assert isinstance(first, KubernetesCluster)
    assert find() is first
    with db.unit_of_work() as session:
        clusters.rotate(session, actor, "east", _kubeconfig(silent))
    second = find()
    assert second is not first
    with db.unit_of_work() as session:
        clusters.update_settings(session, actor, "east", {"namespace_prefix": "other"})
    assert find() is not second
    with db.unit_of_work() as session:
        clusters.set_draining(session, actor, "east", draining=True)
    third = find()
    assert find() is third
    opened.close()


def test_what_is_left_of_a_removed_cluster_counts_as_done(actor: Actor) -> None:
    cluster = workers.cluster_of("gone")
    assert isinstance(cluster, RemovedCluster)
    cluster.clean_up("r-1", 1, last=True)
    assert cluster.outputs("r-1", 1) is None


def test_credentials_that_no_key_opens_are_waited_for(actor: Actor, silent: str) -> None:
    _add(actor, "east", silent)
    with db.unit_of_work() as session:
        session.execute(text("update cluster set key_id = 'gone'"))
    with pytest.raises(ClusterUnavailable, match="not among the configured ones"):
        workers.cluster_of("east")


def test_a_namespace_stays_that_of_its_project_and_cluster(actor: Actor, silent: str) -> None:
    east = _add(actor, "east", silent)
    west = _add(actor, "west", silent)
    with db.unit_of_work() as session:
        project = factories.make_project(session).id
        named = project_namespaces.namespace_of(session, project, east, "berth")
        assert project_namespaces.namespace_of(session, project, east, "changed later") == named
        assert project_namespaces.namespace_of(session, project, west, "berth") != named
        assert named.startswith(f"berth-{project.hex[-12:]}-")
        install = project_namespaces.install_id(session)
    with db.unit_of_work() as session:
        assert project_namespaces.install_id(session) == install
        session.execute(text("delete from cluster"))
    again = _add(actor, "east", silent)
    with db.unit_of_work() as session:
        assert project_namespaces.namespace_of(session, project, again, "berth") != named


def test_loops_come_and_go_with_their_clusters(actor: Actor, loops: ClusterLoops, silent: str) -> None:
    def leases() -> set[str]:
        with db.read_session() as session:
            return set(session.scalars(text("select name from lease where until > now()")))

    _add(actor, "east", silent)
    _add(actor, "west", silent)
    _wait(lambda: leases() == {"watch:east", "logs:east", "watch:west", "logs:west"})
    with db.unit_of_work() as session:
        session.execute(text("delete from cluster where name = 'east'"))
    _wait(lambda: loops.names() == ["west"])
    _wait(lambda: leases() == {"watch:west", "logs:west"})
