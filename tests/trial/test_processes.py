"""Which process is which: numbers in use again are never touched."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from app.trial.child import MARKER, Child, end_orphans
from app.trial.postgres import rotate, tail, wait_until
from app.trial.processes import ProcessId, private_folder, session_members


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["sleep", "60"], start_new_session=True, env={**os.environ, MARKER: "ours", "BERTH_HOME": "x"}
    )
    yield process
    process.kill()
    process.wait()


def record_of(identity: ProcessId, marker: str = "ours") -> dict[str, object]:
    return {"marker": marker, "children": {"web": identity.as_dict()}}


def test_a_process_is_its_pid_start_and_boot(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessId.of(sleeper.pid)
    assert identity.find() is not None
    assert ProcessId.load(identity.as_dict()) == identity
    assert replace(identity, created=identity.created - 10).find() is None
    assert replace(identity, boot="another").find() is None
    sleeper.kill()
    assert wait_until(lambda: identity.find() is None, 5), "a zombie does not live"


def test_orphans_are_ended_and_pids_in_use_again_are_not(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessId.of(sleeper.pid)
    reused = replace(identity, created=identity.created - 3600)
    assert end_orphans(record_of(reused, marker="another")) == []
    assert end_orphans(record_of(replace(identity, boot="before"), marker="another")) == []
    assert sleeper.poll() is None
    assert end_orphans(record_of(identity)) == ["web"]
    sleeper.wait(60)


def test_what_an_orphan_started_goes_with_it_but_not_a_run() -> None:
    """The leader is dead already; its child is ended, a run in a session of its own is not."""
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "run = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(child.pid, run.pid, flush=True)\n"
        "import time; time.sleep(60)"
    )
    leader = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, MARKER: "ours"},
    )
    assert leader.stdout is not None
    child, run = (psutil.Process(int(word)) for word in leader.stdout.readline().split())
    identity = ProcessId.of(leader.pid)
    leader.kill()
    leader.wait()
    leader.stdout.close()
    try:
        assert [process.pid for process in session_members(identity.pid, f"{MARKER}=ours")] == [child.pid]
        assert end_orphans(record_of(identity)) == ["web"]
        assert wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
        assert run.is_running()
    finally:
        run.kill()


def test_records_that_make_no_sense_end_nothing() -> None:
    assert end_orphans({}) == []
    assert end_orphans({"children": {"web": {"pid": "x"}}}) == []
    assert end_orphans({"children": {"web": {}}}) == []


def test_a_crashed_child_waits_longer_each_time(tmp_path: Path) -> None:
    child = Child("web", [sys.executable, "-c", "print('it broke'); raise SystemExit(3)"], tmp_path / "web.log")
    pauses = []
    for _ in range(4):
        child.start({**os.environ, MARKER: "m"}, tmp_path)
        assert child.process is not None
        child.process.wait()
        assert "exit code 3" in child.note_crash("m")
        pauses.append(round(child.start_at - time.monotonic()))
    assert pauses == [0, 1, 3, 7]
    assert tail(child.log, 1) == "it broke"


def test_a_child_that_will_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    code = "import signal, subprocess, time; signal.signal(15, signal.SIG_IGN); subprocess.Popen(['sleep', '60'])"
    child = Child("worker", [sys.executable, "-c", f"{code}; print('up', flush=True); time.sleep(60)"], tmp_path / "l")
    child.start({**os.environ, MARKER: "stubborn"}, tmp_path)
    assert child.identity is not None
    assert wait_until(lambda: "up" in tail(child.log), 5)
    child.ask_to_end()
    assert not child.end(time.monotonic() + 0.3, "stubborn")
    assert session_members(child.identity.pid, f"{MARKER}=stubborn") == []


def test_a_log_is_kept_small(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab") as writer:
        writer.write(b"x" * 100)
        writer.flush()
        rotate(log, limit=50)
        writer.write(b"after")
        writer.flush()
    assert log.read_bytes() == b"after"
    assert (tmp_path / "web.log.1").read_bytes() == b"x" * 100


def test_a_private_folder_is_not_taken_from_others(tmp_path: Path) -> None:
    assert private_folder(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(PermissionError):
        private_folder(tmp_path / "link")
