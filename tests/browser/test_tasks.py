"""What people do: by keyboard alone, while the page lives, and with links that others send them."""

import datetime
import time
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app import db
from app.domain.loglines import Record, encode
from app.models import Run
from app.repositories import logs
from app.repositories.logs import LogSource, NewChunk
from app.web import loglines
from tests.browser.conftest import PATIENCE, Site
from tests.browser.seed import PASSWORD, add_run, finish

VISION = "/projects/vision/runs"


def open_page(visitor: Any, site: Site, path: str) -> Any:
    page = visitor.new_page()
    page.goto(site.url + path, wait_until="load")
    until(page, "document.readyState === 'complete'")
    return page


def until(page: Any, condition: str, seconds: float = PATIENCE) -> None:
    """Waits until a condition holds. Playwright's own waiting evaluates strings in the page, which the CSP forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        page.wait_for_timeout(50)


def run_url(site: Site, key: str) -> str:
    return f"{VISION}/{site.seed.runs[key]}"


def test_the_palette_by_keyboard(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    page.keyboard.press("Control+k")
    until(page, "document.querySelectorAll('#palette-hits a').length > 3")
    page.keyboard.type("resnet50")
    until(page, "document.querySelector('#palette-hits').textContent.includes('r-')")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('#palette-hits') !== null")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects/vision/runs/r-*")
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('dialog[open]')") is None


def test_sign_in_by_keyboard_and_come_back(chromium: Any, site: Site) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site.url}{VISION}?q=status:failed", wait_until="load")
    assert "/login?next=" in page.url
    page.locator("#f-name:focus").wait_for()  # a browser puts the caret there when it has drawn the page
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert page.input_value("#f-name") == "alice"
    page.locator("#f-password:focus").wait_for()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects/vision/runs?q=status:failed")
    page.get_by_role("button", name="Account and settings").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    context.close()


def test_the_skip_link_comes_first(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_filter_walk_and_open_by_keyboard(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    page.keyboard.press("/")
    page.keyboard.type("status:failed")
    page.keyboard.press("Enter")
    page.wait_for_url("**?q=status%3Afailed")
    for key in "jjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.textContent") == "wide-resnet-b4096"
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/r-*")
    page.go_back()
    page.wait_for_url("**?q=status%3Afailed")


def test_the_sheet_of_keys_and_its_switch(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.locator("#keys-on").press("Space")
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    page.locator("h1").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "filter"


def test_theme_by_key_stays(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    page.keyboard.press("t")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.reload()
    assert page.get_attribute("html", "data-theme") == "dark"


def test_language_by_form(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    page.get_by_role("button", name="Account and settings").click()
    page.get_by_role("button", name="简体中文").click()
    until(page, "document.documentElement.lang === 'zh-CN'")
    assert page.url.endswith(VISION)
    page.get_by_role("button", name="账号与设置").click()
    page.get_by_role("button", name="English").click()
    until(page, "document.documentElement.lang === 'en'")


def test_load_more_keeps_what_is_there(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    before = page.locator("#rows tr").count()
    page.locator("#more a").click()
    until(page, f"document.querySelectorAll('#rows tr').length > {before}")
    assert before == 50
    assert page.locator("#more a").count() == 0
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == before + 1
    names = page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.id)")
    assert len(names) == len(set(names))


def test_a_line_by_its_address(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/logs#L42")
    page.locator("#L42.at").wait_for()
    assert page.locator("#L42").is_visible()
    assert page.get_attribute("[data-does=follow]", "aria-pressed") == "false"
    page.locator("#L45").click(position={"x": 40, "y": 8})
    assert page.url.endswith("&line=45#L45")
    page.locator("#L48").click(position={"x": 40, "y": 8}, modifiers=["Shift"])
    assert page.url.endswith("#L45-L48")
    other = open_page(visitor, site, page.url.removeprefix(site.url))
    other.locator("#L48.at").wait_for()
    assert other.locator(".l.at").count() == 4


def test_keys_of_the_log(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/logs")
    page.keyboard.press("l")
    page.keyboard.press("g")
    page.keyboard.press("g")
    page.locator("#L1").wait_for()
    until(page, "document.querySelector('#lines').scrollTop < 5")
    page.keyboard.press("w")
    assert "wrap" in page.get_attribute("#lines", "class")
    page.keyboard.press("T")
    assert "+0.000" in page.get_attribute("#L1", "data-g") or "+" in page.get_attribute("#L1", "data-g")
    page.keyboard.press("Shift+G")
    until(page, "(e => e.scrollTop + e.clientHeight > e.scrollHeight - 30)(document.querySelector('#lines'))")
    page.keyboard.press("f")
    assert "full" in page.get_attribute("#log", "class")
    page.keyboard.press("Escape")
    assert "full" not in page.get_attribute("#log", "class")


def test_search_the_log_and_walk(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running") + "/logs")
    page.keyboard.press("/")
    page.keyboard.type("slow BATCH")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#log-hits').textContent.startsWith('1 of ')")
    page.locator("#L37.at").wait_for()
    assert page.locator("#L37 mark").inner_text() == "slow batch"
    page.locator("#lines").focus()
    page.keyboard.press("n")
    page.locator("#L74.at").wait_for()
    page.keyboard.press("Shift+N")
    page.locator("#L37.at").wait_for()


def test_to_the_first_error(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "failed"))
    page.get_by_role("link", name="Show it in the log").click()
    page.wait_for_url("**/logs?attempt=2&line=67#L67")
    page.locator(".l.at").wait_for()
    assert "Traceback" in page.locator(".l.at").inner_text()
    page.locator("#lines").focus()
    page.keyboard.press("e")
    until(page, "document.querySelector('.l.at')?.textContent.includes('ValueError')")


def test_lines_look_the_same_from_the_server_and_the_script(visitor: Any, site: Site) -> None:
    cases = [
        "plain <b>&amp; \"quotes\" 'too'",
        "\x1b[31mred\x1b[0m \x1b[1;32mbold green\x1b[22m still green\x1b[39m plain",
        "\x1b[38;5;208morange\x1b[38;5;21mblue\x1b[38;5;244mgrey\x1b[38;5;8mdark\x1b[0m",
        "\x1b[38;2;80;200;120mtrue\x1b[48;2;1;2;3;31mback\x1b[m end",
        "\x1b[90mdim\x1b[97mwhite\x1b[4;3munder\x1b[24;23m",
        "\x1b[38;5mbroken \x1b[38;2;1mbroken too \x1b[;;m",
        "训练 مرحبا \u2404",
        "x" * (loglines.LONGEST + 5),
    ]
    page = open_page(visitor, site, run_url(site, "running"))
    script = page.evaluate("document.querySelector('script[src*=\"log.js\"]').src")
    found = page.evaluate(
        "async ([src, cases]) => { const { markup } = await import(src);"
        " const box = document.createElement('div');"
        " return cases.map(one => { box.innerHTML = markup(one); return box.innerHTML; }); }",
        [script, cases],
    )
    expected = page.evaluate(
        "cases => { const box = document.createElement('div');"
        " return cases.map(one => { box.innerHTML = one; return box.innerHTML; }); }",
        [str(loglines.markup(case)) for case in cases],
    )
    assert [one.partition('<i class="cut">')[0] for one in found] == [
        one.partition('<i class="cut">')[0] for one in expected
    ]


def append_lines(site: Site, run: str, texts: list[str]) -> int:
    """Adds lines to a run's log as the shipper does; returns the number of the last one."""
    run_id = site.seed.ids[run]
    with db.unit_of_work() as session:
        attempt = session.execute(select(Run.attempt).where(Run.id == run_id)).scalar_one()
        head = next(one for one in logs.list_heads(session, run_id) if one.attempt == attempt)
        now = datetime.datetime.now(datetime.UTC)
        data = b"".join(encode(Record(int(now.timestamp() * 1000), "o", one.encode())) for one in texts)
        source = LogSource(run_id, site.seed.runs[run], site.seed.ids["vision"], attempt, 0, head.lines + 1, 0, False)
        logs.append(session, [NewChunk(source, data, len(texts), 0, len(data), now, now)])
    return head.lines + len(texts)


