"""The bench runs and measures what it says; how fast anything is, is not a test's business."""

import pytest

from bench import __main__ as bench
from bench import report, rows


def test_a_quick_look_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick"]) in (0, 1)
    shown = capsys.readouterr().out
    for title in ("Submit a run", "Read one run", "First page", "90 % depth", "HTML", "1,000 metric points"):
        assert title in shown


def test_ids_of_cloned_runs_differ() -> None:
    found = {rows.public_id(number) for number in range(1, 5001)}
    assert len(found) == 5000
    assert all(len(one) == 12 and one.startswith("r-") for one in found)


def test_each_explained_miss_is_of_a_row_that_there_is() -> None:
    known = {"submit", "get", "page", "deep", "html", "points", "equal", "bytes", "web", "memory"}
    known |= {f"flat-{name}" for name in known}
    assert report.MISSES.keys() <= known
