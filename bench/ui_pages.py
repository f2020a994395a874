"""Weight and speed of pages (U2, U3), and pages that show very much (U4)."""

import http.client
import statistics
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bench import rows
from bench.report import Row
from bench.ui_browser import View, context, look, median, wait
from bench.ui_site import UiSite

SLOWED = 4
FIRST_KB, FIRST_REQUESTS, LATER_KB, LATER_REQUESTS = 170, 12, 30, 4
LCP_MS, TBT_MS, TBT_RUN_MS, CLS, SERVER_MS = 2000, 300, 500, 0.02, 150
TAIL_MS, JUMP_MS, FRAME_MS, NODES = 400, 300, 50, 6000
METRICS_MS, CHARTS = 1800, 8

# In one frame after the other: scrolls on, and tells how long each took.
_SCROLL = """() => new Promise((done) => {
  const view = document.querySelector('#lines'), took = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    took.push(now - last);
    last = now;
    view.scrollTop += 240;
    if (took.length < 121) requestAnimationFrame(step); else done(took.slice(1));
  };
  requestAnimationFrame(step);
})"""
_JUMP = """(line) => new Promise((done) => {
  const began = performance.now();
  const look = () => {
    if (document.querySelector(`#L${line}.at`)) done(performance.now() - began); else requestAnimationFrame(look);
  };
  location.hash = `#L${line}`;
  look();
})"""


def pages(site: UiSite) -> dict[str, str]:
    """The pages that are measured, by name."""
    return {
        "list": f"{site.project}/runs",
        "run": site.page("live"),
        "log": site.page("live", "/logs"),
        "metrics": site.page("live", "/metrics"),
        "home": "/",
    }


def weight(browser: Any, site: UiSite) -> Iterator[Row]:
    """U2: bytes and requests of a first look with an empty cache, and of a second one."""
    first, later = dict[str, View](), dict[str, View]()
    for name, path in pages(site).items():
        with context(browser, site.cookies()) as inside:
            first[name] = look(inside, site.url + path)
            later[name] = look(inside, site.url + path)
    for key, views, kilobytes, requests in (
        ("u2-first", first, FIRST_KB, FIRST_REQUESTS),
        ("u2-later", later, LATER_KB, LATER_REQUESTS),
    ):
        title = "U2 First view" if key == "u2-first" else "U2 Later views"
        figure = ", ".join(f"{name} {view.bytes / 1024:.0f}" for name, view in views.items())
        most = max(view.bytes for view in views.values()) / 1024
        yield Row(f"{key}-kb", f"{title}, KB as sent", f"at most {kilobytes}", figure, most <= kilobytes)
        figure = ", ".join(f"{name} {view.requests}" for name, view in views.items())
        count = max(view.requests for view in views.values())
        yield Row(f"{key}-requests", f"{title}, requests", f"at most {requests}", figure, count <= requests)
    others = [url for view in (*first.values(), *later.values()) for url in view.others]
    yield Row("u2-others", "U2 Requests to other hosts", "0", str(len(others)), not others)


def speed(browser: Any, site: UiSite, repeats: int) -> Iterator[Row]:
    """U3: with a processor slowed four times and an empty cache; and what the server takes for the same pages."""
    views = dict[str, list[View]]()
    for _ in range(repeats):
        for name, path in pages(site).items():
            with context(browser, site.cookies()) as inside:
                views.setdefault(name, []).append(look(inside, site.url + path, slowed=SLOWED))
    slow = f"processor slowed {SLOWED} x"
    lcp = {name: median(found, lambda view: view.lcp) for name, found in views.items()}
    yield _row("u3-lcp", f"U3 Largest paint, ms, {slow}", f"at most {LCP_MS:,}", lcp, max(lcp.values()) <= LCP_MS)
    tbt = {name: median(found, lambda view: view.tbt) for name, found in views.items()}
    is_met = all(value <= (TBT_RUN_MS if name == "run" else TBT_MS) for name, value in tbt.items())
    yield _row("u3-tbt", f"U3 Blocked, ms, {slow}", f"at most {TBT_MS}, a run {TBT_RUN_MS}", tbt, is_met)
    cls = {name: median(found, lambda view: view.cls) for name, found in views.items()}
    figure = ", ".join(f"{name} {value:.3f}" for name, value in cls.items())
    yield Row("u3-cls", f"U3 Layout shift, {slow}", f"at most {CLS}", figure, max(cls.values()) <= CLS)
    server = {name: _server_p95(site, path, 20 * repeats) for name, path in pages(site).items()}
    title = f"U3 Server, p95 ms, {site.sizes.runs:,} runs"
    yield _row("u3-server", title, f"at most {SERVER_MS}", server, max(server.values()) <= SERVER_MS)


