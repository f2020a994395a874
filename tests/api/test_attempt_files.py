"""What an attempt that runs in a pod fetches and sends by itself, with its run's token."""

import hashlib
import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app import db
from app.models import Run
from app.services import attempt_files
from app.settings import get_settings
from app.stores import objects
from app.workers.outputs import store_outputs
from tests import factories
from tests.api.conftest import World

Job = tuple[Run, httpx.Client]


class SendsItself:
    """A cluster whose attempts send their files."""

    def outputs(self, run_id: str, attempt: int) -> None:
        return None


@pytest.fixture
def job(world: World) -> Job:
    """A run that is running, and a client with its token."""
    with db.unit_of_work() as session:
        spec = {"name": "x", "command": ["true"], "snapshot": hashlib.sha256(b"code").hexdigest()}
        run = factories.make_run(session, world.ours, world.users["editor"], state="running", spec=spec)
        _, token = factories.make_attempt(session, run, state="running")
    return run, world.api.client(token)


def put(job: Job, path: str, content: bytes, attempt: int = 1) -> int:
    run, client = job
    return client.put(f"/runs/{run.public_id}/outputs/{path}", params={"attempt": attempt}, content=content).status_code


def listed(world: World, run: Run) -> dict[str, bytes]:
    viewer = world.as_("viewer")
    items = viewer.get(f"/runs/{run.public_id}/outputs").json()["items"]
    return {one["path"]: viewer.get(f"/runs/{run.public_id}/outputs/{one['path']}").content for one in items}


def page(world: World, run: Run) -> str:
    browser = world.browser("viewer")
    return browser.get(f"http://localhost:8800/projects/ours/runs/{run.public_id}/outputs").text


def keys(run: Run) -> int:
    folder = Path(get_settings().home) / "objects" / objects.project_prefix(run.project_id)
    return sum(path.is_file() for path in folder.rglob("*"))


def test_files_are_kept_while_it_runs_and_afterwards(world: World, job: Job) -> None:
    run, _ = job
    assert put(job, "a/model.bin", b"first") == 204
    with db.unit_of_work() as session:
        session.execute(text("update output set created_at = created_at - interval '1 hour'"))
    assert "last stored 1h 00m ago" in page(world, run)
    assert put(job, "a/model.bin", b"second") == 204
    assert re.search(r"last stored \ds ago", page(world, run))
    assert put(job, "empty", b"") == 204
    assert listed(world, run) == {"a/model.bin": b"second", "empty": b""}
    assert keys(run) == 2, "what was replaced is removed"
    store_outputs(SendsItself(), run.id, run.public_id, 1)
    assert listed(world, run) == {"a/model.bin": b"second", "empty": b""}
    assert put(job, "late", b"x") == 404, "it has ended"
    assert keys(run) == 2


def test_the_last_attempts_files_take_the_place_of_earlier_ones(world: World, job: Job) -> None:
    run, _ = job
    assert put(job, "only-first", b"1") == 204
    assert put(job, "both", b"1") == 204
    store_outputs(SendsItself(), run.id, run.public_id, 1)
    with db.unit_of_work() as session:
        _, token = factories.make_attempt(session, run, number=2, state="running")
        session.execute(text("update run set attempt = 2 where id = :id"), {"id": run.id})
    again = run, world.api.client(token)
    assert put(again, "both", b"2", attempt=2) == 204
    assert put(again, "both", b"1", attempt=1) == 404
    store_outputs(SendsItself(), run.id, run.public_id, 2)
    assert listed(world, run) == {"both": b"2"}
    assert keys(run) == 1


@pytest.mark.parametrize("path", ["a//b", "a/%2E%2E/b", "%00", "x%0Ay", "y" * 4097])
def test_paths_that_are_none(world: World, job: Job, path: str) -> None:
    assert put(job, path, b"x") == 404
    assert listed(world, job[0]) == {}


def test_what_is_beyond_the_limits_is_left_out_and_told(
    world: World, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = job
    monkeypatch.setattr(get_settings().limits, "output_files", 1)
    assert put(job, "one", b"x") == 204
    assert put(job, "one", b"y") == 204
    assert put(job, "two", b"x") == 413
    assert put(job, "three", b"x") == 413
    events = world.as_("viewer").get(f"/runs/{run.public_id}/events").json()["items"]
    assert [event["code"] for event in events].count("outputs_truncated") == 1


def test_code_and_checkpoint(world: World, job: Job) -> None:
    run, client = job
    assert client.get(f"/runs/{run.public_id}/code").status_code == 404, "the store has nothing of it"
    objects.of(run.project_id).put(objects.snapshot_key(run.project_id, run.spec["snapshot"]), b"code")
    assert client.get(f"/runs/{run.public_id}/code").content == b"code"
    address = f"/runs/{run.public_id}/checkpoint"
    assert client.get(address).status_code == 404
    for content in (b"one", b"two"):
        assert client.put(address, content=iter([content[:1], content[1:]])).status_code == 204
    assert client.get(address).content == b"two"
    attempt_files.drop_checkpoint(run.id, run.project_id)
    assert client.get(address).status_code == 404


def test_another_runs_files_are_hidden(world: World, job: Job) -> None:
    _, client = job
    with db.unit_of_work() as session:
        other = factories.make_run(session, world.ours, world.users["editor"], state="running")
        factories.make_attempt(session, other, state="running")
    assert client.get(f"/runs/{other.public_id}/code").status_code == 404
    assert client.put(f"/runs/{other.public_id}/checkpoint", content=b"x").status_code == 404
    assert put((other, client), "x", b"x") == 404