def test_new_lines_arrive_and_do_not_move_a_reader(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running"))
    page.wait_for_selector("#log-state.on")
    last = append_lines(site, "running", ["fresh line one", "fresh \x1b[32mline\x1b[0m two"])
    page.locator(f"#L{last}").wait_for()
    assert page.locator(f"#L{last} .an-g").inner_text() == "line"
    page.locator("#lines").evaluate("e => { e.scrollTop -= 400 }")
    until(page, "document.querySelector('[data-does=follow]').getAttribute('aria-pressed') === 'false'")
    place = page.locator("#lines").evaluate("e => e.scrollTop")
    append_lines(site, "running", [f"more {number}" for number in range(20)])
    page.locator("#log-below").wait_for()
    assert page.locator("#log-below").inner_text() == "20 new lines"
    assert page.locator("#lines").evaluate("e => e.scrollTop") == place
    page.locator("#log-below").click()
    until(page, "document.querySelector('#lines').textContent.includes('more 19')")


def test_a_change_is_shown_and_typed_text_stays(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "ends-soon", state="running", name="ends-soon")
    page = open_page(visitor, site, run_url(site, "ends-soon"))
    page.locator("details summary").first.click()
    page.locator("#log-search input[name=q]").fill("half a word")
    page.wait_for_timeout(500)
    with db.unit_of_work() as session:
        finish(session, site.seed.ids["ends-soon"])
    until(page, "document.querySelector('#status').textContent.trim() === 'Succeeded'")
    until(page, "document.title.startsWith('✓ ')")
    assert page.locator("#stop").count() == 0
    assert page.input_value("#log-search input[name=q]") == "half a word"
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.evaluate("document.querySelector('details').open")
    page.wait_for_timeout(2500)
    assert page.get_attribute("#live", "hx-get") is None, "polling ends with the run"


def test_the_state_follows_on_the_other_tabs(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "ends-elsewhere", state="running", name="ends-elsewhere")
    page = open_page(visitor, site, run_url(site, "ends-elsewhere") + "/logs")
    page.locator("#log-search input[name=q]").fill("half a word")
    with db.unit_of_work() as session:
        finish(session, site.seed.ids["ends-elsewhere"])
    until(page, "document.querySelector('#status').textContent.trim() === 'Succeeded'", 6)
    until(page, "document.title.startsWith('✓ Logs')")
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.get_attribute("#status", "hx-get") is None, "polling ends with the run"


def test_from_run_to_run_home_and_stop_by_keyboard(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    first, second = page.evaluate("[...document.querySelectorAll('#rows tr')].slice(0, 2).map((row) => row.id)")
    page.goto(f"{site.url}{VISION}/{first}/spec", wait_until="load")
    page.keyboard.press("d")
    assert page.evaluate("document.activeElement.name") == "diff"
    page.keyboard.press("Escape")
    page.keyboard.press("]")
    page.wait_for_url(f"**/{second}/spec")
    page.keyboard.press("[")
    page.wait_for_url(f"**/{first}/spec")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url(f"{site.url}/")
    page.goto(f"{site.url}{VISION}?q=status:running", wait_until="load")
    page.keyboard.press("j")
    page.keyboard.press("s")
    page.wait_for_url("**/runs/bulk")
    assert "1 " in page.inner_text("main"), "it asks before it stops"


_GAP = """id => {
  const menu = document.getElementById(id).getBoundingClientRect();
  const button = document.querySelector(`[popovertarget=${id}]`).getBoundingClientRect();
  const apart = (from, to) => Math.max(0, button[from] - menu[to], menu[from] - button[to]);
  return [apart('left', 'right'), apart('top', 'bottom'),
          Math.min(menu.left, menu.top, innerWidth - menu.right, innerHeight - menu.bottom)];
}"""


def test_a_menu_opens_beside_its_button(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, VISION)
    for width, names in ((1280, ["projects", "user-menu", "views"]), (390, ["views"])):
        page.set_viewport_size({"width": width, "height": 900})
        for name in names:
            page.locator(f"[popovertarget={name}]").first.click()
            across, along, inside = page.evaluate(_GAP, name)
            assert min(across, along) == 0, (width, name)
            assert max(across, along) < 24, (width, name)
            assert inside >= 0, (width, name)
            page.keyboard.press("Escape")


def test_the_list_changes_in_place_and_new_rows_wait(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "in-list", state="running", name="in-the-list")
    page = open_page(visitor, site, f"{VISION}?q=name:in-the-list,newcomer")
    page.keyboard.press("j")
    with db.unit_of_work() as session:
        finish(session, site.seed.ids["in-list"])
        add_run(session, site.seed, "newcomer", state="queued", name="newcomer")
    row = f"#{site.seed.runs['in-list']} .c-status"
    until(page, f"document.querySelector('{row}').textContent.trim() === 'Succeeded'")
    assert page.evaluate("document.activeElement.textContent") == "in-the-list"
    link = page.get_by_role("link", name="1 new run")
    link.wait_for()
    assert page.locator("#rows tr").count() == 1
    link.click()
    until(page, "document.querySelectorAll('#rows tr').length === 2")


def test_a_hidden_tab_asks_nothing(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "running"))
    page.wait_for_selector("#log-state.on")  # the last thing that a page asks for by itself
    page.wait_for_timeout(300)
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(4500)
    assert asked == []


def test_stop_asks_first(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "to-stop", state="running", name="to-stop")
    page = open_page(visitor, site, run_url(site, "to-stop"))
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog")
    assert "signal and 30s" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.keyboard.press("s")
    dialog.get_by_role("button", name="Stop it").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stopping…").wait_for()
    with db.unit_of_work() as session:
        assert session.scalar(select(Run.desired).where(Run.id == site.seed.ids["to-stop"])) == "stopped"


def test_run_again(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "succeeded"))
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: site.seed.runs["succeeded"] not in url)
    assert "again, after" in page.locator(".subline").inner_text()
    with db.unit_of_work() as session:
        session.execute(text("delete from run where parent_id is not null"))


