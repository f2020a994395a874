"""Another site in the victim's browser, while the victim is signed in (A20, A23 to A26): it changes and reads nothing.

Twice: from another host name, whose requests carry no cookie, and from another port of the same one, whose do. The
routes are read from the routers, so a new one is attacked without being named here.
"""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.services import sessions
from tests.api.test_cross_site import UNSAFE, WEB_ROUTES, contents
from tests.api.test_matrix import BODIES
from tests.api.test_web_matrix import FORMS, fill
from tests.browser.conftest import Site
from tests.browser.seed import PASSWORD

HOSTS = ["127.0.0.1", "localhost"]


@pytest.fixture(scope="module")
def evil() -> Iterator[int]:
    """The port of another site: an empty page at every address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title>")

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def victim(chromium: Any, own_site: Site) -> Iterator[Any]:
    """Alice's browser: she owns the projects and administers the platform."""
    context = chromium.new_context()
    context.add_cookies(own_site.cookies("alice", language="en"))
    yield context
    context.close()


def slots(site: Site) -> dict[str, str]:
    """What addresses are filled with: things that are there. A new slot of a route belongs here."""
    return {
        "project": "vision",
        "cluster": "gpu-east",
        "server": "registry.example.com",
        "kubeconfig": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "run": site.seed.runs["running"],
        "user": "bob",
        "account": "nightly",
        "secret": "HF_TOKEN",
        "name": "train-digits",
        "view": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "token": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "notification": str(site.seed.ids["notification"]),
        "delivery": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "announcement": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
        "session_id": "0" * 16,
        "digest": "0" * 64,
        "path": "model.bin",
        "number": "1",
        "who": "x",
    }


def address(template: str, site: Site) -> str:
    made = fill(template.replace(":path}", "}"), slots(site))
    assert "{" not in made, f"{template}: add its slot"
    return site.url + made


# Forms into frames, as an invisible part of a page would send them.
_SUBMIT = """forms => Promise.all(forms.map(({url, fields, type}, n) => new Promise(done => {
  const frame = document.createElement('iframe'), form = document.createElement('form');
  frame.name = form.target = 'f' + n; form.method = 'post'; form.action = url; form.enctype = type;
  for (const [name, value] of Object.entries(fields)) {
    const field = form.appendChild(document.createElement('input')); field.name = name; field.value = value;
  }
  document.body.append(frame, form);
  // A frame that is refused does not say that it has loaded.
  let loads = 0; frame.onload = () => { if (++loads > 1) done() }; setTimeout(done, 8000);
  form.submit();
})))"""
# What a script may send without asking, then what it may not, then what it would like to read.
_FETCH = """async asked => {
  const got = [], send = async (url, more) => {
    try {
      const answer = await fetch(url, {credentials: 'include', ...more});
      if (answer.type !== 'opaque') got.push(url + ' ' + answer.status + ' ' + await answer.text());
    } catch (error) { if (!(error instanceof TypeError)) got.push(String(error)) }
  };
  for (const {url, method, body} of asked) {
    if (method === 'POST') await send(url, {method, mode: 'no-cors', body, headers: {'content-type': 'text/plain'}});
    await send(url, {method, body: method === 'GET' ? undefined : body, headers: {'content-type': 'application/json'}});
    if (method === 'GET') await send(url, {});
    else await send(url, {method: 'POST', headers: {'hx-request': 'true'}, body: ''});
  }
  return got;
}"""


