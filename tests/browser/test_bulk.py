"""Ticking runs in the list and doing something with all of them, with the keyboard, and without JavaScript."""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from app import db
from app.models import Run
from tests.browser.conftest import Site
from tests.browser.seed import add_run
from tests.browser.test_tasks import until

LIST = "/projects/vision/runs"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AXE = (
    "rules => axe.run({exclude:[['#rows tr:nth-child(n+4)']]},{runOnly:rules,resultTypes:['violations'],iframes:false})"
    ".then(r=>r.violations.map(v=>v.id+': '+v.nodes.slice(0,3).map(n=>n.target.join(' ')).join(' | ')))"
)


def made(site: Site, *names: str, state: str = "queued") -> list[str]:
    with db.unit_of_work() as session:
        for name in names:
            add_run(session, site.seed, name, state=state, name=name)
    return [site.seed.runs[name] for name in names]


def row(run: str) -> Run:
    with db.unit_of_work() as session:
        found = session.scalar(select(Run).where(Run.public_id == run))
    assert found is not None
    return found


def picture(page: Any, screenshots: Path | None, name: str) -> None:
    if screenshots:
        for theme, width in (("light", 1280), ("dark", 390)):
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            page.screenshot(path=screenshots / f"{name}-{theme}-{width}.png")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate("document.documentElement.dataset.theme = 'light'")


