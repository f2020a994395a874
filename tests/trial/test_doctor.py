"""The doctor: every check has an answer, and what is wrong is found and comes with a way to mend it."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.trial import doctor, reset_password
from app.trial.processes import ProcessId
from app.trial.state import write_record
from berth.cli.app import run
from tests.trial.conftest import wait_for_environment


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("BERTH_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("BERTH_HOME", str(folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("BERTH_WEB__PORT", str(free.getsockname()[1]))
    return folder


def findings() -> dict[str, doctor.Finding]:
    found = {finding.check: finding for finding in doctor.examine()}
    for finding in found.values():
        assert finding.status in (doctor.OK, doctor.WARN, doctor.FAIL)
        assert finding.found
        assert finding.mend or finding.status == doctor.OK, f"{finding.check} says no way to mend it"
    return found


def test_a_machine_on_which_berth_never_ran(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(findings()) >= 15
    assert not [finding for finding in findings().values() if finding.status == doctor.FAIL]
    assert not home.exists(), "looking changes nothing"
    assert doctor.main() == 0
    assert "0 failed" in capsys.readouterr().out
    assert doctor.main(fields=("check", "status")) == 0
    assert {"check": "home", "status": "ok"} in json.loads(capsys.readouterr().out)


def test_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    assert "0 failed" in capsys.readouterr().out
    assert run(["doctor", "--json=check,status"]) == 0
    assert {"check": "home", "status": "ok"} in json.loads(capsys.readouterr().out)


def test_a_wrong_setting(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BERTH_WEB__PORT", "many")
    finding = findings()["settings"]
    assert finding.status == doctor.FAIL
    assert "BERTH_WEB__PORT" in finding.found
    assert doctor.main() == 1
    assert "1 failed" in capsys.readouterr().out


def test_a_port_of_somebody_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("BERTH_WEB__PORT", str(taken.getsockname()[1]))
        assert findings()["port"].status == doctor.FAIL


def test_a_home_that_others_can_enter_and_secrets_they_can_read(home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    (home / "secrets.json").write_text('{"signing_key": "x"}')
    (home / "secrets.json").chmod(0o644)
    found = findings()
    assert (found["home"].status, found["secrets"].status) == (doctor.WARN, doctor.FAIL)
    (home / "secrets.json").chmod(0o600)
    (home / "secrets.json").write_text('{"signing_key": ')
    assert findings()["secrets"].status == doctor.FAIL


def test_processes_that_died_and_leftovers(home: Path) -> None:
    home.mkdir(mode=0o700)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    dead = ProcessId.of(gone.pid).as_dict()
    gone.wait()
    own = ProcessId.of(os.getpid()).as_dict()
    record = {"supervisor": own, "marker": "m", "url": "http://localhost:9", "port": 9, "children": {"web": dead}}
    write_record(home, record)
    finding = findings()["processes"]
    assert finding.status == doctor.FAIL
    assert "web" in finding.found

    left = subprocess.Popen(["sleep", "60"], start_new_session=True, env={**os.environ, "BERTH_SUPERVISOR": "m"})
    try:
        wait_for_environment(left.pid)
        children = {"worker": ProcessId.of(left.pid).as_dict()}
        write_record(home, {**record, "supervisor": dead, "children": children})
        finding = findings()["leftovers"]
        assert finding.status == doctor.WARN
        assert "worker" in finding.found
    finally:
        left.kill()
        left.wait()


def test_a_disk_that_is_full(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Full)
    assert findings()["disk"].status == doctor.FAIL


def test_without_bubblewrap(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert findings()["isolation"].status == doctor.WARN


def test_no_password_to_reset_where_there_is_no_berth(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reset_password.main("ana") == 1
    assert "there is no Berth in" in capsys.readouterr().err
    assert not home.exists()