def visit(context: Any, host: str, port: int) -> Any:
    page = context.new_page()
    page.goto(f"http://{host}:{port}/", wait_until="load")
    return page


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
@pytest.mark.parametrize("host", HOSTS)
def test_forms(victim: Any, own_site: Site, evil: int, host: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, int] = {}
    # What the server is sent: Playwright may wait for ever for the cookies of a request whose frame is gone.
    cookies: list[str] = []
    read = sessions.read_cookie

    def listen(header: str | None) -> str | None:
        cookies.append(header or "")
        return read(header)

    monkeypatch.setattr(sessions, "read_cookie", listen)
    sent_to: dict[str, str] = {}

    def heard(response: Any) -> None:
        if response.request.method == "POST":
            answers[response.url] = response.status
            if response.status == 303:
                sent_to[response.url] = response.headers["location"].partition("?")[0]

    page = visit(victim, host, evil)
    said: list[Any] = []
    page.on("response", lambda response: said.append(response))
    urls = {path: address(path, own_site) for path in WEB_ROUTES}
    forms = [
        {"url": url, "type": kind, "fields": FORMS.get(f"POST {path}", {}) | LOGIN.get(path, {}) | {"csrf": "0" * 40}}
        for path, url in urls.items()
    ]
    before = contents()
    page.evaluate(_SUBMIT, forms)
    for response in said:
        heard(response)
    assert set(answers) == set(urls.values()), "every route was asked"
    # Some ask who it is before they ask where it comes from: without the cookie that is nobody.
    others = {url: status for url, status in answers.items() if status != 403}
    assert set(others.values()) <= ({303} if host == "127.0.0.1" else set()), others
    assert set(sent_to.values()) <= {"/login"}, sent_to
    assert contents() == before
    assert cookies, "the routes look for a cookie"
    assert any("berth=" in cookie for cookie in cookies) == (host == "localhost"), (
        "the browser sends the cookie to another port, not to another site"
    )
    # Signing out by another site is a nuisance, so it is refused as well: alice is still there.
    assert page.goto(f"{own_site.url}/me").status == 200


LOGIN = {"/login": {"name": "bob", "password": PASSWORD}}


@pytest.mark.parametrize("host", HOSTS)
def test_scripts(victim: Any, own_site: Site, evil: int, host: str) -> None:
    page = visit(victim, host, evil)
    asked = []
    for route in UNSAFE:
        method, path = route.split(" ", 1)
        asked.append(
            {"method": method, "url": address(f"/api/v1{path}", own_site), "body": json.dumps(BODIES.get(route, {}))}
        )
    for path in (
        "/api/v1/session",
        "/api/v1/projects",
        "/me",
        "/projects/vision/runs",
        "/search?q=a",
        "/admin/audit.csv",
    ):
        asked.append({"method": "GET", "url": own_site.url + path, "body": ""})
    before = contents()
    assert page.evaluate(_FETCH, asked) == [], "nothing can be read"
    assert contents() == before


@pytest.mark.parametrize("host", HOSTS)
def test_frames_windows_and_parts_of_pages(victim: Any, own_site: Site, evil: int, host: str) -> None:
    run = own_site.seed.runs["outputs"]
    page = visit(victim, host, evil)
    got = page.evaluate(
        """async ([site, run]) => {
          const loaded = (kind, url) => new Promise(done => {
            const el = document.createElement(kind); el.src = url;
            el.onload = () => done(kind + ' ' + url); el.onerror = () => done('');
            document.body.append(el);
          });
          const found = [
            await loaded('img', `${site}/projects/vision/runs/${run}/output-image/plots/curve.png`),
            await loaded('script', `${site}/api/v1/session`),
            await loaded('script', `${site}/static/0/app.js`),
          ].filter(Boolean);
          const frame = document.createElement('iframe'); frame.src = site + '/me'; document.body.append(frame);
          await new Promise(done => { frame.onload = done; setTimeout(done, 3000) });
          try { if (frame.contentDocument && frame.contentDocument.body.innerText) found.push('frame') } catch {}
          return found;
        }""",
        [own_site.url, run],
    )
    assert got == []
    inner = [frame for frame in page.frames if frame.url.startswith(own_site.url)]
    assert not any("alice" in frame.content() for frame in inner), "the console is in no frame"
    with victim.expect_page() as opened:
        page.evaluate("site => { window.w = window.open(site + '/me') }", own_site.url)
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("window.opener") is None
    assert page.evaluate("() => { try { return w.closed || !w.document } catch { return 'blocked' } }") in (
        True,
        "blocked",
    )
