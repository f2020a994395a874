"""Debug runs through the API: what they are, how they are marked and found, and where their shell is."""

from typing import Any

import pytest

from app import db
from app.models import Observation, Run
from app.services.runs import forget_what_was_seen
from tests import factories
from tests.api.conftest import World

SPEC: dict[str, Any] = {
    "name": "train",
    "command": ["python3", "train.py"],
    "pool": "east",
    "image": "registry.example.com/train:7",
    "env": {"MODE": "full"},
    "parameters": {"lr": 0.1},
    "cpu": "2",
    "memory": "4Gi",
    "shared_memory": "1Gi",
    "timeout": "5m",
    "retry": {"failed": 3},
    "tags": ["nightly"],
    "experiment": "sweep",
}
LEFT_OUT = {"name", "command", "timeout", "retry", "tags", "experiment"}


@pytest.fixture
def train(world: World) -> str:
    """A run of the pool of a cluster."""
    with db.unit_of_work() as session:
        for pool in ("east", "local"):
            factories.make_pool(session, pool, cpu_millis=64_000, memory_bytes=64 << 30)
    forget_what_was_seen()
    made = world.as_("editor").post("/projects/ours/runs", json={"spec": SPEC})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def _with_pods(public_id: str, namespace: str | None, *pods: str | None) -> None:
    """As if its cluster had started it."""
    with db.unit_of_work() as session:
        run = session.query(Run).where(Run.public_id == public_id).one()
        run.state = "running"
        handle = {"namespace": namespace, "name": "x"} if namespace else {"pid": 7}
        factories.make_attempt(session, run, state="running", handle=handle)
        replicas = [{"index": index, "phase": "running", "pod": pod} for index, pod in enumerate(pods)]
        session.add(Observation(run_id=run.id, attempt=1, status={"gone": False, "replicas": replicas}))


def test_it_is_the_same_run_with_a_sleep(world: World, train: str) -> None:
    editor = world.as_("editor")
    answer = editor.post(f"/runs/{train}:debug", json={"ttl": "90s"})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert (made["debug_of"], made["parent"], made["exec_commands"]) == (train, train, [])
    assert made["spec"]["command"] == ["sleep", "90"]
    assert (made["spec"]["retry"], "timeout" in made["spec"]) == ({}, False)
    assert (made["name"], made["tags"], made["experiment"]) == ("debug train", [], None)
    same = {name: value for name, value in SPEC.items() if name not in LEFT_OUT}
    assert {name: made["spec"][name] for name in same} == same
    assert editor.get(f"/runs/{made['id']}").json()["debug_of"] == train
    assert editor.get(f"/runs/{train}").json()["debug_of"] is None
    (entry,) = [
        one
        for one in world.as_("admin").get("/audit?object_type=run").json()["items"]
        if one["object_id"] == made["id"]
    ]
    assert (entry["verb"], entry["after"]["debug_of"]) == ("run.submit", train)


def test_it_is_found_and_stays_one_when_it_is_run_again(world: World, train: str) -> None:
    editor = world.as_("editor")
    made = editor.post(f"/runs/{train}:debug", json={}).json()
    assert made["spec"]["command"] == ["sleep", "3600"]
    again = editor.post(f"/runs/{made['id']}:rerun", json={}).json()
    exact = editor.post(f"/runs/{made['id']}:rerun", json={"exact": True}).json()
    other = editor.post(f"/runs/{made['id']}:clone", json={"changes": {"command": ["true"]}}).json()
    assert [one["debug_of"] for one in (again, exact, other)] == [made["id"], made["id"], None]
    found = editor.get("/projects/ours/runs?q=is:debug&fields=debug_of").json()["items"]
    assert {one["id"]: one["debug_of"] for one in found} == {
        made["id"]: train,
        again["id"]: made["id"],
        exact["id"]: made["id"],
    }
    assert {one["id"] for one in editor.get("/projects/ours/runs?q=-is:debug").json()["items"]} == {train, other["id"]}
    wrong = editor.get("/projects/ours/runs?q=is:debg")
    assert (wrong.status_code, wrong.json()["errors"][0]["fix"]) == (422, "debug")


def test_its_shell_is_named_while_it_runs(world: World, train: str) -> None:
    editor = world.as_("editor")
    made = editor.post(f"/runs/{train}:debug", json={}).json()
    _with_pods(made["id"], "berth-abc", "p-0", None, "p-2")
    assert editor.get(f"/runs/{made['id']}").json()["exec_commands"] == [
        "kubectl exec -it -n berth-abc p-0 -c main -- sh",
        "kubectl exec -it -n berth-abc p-2 -c main -- sh",
    ]
    _with_pods(train, "berth-abc", "p-9")
    assert editor.get(f"/runs/{train}").json()["exec_commands"] == [], "a program that runs is not gone into"
    other = editor.post(f"/runs/{train}:debug", json={}).json()
    _with_pods(other["id"], None, None)
    assert editor.get(f"/runs/{other['id']}").json()["exec_commands"] == []


def test_what_is_refused(world: World, train: str) -> None:
    editor = world.as_("editor")
    for ttl in ("0s", "13h", "soon", "-1h", True, None):
        answer = editor.post(f"/runs/{train}:debug", json={"ttl": ttl})
        assert answer.status_code == 422, ttl
        assert answer.json()["errors"][0]["pointer"] == "/ttl"
    assert editor.post(f"/runs/{train}:debug", json={"ttl": "13h"}).json()["errors"][0]["fix"] == "12h"
    assert world.as_("viewer").post(f"/runs/{train}:debug", json={}).status_code == 403
    here = editor.post("/projects/ours/runs", json={"spec": {"name": "x", "command": ["true"]}}).json()["id"]
    refused = editor.post(f"/runs/{here}:debug", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "DEBUG_NEEDS_CLUSTER")
    headers = {"idempotency-key": "debug-once"}
    twice = [editor.post(f"/runs/{train}:debug", json={}, headers=headers).json()["id"] for _ in range(2)]
    assert twice[0] == twice[1]


def test_shared_memory_is_a_part_of_the_memory(world: World, train: str) -> None:
    editor = world.as_("editor")
    too_much = editor.post("/projects/ours/runs", json={"spec": SPEC | {"shared_memory": "5Gi"}})
    assert too_much.status_code == 422
    (error,) = too_much.json()["errors"]
    assert (error["pointer"], error["fix"]) == ("/spec/shared_memory", "4Gi")
    assert "at most 4Gi" in str(error)
    for wrong in ("much", "0", 1.5):
        assert editor.post("/projects/ours/runs", json={"spec": SPEC | {"shared_memory": wrong}}).status_code == 422
