"""Several replicas as pods of one run: they find each other, learn together, and end together."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.clusters.base import ClusterUnavailable
from app.domain.gangs import order_of_failure
from app.services.observations import status_document
from app.workloads.plans import RunPlan
from tests.clusters.contract import SLEEP
from tests.clusters.kubernetes.pod_world import PodWorld
from tests.clusters.kubernetes.world import Namespace
from tests.clusters.world import wait_for

pytestmark = pytest.mark.cluster

# Each fits the line y = 3x + 1 to points of its own; what they learn from is the mean of their gradients.
TRAINING = """
import json, os, socket, struct
me, count = int(os.environ["BERTH_REPLICA"]), int(os.environ["BERTH_REPLICAS"])
peers, port = os.environ["BERTH_PEERS"].split(","), int(os.environ["MASTER_PORT"])
assert (str(me), str(count)) == (os.environ["RANK"], os.environ["WORLD_SIZE"])
assert socket.gethostname() == peers[me].split(".")[0]

def reach(name):
    while True:
        try:
            return socket.create_connection((name, port), 10)
        except ConnectionRefusedError:  # it has its name and does not listen yet
            pass

if me == 0:
    server = socket.create_server(("", port))
    others = [server.accept()[0] for _ in range(count - 1)]
else:
    first = reach(os.environ["MASTER_ADDR"])
pair = struct.Struct("!2d")

def read(connection):
    data = b""
    while len(data) < pair.size:
        data += connection.recv(pair.size - len(data)) or exit("a peer is gone")
    return pair.unpack(data)

def mean(gradient):
    if me:
        first.sendall(pair.pack(*gradient))
        return read(first)
    found = [gradient, *map(read, others)]
    total = [sum(part) / count for part in zip(*found)]
    for connection in others:
        connection.sendall(pair.pack(*total))
    return total

points = [(x / 10, 3 * x / 10 + 1) for x in range(-10, 10) if x % count == me]
slope = offset = 0.0
for step in range(400):
    errors = [(slope * x + offset - y, x) for x, y in points]
    gradient = mean([sum(e * x for e, x in errors) / len(points), sum(e for e, _ in errors) / len(points)])
    slope, offset = slope - 0.5 * gradient[0], offset - 0.5 * gradient[1]
print("learned", json.dumps([slope, offset]))
for folder in ("BERTH_OUTPUT", "BERTH_CHECKPOINT"):
    with open(os.path.join(os.environ[folder], "model"), "w") as file:
        file.write(f"{me} {slope} {offset}")
