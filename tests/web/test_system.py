"""The system tab in each of its states."""

import html
import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app import db
from tests.browser.seed_usage import add_usage
from tests.web.conftest import Console

VISION = "/projects/vision/runs"


def page(console: Console, key: str, query: str = "") -> str:
    answer = console.get(f"{VISION}/{console.seed.runs[key]}/system{query}", "alice")
    assert answer.status_code == 200
    return html.unescape(answer.text)


def test_it_answers_first_and_goes_on_while_the_run_lives(console: Console) -> None:
    shown = page(console, "running")
    lead = re.search(r'<p class="lead">(.*?)</p>', shown)
    assert lead
    assert lead[1].startswith("It used 0.3")
    assert "of 2 CPUs on average: asking for 0.5 would do." in lead[1]
    assert "of 4 GiB: asking for 512 MiB would do." in lead[1]
    assert 'hx-trigger="every 10s"' in shown
    assert 'data-chart="cpu"' in shown
    assert 'data-chart="gpu"' not in shown, "what was not measured is not drawn"
    assert "No GPU meter on this machine" in shown
    assert shown.count("<tr>") == 61, "the same as a table"
    assert f"/api/v1/runs/{console.seed.runs['running']}/usage?attempt=1&buckets=600" in shown


def test_gpus_are_drawn_where_they_are_measured(console: Console) -> None:
    shown = page(console, "succeeded")
    assert "hx-trigger" not in shown.partition('id="use"')[2].partition(">")[0]
    assert 'data-chart="gpu"' in shown
    assert "busy on average" in shown
    assert "No GPU meter" not in shown


def test_what_nearly_ran_out_is_said(console: Console) -> None:
    shown = page(console, "failed", "?attempt=1")
    assert "it may be faster with more" in shown
    assert "with a little more it would be ended" in shown
    assert shown.count('aria-current="page">Attempt 1<') == 1
    assert "?attempt=2" in shown


@pytest.mark.parametrize(
    ("key", "title", "is_live"),
    [
        ("queued", "Not started yet", True),
        ("starting", "Not started yet", True),
        ("oom", "Too short to measure", False),
        ("long", "Not measured", False),
    ],
)
def test_states_without_figures(console: Console, key: str, title: str, is_live: bool) -> None:
    shown = page(console, key)
    assert f"<h2>{title}</h2>" in shown
    assert ('hx-trigger="every 2s"' in shown) == is_live
    assert "data-chart" not in shown


def test_a_run_that_has_just_begun_waits_for_its_first_figures(console: Console) -> None:
    run = console.seed.ids["starting"]
    with db.unit_of_work() as session:
        session.execute(
            text("update attempt set state = 'running', started_at = now() where run_id = :run"), {"run": run}
        )
        session.execute(text("update run set state = 'running' where id = :run"), {"run": run})
    assert "<h2>Measuring</h2>" in page(console, "starting")
    with db.unit_of_work() as session:
        add_usage(session, run, datetime.now(UTC), 4, "idle")
    shown = page(console, "starting")
    assert "would do" not in shown, "no advice from how a program starts"
    assert "2.0s" in shown


@pytest.mark.parametrize("query", ["?attempt=9", "?attempt=x", "?attempt=-1", "?attempt=99999999999999"])
def test_attempts_that_are_not_there(console: Console, query: str) -> None:
    assert console.get(f"{VISION}/{console.seed.runs['running']}/system{query}", "alice").status_code == 404


def test_another_projects_run_is_not_there(console: Console) -> None:
    run = console.seed.runs["running"]
    assert console.get(f"/projects/empty-project/runs/{run}/system", "alice").status_code == 404
    assert console.get(f"{VISION}/{run}/system", "nobody").status_code == 404


def test_it_is_in_the_readers_language(console: Console) -> None:
    console.jar = {"berth_language": "zh_CN"}
    shown = page(console, "running")
    assert "asking for" not in shown
    assert "GPU meter" not in shown
