"""On Kubernetes: F19, the API server is away or frozen, and hands on the cluster; F27, Berth goes back to an older
database; F31, the cluster goes back to an older memory; F32, its node is lost."""

import time

from sqlalchemy.engine import make_url

from app.domain.states import TERMINAL
from tests.chaos.cluster_world import POOL, ClusterWorld
from tests.chaos.experiment import Experiment, Scale
from tests.chaos.experiments.pods_api import fail_sometimes
from tests.chaos.servers import execute
from tests.chaos.world import Plan, World


def take_it_away(world: World, scale: Scale) -> None:
    """The API server is stopped, then frozen, for `seconds` each: runs that run go on, those that end meanwhile are
    told afterwards, and the cluster is shown as not answering. Then pods are deleted behind everybody's back."""
    assert isinstance(world, ClusterWorld)
    faults = world.faults
    for leave, come_back in (
        (faults.stop_api_server, faults.start_api_server),
        (faults.freeze_api_server, faults.thaw_api_server),
    ):
        for _ in range(scale.faults):
            running = [world.submit(seconds=seconds) for seconds in (5.0, scale.seconds + 10)]
            _wait_begun(world, running)
            world.checker.note_fault()
            leave()
            left = time.monotonic()
            waiting = world.submit(seconds=1)
            world.wait(lambda left=left: time.monotonic() > left + scale.seconds, scale.seconds + 10, "")  # type: ignore[misc]
            shown = world.client.clusters.get(POOL).raw
            world.demand(shown["status"] != "ready", f"the cluster is shown as {shown['status']}")
            world.notes["shown as"] = str(shown["status"])
            states = [world.checker.state(run) for run in (*running, waiting)]
            world.demand(not {"failed", "lost"} & set(states), f"failed for the cluster's silence: {states}")
            come_back()
            world.checker.note_disturbance()
            if world.is_over:
                return
            world.settle()
            ends = [world.checker.state(run) for run in (*running, waiting)]
            world.demand(set(ends) == {"succeeded"}, f"ended as {ends}")
    delete_pods(world, 2)


def delete_pods(world: ClusterWorld, runs: int) -> None:
    """Pods that run are deleted behind Berth's back: noticed, and tried again as the run allows."""
    names = [world.submit(seconds=15) for _ in range(runs)]
    _wait_begun(world, names)
    world.checker.note_fault()
    for pod in world.cluster.api.get("/api/v1/pods?labelSelector=berth.dev/run")["items"]:
        if pod["metadata"]["labels"]["berth.dev/run"] in names:
            world.faults.remove_behind_everyone(pod["metadata"]["namespace"], pod["metadata"]["name"])
    deleted = time.monotonic()
    world.wait(lambda: all((run, 2) in world.oracle.starts() for run in names), 90, "they were not tried again")
    world.notes["deleted pods, until the next attempt"] = f"{time.monotonic() - deleted:.0f} s"


def _wait_begun(world: World, runs: list[str], attempt: int = 1) -> None:
    world.wait(lambda: all((run, attempt) in world.oracle.starts() for run in runs), 120, "they do not begin")


F19 = Experiment(
    name="F19",
    title="cluster away, and hands on it",
    body=take_it_away,
    short=Scale(runs=3, faults=1, seconds=60),
    full=Scale(runs=12, faults=2, seconds=300, is_full=True),
    plan=Plan(),
    guard="who does not answer has not said that nothing is there",
    taken_out={"controller": "silence-is-absence"},
    letters="DWR",
    world=ClusterWorld,
)


def go_back(world: World, scale: Scale) -> None:
    """etcd is put back to a snapshot, with all its versions. At the snapshot some runs run; after it some are started,
    which the cluster then does not know."""
    assert isinstance(world, ClusterWorld)
    for _ in range(scale.faults):
        long = [world.submit(seconds=60) for _ in range(scale.runs)]
        _wait_begun(world, long)
        time.sleep(2)  # until their pods' states are written
        snapshot = world.faults.take_snapshot()
        unknown = [world.submit(seconds=120) for _ in range(scale.runs)]
        _wait_begun(world, unknown)
        world.checker.note_fault()
        world.faults.restore_snapshot(snapshot)
        back = time.monotonic()
        world.checker.note_disturbance()
        _wait_begun(world, unknown, attempt=2)
        world.notes["unknown runs, until their next attempt"] = f"{time.monotonic() - back:.0f} s"
        for run in unknown:
            world.ledger.stop(run)
        world.settle()
        ends = [world.checker.state(run) for run in long]
        world.notes["known runs"] = ", ".join(sorted(ends))
        world.demand(set(ends) == {"succeeded"}, f"runs that the snapshot knew ended as {ends}")


F31 = Experiment(
    name="F31",
    title="etcd goes back",
    body=go_back,
    short=Scale(runs=2, faults=1),
    full=Scale(runs=6, faults=3, is_full=True),
    plan=Plan(),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)