"""


@pytest.fixture
def world(namespace: Namespace) -> Iterator[PodWorld]:
    made = PodWorld.create(namespace)
    yield made
    made.close()


def gang(world: PodWorld, program: str, replicas: int, **changes: Any) -> RunPlan:
    """A plan for the program as several replicas."""
    return world.plan(program, replicas=replicas, env={"BERTH_REPLICAS": str(replicas)}, **changes)


class Logs:
    """The logs of all replicas of a run's first attempt, followed as Berth's shipper does it."""

    def __init__(self, world: PodWorld, run_id: str, replicas: int) -> None:
        self._world, self._run_id = world, run_id
        self._data = dict.fromkeys(range(replicas), b"")
        self._offsets = dict.fromkeys(self._data, 0)

    def are_whole(self) -> bool:
        """Reads what is new; whether that was all."""
        status = next((one for one in self._world.cluster.statuses() if one.run_id == self._run_id), None)
        got = False
        for replica in self._data:
            try:
                piece = self._world.cluster.read_log(self._run_id, 1, replica, self._offsets[replica], 1 << 16)
            except ClusterUnavailable:  # told to come again
                got = True
                continue
            got = got or bool(piece.data)
            self._data[replica] += piece.data
            self._offsets[replica] = piece.end_offset
        return bool(status and status.gone and not got)

    def of(self, replica: int) -> list[str]:
        return [record.split(b" ", 2)[2].decode() for record in self._data[replica].splitlines()]


def test_two_pods_find_each_other_and_learn_the_same(world: PodWorld) -> None:
    plan = gang(world, TRAINING, 2, cpu_millis=200, memory_bytes=64 << 20)
    world.cluster.start(plan)
    followed = Logs(world, plan.run_id, 2)
    wait_for(followed.are_whole)
    status = world.status(plan)
    assert status is not None
    logs = [followed.of(replica) for replica in range(2)]
    assert [(one.index, one.exit_code, one.cause) for one in status.replicas] == [(0, 0, None), (1, 0, None)], logs
    learned = [json.loads(log[-1].removeprefix("learned ")) for log in logs]
    assert learned[0] == learned[1] == pytest.approx([3.0, 1.0], abs=1e-3)
    slope, offset = learned[0]
    assert world.server.outputs == {
        (plan.run_id, "model"): f"0 {slope} {offset}".encode(),
        (plan.run_id, "replica-1/model"): f"1 {slope} {offset}".encode(),
    }
    assert f"0 {slope} {offset}".encode() in world.server.checkpoints[plan.run_id]

    api, name = world.namespace.cluster.api, f"{plan.run_id}-1"
    policy = f"/apis/networking.k8s.io/v1/namespaces/{world.namespace.name}/networkpolicies/{name}"
    for path in (f"{world.namespace.core}/services/{name}", policy):
        (owner,) = api.get(path)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Job", name)
    world.cluster.clean_up(plan.run_id, 1, last=True)
    assert not any(one["metadata"]["name"] == name for one in api.get(f"{world.namespace.core}/services")["items"])
    api.delete(f"{world.namespace.jobs}/{name}?propagationPolicy=Background")
    wait_for(lambda: not api.get(policy.removesuffix(f"/{name}"))["items"], 30)


FAILING = """
import os, socket, sys, time
me, peers = int(os.environ["BERTH_REPLICA"]), os.environ["BERTH_PEERS"].split(",")
if me == 1:
    server = socket.create_server(("", 4000))
    connection = server.accept()[0]
    print("Error: the data of replica 1 is damaged", flush=True)
    time.sleep(1)
    sys.exit(3)
if me == 0:
    while True:
        try:
            connection = socket.create_connection((peers[1], 4000), 10)
            break
        except ConnectionRefusedError:
            pass
    connection.recv(1) or sys.exit("Error: my peer is gone")
print("works on", flush=True)
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


def test_one_that_fails_ends_all_and_is_named(world: PodWorld) -> None:
    """Replica 0 fails of it in the same moment, replica 2 knows of nothing and would go on for ever."""
    plan = gang(world, FAILING, 3, cpu_millis=100, memory_bytes=64 << 20, grace_seconds=2)
    world.cluster.start(plan)
    logs = Logs(world, plan.run_id, 3)
    wait_for(logs.are_whole)
    status = world.status(plan)
    assert status is not None
    zero, one, two = status.replicas
    assert (one.exit_code, one.cause, one.first_error) == (3, "failed", "Error: the data of replica 1 is damaged")
    assert (zero.exit_code, zero.cause) == (1, "failed")
    assert min(status_document(status)["replicas"], key=order_of_failure)["index"] == 1
    assert (two.exit_code, two.cause, two.message) == (
        137,
        "stopped",
        "It was ended because another replica had failed.",
    )
    assert logs.of(0) == ["Error: my peer is gone"]
    assert logs.of(1) == ["Error: the data of replica 1 is damaged"]
    assert logs.of(2) == ["works on"]


def test_all_are_stopped_also_those_that_have_not_begun(world: PodWorld) -> None:
    """One of them cannot be placed: what waits is said of it, and nobody begins without it."""
    plan = gang(world, SLEEP, 2, cpu_millis=1200)  # the node has room for one
    world.cluster.start(plan)

    def waits() -> list[int] | None:
        status = world.status(plan)
        found = [one for one in status.replicas if (one.finding or {}).get("code")] if status else []
        return [one.index for one in found] or None

    wait_for(waits)
    world.cluster.stop(plan.run_id, 1, 1)
    world.wait_end(plan)
    status = world.status(plan)
    assert status is not None
    assert [(one.cause, one.started_at) for one in status.replicas] == [("stopped", None)] * 2
