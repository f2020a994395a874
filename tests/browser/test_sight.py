"""Colours that the system forces, and motion that it forbids: states and bars still tell apart.

With forced colours every background is the system's, so what is told by a fill alone would be gone.
"""

import itertools
from typing import Any

from tests.browser.conftest import Site
from tests.browser.test_tasks import run_url

# Drawn bars and what tells their parts apart where all backgrounds are one colour.
_PARTS = """() => [...document.querySelectorAll('.phases svg rect')].map((one) => {
  const style = getComputedStyle(one);
  return [style.fill, style.stroke, style.strokeDasharray, style.fillOpacity].join(' ');
})"""
_STATES = """() => [...document.querySelectorAll('main .st')].map((one) => {
  const style = getComputedStyle(one);
  return {word: one.textContent.trim(), sign: !!one.querySelector('svg,.ring'), border: style.borderTopWidth,
    ring: getComputedStyle(one.querySelector('.ring') ?? one).borderTopStyle};
})"""
_MOVES = """() => document.getAnimations().filter((one) => one.playState === 'running').length"""


def _page(chromium: Any, site: Site, path: str, **emulated: str) -> tuple[Any, Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, **emulated)
    context.add_cookies(site.cookies("alice", language="en", zone="UTC"))
    page = context.new_page()
    page.goto(site.url + path, wait_until="load")
    return context, page


def test_states_and_bars_tell_apart_with_forced_colours(chromium: Any, site: Site) -> None:
    context, page = _page(chromium, site, "/projects/vision/runs", forced_colors="active")
    states = page.evaluate(_STATES)
    assert len({one["word"].rstrip("0123456789 %") for one in states}) >= 5
    assert all(one["word"] and one["sign"] and one["border"] != "0px" for one in states), "a word, a sign and an edge"
    page.goto(site.url + run_url(site, "running"), wait_until="load")
    parts = page.evaluate(_PARTS)
    assert len(parts) >= 3
    assert all(first != second for first, second in itertools.pairwise(parts)), "beside each other, and alike"
    current = page.locator(".tabs [aria-current]").evaluate("e => getComputedStyle(e).borderBottomColor")
    other = page.locator(".tabs a:not([aria-current])").first.evaluate("e => getComputedStyle(e).borderBottomColor")
    assert current != other
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    context.close()


def test_nothing_moves_where_motion_is_not_wanted(chromium: Any, site: Site) -> None:
    context, page = _page(chromium, site, run_url(site, "running"), reduced_motion="reduce")
    assert page.evaluate(_MOVES) == 0
    assert page.locator(".st .ring").first.is_visible(), "the sign is there and stands still"
    context.close()
    context, page = _page(chromium, site, run_url(site, "running"), reduced_motion="no-preference")
    assert page.evaluate(_MOVES) > 0, "or the test sees nothing"
    context.close()


def test_focus_is_never_under_the_bar(chromium: Any, site: Site) -> None:
    """By Tab through long pages at a zoom of 400 %: all that has the focus can be seen, none is lost."""
    context, page = _page(chromium, site, f"{run_url(site, 'running')}/metrics")
    page.set_viewport_size({"width": 320, "height": 256})
    for path in ("/projects/vision/runs", "/projects/vision/runs/new"):
        page.goto(site.url + path, wait_until="load")
        page.evaluate("document.activeElement.blur()")
        hidden = []
        for step in range(45):
            page.keyboard.press("Shift+Tab" if step == 0 else "Tab" if step < 30 else "Shift+Tab")
            found = page.evaluate(
                """() => { const one = document.activeElement;
                  if (!one || one === document.body) return '';
                  const box = one.getBoundingClientRect(), bar = document.querySelector('.top').getBoundingClientRect();
                  const inside = one.closest('.top,.skip,dialog,[popover]');
                  const isSeen = inside || (box.bottom > bar.bottom + 4 && box.top < innerHeight - 4);
                  return isSeen ? '' : `${one.tagName} ${one.id} ${Math.round(box.top)}-${Math.round(box.bottom)}`;}"""
            )
            if found:
                hidden.append(found)
        assert hidden == [], path
    context.close()
