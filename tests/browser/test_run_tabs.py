"""The pages of a run's log, metrics and events: addresses that say what is shown, and much of everything."""

import datetime
import time
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from app import db
from app.db import driver
from app.domain.loglines import Record, encode
from app.models import LogChunk, MetricPoint, MetricSeries, Run, RunEvent
from tests.browser.conftest import Site
from tests.browser.seed import add_run
from tests.browser.test_tasks import append_lines, open_page, run_url, until

BUILT = "document.querySelectorAll('.uplot').length"

SEEN = """[...document.querySelectorAll('.chart')].map(e => e.getBoundingClientRect())
  .filter(r => r.bottom > -60 && r.top < innerHeight + 60).length"""


def test_the_map_shows_errors_and_hits_and_leads_to_them(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "failed") + "/logs?attempt=2")
    page.locator("#log-map").wait_for()
    assert page.get_attribute("#log-map", "aria-hidden") == "true"
    drawn = page.get_attribute("#log-map .m-e", "d")
    assert drawn.count("M") == 2, "Traceback and ValueError"
    assert not page.get_attribute("#log-map .m-h", "d")
    box = page.locator("#log-map").bounding_box()
    page.mouse.click(box["x"] + 6, box["y"] + box["height"] * 66.5 / 69)
    page.locator("#L67.at").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("slow batch")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#log-map .m-h').getAttribute('d')")
    assert "q=slow" in page.url
    again = open_page(visitor, site, page.url.removeprefix(site.url))
    until(again, "document.querySelector('#log-hits').textContent.startsWith('1 of ')")
    assert again.input_value("#log-search input[name=q]") == "slow batch"


def test_a_range_with_a_search_is_the_same_in_a_fresh_page(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/logs?q=slow+batch")
    page.locator("#L37.at").wait_for()
    page.locator("#L40").click(position={"x": 40, "y": 8})
    page.locator("#L43").click(position={"x": 40, "y": 8}, modifiers=["Shift"])
    assert page.url.endswith("/logs?attempt=1&q=slow+batch&line=40#L40-L43")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    other = open_page(visitor, site, page.url.removeprefix(site.url))
    other.locator("#L43.at").wait_for()
    assert other.locator(".l.at").count() == 4
    assert other.locator("#L37 mark").inner_text() == "slow batch"
    assert other.url == page.url


def test_old_addresses_of_lines_lead_to_the_log(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "?attempt=1&line=42#L42")
    page.locator("#L42.at").wait_for()
    assert "/logs?attempt=1&line=42#L42" in page.url


def test_the_overview_follows_the_log_and_leads_to_it(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running"))
    page.wait_for_selector("#log-state.on")
    last = append_lines(site, "running", ["seen on the overview"])
    page.locator(f"#L{last}").wait_for()
    page.locator(f"#L{last}").click(position={"x": 40, "y": 8})
    assert page.evaluate("navigator.clipboard.readText()").endswith(f"/logs?attempt=1&line={last}#L{last}")
    assert page.url.endswith(run_url(site, "running"))
    page.keyboard.press("/")
    page.keyboard.type("slow batch")
    page.keyboard.press("Enter")
    page.wait_for_url("**/logs?**q=slow**")


def test_nine_windows_of_a_live_run_all_answer_and_follow(visitor: Any, site: Site) -> None:
    pages = [open_page(visitor, site, run_url(site, "running")) for _ in range(9)]
    for page in pages:
        page.wait_for_selector("#log-state.on")
    last = append_lines(site, "running", ["seen in all of them"])
    for page in pages:
        page.locator(f"#L{last}").wait_for()
        page.close()


def test_tabs_by_key(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "succeeded"))
    for key, end in (("l", "/logs"), ("m", "/metrics"), ("v", "/events"), ("o", site.seed.runs["succeeded"])):
        page.keyboard.press(key)
        page.wait_for_url(f"**{end}")


@pytest.mark.parametrize("lines", [1_000_000])
def test_a_million_lines(visitor: Any, site: Site, lines: int) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "million", state="succeeded", name="million")
        run_id = site.seed.ids["million"]
        session.execute(delete(LogChunk).where(LogChunk.run_id == run_id))
        now = datetime.datetime.now(datetime.UTC)
        start, chunk = int(now.timestamp() * 1000), 20_000
        for first in range(1, lines + 1, chunk):
            texts = (b"step %d loss 0.1234 lr 0.10000 42.5k img/s" % n for n in range(first, first + chunk))
            data = b"".join(encode(Record(start + n, "o", text)) for n, text in enumerate(texts, first))
            if first == 500_001:
                data = data.replace(b"step 500007 loss", b"ValueError: loss")
            row = {"run_id": run_id, "attempt": 1, "replica": 0, "first_line": first, "lines": chunk}
            times = {"end_offset": 0, "first_at": now, "last_at": now}
            session.execute(insert(LogChunk).values(**row, **times, bytes=len(data), data=data))
    page = visitor.new_page()
    page.goto(site.url + run_url(site, "queued"))
    began = time.monotonic()
    page.goto(f"{site.url}{run_url(site, 'million')}/logs", wait_until="commit")
    page.locator(f"#L{lines}").wait_for()
    opened = time.monotonic() - began
    began = time.monotonic()
    page.evaluate("location.hash = '#L500000'")
    page.locator("#L500000.at").wait_for()
    jumped = time.monotonic() - began
    print(f"tail {opened * 1000:.0f} ms, jump {jumped * 1000:.0f} ms")
    assert opened < 4, "ten times what it takes on a quiet machine"
    assert jumped < 3
    assert page.evaluate("document.querySelectorAll('*').length") < 6000
    page.locator("#lines").focus()
    page.keyboard.press("e")
    page.locator("#L500007.at").wait_for()
    with db.unit_of_work() as session:
        session.execute(delete(LogChunk).where(LogChunk.run_id == run_id))


