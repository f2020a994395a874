"""The menu of a row and the choice of columns in the list of runs: keys, mouse, phone, and without JavaScript."""

from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from app import db
from app.models import MetricSeries, Run
from tests.browser.conftest import Site
from tests.browser.test_bulk import made, picture
from tests.browser.test_tasks import until

LIST = "/projects/vision/runs"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AXE = (
    "rules => axe.run({exclude:[['#rows tr:nth-child(n+4)']]},{runOnly:rules,resultTypes:['violations'],iframes:false})"
    ".then(r=>r.violations.map(v=>v.id+': '+v.nodes.slice(0,3).map(n=>n.target.join(' ')).join(' | ')))"
)
ITEMS = "[role=menuitem]"


def opened(page: Any) -> None:
    page.locator(f"#pop {ITEMS}").first.wait_for()


def test_a_key_opens_the_menu_of_the_row(visitor: Any, site: Site, axe: str, screenshots: Path | None) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=tag:baseline")
    page.keyboard.press("j")
    page.keyboard.press("j")
    name = page.locator("#rows tr.at a").inner_text()
    page.keyboard.press(".")
    opened(page)
    assert page.evaluate("document.activeElement.innerText").startswith("Open")
    assert page.get_attribute("#pop [role=menu]", "aria-label") == f"Menu of {name}"
    page.keyboard.press("ArrowUp")  # round to the last
    last = page.locator(f"#pop {ITEMS}").last
    assert last.evaluate("one => one === document.activeElement")
    page.keyboard.press("Home")
    page.keyboard.press("m")  # an entry by its first letter, not a key of the page
    assert page.evaluate("document.activeElement.innerText").startswith("Metrics")
    picture(page, screenshots, "row-menu")
    page.evaluate(axe)
    assert page.evaluate(_AXE, _RULES) == []
    page.keyboard.press("Escape")
    assert not page.is_visible("#pop")
    assert page.evaluate("document.activeElement.innerText") == name
    page.keyboard.press(".")
    opened(page)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{LIST}/r-*")
    assert page.inner_text("h1") == name


def test_a_menu_stops_one_run_after_asking(visitor: Any, site: Site) -> None:
    [run] = made(site, "stop-by-menu")
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=name:stop-by-menu")
    page.get_by_role("button", name="Menu of stop-by-menu").click()
    opened(page)
    assert page.get_attribute("#rows .c-dots button", "aria-expanded") == "true"
    page.get_by_role("menuitem", name="Stop").click()
    page.get_by_role("button", name="Stop 1 run").click()
    page.wait_for_url("**did=stop.1.0**")
    with db.unit_of_work() as session:
        assert session.scalar(select(Run.desired).where(Run.public_id == run)) == "stopped"


def test_a_menu_offers_what_is_allowed(chromium: Any, site: Site) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 800})
    context.add_cookies(site.cookies("bob", language="en"))
    page = context.new_page()
    page.goto(f"{site.url}{LIST}?q=tag:baseline")
    page.locator("#rows .c-dots button").nth(2).click()
    opened(page)
    box = page.locator("#pop").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    said = page.inner_text("#pop")
    assert "Copy the id" in said
    assert not any(word in said for word in ("Run again", "Stop", "Archive", "Label"))
    page.get_by_role("menuitem", name="Tick to compare").click()
    assert page.inner_text("#pick-count") == "1 ticked"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_columns_are_chosen_in_a_pop_up(visitor: Any, site: Site, axe: str, screenshots: Path | None) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=tag:baseline")
    assert page.locator("th.c-who").count() == 1
    page.click("#columns")
    page.locator("#pop form").wait_for()
    picture(page, screenshots, "columns-pop")
    page.evaluate(axe)
    assert page.evaluate(_AXE, _RULES) == []
    page.uncheck("#pop [value=owner]")
    page.fill("#pop [name=metric]", "train/loss")
    page.get_by_role("button", name="Show these").click()
    page.locator("th.c-metric").wait_for()
    assert page.url.endswith("?q=tag%3Abaseline")
    assert page.locator("th.c-who").count() == 0
    assert page.inner_text("th.c-metric") == "train/loss"
    picture(page, screenshots, "columns-metric")
    page.reload()
    assert page.locator("th.c-who").count() == 0
    page.click("#columns")
    page.get_by_role("button", name="All again").click()
    page.locator("th.c-who").wait_for()


def test_columns_are_chosen_without_scripts(chromium: Any, site: Site) -> None:
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(site.cookies("bob", language="en"))
    page = context.new_page()
    page.goto(f"{site.url}{LIST}")
    page.click("#columns")
    for name in ("tags", "progress"):
        page.uncheck(f"[value={name}]")
    page.get_by_role("button", name="Show these").click()
    assert page.locator("th.c-tags, th.c-prog").count() == 0
    assert page.locator("th.c-made").count() == 1
    page.click("#columns")
    page.get_by_role("button", name="All again").click()
    assert page.locator("th.c-tags, th.c-prog").count() == 2
    context.close()


def test_new_cells_live(visitor: Any, site: Site) -> None:
    """Progress comes with the run's version; a metric has none, and comes as well."""
    [run] = made(site, "live-cells", state="running")
    key = site.seed.ids["live-cells"]
    with db.unit_of_work() as session:
        session.add(MetricSeries(run_id=key, name="live/loss", points=1, last_value=0.5))
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=name:live-cells&columns=progress,metric&metric=live/loss")
    cell = f"document.querySelector('#{run} .c-%s').textContent.trim()"
    assert page.evaluate(cell % "metric") == "0.5"
    assert page.evaluate(cell % "prog") == ""
    with db.unit_of_work() as session:
        session.execute(update(MetricSeries).where(MetricSeries.name == "live/loss").values(last_value=0.25))
    until(page, f"{cell % 'metric'} === '0.25'")
    with db.unit_of_work() as session:
        values = {"progress_done": 3, "progress_total": 4, "version": Run.version + 1}
        session.execute(update(Run).where(Run.id == key).values(**values))
    until(page, f"{cell % 'prog'} === '3 of 4'")
    assert page.get_attribute(f"#{run} progress", "value") == "3"
