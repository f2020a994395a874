"""Every page x state x theme x language x width: accessible, within its width, from this host alone, and in words."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.i18n import catalogue
from app.web.router import router
from tests.browser.conftest import Site
from tests.browser.registry import NO_PAGES, PAGES, Page
from tests.browser.wording import CHINESE, TEXTS, foreign

WIDTHS = (1280, 390)
THEMES = ("light", "dark")
NARROWEST, WIDEST = 320, 1920
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Structure does not depend on the theme, nor colours on the language: all rules run in two opposite corners of the
# matrix, and those that look at colours, sizes and places in all of its English half.
CORNERS = {(1280, "light", "en"), (390, "dark", "zh_CN")}
APPEARANCE = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
# Rows and lines are alike: some of each are enough.
_SAMPLE = "{include:[['html']],exclude:[['#rows tr:nth-child(n+9)'],['#lines .l:nth-last-child(n+15):not(.at)']]}"
_AXE = f"rules => axe.run({_SAMPLE},{{runOnly:rules,resultTypes:['violations'],iframes:false}})"
_FOUND = ".then(r=>r.violations.map(v=>v.id+': '+v.nodes.slice(0,3).map(n=>n.target.join(' ')).join(' | ')))"
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_WATCH = """
  window.violations = [];
  document.addEventListener('securitypolicyviolation',
    (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI));
"""


def routes() -> Iterator[APIRoute]:
    """All routes of the pages' router, also those of included ones."""
    for part in router.routes:
        inner = getattr(part, "original_router", None)
        for route in inner.routes if inner is not None else [part]:
            assert isinstance(route, APIRoute)
            yield route


def test_every_route_is_registered() -> None:
    known = {f"GET {page.route}" for page in PAGES} | NO_PAGES.keys()
    found = {f"{method} {route.path}" for route in routes() for method in route.methods or ()}
    assert found - known == set(), "put these into tests/browser/registry.py"
    assert {name for name in known if name != "GET "} - found == set(), "these are gone"


class Watched:
    """A page, with everything that went wrong in it."""

    def __init__(self, context: Any, site: Site, page: Page) -> None:
        self.problems: list[str] = []
        self.site, self.spec = site, page
        self.page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._request)

    def open(self) -> None:
        self.site.end_leases(self.spec.is_outage)
        answer = self.page.goto(self.site.url + self.spec.url(self.site.seed), wait_until="load")
        assert answer.status == self.spec.status
        self.page.evaluate("document.fonts.ready.then(() => 1)")
        if charts := self.page.query_selector("#charts, #use-charts"):
            charts.scroll_into_view_if_needed()  # they are drawn when they come into view
            self.page.wait_for_selector(".uplot", state="attached")
            self.page.evaluate("scrollTo(0, 0)")
        self.page.wait_for_timeout(60)

    def close(self) -> None:
        self.problems += self.page.evaluate("window.violations")
        self.page.close()

    def _console(self, message: Any) -> None:
        is_own_status = self.spec.status >= 400 and f"{self.spec.status}" in message.text
        if message.type in ("error", "warning") and not is_own_status:
            self.problems.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.site.url + "/", "data:", "blob:")):
            self.problems.append(f"request to {request.url}")