def test_2000_metrics_are_built_as_they_are_looked_at(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    began = time.monotonic()
    page.goto(f"{site.url}{run_url(site, 'many')}/metrics", wait_until="load")
    page.locator(".uplot").first.wait_for()
    opened = time.monotonic() - began
    print(f"opened in {opened * 1000:.0f} ms")
    assert opened < 6
    page.wait_for_timeout(300)
    assert 1 <= page.evaluate(BUILT) <= 8
    for _ in range(6):
        page.mouse.wheel(0, 1200)
        page.wait_for_timeout(120)
    page.wait_for_timeout(400)
    assert 1 <= page.evaluate(BUILT) <= max(8, page.evaluate(SEEN))
    cards = page.locator(".metric").count()
    page.locator("#more a").click()
    until(page, f"document.querySelectorAll('.metric').length > {cards}")
    page.locator(".metric").last.scroll_into_view_if_needed()
    until(page, f"{BUILT} > 0")
    assert page.evaluate("document.querySelectorAll('*').length") < 6000


def test_what_is_set_for_metrics_is_in_the_address(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/metrics")
    page.locator(".uplot").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("VAL loss")
    until(page, "document.querySelectorAll('.metric').length === 1")
    assert page.evaluate("document.activeElement.id") == "filter"
    assert "q=VAL%20loss" in page.url
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    page.get_by_role("button", name="Since the start").click()
    page.get_by_role("button", name="Log scale").click()
    until(page, f"{BUILT} === 1")
    assert all(part in page.url for part in ("q=VAL+loss", "smooth=0.65", "x=relative", "log=1"))
    other = open_page(visitor, site, page.url.removeprefix(site.url))
    other.locator(".uplot").first.wait_for()
    assert other.locator(".metric h3").all_inner_texts() == ["val/loss"]
    assert other.input_value("#smoothing") == "0.65"
    assert other.get_attribute("[data-axis=relative]", "aria-pressed") == "true"
    assert other.get_attribute("#log-scale", "aria-pressed") == "true"
    other.locator(".metric [data-table]").click()
    other.locator(".points td").first.wait_for()
    assert other.locator(".points tbody tr").count() == 34
    assert other.evaluate(BUILT) == 0
    other.locator(".metric [data-table]").click()
    until(other, f"{BUILT} === 1")


_ROUGH = """
  insert into metric_point (series_id, step, at, value)
  select %(series)s, step, now() - interval '1 hour' + step * interval '1 second',
    case when step %% 500 = 499 then 'NaN' when step = 100 then 1000 when step = 1001 then 'Infinity'
      else 1 + sin(step / 50.0) end
  from generate_series(0, 1999) step
"""
_ZOOMS = """[...document.querySelectorAll('.chart')].filter((el) => el.plot)
  .map((el) => ['min', 'max'].map((end) => el.plot.scales.x[end]))"""


def test_a_part_of_the_charts_is_the_same_by_mouse_by_keys_and_by_its_address(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "failed") + "/metrics?q=loss")
    until(page, f"{BUILT} === 2")
    whole = page.evaluate(_ZOOMS)
    box = page.locator(".u-over").first.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 40, steps=3)
    page.mouse.up()
    until(page, "location.search.includes('zoom=')")
    zooms = page.evaluate(_ZOOMS)
    assert zooms[0] == zooms[1] != whole[0]
    assert "q=loss" in page.url
    assert page.locator("#whole").is_visible()
    other = open_page(visitor, site, page.url.removeprefix(site.url))
    until(other, f"{BUILT} === 2")
    assert other.evaluate(_ZOOMS) == zooms
    page.locator(".u-over").first.dblclick()
    until(page, "!location.search.includes('zoom=')")
    assert page.evaluate(_ZOOMS) == whole
    assert not page.locator("#whole").is_visible()
    page.keyboard.press("z")
    page.locator("#ask-range[open]").wait_for()
    for end in ("50", "20"):
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(end)
        page.keyboard.press("Tab")
    page.locator("#ask-range").get_by_role("button", name="Show").click()
    assert page.locator("#ask-range[open]").count() == 1, "it ends before it begins"
    page.locator("#ask-range input").last.fill("120.5")
    page.keyboard.press("Enter")
    until(page, "location.search.includes('zoom=50..121')")
    assert page.evaluate(_ZOOMS) == [[50, 121], [50, 121]]
    page.locator("#ask-range[open]").wait_for(state="detached")
    page.keyboard.press("Z")
    until(page, "!location.search.includes('zoom=')")
    page.get_by_role("button", name="Time", exact=True).click()
    until(page, f"{BUILT} === 2")
    page.keyboard.press("z")
    page.locator("#ask-range input[type=datetime-local]").first.wait_for()
    page.keyboard.press("Escape")


