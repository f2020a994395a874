"""The demo's own judgement: the example trains, its model is measured right, and what is wrong is told."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.domain.clusters import Status
from app.trial import demo
from app.trial.demo_place import UNFIT, why_unfit
from app.trial.demo_report import DemoFailedError, show_table
from tests.trial.conftest import wait_for_environment


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model of two epochs, trained as a user would without Berth, and what the script printed."""
    folder = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [sys.executable, str(demo.EXAMPLE / "train.py"), "--epochs", "2", "--lr", "0.5"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / "model.npz", done.stdout


def test_a_model_is_measured_as_it_was_logged(trained: tuple[Path, str]) -> None:
    model, printed = trained
    accuracies = re.findall(r"val/accuracy ([0-9.]+)", printed)
    assert len(accuracies) == 2
    assert demo.measure(model) == pytest.approx(float(accuracies[-1]), abs=5e-5)
    assert demo.measure(model) > 0.5, "it learns"


def test_another_model_is_noticed(trained: tuple[Path, str], tmp_path: Path) -> None:
    with np.load(trained[0]) as file:
        weights = dict(file)
    weights["w2"] = -weights["w2"]
    np.savez(tmp_path / "other.npz", **weights)
    assert demo.measure(tmp_path / "other.npz") < demo.measure(trained[0]) - 0.1


def test_a_process_that_is_left_is_noticed() -> None:
    process = subprocess.Popen(["sleep", "60"], env={"BERTH_RUN_ID": "r-demo-test"}, start_new_session=True)
    try:
        wait_for_environment(process.pid)
        members = demo.members_of("r-demo-test")
        assert [member.process.pid for member in members] == [process.pid]
        assert not demo.is_gone("r-demo-test", members)
    finally:
        process.kill()
        process.wait()
    assert demo.is_gone("r-demo-test", members)


def test_what_does_not_hold_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    it = demo.Demo.__new__(demo.Demo)
    it.check("this holds", lambda: True)
    with pytest.raises(DemoFailedError, match="that does not"):
        it.check("that does not", lambda: False)
    assert capsys.readouterr().out == "  ok   this holds\n  NOT  that does not\n"


def test_without_scikit_learn_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    assert demo.main() == 1
    assert "pip install scikit-learn" in capsys.readouterr().err


def test_tables_have_straight_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([("A", "LONG"), ("longer", "x")])
    assert capsys.readouterr().out == "A       LONG\nlonger  x\n"


@pytest.mark.parametrize(
    ("status", "settings", "expected"),
    [
        ("ready", {"default_image": "train:1"}, None),
        ("ready", {"default_image": ""}, "`berth cluster set east --default-image IMAGE`"),
        ("ready", {}, "has no default image"),
        ("checking", {}, "was not checked yet; `berth cluster check east`"),
        ("failing", {"default_image": "train:1"}, "failed its check; `berth cluster check east`"),
        ("draining", {"default_image": "train:1"}, "takes nothing new"),
        ("away", {"default_image": "train:1"}, "does not answer"),
    ],
)
def test_a_cluster_that_cannot_be_used_says_what_to_do(
    status: str, settings: dict[str, str], expected: str | None
) -> None:
    said = why_unfit({"name": "east", "status": status, "settings": settings})
    assert said is None if expected is None else expected in (said or "")


def test_every_status_of_a_cluster_that_is_not_ready_has_words() -> None:
    assert set(UNFIT) == {status.value for status in Status} - {"ready"}
