"""What of Berth does not answer, on the pages of everybody with live runs, and in what their polls bring."""

import datetime
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from app import db
from app.models import Run
from app.services import outages
from tests.web.conftest import Console

VISION = "/projects/vision/runs"
CONTROLLER = "controller has not answered since"


@pytest.fixture(autouse=True)
def _looks_again() -> Iterator[None]:
    outages.forget()
    yield
    outages.forget()


def lead(seconds: float) -> None:
    """All loops are led for so long yet."""
    statement = text("""
        insert into lease (name, holder, term, until)
        select name, 'one', 1, now() + make_interval(secs => :left)
          from unnest(array['dispatch', 'admission', 'watch:local', 'logs:local']) as name
        on conflict (name) do update set until = excluded.until
    """)
    with db.unit_of_work() as session:
        session.execute(statement, {"left": seconds})
    outages.forget()


def test_everybody_is_told_where_runs_live(console: Console) -> None:
    run, over = (f"{VISION}/{console.seed.runs[key]}" for key in ("running", "succeeded"))
    pages = ["/", VISION, run, *(f"{run}/{tab}" for tab in ("logs", "metrics", "system", "outputs", "spec", "events"))]
    lead(8)
    for page in pages:
        assert CONTROLLER not in console.get(page, "bob").text
    lead(-60)
    for page in pages:
        shown = console.get(page, "bob").text
        assert CONTROLLER in shown, page
        assert 'href="/admin/health"' not in shown
    assert 'href="/admin/health">See what to do' in console.get(VISION, "alice").text
    assert "控制器自" in console.get(VISION, "bob", accept_language="zh").text
    assert CONTROLLER not in console.get(over, "bob").text, "an ended run is as it is"


def test_spans_are_those_of_then(console: Console) -> None:
    run = f"{VISION}/{console.seed.runs['running']}"
    lead(-3590)  # it was last heard an hour ago
    with db.unit_of_work() as session:
        row = session.scalars(select(Run).where(Run.public_id == console.seed.runs["running"])).one()
        begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2, seconds=30)
        row.started_at, row.queued_at = begun, begun
    running = re.search(
        r'class="p-running"><span>Running</span><b data-since="\d+">([^<]+)</b>', console.get(run, "bob").text
    )
    assert running is not None
    assert running[1] == "1h 00m"
    row = console.get(VISION, "bob").text.partition(f'<tr id="{console.seed.runs["running"]}"')[2]
    assert '<td class="num c-ran"><span data-since="' in row.partition("</tr>")[0]


def test_polls_say_when_it_changed(console: Console) -> None:
    run = f"{VISION}/{console.seed.runs['running']}"
    with db.unit_of_work() as session:
        version = session.scalar(select(Run.version).where(Run.public_id == console.seed.runs["running"]))
    poll = f"{run}/live?seen={version}&live=1"
    lead(8)
    assert "berth-outage" not in console.get(poll, "bob", hx_request="true").headers
    lead(-60)
    answer = console.get(poll, "bob", hx_request="true")
    assert answer.status_code == 204
    assert f'data-key="{answer.headers["berth-outage"]}"' in console.get(run, "bob").text
    assert "berth-outage" not in console.get("/login", hx_request="true").headers


def test_facts_and_time_line_count_from_the_same_time(console: Console) -> None:
    for key, label in (("queued", "Waited"), ("starting", "Waited"), ("running", "Ran")):
        shown = console.get(f"{VISION}/{console.seed.runs[key]}", "alice").text
        fact = re.search(rf'<dt>{label}</dt><dd><span data-since="(\d+)">', shown)
        assert fact is not None, key
        assert key == "starting" or f'<b data-since="{fact[1]}">' in shown
    shown = console.get(f"{VISION}/{console.seed.runs['succeeded']}", "alice").text
    assert "data-since" not in shown.partition('<dl class="facts">')[2].partition("</dl>")[0]