@pytest.fixture(scope="module", params=["en", "zh_CN"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def contexts(chromium: Any, site: Site, language: str) -> Iterator[dict[str | None, Any]]:
    """One browser context for each user, with the language in its cookie."""
    made = {}
    for user in ("alice", "bob", "nobody", None):
        context = chromium.new_context(viewport={"width": WIDTHS[0], "height": 900})
        context.add_cookies(site.cookies(user, language=language, theme="light", zone="UTC"))
        context.add_init_script(_WATCH)
        made[user] = context
    yield made
    for context in made.values():
        context.close()


@pytest.mark.parametrize("spec", PAGES, ids=lambda page: page.name)
def test_page(
    contexts: dict[str | None, Any], site: Site, axe: str, language: str, spec: Page, screenshots: Path | None
) -> None:
    watched = Watched(contexts[spec.user], site, spec)
    page, found = watched.page, []
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    watched.open()
    page.evaluate(axe)
    for width, theme in itertools.product(WIDTHS, THEMES):
        corner = (width, theme, language)
        is_looked_at = corner in CORNERS or (language == "en" and not spec.is_variant)
        if is_looked_at or screenshots:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        if is_looked_at:
            violations = page.evaluate(_AXE + _FOUND, RULES if corner in CORNERS else APPEARANCE)
            found += [f"{width} {theme}: {violation}" for violation in violations]
        if screenshots:
            page.evaluate("document.dispatchEvent(new Event('berth:theme'))")
            page.wait_for_timeout(150)
            page.screenshot(path=screenshots / f"{spec.name}-{theme}-{language}-{width}.png", full_page=True)
    for width in (NARROWEST, WIDTHS[1], WIDTHS[0], WIDEST):
        page.set_viewport_size({"width": width, "height": 900})
        if (over := page.evaluate(_OVERFLOW)) > 0:
            found.append(f"{width}: {over} px too wide")
    assert page.title().startswith(spec.mark + " ")
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh_CN": "zh-CN"}[language]
    assert spec.shows in page.inner_text("body") + page.title() + page.content() or not spec.shows
    assert "alert(1)" not in " ".join(page.evaluate("[...document.scripts].map(s => s.textContent)"))
    if language == "zh_CN":
        texts = page.evaluate(TEXTS)
        found += [
            f"not translated: {one}" for one in {*untranslated(texts), *foreign(texts, CHINESE, site.run_names())}
        ]
    watched.close()
    assert found + watched.problems == []


def untranslated(texts: list[str]) -> list[str]:
    """Those of the texts that are English msgids, with anything in their slots, and should not be."""
    return sorted({text for text in texts if text in _ENGLISH or any(one.fullmatch(text) for one in _WITH_SLOTS)})


_ENGLISH = {english for english, chinese in catalogue("zh_CN").items() if english != chinese and "{" not in english} - {
    "berth",
    "definition",
    "local",
    "queued",
    "read",
    "running",
    "stopped",
    "owner",
    "low",
    "high",
    "normal",
    "editor",
    "viewer",
    "cores",
    "disabled",
    "host",
    "role",
}
_WITH_SLOTS = [
    re.compile(re.sub(r"\\\{\w+\\\}", ".*", re.escape(english)))
    for english in catalogue("zh_CN")
    if "{" in english and len(re.sub(r"\{\w+\}", "", english)) > 12
]


@pytest.fixture(scope="module")
def scriptless(chromium: Any, site: Site) -> Iterator[dict[str | None, Any]]:
    """One browser context without JavaScript for each user."""
    made = {}
    for user in ("alice", "bob", "nobody", None):
        made[user] = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
        made[user].add_cookies(site.cookies(user, language="en"))
    yield made
    for context in made.values():
        context.close()


@pytest.mark.parametrize("spec", PAGES, ids=lambda page: page.name)
def test_readable_without_javascript(scriptless: dict[str | None, Any], site: Site, spec: Page) -> None:
    page = scriptless[spec.user].new_page()
    page.goto(site.url + spec.url(site.seed), wait_until="load")
    assert page.locator("h1").first.is_visible()
    text = page.inner_text("body")
    if spec.name == "logs":
        assert "epoch 102 step 12300" in text, "the end of the log is on the page"
        page.get_by_role("link", name="Earlier lines").click()
        assert "step 5010 " in page.inner_text("#lines")
    if spec.name == "logs-search":
        assert "lines found" in text
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_server_sets_the_theme(chromium: Any, site: Site, theme: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(site.cookies("alice", theme=theme))
    page = context.new_page()
    page.goto(f"{site.url}/projects/vision/runs", wait_until="load")
    assert page.get_attribute("html", "data-theme") == theme
    context.close()


def test_weight_of_the_first_view(chromium: Any, site: Site) -> None:
    for url, most_requests in (
        ("/projects/vision/runs", 12),
        (f"/projects/vision/runs/{site.seed.runs['running']}", 14),  # log and charts are scripts of their own
    ):
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies(site.cookies("alice", language="en"))
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        received: list[float] = []
        requests: list[str] = []
        session.on("Network.dataReceived", lambda event, got=received: got.append(event["encodedDataLength"]))
        page.on("request", lambda request, seen=requests: seen.append(request.url))
        page.goto(site.url + url, wait_until="load")
        page.wait_for_timeout(500)
        assert sum(received) / 1024 <= 170, f"{url}: {sum(received) / 1024:.0f} KB"
        assert len(requests) <= most_requests, requests
        context.close()
