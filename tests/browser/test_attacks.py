"""What tenants write, in every field that a page shows, in a real browser: text and nothing else (A16, A17, A18)."""

import re
from typing import Any

from app import db
from tests.browser import seed_hostile
from tests.browser.conftest import Site
from tests.browser.registry import PAGES
from tests.browser.seed_hostile import DOCUMENTS, OURS, PAYLOAD, TEXTS, WRITTEN, columns

VISION = "/projects/vision/runs"
# No page shows these.
NOT_SHOWN = {
    "attempt.first_error",  # that of the run is
    "notification.target",  # its host alone, and this has none
    "notification_message.data",  # what was sent is not repeated, only what came back
    "notification_message.reason",
    "usage.gpu_meter",  # only whether there is one
}
# Answers that htmx puts into a page.
PARTS = [
    VISION + "/{run}/live",
    VISION + "/{run}/after",
    VISION + "/{run}/menu",
    VISION + "/columns",
    VISION + "/{run}/events/new",
    VISION + "/changes?seen=0.0&top=0",
    VISION,
    VISION + "?q=tag:x",
    "/search?project=vision&q=a",
    "/search?project=vision&q=script",
    VISION + "/{run}/spec?diff={other}",
    VISION + "/{run}/outputs",
    VISION + "/{run}/metrics",
]
_WATCH = """
  window.violations = [];
  document.addEventListener('securitypolicyviolation',
    (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI));
"""
# What hostile text would have become, had any of it been taken for markup.
_FOUND = """() => {
  const found = [], ids = {};
  if (window.owned !== undefined) found.push('a script ran');
  for (const el of document.querySelectorAll('*')) {
    if (el.id) ids[el.id] = (ids[el.id] || 0) + 1;
    const start = el.outerHTML.slice(0, 80);
    if (el.matches('.owned,base,iframe,object,embed,meta[http-equiv]')) found.push('element ' + start);
    if (el.localName === 'script' && !el.src && el.textContent.includes('owned')) found.push('script ' + start);
    if (el.localName === 'style' && el.textContent.includes('display:none}')) found.push('style');
    for (const {name, value} of el.attributes) {
      if (/^(on|hx-on|data-hx-)/.test(name)) found.push('attribute ' + name);
      if (/^hx-(get|post|put|patch|delete)$/.test(name) && !value.startsWith('/')) found.push(name + ' ' + value);
    }
    for (const name of ['href', 'src', 'action', 'formAction', 'data'])
      if (typeof el[name] === 'string' && el.hasAttribute(name.toLowerCase())) {
        const to = new URL(el[name], location.href);
        const own = to.origin === location.origin || (el.matches('img,head>link[rel=icon]') && to.protocol === 'data:');
        if (!own || to.username) found.push(el.localName + ' leads to ' + el[name].slice(0, 80));
      }
  }
  for (const id in ids) if (ids[id] > 1) found.push('twice: #' + id);
  for (const id of ['main']) if (!ids[id]) found.push('gone: #' + id);
  return found;
}"""


def test_every_column_of_text_is_hostile_or_said_to_be_ours() -> None:
    ours = {column for group in OURS.values() for column in group.split()}
    tables = [TEXTS, DOCUMENTS, WRITTEN, ours]
    named = set().union(*tables)
    assert sum(map(len, tables)) == len(named), "one column in two tables"
    # Bytes are columns of their own kind; those of logs are the only ones that are shown.
    assert named - {"log_chunk.data"} == columns()


