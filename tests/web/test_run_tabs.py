"""The pages of a run's log, metrics and events, without a browser: states, filters, pages after pages, files."""

import csv
import html
import re

import pytest
from sqlalchemy import insert, update

from app import db
from app.models import Run, RunEvent
from app.web.metrics_view import PINS_COOKIE
from tests.browser.seed import NASTY, finish
from tests.browser.seed_many import EVENTS, METRICS
from tests.web.conftest import Console

VISION = "/projects/vision/runs"


def run_url(console: Console, key: str) -> str:
    return f"{VISION}/{console.seed.runs[key]}"


@pytest.mark.parametrize("tab", ["logs", "metrics", "metrics.csv", "events", "events/new"])
def test_only_those_who_may_see_the_run(console: Console, tab: str) -> None:
    own = f"{run_url(console, 'running')}/{tab}"
    assert console.get(own, "bob").status_code == 200
    assert console.get(own, "nobody").status_code == 404
    assert console.get(own.replace("vision", "speech"), "alice").status_code == 404
    assert console.get(f"{VISION}/r-2222222222/{tab}", "alice").status_code == 404
    assert console.get(own).status_code in (303, 401)


def test_an_address_of_the_overview_with_a_line_is_of_the_log(console: Console) -> None:
    url = run_url(console, "running")
    answer = console.get(f"{url}?attempt=1&line=42", "alice")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{url}/logs?attempt=1&line=42"
    overview = console.get(url, "alice").text
    assert 'id="L1236"' in overview
    assert f'action="{url}/logs#log"' in overview
    assert 'data-whole="false"' in overview
    assert 'id="log-map"' not in overview


TABS = ["logs", "metrics", "system", "outputs", "spec", "events"]


def test_the_label_of_the_state_follows_on_every_tab(console: Console) -> None:
    url, over = run_url(console, "running"), run_url(console, "succeeded")
    for tab in TABS:
        page = console.get(f"{url}/{tab}", "bob").text
        poll = html.unescape(re.findall(r'id="status" hx-get="([^"]+)"', page)[0])
        assert console.get(poll, "bob").status_code == 204
        assert "hx-get" not in re.findall(r'<span id="status"[^>]*>', console.get(f"{over}/{tab}", "bob").text)[0]
        with db.unit_of_work() as session:
            stop = update(Run).where(Run.public_id == console.seed.runs["running"])
            session.execute(stop.values(desired="stopped"))
        changed = console.get(poll, "bob").text
        assert "Stopping" in changed
        assert html.unescape(re.findall("<title>(.*)</title>", page)[0]) in html.unescape(changed)
        assert len(changed) < 2048
        poll = html.unescape(re.findall(r'hx-get="([^"]+)"', changed)[0])
        assert console.get(poll, "bob").status_code == 204
        with db.unit_of_work() as session:
            session.execute(stop.values(desired="running"))
    with db.unit_of_work() as session:
        finish(session, console.seed.ids["running"])
    ended = console.get(poll, "bob", accept_language="zh").text
    assert "<title>✓ " in ended
    assert "hx-get" not in ended
    assert console.get(poll, "nobody").status_code == 404
    assert console.get(poll).status_code in (303, 401)
    odd = console.get(f"{url}/state?tab=%3Cb%3E&seen=%22", "bob")
    assert odd.status_code == 200
    assert "<b>" not in odd.text


def test_a_log_says_why_it_is_empty(console: Console) -> None:
    assert "the run waits in line" in console.get(f"{run_url(console, 'queued')}/logs", "alice").text
    assert "as soon as the program writes it" in console.get(f"{run_url(console, 'starting')}/logs", "alice").text


def test_metrics_by_group_with_a_table_for_those_without_a_script(console: Console) -> None:
    page = console.get(f"{run_url(console, 'running')}/metrics", "alice").text
    assert re.findall(r'<h2 class="mono">(.*?)</h2>', page)[1:] == ["train/", "val/"]
    assert "train/loss: 0." in page
    assert page.index("<noscript>") < page.index("<table")
    table = console.get(f"{run_url(console, 'running')}/metrics?show=table", "alice").text
    assert "<noscript><div" not in table
    assert "data-names" not in table
    assert NASTY not in page + table


def test_all_metrics_can_be_reached_page_by_page(console: Console) -> None:
    url, seen = f"{run_url(console, 'many')}/metrics?show=table", []
    while url:
        page = console.get(url, "alice").text
        seen += re.findall(r'<td class="mono t-cell" title="([^"]*)"', page)
        more = re.search(r'class="more"><a class="btn" href="([^"]+)"', page)
        url = more[1].replace("&amp;", "&") if more else ""
    assert len(seen) == len(set(seen)) == METRICS + 4
    found = console.get(f"{run_url(console, 'many')}/metrics?q=PROBE-7+layer/01", "alice").text
    assert "10 of 2,004" in found