def test_many_points_have_a_band_and_what_is_no_number_has_a_mark(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "rough", state="succeeded", name="rough")
        series = MetricSeries(run_id=site.seed.ids["rough"], name="loss/rough", points=2000, last_step=1999)
        session.add(series)
        session.flush()
        driver(session).execute(_ROUGH, {"series": series.id})
    page = open_page(visitor, site, run_url(site, "rough") + "/metrics?q=loss/rough")
    until(page, f"{BUILT} === 1")
    plot = "document.querySelector('.chart').plot"
    assert page.evaluate(f"{plot}.data.length") == 1 + 2 + 2, "raw, smoothed, greatest and least"
    assert 500 >= page.evaluate(f"{plot}.data[0].length") > 400
    assert page.evaluate("document.querySelector('.chart').bad.map((bad) => bad[2])") == [
        "nan",
        "nan",
        "inf",
        "nan",
        "nan",
    ]
    assert page.evaluate(f"{plot}.scales.y.max") > 900
    page.get_by_role("button", name="Clip outliers").click()
    until(page, f"{BUILT} === 1 && {plot}.scales.y.max < 3")
    assert "clip=1" in page.url
    with page.expect_download() as saved:
        page.get_by_role("button", name="loss/rough as PNG").click()
    assert saved.value.suggested_filename == "loss-rough.png"
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_pin_puts_a_metric_first_here_and_on_the_overview(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/metrics")
    page.get_by_role("button", name="Pin val/loss").click()
    page.locator("h2", has_text="Pinned").wait_for()
    assert page.locator(".metric h3").first.inner_text() == "val/loss"
    overview = open_page(visitor, site, run_url(site, "failed"))
    assert overview.locator("#charts h2").first.inner_text() == "loss"
    page.get_by_role("button", name="Pin val/loss").click()
    until(page, "!document.querySelector('#charts h2').textContent.includes('Pinned')")


def test_points_arrive_while_one_looks(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/metrics?q=val/acc")
    page.locator(".uplot").first.wait_for()
    with db.unit_of_work() as session:
        series = session.scalars(
            select(MetricSeries).where(
                MetricSeries.run_id == site.seed.ids["running"], MetricSeries.name == "val/accuracy"
            )
        ).one()
        at = datetime.datetime.now(datetime.UTC)
        session.execute(insert(MetricPoint).values(series_id=series.id, step=5000, at=at, value=0.12345))
        series.points += 1
    until(page, "document.querySelector('[data-last]').textContent === '0.12345'")


def test_events_arrive_and_move_nothing(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "eventful", state="running", name="eventful")
    page = open_page(visitor, site, run_url(site, "eventful") + "/events")
    page.locator(".filter a").nth(1).focus()
    before = page.locator(".timeline li:not([hidden])").count()
    with db.unit_of_work() as session:
        values = {"code": "stop_requested", "attempt": 1, "data": {"by": "alice"}}
        session.execute(insert(RunEvent).values(run_id=site.seed.ids["eventful"], **values))
    until(page, f"document.querySelectorAll('.timeline li:not([hidden])').length === {before + 1}")
    assert "Stop requested by alice" in page.locator(".timeline li:not([hidden])").first.inner_text()
    assert page.evaluate("document.activeElement === document.querySelectorAll('.filter a')[1]")
    with db.unit_of_work() as session:
        session.execute(update(Run).where(Run.id == site.seed.ids["eventful"]).values(state="succeeded"))
    until(page, "!document.querySelector('#newer').hasAttribute('hx-get')")


def test_all_events_can_be_reached(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "many") + "/events")
    for _ in range(5):
        if not page.locator("#more a").count():
            break
        count = page.locator(".timeline li").count()
        page.locator("#more a").click()
        until(page, f"document.querySelectorAll('.timeline li').length > {count}")
    assert "Submitted by alice" in page.locator(".timeline li").last.inner_text()
    assert page.locator(".timeline li:not([hidden])").count() > 250
