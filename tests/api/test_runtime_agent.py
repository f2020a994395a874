"""Berth's runtime (deploy/images/runtime/agent.py) against the server itself: what a pod runs, over HTTP."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from app import db
from app.models import Run
from app.stores import objects
from tests import factories
from tests.api.conftest import World
from tests.clusters.world import make_archive, wait_for

REPOSITORY = Path(__file__).parents[2]
AGENT = REPOSITORY / "deploy/images/runtime/agent.py"


@pytest.fixture
def url(world: World) -> Iterator[str]:
    config = uvicorn.Config(world.api.app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def start(what: str, root: Path, url: str, run: Run, token: str, **more: str) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "BERTH_ROOT": str(root),
        "BERTH_SDK": str(REPOSITORY / "deploy/images"),  # any folder
        "BERTH_URL": url,
        "BERTH_RUN_ID": run.public_id,
        "BERTH_ATTEMPT": "1",
        "BERTH_TOKEN": token,
        **more,
    }
    command = ["env", "--block-signal=TERM", sys.executable, str(AGENT), what]
    process = subprocess.Popen(command, env=environment)
    # From here on a signal waits; Python itself is far from ready.
    command_line = Path(f"/proc/{process.pid}/cmdline")  # empty for a moment while a program is being replaced
    wait_for(lambda: process.poll() is not None or command_line.read_bytes()[:3] not in (b"", b"env"))
    return process


def test_code_outputs_and_checkpoint_go_both_ways(
    world: World, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = make_archive({"train.py": "print(1)\n", "data/x.txt": "x"})
    digest = hashlib.sha256(archive).hexdigest()
    with db.unit_of_work() as session:
        spec = {"name": "x", "command": ["true"], "snapshot": digest}
        run = factories.make_run(session, world.ours, world.users["editor"], state="running", spec=spec)
        _, token = factories.make_attempt(session, run, state="running")
    assert start("prepare", tmp_path / "none", url, run, token, BERTH_SNAPSHOT=digest).wait(30) == 1
    assert "is not in the object store." in capfd.readouterr().err
    objects.of(run.project_id).put(objects.snapshot_key(run.project_id, digest), archive)

    first, second = tmp_path / "first", tmp_path / "second"
    assert start("prepare", first, url, run, token, BERTH_SNAPSHOT=digest).wait(30) == 0
    assert (first / "code/data/x.txt").read_text() == "x"
    keeper = start("keep", first, url, run, token)
    try:
        (first / "output/a").mkdir()
        (first / "output/a/modèle 1.bin").write_bytes(os.urandom(3 << 20))
        (first / "output/empty").touch()
        (first / "output/link").symlink_to("/etc/passwd")
        (first / "checkpoint/deep").mkdir()
        (first / "checkpoint/deep/epoch").write_text("7")
        keeper.terminate()  # though it may not be ready for it yet
        assert keeper.wait(30) == 0
    finally:
        keeper.kill()
    items = world.as_("viewer").get(f"/runs/{run.public_id}/outputs").json()["items"]
    content = (first / "output/a/modèle 1.bin").read_bytes()
    assert {one["path"]: one["sha256"] for one in items} == {
        "a/modèle 1.bin": hashlib.sha256(content).hexdigest(),
        "empty": hashlib.sha256(b"").hexdigest(),
    }
    assert start("prepare", second, url, run, token, BERTH_SNAPSHOT=digest).wait(30) == 0
    assert (second / "checkpoint/deep/epoch").read_text() == "7"


def test_a_token_that_is_no_longer_good_ends_the_keeper(
    world: World, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with db.unit_of_work() as session:
        run = factories.make_run(session, world.ours, world.users["editor"], state="succeeded")
    assert start("prepare", tmp_path, url, run, "berth_r_wrong").wait(30) == 1
    assert "Berth refused to give the run's files: 401" in capfd.readouterr().err
    (tmp_path / "output/x").write_text("x")
    keeper = start("keep", tmp_path, url, run, "berth_r_wrong")
    keeper.terminate()
    assert keeper.wait(30) == 0