@pytest.mark.parametrize("query", ["x=y&smooth=nan&log=2&show=z", "after=%00&q=%00", "q=%25_", "smooth=1e99&after=zz"])
def test_odd_addresses_of_metrics_are_answered(console: Console, query: str) -> None:
    assert console.get(f"{run_url(console, 'running')}/metrics?{query}", "alice").status_code == 200


def test_states_without_metrics(console: Console) -> None:
    live = console.get(f"{run_url(console, 'queued')}/metrics", "alice").text
    assert "None logged yet" in live
    assert 'data-live="true"' in live
    assert "logged no number" in console.get(f"{run_url(console, 'old-1')}/metrics", "alice").text


def test_a_pin_is_kept_in_a_cookie_of_the_project(console: Console) -> None:
    url = f"{run_url(console, 'running')}/metrics"
    answer = console.post(f"{url}/pins", {"name": "val/loss", "back": "?q=loss&smooth=0.3"}, "bob")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{url}?q=loss&smooth=0.30"
    cookie = answer.headers["set-cookie"]
    assert f"Path={VISION}" in cookie
    console.jar[PINS_COOKIE] = re.match(rf'{PINS_COOKIE}="?([^;"]*)', cookie)[1]  # type: ignore[index]
    page = console.get(url, "bob").text.partition("</noscript>")[2]
    assert page.index(">Pinned<") < page.index('title="val/loss"') < page.index('title="train/loss"')
    overview = console.get(run_url(console, "many"), "bob").text
    assert overview.count('class="chart wait"') == 4
    assert overview.index("<h2>loss</h2>") < overview.index("<h2>probe-0</h2>")
    again = console.post(f"{url}/pins", {"name": "val/loss"}, "bob")
    assert "%5B%5D" in again.headers["set-cookie"]
    assert console.post(f"{url}/pins", {"name": "no such"}, "bob").status_code == 404
    assert console.post(f"{url}/pins", {"name": "val/loss", "csrf": "wrong"}, "bob").status_code == 403
    for odd in ("%7B", "1", "[1,2]", "x" * 20_000):
        console.jar[PINS_COOKIE] = odd
        assert console.get(url, "bob").status_code == 200


def test_every_point_as_csv(console: Console) -> None:
    url = f"{run_url(console, 'running')}/metrics.csv"
    answer = console.get(f"{url}?name=val/loss", "bob")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.reader(answer.content.decode("utf-8-sig").splitlines()))
    assert rows[0] == ["name", "step", "time", "value"]
    assert [row[1] for row in rows[1:4]] == ["0", "12", "24"]
    assert len(rows) == 1 + 34
    whole = list(csv.reader(console.get(url, "bob").content.decode("utf-8-sig").splitlines()))
    assert {row[0] for row in whole[1:]} == {"train/loss", "val/loss", "val/accuracy", NASTY}
    assert console.get(f"{url}?name=nothing", "bob").status_code == 404


def test_the_overview_shows_the_newest_events_and_leads_to_all(console: Console) -> None:
    url = run_url(console, "many")
    page = console.get(url, "alice").text
    listed = page[page.index('id="events"') :]
    assert listed[: listed.index("</ol>")].count("<li>") == 10
    assert f'href="{url}/events"' in page
    assert f'href="{url}/metrics">All 2,004' in page.replace("2004", "2,004")


def test_events_by_kind_and_attempt_and_page_by_page(console: Console) -> None:
    url = f"{run_url(console, 'many')}/events"
    seen, at = 0, url
    while at:
        page = console.get(at, "alice").text
        seen += page.count('<li class="st-')
        more = re.search(r'class="more"><a class="btn" href="([^"]+)"', page)
        at = more[1].replace("&amp;", "&") if more else ""
    assert seen == EVENTS + 3
    people = console.get(f"{url}?kind=people", "alice").text
    assert people.count('<li class="st-') == 1
    assert "Submitted by alice" in people
    second = console.get(f"{url}?attempt=2&kind=scheduling", "alice").text
    assert set(re.findall(r"Attempt (\d) ended", second)) == {"2"}
    for odd in ("kind=x&attempt=-1", "before=abc", "attempt=99999999999", "before=99999999999999999999"):
        assert console.get(f"{url}?{odd}", "alice").status_code == 200


def test_new_events_are_polled_until_the_end(console: Console) -> None:
    url = f"{run_url(console, 'running')}/events"
    found = re.search(r'id="newer" hx-get="([^"]+)"', console.get(url, "alice").text)
    assert found
    poll = found[1].replace("&amp;", "&")
    assert console.get(poll, "alice").status_code == 204
    with db.unit_of_work() as session:
        values = {"code": "stop_requested", "attempt": 1, "data": {"by": "bob"}}
        session.execute(insert(RunEvent).values(run_id=console.seed.ids["running"], **values))
    answer = console.get(poll, "alice")
    assert "Stop requested by bob" in answer.text
    assert answer.text.count("<li") == 2
    with db.unit_of_work() as session:
        finish(session, console.seed.ids["running"])
    assert "hx-get" not in console.get(poll, "alice").text
