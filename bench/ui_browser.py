"""A headless Chromium and what it says of a page: bytes, requests, when it was painted, and what moved."""

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1280, "height": 900}
SETTLE_MS = 700  # after `load`: charts are drawn, streams are open
_PATIENCE = 60.0
# Blocking time is what each long task takes beyond 50 ms. A shift after a click or a key does not count.
_OBSERVE = """
window.berthSeen = { lcp: 0, cls: 0, tbt: 0 };
const watch = (type, take) =>
  new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
watch('largest-contentful-paint', (entry) => { berthSeen.lcp = entry.startTime; });
watch('layout-shift', (entry) => { if (!entry.hadRecentInput) berthSeen.cls += entry.value; });
watch('longtask', (entry) => { berthSeen.tbt += Math.max(0, entry.duration - 50); });
"""
# When a thing is there for the first time, in ms since the navigation began.
_WAIT_FOR = """
{ const wanted = %s;
  const look = () => {
    if (document.querySelector(wanted)) berthSeen.found = performance.now(); else requestAnimationFrame(look);
  };
  look(); }
"""


def path() -> str | None:
    """The distribution's Chromium, or what BERTH_TEST_CHROMIUM names; None where there is none."""
    return os.environ.get("BERTH_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium(executable: str) -> Iterator[Any]:
    """A browser for as long as the block lasts."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class View:
    """One look at one page. Milliseconds since the navigation began; `found` is 0 when nothing was waited for."""

    lcp: float = 0
    tbt: float = 0
    cls: float = 0
    found: float = 0
    bytes: float = 0
    requests: int = 0
    others: list[str] = field(default_factory=list)  # addresses on other hosts


@contextmanager
def context(browser: Any, cookies: list[dict[str, object]]) -> Iterator[Any]:
    """A fresh profile with an empty cache, signed in."""
    made = browser.new_context(viewport=SIZE)
    made.add_cookies([*cookies])
    made.set_default_timeout(_PATIENCE * 1000)
    yield made
    made.close()


def look(inside: Any, address: str, *, slowed: int = 1, until: str = "", settle: int = SETTLE_MS) -> View:
    """Opens the page in a new tab of the context and measures it; `slowed` divides the speed of the processor."""
    page = inside.new_page()
    session = inside.new_cdp_session(page)
    session.send("Network.enable")
    view, asked, weights = View(), dict[str, str](), dict[str, float]()
    origin = "/".join(address.split("/")[:3])

    def add_bytes(event: dict[str, Any]) -> None:
        weights[event["requestId"]] = weights.get(event["requestId"], 0) + event["encodedDataLength"]

    def finished(event: dict[str, Any]) -> None:
        # Of a page itself nothing is told before its end; of a stream there is no end.
        weights[event["requestId"]] = max(weights.get(event["requestId"], 0), event["encodedDataLength"])

    def sent(event: dict[str, Any]) -> None:
        asked[event["requestId"]] = event["request"]["url"]

    def received(event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            asked.pop(event["requestId"], None)

    session.on("Network.dataReceived", add_bytes)
    session.on("Network.loadingFinished", finished)
    session.on("Network.requestWillBeSent", sent)
    session.on("Network.requestServedFromCache", lambda event: asked.pop(event["requestId"], None))
    session.on("Network.responseReceived", received)
    page.add_init_script(_OBSERVE + (_WAIT_FOR % json.dumps(until) if until else ""))
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowed})
    page.goto(address, wait_until="load")
    if until:
        wait(page, "window.berthSeen.found > 0")
    page.wait_for_timeout(settle * (2 if slowed > 1 else 1))
    seen = page.evaluate("() => window.berthSeen")
    view.lcp, view.tbt, view.cls = seen["lcp"], seen["tbt"], seen["cls"]
    view.found = seen.get("found", 0)
    urls = [url for url in asked.values() if url.startswith("http")]
    view.requests = len(urls)
    view.bytes = sum(weights.values())
    view.others = [url for url in urls if not url.startswith(origin + "/")]
    page.close()
    return view


def wait(page: Any, condition: str, seconds: float = _PATIENCE) -> float:
    """Waits until a condition of the page holds; the seconds it took. Raises TimeoutError."""
    began = time.monotonic()
    while not _holds(page, condition):
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds} s: {condition}")
        page.wait_for_timeout(20)
    return time.monotonic() - began


def _holds(page: Any, condition: str) -> bool:
    """Not while the page loads itself anew."""
    from playwright.sync_api import Error

    try:
        return bool(page.evaluate(condition))
    except Error as problem:
        if "navigat" not in problem.message:
            raise
        return False


def median(views: list[View], of: Callable[[View], float]) -> float:
    """The middle of one of their figures."""
    return statistics.median(of(view) for view in views)