def lose_node(world: World, scale: Scale) -> None:
    """The node is silent and its pods are marked for deletion, while the programs run on: no other attempt until they
    are provably gone."""
    assert isinstance(world, ClusterWorld)
    for _ in range(scale.faults):
        runs = [world.submit(seconds=scale.seconds + 60) for _ in range(scale.runs)]
        _wait_begun(world, runs)
        world.checker.note_fault()
        world.faults.lose_node()
        silent = time.monotonic()
        world.wait(lambda silent=silent: time.monotonic() > silent + scale.seconds, scale.seconds + 10, "")  # type: ignore[misc]
        again = [run for run in runs if (run, 2) in world.oracle.starts()]
        ended = [run for run in runs if world.checker.state(run) in TERMINAL]
        world.demand(not again and not ended, f"given up while the node was silent: {again} {ended}")
        world.faults.find_node()
        world.checker.note_disturbance()
        world.settle()
        ends = [world.checker.state(run) for run in runs]
        world.notes["ended"] = ", ".join(sorted(ends))


F32 = Experiment(
    name="F32",
    title="node lost",
    body=lose_node,
    short=Scale(runs=3, faults=1, seconds=30),
    full=Scale(runs=6, faults=3, seconds=180, is_full=True),
    plan=Plan(),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)


def restore_database(world: World, scale: Scale) -> None:
    """Berth's database goes back to a copy while the cluster lives on: runs of before that still run are found again,
    and pods of runs that the copy does not know are left alone."""
    assert isinstance(world, ClusterWorld)
    long = [world.submit(seconds=60) for _ in range(scale.runs)]
    _wait_begun(world, long)
    for member in world.fleet.members.values():
        member.kill()
    url = make_url(world.database_url)
    world.checker.pause()
    copy = f"{url.database}_copy"
    server = url.set(database="postgres").render_as_string(hide_password=False)
    execute(server, f'create database "{copy}" template "{url.database}"')
    world.checker.go_on()
    world.fleet.revive()
    unknown = [world.submit(seconds=90) for _ in range(scale.runs)]
    _wait_begun(world, unknown)
    world.checker.note_fault()
    for member in world.fleet.members.values():
        member.kill()
    world.checker.pause()
    execute(server, f'drop database "{url.database}" with (force)')
    execute(server, f'alter database "{copy}" rename to "{url.database}"')
    world.ledger.forget(unknown)
    world.checker.forget(unknown)
    world.checker.go_on()
    world.fleet.revive()
    restored = time.monotonic()
    world.wait(lambda: time.monotonic() > restored + 30, 40, "")
    alive = {run for run, _ in world.oracle.scan(set(unknown))}
    world.demand(alive == set(unknown), f"of {len(unknown)} runs that are not known, {len(alive)} live on")
    world.settle()
    ends = [world.checker.state(run) for run in long]
    world.demand(set(ends) == {"succeeded"}, f"runs that the copy knew ended as {ends}")
    world.notes["known"] = ", ".join(sorted(ends))
    world.notes["unknown pods left alone"] = f"{len(alive)} of {len(unknown)}"
    for namespace in world.cluster.api.get("/api/v1/namespaces?labelSelector=berth.dev%2Fproject")["items"]:
        name = namespace["metadata"]["name"]
        for run in unknown:
            world.cluster.api.delete(f"/apis/batch/v1/namespaces/{name}/jobs/{run}-1?propagationPolicy=Background")


F27 = Experiment(
    name="F27",
    title="database restored",
    body=restore_database,
    short=Scale(runs=2, faults=1),
    full=Scale(runs=8, faults=1, is_full=True),
    plan=Plan(),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)


def a_bad_hour(world: World, scale: Scale) -> None:
    """Of everything a little, for `make test`: calls fail and answers are lost, a worker and a controller
    are killed (in the long form a web, too), and then the API server is away for `seconds`."""
    assert isinstance(world, ClusterWorld)
    rules = fail_sometimes(world)
    with world.load(scale.runs, in_flight=6, submit=world.submit):
        for role in ("worker", "controller", "web")[: scale.faults]:
            world.wait(lambda: world.checker.in_flight() > 0, 60, "nothing is under way")
            world.checker.note_fault()
            for member in world.fleet.of(role)[:1]:
                member.kill()
            world.fleet.revive()
            world.wait_for_progress(90)
    stopped = world.submit(seconds=60)
    world.ledger.stop(stopped)
    world.settle()
    world.notes["calls failed"] = str(sum(rule.hits for rule in rules))
    world.proxy.clear()
    running = world.submit(seconds=scale.seconds)
    _wait_begun(world, [running])
    world.wait(lambda: world.checker.state(running) == "running", 60, "it is not shown as running")
    world.checker.note_fault()
    with world.faults.api_server_away():
        away = time.monotonic()
        world.wait(lambda: time.monotonic() > away + scale.seconds + 2, scale.seconds + 10, "")
        world.demand(world.checker.state(running) == "running", f"shown as {world.checker.state(running)} while away")
    world.checker.note_disturbance()
    world.settle()
    world.demand(world.checker.state(running) == "succeeded", "what ended meanwhile was not told")


F33 = Experiment(
    name="F33",
    title="of everything a little",
    body=a_bad_hour,
    short=Scale(runs=4, faults=2, seconds=6),
    full=Scale(runs=60, faults=3, seconds=60, is_full=True),
    plan=Plan(workers=2),
    guard="",
    taken_out={},
    letters="",
    world=ClusterWorld,
)