def test_charts_follow_theme_axis_and_smoothing(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "succeeded"))
    page.locator(".uplot").first.wait_for()
    page.keyboard.press("+")
    assert page.input_value("#smoothing") == "0.65"
    page.get_by_role("button", name="Time", exact=True).click()
    until(page, "document.querySelector('[data-axis=time]').getAttribute('aria-pressed') === 'true'")
    page.keyboard.press("t")
    page.reload()
    page.locator(".uplot").first.wait_for()
    assert page.input_value("#smoothing") == "0.65"


def test_the_menu_on_a_phone(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(site.url + VISION, wait_until="load")
    assert not page.locator("#side").is_visible()
    page.get_by_role("button", name="Menu", exact=True).click()
    assert page.locator("#side").is_visible()
    page.locator("#side .switch").click()
    page.locator("#projects").get_by_role("link", name="speech").click()
    page.wait_for_url("**/projects/speech/runs")


@pytest.mark.parametrize("lines", [20_000])
def test_a_long_log_is_light(visitor: Any, site: Site, lines: int) -> None:
    with db.unit_of_work() as session:
        add_run(session, site.seed, "long-log", state="succeeded", name="long-log", lines=lines)
    page = open_page(visitor, site, run_url(site, "long-log") + "/logs")
    page.locator(f"#L{lines}").wait_for()
    assert page.evaluate("document.querySelectorAll('*').length") < 6000
    page.evaluate("location.hash = '#L10000'")
    page.locator("#L10000.at").wait_for()
    for _ in range(12):
        page.locator("#lines").evaluate("e => { e.scrollTop += 6000 }")
        page.wait_for_timeout(60)
    page.wait_for_timeout(400)
    assert page.evaluate("document.querySelectorAll('*').length") < 6000
    with db.unit_of_work() as session:
        session.execute(update(Run).where(Run.id == site.seed.ids["long-log"]).values(version=2))
