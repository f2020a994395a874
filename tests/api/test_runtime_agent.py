"""Berth's runtime (deploy/images/runtime/agent.py) against the server itself: what a pod runs, over HTTP."""

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


class Clock:
    """Stands for the module `time`, in the agent."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Kept:
    """Stands for Berth: what was sent last, by its place."""

    def __init__(self) -> None:
        self.sent: dict[str, bytes] = {}

    def put(self, what: str, pieces: Iterator[bytes]) -> None:
        self.sent[what.partition("?")[0]] = b"".join(pieces)

    def checkpoint(self) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(self.sent["checkpoint"])) as tar:
            return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The agent as a module, at home in an empty folder."""
    monkeypatch.setenv("BERTH_ROOT", str(tmp_path))
    monkeypatch.setenv("BERTH_ATTEMPT", "1")
    spec = importlib.util.spec_from_file_location("runtime_agent", AGENT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "time", clock)
    for folder in (made.OUTPUT, made.CHECKPOINT):
        folder.mkdir()
    return made


def age_of_what_is_sent(agent: Any, clock: Clock, berth: Kept, write: Callable[[int], None], what: str) -> list[int]:
    """How old what is stored was at each second, from its first on, of two minutes in which it is written anew."""
    kept = agent.Outputs(berth) if what.startswith("outputs") else agent.Checkpoint(berth)
    begun, ages = int(clock.now), []
    for second in range(120):
        clock.now = begun + second
        write(second)
        if second % int(agent._PAUSE) == 0:
            kept.send(False)
        stored = berth.sent.get(what)
        last = None if stored is None else int((berth.checkpoint()["c"] if what == "checkpoint" else stored).split()[0])
        ages.append(second if last is None else second - last)
    return ages


def test_what_never_rests_is_stored_and_at_most_half_a_minute_old(agent: Any, clock: Clock) -> None:
    def write(path: Path, second: int) -> None:
        path.write_text(f"{second} {'x' * second}")

    berth = Kept()
    ages = age_of_what_is_sent(agent, clock, berth, lambda at: write(agent.OUTPUT / "a", at), "outputs/a")
    assert 10 < max(ages) <= 25
    ages = age_of_what_is_sent(agent, clock, berth, lambda at: write(agent.CHECKPOINT / "c", at), "checkpoint")
    assert 10 < max(ages) <= 25
    assert {one.name for one in agent.ROOT.iterdir()} == {"checkpoint", "output"}  # no copy is left


def test_what_rests_is_sent_at_the_second_look_and_once(agent: Any, clock: Clock) -> None:
    berth = Kept()
    checkpoint, outputs = agent.Checkpoint(berth), agent.Outputs(berth)
    (agent.CHECKPOINT / "c").write_text("1")
    (agent.OUTPUT / "a").write_text("1")
    for expected in (set(), {"checkpoint", "outputs/a"}, set(), set()):
        berth.sent.clear()
        assert checkpoint.send(False)
        assert outputs.send(False)
        assert berth.sent.keys() == expected
        clock.now += 30


def test_a_copy_of_a_changing_checkpoint_has_whole_files(
    agent: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is replaced while it is read, one that is written over, and one that goes."""
    berth = Kept()
    checkpoint = agent.Checkpoint(berth)
    size, add, changes = 3 << 20, agent.content, iter(range(3))

    def replace(sign: str) -> None:
        (agent.CHECKPOINT / "new").write_text(sign * size)
        (agent.CHECKPOINT / "new").rename(agent.CHECKPOINT / "replaced")
        (agent.CHECKPOINT / "over").write_text(sign * size)

    def content(file: Any, length: int) -> Iterator[bytes]:
        for number, piece in enumerate(add(file, length)):
            yield piece
            if number == 2 and (change := next(changes, None)) is not None:
                replace(str(change))
                (agent.CHECKPOINT / "short-lived").unlink(missing_ok=True)

    replace("a")
    (agent.CHECKPOINT / "short-lived").write_text("x")
    checkpoint.send(False)
    clock.now += 20
    replace("bb")
    monkeypatch.setattr(agent, "content", content)
    assert checkpoint.send(False)
    assert berth.checkpoint() == {"over": b"2" * size, "replaced": b"2" * size}
    monkeypatch.setattr(agent, "content", add)
    berth.sent.clear()
    checkpoint.send(False)
    checkpoint.send(False)
    assert "checkpoint" in berth.sent  # once more, now that it rests


def test_a_changing_checkpoint_is_not_replaced_by_nothing(agent: Any, clock: Clock) -> None:
    """Neither while it is empty for a moment, nor where the disk has no room for its copy."""
    berth = Kept()
    checkpoint = agent.Checkpoint(berth)
    (agent.CHECKPOINT / "c").write_text("1")
    checkpoint.send(False)
    clock.now += 20
    (agent.CHECKPOINT / "c").unlink()
    (agent.CHECKPOINT / "d").write_text("1")
    clock.now += 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        assert not checkpoint.send(False)
    assert berth.sent == {}
    assert checkpoint.send(False)
    assert berth.checkpoint() == {"d": b"1"}
