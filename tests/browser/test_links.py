"""Forty and more states of pages stand in their addresses: opened anew in a fresh browser, each is the same screen.

States that are reached by hand are reached by hand here, too, and Back leads out of them again. Zoomed charts have
tests of their own, as have lines with a search and what is set for metrics (test_run_tabs.py, test_tasks.py).
"""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser.conftest import Site
from tests.browser.test_tasks import open_page, run_url, until

VISION = "/projects/vision"
RUNS = f"{VISION}/runs"

# What a screen says and how its controls stand, without what depends on the moment.
_SCREEN = r"""() => {
  const still = (text) => text.replace(/\d+ ?(s|m|h|d)( \d+ ?(s|m|h))?\b|\d\d:\d\d(:\d\d)?(\.\d+)?/g, '·');
  const main = document.querySelector('main').cloneNode(true);
  for (const one of main.querySelectorAll('script,template,#log-state,#live,.phases,.chart,#lines')) one.remove();
  const lines = [...document.querySelectorAll('.l.at')].map((one) => one.id);
  const controls = [...document.querySelectorAll('main :is(input,select,textarea)')]
    .filter((one) => !['hidden', 'password'].includes(one.type))
    .map((one) => `${one.name || one.id}=${one.type.match(/checkbox|radio/) ? one.checked : one.value}`);
  const pressed = [...document.querySelectorAll('main :is([aria-pressed],[aria-current],[aria-sort])')]
    .filter((one) => !one.matches('[data-does=follow]'))
    .map((one) => `${one.textContent.trim()} ${one.ariaPressed ?? ''} ${one.ariaSort ?? ''} ${one.ariaCurrent ?? ''}`);
  return [location.pathname, still(main.textContent).replace(/\s+/g, ' '), lines, controls, pressed.map(still)];
}"""


@dataclass(frozen=True)
class State:
    """A state of a page: where it is, and where one sees that the address changes something."""

    name: str
    path: str
    base: str = ""  # the page without the state; by default the path without its query


def _states(site: Site) -> list[State]:
    running, failed, outputs = (run_url(site, key) for key in ("running", "failed", "outputs"))
    run = site.seed.runs
    three = ",".join(run[key] for key in ("running", "succeeded", "failed"))
    two = ",".join(run[key] for key in ("failed", "succeeded"))
    job = f"{VISION}/jobs/train-digits"
    return [
        State("filter", f"{RUNS}?q=status:failed"),
        State("filter of two", f"{RUNS}?q=status:failed+tag:baseline"),
        State("filter by name", f"{RUNS}?q=name:digits"),
        State("filter by experiment", f"{RUNS}?q=experiment:digits"),
        State("filter that says nothing", f"{RUNS}?q=tag:nothing-has-this"),
        State("filter that is wrong", f"{RUNS}?q=stats:failed"),
        State("archived", f"{RUNS}?q=archived:yes"),
        State("sorted by name", f"{RUNS}?sort=name"),
        State("sorted by age", f"{RUNS}?sort=created"),
        State("sorted and filtered", f"{RUNS}?sort=created&q=tag:sweep"),
        State("new from a run", f"{RUNS}/new?from={run['running']}"),
        State("log of an attempt", f"{failed}/logs?attempt=1", f"{failed}/logs"),
        State("line of a log", f"{running}/logs?line=120#L120", f"{running}/logs"),
        State("lines of a log", f"{running}/logs?line=120#L120-L124", f"{running}/logs?line=120#L120"),
        State("search in a log", f"{running}/logs?q=slow+batch"),
        State("metrics by name", f"{running}/metrics?q=val"),
        State("metrics without a match", f"{running}/metrics?q=nothing"),
        State("metrics as a table", f"{running}/metrics?show=table"),
        State("metrics smoothed", f"{running}/metrics?smooth=0.9"),
        State("metrics by time", f"{running}/metrics?x=time"),
        State("metrics since the start", f"{running}/metrics?x=relative"),
        State("metrics in logarithms", f"{running}/metrics?log=1"),
        State("all of these", f"{running}/metrics?q=val&smooth=0.3&x=relative&log=1", f"{running}/metrics?q=val"),
        State("use in an attempt", f"{failed}/system?attempt=1", f"{failed}/system?attempt=2"),
        State("events of a kind", f"{running}/events?kind=people"),
        State("events of an attempt", f"{failed}/events?attempt=2"),
        State("folder of outputs", f"{outputs}/outputs/checkpoints", f"{outputs}/outputs"),
        State("preview of a text", f"{outputs}/outputs/train.log", f"{outputs}/outputs"),
        State("preview of an image", f"{outputs}/outputs/plots/curve.png", f"{outputs}/outputs/plots"),
        State("difference of specs", f"{failed}/spec?diff={run['succeeded']}"),
        State("compared runs", f"{VISION}/compare?runs={three}", f"{VISION}/compare?runs={two}"),
        State("experiments by a metric", f"{VISION}/experiments?metric=val/accuracy"),
        State("archived jobs", f"{VISION}/jobs?archived=1"),
        State("version of a job", f"{job}?version=1"),
        State("difference of versions", f"{job}/diff?from=1&to=3", f"{job}/diff?from=1&to=2"),
        State("audit by verb", "/admin/audit?verb=member.set"),
        State("audit by person and time", "/admin/audit?actor=alice&since=2026-01-01T10:00"),
        State("audit of a project", "/admin/audit?project=vision"),
        State("people by name", "/admin/users?q=bob"),
        State("search", "/search?project=vision&q=resnet"),
        State("preview of rules", f"{VISION}/settings/retention?preview=1&keep_last=1"),
        State("page of secrets", f"{VISION}/settings/secrets?after=ssh-key"),
        State("code of an error", "/problems/NOT_FOUND", "/problems"),
    ]


