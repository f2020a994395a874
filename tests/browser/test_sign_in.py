"""Sessions in a real browser: they end in every tab, and nothing of them is in addresses (A23, A24, A25)."""

from typing import Any

import pytest

from app import db
from app.domain.access import Actor
from app.services import links, sessions, throttle, users
from tests.browser.conftest import Site
from tests.browser.seed import PASSWORD

RUNS = "/projects/vision/runs"

# What has been read as another host by some browser or framework.
_WORDS = r"""//evil.example ///evil.example ////evil.example/%2e%2e //evil.example/%2f.. /\evil.example \\evil.example
    \/evil.example /\/evil.example https:evil.example https:/evil.example https://evil.example https:///evil.example
    HTTPS:evil.example http:\\evil.example javascript:alert(1) data:text/html,x vbscript:x //evil%E3%80%82example
    //localhost@evil.example //evil.example:80/ /%09/evil.example /%0a/evil.example /%0d%0aLocation:%20//evil.example
    /%2f%2fevil.example /%5cevil.example /%2F/evil.example /.//evil.example /..//evil.example /x/..//evil.example
    /;@evil.example /@evil.example .evil.example @evil.example :80 ?//evil.example #//evil.example x"""
PLACES = [
    *_WORDS.split(),
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: //evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "/\x00/evil.example",
    "/\x7f/evil.example",
    "/\u2028/evil.example",
    "/\uff0f/evil.example",
    "\uff0f\uff0fevil.example",
    "/\u3002evil.example",
]


def sign_in(context: Any, site: Site, name: str = "alice", password: str = PASSWORD) -> Any:
    page = context.new_page()
    page.goto(f"{site.url}/login", wait_until="load")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.locator("main button:not([name]), form[action='/login'] button").first.click()
    page.wait_for_url(f"{site.url}/")
    return page


@pytest.fixture
def browsers(chromium: Any, own_site: Site) -> Any:
    """Two browsers of one person who is not signed in yet."""
    throttle.forget()
    made = [chromium.new_context() for _ in range(2)]
    for context in made:
        context.add_cookies(own_site.cookies(None, language="en"))
    yield made
    for context in made:
        context.close()


def cookie_of(context: Any) -> str:
    return next((one["value"] for one in context.cookies() if one["name"] == sessions.cookie_name()), "")


def is_out(page: Any, site: Site) -> bool:
    page.goto(f"{site.url}{RUNS}", wait_until="load")
    return bool(page.url.startswith(f"{site.url}/login"))


def test_a_planted_cookie_is_not_signed_in(browsers: Any, own_site: Site) -> None:
    """The attacker's own session, too: after the victim signed in, it is neither the victim's nor alive."""
    context = browsers[0]
    planted = own_site.seed.cookies["bob"]
    given = {"name": sessions.cookie_name(), "value": planted, "url": "https://localhost/", "secure": True}
    context.add_cookies([given])
    context.add_cookies([given | {"value": "made-up-by-an-attacker"}])
    sign_in(context, own_site)
    assert cookie_of(context) not in ("", planted, "made-up-by-an-attacker")


def test_signing_out_ends_every_tab_and_what_the_browser_kept(browsers: Any, own_site: Site) -> None:
    context = browsers[0]
    first = sign_in(context, own_site)
    second = context.new_page()
    second.goto(f"{own_site.url}{RUNS}", wait_until="load")
    old = cookie_of(context)
    second.evaluate("document.querySelector(\"form[action='/logout']\").submit()")
    second.wait_for_url("**/login*")
    assert cookie_of(context) == ""
    second.go_back(wait_until="load")
    assert "resnet50" not in second.content(), "going back shows nothing of it"
    first.reload(wait_until="load")
    assert first.url.startswith(f"{own_site.url}/login")
    context.add_cookies([{"name": sessions.cookie_name(), "value": old, "url": "https://localhost/", "secure": True}])
    assert is_out(first, own_site), "the old cookie is dead"


def test_a_new_password_and_disabling_end_other_browsers(browsers: Any, own_site: Site) -> None:
    here, there = (sign_in(context, own_site, "bob") for context in browsers)
    here.goto(f"{own_site.url}/me", wait_until="load")
    here.fill("input[name=old]", PASSWORD)
    for field in here.locator("form[action='/me/password'] input[type=password]").all()[1:]:
        field.fill("a new and long sentence")
    here.locator("form[action='/me/password'] button").last.click()
    here.wait_for_load_state("load")
    assert is_out(there, own_site)
    assert not is_out(here, own_site)
    with db.unit_of_work() as session:
        alice = Actor(own_site.seed.ids["alice"], "alice", is_admin=True)
        users.update_user(session, alice, "bob", {"disabled": True})
    assert is_out(here, own_site)


def test_a_link_leaves_no_key_behind(browsers: Any, own_site: Site) -> None:
    """Not in the address, in a Referer or in what going back shows; it works once."""
    context = browsers[0]
    with db.unit_of_work() as session:
        key = links.create(session, links.SIGN_IN, user_id=own_site.seed.ids["alice"])
    asked: list[Any] = []
    context.on("request", lambda request: asked.append(request))
    page = context.new_page()
    page.goto(f"{own_site.url}/?k={key}", wait_until="load")
    page.locator("form[action='/sign-in'] button").click()
    page.wait_for_url(f"{own_site.url}/")
    assert cookie_of(context)
    page.goto(f"{own_site.url}/?k={key}&token={key}", wait_until="load")
    page.locator("a[href='/projects'], a#nav-home").first.click()
    page.wait_for_load_state("load")
    assert key not in page.url
    sent = {one.all_headers().get("referer", "") for one in asked}
    assert sent == {""}
    other = browsers[1].new_page()
    assert other.goto(f"{own_site.url}/?k={key}").status == 404


def test_next_leads_nowhere_else(browsers: Any, own_site: Site) -> None:
    context = browsers[0]
    page = context.new_page()
    page.goto(f"{own_site.url}/login", wait_until="load")
    for place in PLACES:
        throttle.forget()
        posted = page.request.post(
            f"{own_site.url}/login",
            form={"name": "alice", "password": PASSWORD, "next": place},
            headers={"sec-fetch-site": "same-origin"},
            max_redirects=0,
        )
        got = page.request.get(f"{own_site.url}/login", params={"next": place}, max_redirects=0)
        for answer in (posted, got):
            assert answer.status == 303, place
            leads = page.evaluate("to => new URL(to, location.href).origin", answer.headers["location"])
            assert leads == own_site.url, place
