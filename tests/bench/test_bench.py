"""The bench runs and measures what it says; how fast anything is, is not a test's business."""

import pytest

from bench import __main__ as bench
from bench import report, rows, ui, ui_browser, ui_report
from bench.clicks import TASKS
from bench.ui_site import Sizes


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


def test_a_quick_look_at_the_pages_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    if ui_browser.path() is None:
        pytest.skip("no Chromium here; install it with: apt-get install chromium (or set BERTH_TEST_CHROMIUM)")
    assert ui.main(["--quick", "--parts", "u2,u4,u10,u14,u16"]) in (0, 1)
    shown = capsys.readouterr().out
    for title in (
        "U2 First view, KB",
        "U2 Later views, requests",
        "hosts",
        "its end",
        "to a line",
        "frames",
        "metrics",
    ):
        assert title in shown
    for title in ("change of state", "0 lost, 0 doubled", "server is away", "Processor time", "Exit codes", "--json"):
        assert title in shown
    for task in TASKS:
        assert f"U16 {task.title}" in shown
    assert "U5 Tasks that go by keyboard alone" in shown


def test_what_is_written_by_hand_below_the_table_stays() -> None:
    met, missed = report.Row("a", "A", "1", "1", True), report.Row("b", "B", "1", "2", False)
    facts = {"sizes": Sizes(), "versions": "none", "when": "now", "load": 0.0, "repeats": 5}
    first = ui_report.document([met, missed], "", **facts)  # type: ignore[arg-type]
    assert "| B | 1 | 2 | **missed** | `b` |" in first
    assert "not yet explained: `b`" in first
    second = ui_report.document([met, missed], f"{first}- `b`: because\n", **facts)  # type: ignore[arg-type]
    assert second.endswith("- `b`: because\n")
    assert "not yet explained" not in second
    assert second.count(ui_report.MARK) == 1
