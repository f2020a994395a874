"""Pages while things happen: nothing moves under a reader's hands (U9), and what changes is seen soon (U10)."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from bench.report import Row
from bench.ui_browser import context, wait
from bench.ui_site import UiSite

TABS, TAB_MS, TAB_PATIENCE, HIDDEN_SECONDS = 8, 1000, 15, 5
CHANGE_S, LINE_S, GREY_S, RECOVER_S = 2.5, 1.0, 5.0, 10.0
DOWN_SECONDS = 3.0
_TOUCH = "update run set version = version + 1, progress_done = coalesce(progress_done, 0) + 1 where id = %(run)s"
# What a reader has in hand: a half typed word with the caret in it, an open part, marked text, a place.
_TAKE = """() => {
  const field = document.querySelector('#log-search input[name=q]');
  const details = document.querySelector('main details'), heading = document.querySelector('h1');
  details.open = true;
  const range = document.createRange();
  range.selectNodeContents(heading);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  scrollTo(0, 200);
  field.focus({ preventScroll: true });
  field.value = 'half a word';
  field.setSelectionRange(4, 4);
}"""
_HELD = """() => {
  const field = document.activeElement, details = document.querySelector('main details');
  return { typed: field.value, caret: field.selectionStart, open: details.open, scroll: scrollY,
    name: document.querySelector('h1').textContent };
}"""


def steady(browser: Any, site: UiSite, polls: int) -> Iterator[Row]:
    """U9: polls that bring something new, a hidden tab, and many tabs of one live run."""
    with context(browser, site.cookies()) as inside:
        page = inside.new_page()
        seen = []
        page.on("response", lambda answer: seen.append(answer.status) if "/live" in answer.url else None)
        page.goto(site.url + site.page("live"), wait_until="load")
        page.wait_for_timeout(1000)
        page.evaluate(_TAKE)
        page.wait_for_timeout(200)
        before = page.evaluate(_HELD)
        seen.clear()
        began = time.monotonic()
        while len(seen) < polls and time.monotonic() - began < polls * 4 + 10:
            site.execute(_TOUCH, run=site.ids["live"])
            site.append(["a line while one reads"])
            page.wait_for_timeout(900)
        after = page.evaluate(_HELD)
        lost = [name for name, value in before.items() if after[name] != value]
        figure = f"{len(seen)} polls: " + (f"changed: {', '.join(lost)}" if lost else "nothing changed")
        title = "U9 Typed text, caret, open parts and place, while polls bring news"
        yield Row("u9-steady", title, f"{polls} polls: unchanged", figure, not lost and len(seen) >= polls)
        asked: list[str] = []
        page.evaluate("() => Object.defineProperty(document, 'hidden', { get: () => true })")
        page.wait_for_timeout(300)
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(HIDDEN_SECONDS * 1000)
        yield Row("u9-hidden", f"U9 Requests of a hidden tab in {HIDDEN_SECONDS} s", "0", str(len(asked)), not asked)
    with context(browser, site.cookies()) as inside:
        took = list[float]()
        for _ in range(TABS):
            page = inside.new_page()
            began = time.monotonic()
            try:
                page.goto(site.url + site.page("live"), wait_until="domcontentloaded", timeout=TAB_PATIENCE * 1000)
            except PlaywrightTimeoutError as problem:
                took.append(TAB_PATIENCE * 1000)
                print(problem, file=sys.stderr)
                continue
            took.append((time.monotonic() - began) * 1000)
            page.wait_for_timeout(600)
        figure = f"{max(took):.0f}"
        yield Row(
            "u9-tabs", f"U9 The slowest of {TABS} tabs of a live run, ms", f"< {TAB_MS:,}", figure, max(took) < TAB_MS
        )


def live(browser: Any, site: UiSite, repeats: int) -> Iterator[Row]:
    """U10: from the database to the screen, and over a real restart of the web process."""
    with context(browser, site.cookies()) as inside:
        page = inside.new_page()
        page.goto(site.url + site.page("live"), wait_until="load")
        wait(page, "document.querySelector('#log-state.on') !== null")
        page.wait_for_timeout(500)
        lines, changes = list[float](), list[float]()
        for turn in range(repeats):
            last = site.append([f"a line to be seen {turn}"])
            lines.append(wait(page, f"document.getElementById('L{last}') !== null", 15))
            state = ("starting", "running")[turn % 2]
            shown = page.inner_text("#status")
            site.execute(
                "update run set state = %(state)s, version = version + 1 where id = %(run)s",
                state=state,
                run=site.ids["live"],
            )
            changes.append(wait(page, f"document.querySelector('#status').innerText !== {shown!r}", 15))
        site.execute("update run set state = 'running', version = version + 1 where id = %(run)s", run=site.ids["live"])
        slowest = max(changes)
        yield Row(
            "u10-change",
            "U10 A change of state on the screen, s",
            f"at most {CHANGE_S}",
            f"{slowest:.1f}",
            slowest <= CHANGE_S,
        )
        slowest = max(lines)
        yield Row(
            "u10-line",
            "U10 A line of the log on the screen, s",
            f"at most {LINE_S}",
            f"{slowest:.2f}",
            slowest <= LINE_S,
        )
        yield from _restart(page, site)


def _restart(page: Any, site: UiSite) -> Iterator[Row]:
    page.goto(site.url + site.page("live", "/logs"), wait_until="load")
    wait(page, "document.querySelector('#log-state.on') !== null")
    first = site.live_lines
    site.append([f"before {number}" for number in range(20)])
    began = time.monotonic()
    site.stop()
    wait(page, "document.querySelector('#log-state.on') === null", 20)
    grey = time.monotonic() - began
    site.append([f"while it is away {number}" for number in range(20)])
    page.wait_for_timeout(DOWN_SECONDS * 1000)
    site.start()
    began = time.monotonic()
    site.append([f"after {number}" for number in range(20)])
    last = site.live_lines
    wait(page, f"document.getElementById('L{last}') !== null && document.querySelector('#log-state.on') !== null", 30)
    recovered = time.monotonic() - began
    numbers = page.evaluate("[...document.querySelectorAll('#lines .l')].map((line) => Number(line.dataset.n))")
    told = [number for number in numbers if number > first]
    lost, doubled = last - first - len(set(told)), len(told) - len(set(told))
    yield Row(
        "u10-restart",
        "U10 Lines over a restart of the server",
        "0 lost, 0 doubled",
        f"{lost} lost, {doubled} doubled of {last - first}",
        not lost and not doubled,
    )
    yield Row(
        "u10-grey",
        "U10 The page says that the server is away, s",
        f"at most {GREY_S:.0f}",
        f"{grey:.1f}",
        grey <= GREY_S,
    )
    yield Row(
        "u10-recovers",
        "U10 It goes on when the server is back, s",
        f"at most {RECOVER_S:.0f}",
        f"{recovered:.1f}",
        recovered <= RECOVER_S,
    )
