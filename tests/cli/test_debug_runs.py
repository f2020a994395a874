"""`berth run debug` against the real server, with a thread of the test in place of the workers."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import db
from app.models import Observation, Run
from app.services.runs import forget_what_was_seen
from tests import factories
from tests.cli.conftest import World

LINE = "kubectl exec -it -n berth-abc p-0 -c main -- sh"


def _start(world: World) -> str:
    """Waits for the debug run to be submitted, and has it run."""
    for _ in range(600):
        with db.unit_of_work() as session:
            run = session.query(Run).where(Run.is_debug).one_or_none()
            if run is not None:
                run.state = "running"
                factories.make_attempt(session, run, state="running", handle={"namespace": "berth-abc"})
                status = {"gone": False, "replicas": [{"index": 0, "phase": "running", "pod": "p-0"}]}
                session.add(Observation(run_id=run.id, attempt=1, status=status))
                return run.public_id
        time.sleep(0.1)
    raise AssertionError("nobody submitted a debug run")


@pytest.fixture
def pod_run(world: World) -> str:
    """A run of a cluster's pool."""
    with db.unit_of_work() as session:
        factories.make_pool(session, "east")
    forget_what_was_seen()
    return world.make_run(pool="east").public_id


def test_it_waits_until_somebody_can_get_in(world: World, pod_run: str) -> None:
    run = pod_run
    with ThreadPoolExecutor(1) as threads:
        started = threads.submit(_start, world)
        done = world.cli("run", "debug", run, "--for", "30m")
        made = started.result()
    assert done.stdout == f"{LINE}\n"
    assert f"{made} submitted" in done.stderr
    assert f"berth run stop {made}" in done.stderr
    shown = world.cli("run", "show", made).stdout
    assert LINE in shown
    assert "sleep 1800" in shown
    assert world.cli.json("run", "show", made, "--json=debug_of,exec_commands") == {
        "debug_of": run,
        "exec_commands": [LINE],
    }
    world.set(made, state="succeeded")
    later = world.cli.json("run", "debug", run, "--detach", "--json")
    assert (later["debug_of"], later["state"]) == (run, "queued")
    assert "sleep 3600" in world.cli("run", "show", later["id"]).stdout
    assert {one["id"] for one in world.cli.json("run", "ls", "-q", "is:debug", "--json=id")} == {made, later["id"]}


def test_what_is_refused(world: World, pod_run: str) -> None:
    here = world.make_run().public_id
    assert "DEBUG_NEEDS_CLUSTER" in world.cli("run", "debug", here, code=6).stderr
    assert "12h" in world.cli("run", "debug", pod_run, "--for", "2d", code=2).stderr
