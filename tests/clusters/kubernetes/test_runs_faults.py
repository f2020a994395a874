"""Runs as pods while parts of the cluster are away: nothing is lost, doubled or believed too early."""

import json
from collections.abc import Iterator

import pytest

from app.clusters.base import ClusterUnavailable
from app.clusters.kubeconfig import read_kubeconfig
from app.clusters.kubernetes import KubernetesCluster
from app.clusters.kubernetes_api import Api
from deploy.testcluster.faults import Faults
from deploy.testcluster.proxy import Rule
from tests.clusters.contract import SLEEP, TALK
from tests.clusters.kubernetes.pod_world import PodWorld
from tests.clusters.kubernetes.world import Namespace
from tests.clusters.world import wait_for

pytestmark = pytest.mark.cluster


@pytest.fixture
def world(namespace: Namespace) -> Iterator[PodWorld]:
    made = PodWorld.create(namespace)
    yield made
    made.close()


def test_the_api_server_goes_away_and_comes_back(world: PodWorld, faults: Faults) -> None:
    program = "import time\nfor i in range(80):\n    print('line', i, flush=True)\n    time.sleep(0.1)\n"
    plan = world.plan(program)
    world.cluster.start(plan)
    world.wait_line(plan, "line 5")
    with faults.api_server_away():
        with pytest.raises(ClusterUnavailable):
            world.cluster.start(world.plan(TALK))
        # The last state is still told: that it is not heard from is no news of its pods.
        status = world.status(plan)
        assert status is not None
        assert status.replicas[0].phase == "running"
    assert world.wait_end(plan).exit_code == 0

    def lines() -> list[str] | None:
        try:
            found = world.text(plan).splitlines()
        except ClusterUnavailable:
            return None
        return found if "line 79" in found else None

    assert wait_for(lines, 30) == [f"line {number}" for number in range(80)]


def test_what_the_watch_missed_is_listed(world: PodWorld, faults: Faults) -> None:
    """etcd goes back: versions are old again, and what was made since is not there any more."""
    before = world.plan(TALK)
    world.run(before)
    snapshot = faults.take_snapshot()
    after = world.plan(SLEEP)
    world.cluster.start(after)
    wait_for(lambda: world.status(after))
    faults.restore_snapshot(snapshot)
    wait_for(lambda: world.status(after) is None and world.status(before) is not None, 60)


def test_a_silent_watch_is_made_good_by_a_list(world: PodWorld, faults: Faults) -> None:
    """Half open, or events lost on the way; and what is told late does not undo what the list has said."""
    with faults.api_calls() as proxy:
        connection = read_kubeconfig(proxy.kubeconfig.read_text())
        cluster = KubernetesCluster("test", Api("test", connection), world.place.install, lambda _: world.place)
        world.made.append(cluster)
        assert cluster.statuses() == []
        late: list[bytes] = []
        proxy.events = lambda line: late.append(line) or []  # type: ignore[func-returns-value]
        plan = world.plan(TALK)
        cluster.start(plan)
        world.namespace.wait_job(f"{plan.run_id}-1")
        assert cluster.statuses() == []
        cluster.refresh()
        (status,) = cluster.statuses()
        assert status.gone
        assert status.replicas[0].exit_code == 0
        proxy.events = lambda line: [*(one for one in late if _kind(one) == _kind(line)), line]
        other = world.plan(SLEEP)
        cluster.start(other)  # its events bring the old ones
        wait_for(lambda: len(cluster.statuses()) == 2)
        assert status in cluster.statuses()
        # A clean-up that failed half way is carried on where it was left.
        failing = proxy.add(Rule(method="DELETE", status=500, times=3))
        with pytest.raises(ClusterUnavailable):
            cluster.clean_up(plan.run_id, 1, last=True)
        assert failing.hits == 3
        cluster.clean_up(plan.run_id, 1, last=True)
        query = f"labelSelector=berth.dev/run%3D{plan.run_id}"
        for kind in ("pods", "secrets"):
            wait_for(lambda kind=kind: not faults.cluster.api.get(f"{world.namespace.core}/{kind}?{query}")["items"])  # type: ignore[misc]


def _kind(event: bytes) -> str:
    kind: str = json.loads(event)["object"]["kind"]
    return kind


def test_one_watch_serves_all(world: PodWorld) -> None:
    """Statuses cost no calls; a run costs six at most from its start to its end."""
    world.cluster.statuses()
    api = world.cluster._api
    wait_for(lambda: api.calls == 4)  # a list and a watch of each kind
    before = api.calls
    plan = world.plan(TALK)
    world.run(plan)
    for _ in range(100):
        world.cluster.statuses()
    world.namespace.wait_job(f"{plan.run_id}-1")
    world.cluster.clean_up(plan.run_id, 1, last=True)
    assert api.calls - before <= 6