def test_three_presses_of_keys_compare_two_runs(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=tag:baseline")
    page.keyboard.press("x")
    assert page.inner_text("#pick-count") == "1 ticked"
    assert page.is_disabled("#pick-compare")
    page.keyboard.press("x")
    page.keyboard.press("v")
    page.wait_for_url("**/compare?runs=*")
    assert "2 runs" in page.inner_text("h1")
    page.locator("#charts").scroll_into_view_if_needed()
    page.wait_for_selector(".uplot")


def test_the_bar_takes_the_place_of_the_header_row(
    visitor: Any, site: Site, axe: str, screenshots: Path | None
) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=name:sweep")
    assert page.is_visible("thead")
    assert not page.is_visible("#picks")
    page.keyboard.press("j")
    page.keyboard.press("x")
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    assert page.inner_text("#pick-count") == "4 ticked"
    assert not page.is_visible("thead")
    page.evaluate(axe)
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        assert page.evaluate(_AXE, _RULES) == []
    picture(page, screenshots, "bulk-bar")
    page.keyboard.press("a")
    assert page.inner_text("#pick-count") == "50 ticked"
    page.keyboard.press("Escape")
    assert not page.is_visible("#picks")
    first, second = page.locator("#rows input[name=runs]").nth(1), page.locator("#rows input[name=runs]").nth(5)
    first.click()
    second.click(modifiers=["Shift"])
    assert page.inner_text("#pick-count") == "5 ticked"
    page.check("#pick-all")
    assert page.inner_text("#pick-count") == "All that match"


def test_stopping_says_what_it_means_before_it_happens(
    visitor: Any, site: Site, axe: str, screenshots: Path | None
) -> None:
    runs = made(site, "bulk-one", "bulk-two")
    made(site, "bulk-ended", state="succeeded")
    page = visitor.new_page()
    page.goto(f"{site.url}{LIST}?q=name:bulk-")
    page.keyboard.press("a")
    page.click("#picks button[value=stop]")
    assert page.inner_text("h1") == "Stop 2 runs"
    assert "1 is left as it is: It has ended." in page.inner_text("main")
    assert [row(run).desired for run in runs] == ["running", "running"]
    page.evaluate(axe)
    assert page.evaluate(_AXE, _RULES) == []
    picture(page, screenshots, "bulk-stop")
    page.click("text=Stop 2 runs >> nth=-1")
    page.wait_for_url("**did=*")
    assert "2 runs are being stopped. 1 was left as it was." in page.inner_text("main")
    assert [row(run).desired for run in runs] == ["stopped", "stopped"]


def test_all_of_it_works_without_scripts(chromium: Any, site: Site, screenshots: Path | None) -> None:
    runs = made(site, "plain-one", "plain-two", state="succeeded")
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    context.add_cookies(site.cookies("alice", language="en", theme="light", zone="UTC"))
    page = context.new_page()
    page.goto(f"{site.url}{LIST}?q=name:plain-")
    page.check(f"input[value={runs[0]}]")
    assert page.is_visible("#picks")
    page.check("#pick-all")
    page.click("#picks button[value=tag]")
    page.fill("[name=add]", "no, way!")
    page.click("text=See what changes")
    assert "up to 63 letters" in page.inner_text("main")
    page.fill("[name=add]", "first second")
    page.fill("[name=experiment]", "plain")
    page.click("text=See what changes")
    assert "Label 2 runs" in page.inner_text("h1")
    assert row(runs[0]).tags == []
    page.click("button[name=confirmed]")
    assert "2 runs were labelled." in page.inner_text("main")
    assert (row(runs[1]).tags, row(runs[1]).experiment) == (["first", "second"], "plain")
    page.goto(f"{site.url}{LIST}?q=experiment:plain")
    page.check(f"input[value={runs[1]}]")
    page.click("#picks button[value=archive]")
    page.click("button[name=confirmed]")
    assert row(runs[1]).archived
    page.click("text=Views")
    page.fill("#view-name", "Plain ones")
    page.click("text=Save the view")
    assert page.locator(".views .chip.on").inner_text() == "Plain ones"
    context.close()


def test_a_viewer_may_compare_and_no_more(chromium: Any, site: Site) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(site.cookies("bob", language="en", theme="light", zone="UTC"))
    page = context.new_page()
    page.goto(f"{site.url}{LIST}?q=name:sweep")
    page.locator("#rows input[name=runs]").nth(0).check()
    page.locator("#rows input[name=runs]").nth(1).check()
    assert page.locator("#picks button[name=action]").count() == 1
    page.click("#pick-compare")
    page.wait_for_url("**/compare?runs=*")
    context.close()


def test_the_address_of_a_comparison_is_all_of_it(visitor: Any, site: Site, screenshots: Path | None) -> None:
    keys = ("running", "succeeded", "failed")
    page = visitor.new_page()
    page.goto(f"{site.url}/projects/vision/compare?runs={','.join(site.seed.runs[key] for key in keys)}&smooth=0.2")
    page.locator("#charts").scroll_into_view_if_needed()
    page.wait_for_selector(".uplot")
    assert page.input_value("#smoothing") == "0.2"
    page.keyboard.press("+")
    page.click("[data-axis=time]")
    assert "smooth=0.25" in page.url
    assert "x=time" in page.url
    row_of = page.locator("#figures tr", has_text="val/accuracy")
    assert row_of.locator("td.best").count() == 1
    assert "higher is better" in row_of.inner_text()
    row_of.locator(".turn").click()
    page.wait_for_url("**lower=*")
    assert "lower is better" in page.locator("#figures tr", has_text="val/accuracy").inner_text()
    assert "smooth=" in page.url or "runs=" in page.url
    page.click("text=Copy the link")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.locator("#charts").scroll_into_view_if_needed()
    page.wait_for_selector(".uplot")
    page.click("[data-axis=step]")
    page.keyboard.press("z")
    for name, end in (("from", "20"), ("to", "70")):
        page.locator(f"#ask-range [name={name}]").fill(end)
    page.keyboard.press("Enter")
    until(page, "location.search.includes('zoom=20..70')")
    fresh = visitor.new_page()
    fresh.goto(page.url)
    fresh.locator("#charts").scroll_into_view_if_needed()
    fresh.wait_for_selector(".uplot")
    shown = "[...document.querySelectorAll('.chart')].find((el) => el.plot).plot.scales.x"
    assert fresh.evaluate(f"[{shown}.min, {shown}.max]") == [20, 70]
    assert all("zoom=20..70" in (link.get_attribute("href") or "") for link in fresh.locator("a[data-keep]").all())
    fresh.keyboard.press("Z")
    until(fresh, "!location.search.includes('zoom=')")
    assert not fresh.locator("#whole").is_visible()
    picture(page, screenshots, "compare-turned")