def test_a_state_is_the_same_in_a_fresh_browser(chromium: Any, site: Site) -> None:
    states, found = _states(site), []
    assert len({state.path for state in states}) == len(states) >= 40
    first = _context(chromium, site)
    page = first.new_page()
    for state in states:
        page.goto(site.url + (state.base or state.path.partition("?")[0]), wait_until="load")
        base = _screen(page)
        page.goto("about:blank")
        page.goto(site.url + state.path, wait_until="load")
        seen = _screen(page)
        if seen == base:
            found.append(f"{state.name}: the address changes nothing")
        fresh = _context(chromium, site)
        other = fresh.new_page()
        other.goto(site.url + state.path, wait_until="load")
        again = _screen(other)
        found += [
            f"{state.name}: {before!r:.300} is {after!r:.300}"
            for before, after in zip(seen, again, strict=True)
            if before != after
        ]
        fresh.close()
    first.close()
    assert found == []


# (where one starts, what one does, what the address says then)
BY_HAND = [
    (RUNS, lambda page: page.get_by_role("link", name="Failed").first.click(), "q="),
    (RUNS, lambda page: page.locator("th a", has_text="Name").click(), "sort=name"),
    (f"{VISION}/jobs", lambda page: page.get_by_role("link", name="Archived").click(), "archived=1"),
    ("{running}/events", lambda page: page.locator(".filter a").nth(1).click(), "kind="),
    ("{running}/metrics", lambda page: page.get_by_role("link", name="Table").click(), "show=table"),
    ("{failed}/logs", lambda page: page.locator(".logcard a", has_text="1").first.click(), "attempt=1"),
    ("{outputs}/outputs", lambda page: page.locator("td a", has_text="checkpoints").click(), "/checkpoints"),
]


@pytest.mark.parametrize(("start", "act", "says"), BY_HAND, ids=lambda one: one if isinstance(one, str) else "")
def test_back_leads_out_of_it(visitor: Any, site: Site, start: str, act: Any, says: str) -> None:
    path = start.format(**{key: run_url(site, key) for key in ("running", "failed", "outputs")})
    page = open_page(visitor, site, path)
    before = _screen(page)
    act(page)
    until(page, f"location.href.includes({says!r})")
    page.wait_for_load_state()
    changed = _screen(page)
    assert changed != before
    page.go_back()
    until(page, f"!location.href.includes({says!r})")
    page.wait_for_load_state()
    assert _screen(page) == before
    page.go_forward()
    until(page, f"location.href.includes({says!r})")
    page.wait_for_load_state()
    assert _screen(page) == changed


def _context(chromium: Any, site: Site) -> Any:
    made = chromium.new_context(viewport={"width": 1280, "height": 900})
    made.add_cookies(site.cookies("alice", language="en", theme="light", zone="UTC"))
    return made


def _screen(page: Any) -> Any:
    """What is on the page when it has come to rest: when it was the same twice, for five seconds at most."""
    seen = None
    for _ in range(50):
        page.wait_for_timeout(100)
        before, seen = seen, page.evaluate(_SCREEN)
        if seen == before:
            break
    return seen