class Victim:
    """A signed-in browser, and what went wrong in it."""

    def __init__(self, context: Any, site: Site) -> None:
        self.site = site
        self.context = context
        self.problems: list[str] = []
        self.seen = ""
        context.add_init_script(_WATCH)
        context.on("request", self._request)
        context.on("dialog", self._dialog)
        self.page = context.new_page()

    def look(self, where: str) -> None:
        """Judges what the page has become."""
        found = self.page.evaluate(_FOUND) + self.page.evaluate("window.violations")
        self.problems += [f"{where}: {one}" for one in found]
        content = self.page.content()
        self.seen += content
        if "1337" in re.sub(r"(?:sha256|[0-9a-f]{32,})", "", self.page.inner_text("body")):
            self.problems.append(f"{where}: a template was filled")

    def _dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        path = request.url.removeprefix(self.site.url)
        if path == request.url and not path.startswith(("data:", "blob:")):
            self.problems.append(f"request to {request.url}")
        if path.startswith("/owned"):
            self.problems.append(f"request for {path}")


def swap_parts(victim: Victim) -> None:
    """Has htmx put every partial into a page, which takes what htmx would act on for its own."""
    site = victim.site
    for part in PARTS:
        victim.page.goto(f"{site.url}/problems", wait_until="load")
        path = part.format(run=site.seed.runs["failed"], other=site.seed.runs["succeeded"])
        victim.page.evaluate("path => htmx.ajax('GET', path, {target: '#main > *', swap: 'beforeend'})", path)
        victim.page.wait_for_timeout(150)
        # A whole page in a page has everything twice, which is what was asked for.
        found = [one for one in victim.page.evaluate(_FOUND) if not one.startswith("twice")]
        victim.problems += [f"{path} swapped in: {one}" for one in found]


def open_view(victim: Victim) -> None:
    """A saved view with its columns, and in it the menu of a row."""
    victim.page.goto(victim.site.url + VISION, wait_until="load")
    victim.page.goto(victim.site.url + victim.page.get_attribute("nav.views a", "href"), wait_until="load")
    victim.look("a view")
    victim.page.goto(victim.site.url + VISION, wait_until="load")
    victim.page.locator("#rows .c-dots button").first.click()
    victim.page.locator("#pop [role=menuitem]").first.wait_for()
    victim.look("the menu of a row")


def test_the_judge_sees_what_escapes(visitor: Any, site: Site) -> None:
    """The same text as markup is found out, so that finding nothing means something."""
    page = visitor.new_page()
    page.add_init_script(_WATCH)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.url}/problems", wait_until="load")
    assert page.evaluate(_FOUND) == []
    page.evaluate(
        "text => { document.querySelector('#main').firstElementChild.innerHTML = text }",
        PAYLOAD.replace("http-equiv", "x"),
    )
    page.evaluate("htmx.process(document.body)")
    page.wait_for_timeout(200)
    found = " ".join(page.evaluate(_FOUND))
    for sign in ("element", "attribute onerror", "attribute hx-on", "attribute data-hx-get", "twice: #main", "a leads"):
        assert sign in found
    assert [url for url in asked if url.endswith("/owned")]
    # The policy of the page stops scripts even then.
    assert "a script ran" not in found
    assert [one for one in page.evaluate("window.violations") if one.startswith("script-src")]


def test_hostile_text_is_text_on_every_page(chromium: Any, own_site: Site) -> None:
    with db.unit_of_work() as session:
        seed_hostile.fill(session, own_site.seed)
    seen, problems = "", []
    for user in ("alice", "bob", "nobody", None):
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies(own_site.cookies(user, language="en"))
        victim = Victim(context, own_site)
        for spec in PAGES:
            if spec.user != user:
                continue
            answer = victim.page.goto(own_site.url + spec.url(own_site.seed), wait_until="load")
            assert answer.status < 500, spec.name
            if charts := victim.page.query_selector("#charts, #use-charts"):
                charts.scroll_into_view_if_needed()
                victim.page.wait_for_timeout(100)
            victim.look(spec.name)
        if user == "alice":
            open_view(victim)
            swap_parts(victim)
        seen += victim.seen
        problems += victim.problems
        context.close()
    assert problems == []
    # Each was there to be seen, so each was tried.
    absent = {one for one in TEXTS | DOCUMENTS | WRITTEN if not re.search(re.escape(one) + "(<|&lt;)", seen)}
    assert absent == NOT_SHOWN
