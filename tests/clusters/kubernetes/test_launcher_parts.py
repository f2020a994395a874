"""The parts of the launcher that need no cluster."""

import re
import signal
import sys
from pathlib import Path

import pytest

from deploy.testcluster import build
from deploy.testcluster.places import HERE, ROOT, Places, cache_folder, hash_of
from deploy.testcluster.processes import NotUp, Processes, wait_until
from deploy.testcluster.proxy import Rule

SLEEP = [sys.executable, "-c", "import time; print('began', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(15, signal.SIG_IGN); print('began', flush=True); signal.pause()",
]


@pytest.mark.parametrize("command", [SLEEP, STUBBORN], ids=["ends when asked", "has to be killed"])
def test_a_program_is_started_found_by_another_and_ended(tmp_path: Path, command: list[str]) -> None:
    processes = Processes(tmp_path)
    pid = processes.start("one", command)
    wait_until("it began", lambda: "began" in processes.log("one").read_text(), 20)
    other = Processes(tmp_path)
    assert other.pid("one") == pid
    assert other.names() == ["one"]
    with pytest.raises(NotUp, match="runs already"):
        other.start("one", command)
    other.stop("one", patience=0.2)
    assert not processes.is_alive("one")
    assert processes.names() == []
    processes.stop("one")


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("one", SLEEP)
    record = tmp_path / "pid/one.json"
    told = record.read_text()
    record.write_text(re.sub(r'"started": \d+', '"started": 1', told))
    assert not processes.is_alive("one")
    processes.stop("one")
    record.write_text(told)
    assert processes.is_alive("one")
    processes.kill("one")


def test_a_program_that_dies_at_once_is_said_with_its_last_words(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("one", [sys.executable, "-c", "raise SystemExit('no such flag')"])
    with pytest.raises(NotUp, match="no such flag"):
        processes.wait_ready("one", lambda: False, 20)


def test_a_frozen_program_ends_too(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("one", SLEEP)
    processes.signal("one", signal.SIGSTOP)
    processes.stop("one")
    assert not processes.is_alive("one")


def test_the_setting_names_the_folder_and_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("BERTH_TESTCLUSTER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert Places(3).state.is_relative_to(tmp_path)
    assert build.program("kubelet").is_relative_to(tmp_path)
    monkeypatch.delenv("BERTH_TESTCLUSTER_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/nowhere/.cache/berth/testcluster")
    assert not cache_folder().is_relative_to(ROOT)


def test_clusters_share_neither_addresses_nor_ports() -> None:
    all_places = [Places(number) for number in range(10)]
    for taken in (
        {places.address for places in all_places},
        {places.services for places in all_places},
        {places.bridge for places in all_places},
        {places.state for places in all_places},
        {places.port(8) // 20 for places in all_places},
    ):
        assert len(taken) == 10


def test_what_is_built_is_kept_by_what_it_is_built_from(tmp_path: Path) -> None:
    lock = HERE / "modules/kwok/go.sum"
    assert hash_of(lock) == hash_of(lock)
    assert hash_of(lock) != hash_of(HERE / "modules/kwok/go.mod")
    assert hash_of("a", "b") != hash_of("a", "c")


@pytest.mark.parametrize("module", build.MODULES, ids=lambda module: module.name)
def test_locks_hold_versions_and_hashes_and_no_addresses(module: build.Module) -> None:
    for name in ("go.mod", "go.sum"):
        assert "://" not in (module.folder / name).read_text()
    assert f"k8s.io/kubernetes {build.KUBERNETES}" in (HERE / "modules/kubernetes/go.mod").read_text()


def test_a_rule_counts_and_ends() -> None:
    rule = Rule(method="GET|LIST", path="/pods", times=1)
    assert rule.fits("GET", "/api/v1/namespaces/a/pods/b")
    assert not rule.fits("POST", "/api/v1/pods")
    assert not rule.fits("GET", "/api/v1/nodes")
    rule.hits += 1
    assert not rule.fits("GET", "/api/v1/pods")