def big_data(browser: Any, site: UiSite, repeats: int) -> Iterator[Row]:
    """U4: the long log and the many metrics."""
    lines = site.sizes.lines
    tails, jumps, frames, nodes = list[float](), list[float](), list[float](), 0
    with context(browser, site.cookies()) as inside:
        look(inside, site.url + site.page("queued", "/logs"))  # styles, scripts and fonts are there, as they will be
        for turn in range(repeats):
            view = look(inside, site.url + site.page("long", "/logs"), until=f"#L{lines}", settle=0)
            tails.append(view.found)
            page = inside.new_page()
            page.goto(site.url + site.page("long", "/logs"), wait_until="load")
            wait(page, f"document.getElementById('L{lines}') !== null")
            page.wait_for_timeout(1200)
            jumps.append(page.evaluate(_JUMP, lines * (turn + 1) // (repeats + 1)))
            page.wait_for_timeout(200)
            frames += page.evaluate(_SCROLL)
            nodes = max(nodes, page.evaluate("document.querySelectorAll('*').length"))
            page.close()
    tail, jump = statistics.median(tails), statistics.median(jumps)
    title = f"U4 A log of {lines:,} lines"
    yield Row("u4-tail", f"{title}: its end, ms", f"at most {TAIL_MS}", f"{tail:.0f}", tail <= TAIL_MS)
    yield Row("u4-jump", f"{title}: to a line, ms", f"at most {JUMP_MS}", f"{jump:.0f}", jump <= JUMP_MS)
    slow = sorted(frames)[len(frames) * 95 // 100]
    yield Row("u4-frames", f"{title}: frames, p95 ms", f"at most {FRAME_MS}", f"{slow:.0f}", slow <= FRAME_MS)
    yield Row("u4-nodes", f"{title}: elements", f"at most {NODES:,}", f"{nodes:,}", nodes <= NODES)
    many = list[View]()
    built = 0
    for _ in range(repeats):
        with context(browser, site.cookies()) as inside:
            many.append(look(inside, site.url + site.page("many", "/metrics"), slowed=SLOWED, until=".uplot"))
    with context(browser, site.cookies()) as inside:
        page = inside.new_page()
        page.goto(site.url + site.page("many", "/metrics"), wait_until="load")
        page.wait_for_timeout(1500)
        built = page.evaluate("document.querySelectorAll('.uplot').length")
    title = f"U4 {site.sizes.metrics:,} metrics"
    paint, chart = median(many, lambda view: view.lcp), median(many, lambda view: view.found)
    figure = f"{paint:.0f} (first chart {chart:.0f})"
    goal = f"at most {METRICS_MS:,}"
    yield Row("u4-metrics", f"{title}: page, ms, slowed {SLOWED} x", goal, figure, paint <= METRICS_MS)
    yield Row("u4-charts", f"{title}: charts built", f"1 to {CHARTS}", str(built), 1 <= built <= CHARTS)


def _row(key: str, title: str, goal: str, figures: dict[str, float], is_met: bool) -> Row:
    return Row(key, title, goal, ", ".join(f"{name} {value:,.0f}" for name, value in figures.items()), is_met)


def _server_p95(site: UiSite, path: str, count: int) -> float:
    """Milliseconds from the request to the last byte, one after the other, over one connection."""
    parts = urlsplit(site.url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80)
    headers = {"host": parts.netloc, "cookie": f"berth={rows.COOKIE}; __Host-berth={rows.COOKIE}"}
    headers |= {"accept": "text/html", "accept-encoding": "gzip", "sec-fetch-site": "same-origin"}
    took = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{path} answers {answer.status}")
    connection.close()
    return sorted(took)[count * 95 // 100]
