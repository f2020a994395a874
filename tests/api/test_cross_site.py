"""What another site makes a browser send with the victim's cookie changes nothing (attack A20), on any route.

The routes are read from the application, so a new one is attacked without being named here.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app import db
from app.models import Base
from app.services import throttle
from app.services.identity import token_hash
from app.services.sessions import csrf_token
from tests import factories
from tests.api import test_matrix, test_web_matrix
from tests.api.conftest import World
from tests.api.test_matrix import routes_of, values
from tests.api.test_sessions import CROSS_SITE
from tests.browser.test_pages import routes

# These need no session, hence there is no token of a page to ask for; another site is refused all the same.
SESSIONLESS = {"/login", "/sign-in", "/setup", "/invitation"}
SESSIONLESS_API = {
    "POST /session",
    "POST /setup",
    "POST /invitations:accept",
    "POST /terminal-logins",
    "POST /terminal-logins:poll",
}
WEB_ROUTES = sorted({route.path for route in routes() for method in route.methods or () if method == "POST"})
UNSAFE = [route for route in test_matrix.TABLE if not route.startswith(("GET ", "HEAD "))]


def contents() -> dict[str, str]:
    """A digest of every table."""
    with db.engine().connect() as connection:
        return {
            table.name: connection.scalar(
                text(f"select md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) from \"{table.name}\" t")
            )
            or ""
            for table in Base.metadata.sorted_tables
        }


def signed_in(world: World) -> str:
    """The cookie of an owner who administers the platform too: there is nothing that it may not do."""
    with db.unit_of_work() as session:
        factories.make_pool(session)
        session.merge(world.users["owner"]).is_admin = True
        return factories.make_session(session, world.users["owner"])


Send = Callable[[dict[str, str], str], httpx.Response]


def web_sender(world: World, path: str, cookie: str, more: dict[str, str] | None = None) -> Send:
    known = values(world, "owner", path) | {"code": "NOT_FOUND", "session_id": "0" * 16}
    slots = known | {"who": "x", "number": "1"}
    form = {k: test_web_matrix.fill(v, slots) for k, v in test_web_matrix.FORMS.get(f"POST {path}", {}).items()}
    form |= more or {}
    client = world.api.client()
    client.base_url = httpx.URL("http://localhost:8800")
    client.headers["cookie"] = f"__Host-berth={cookie}"

    def send(headers: dict[str, str], csrf: str) -> httpx.Response:
        return client.post(test_web_matrix.fill(path, known), data=form | {"csrf": csrf}, headers=headers)

    return send


def api_sender(world: World, route: str, cookie: str) -> Send:
    method, path = route.split(" ", 1)
    known = values(world, "owner", path)
    body = json.loads(json.dumps(test_matrix.BODIES.get(route)).replace("{who}", "x"))
    client = world.api.client()
    client.headers["cookie"] = f"__Host-berth={cookie}"
    own = {"if-match": "*"} if method == "PATCH" else {}

    def send(headers: dict[str, str], csrf: str) -> httpx.Response:
        address = path.replace(":path", "").format(**known)
        return client.request(method, address, json=body, headers=own | {"x-csrf-token": csrf} | headers)

    return send


def attack(send: Send, cookie: str, has_session: bool) -> dict[str, Any]:
    """The statuses of everything that another site can make a browser send, and what it changed."""
    throttle.forget()
    right = csrf_token(token_hash(cookie))
    before = contents()
    tries = [({name: value for name, value in one.items() if value}, right) for one in CROSS_SITE]
    if has_session:
        tries += [({"sec-fetch-site": "same-origin"}, wrong) for wrong in ("", "0" * 40)]
        tries.append(({}, right))  # an old browser that says nothing of where the request came from
    statuses = {f"{headers} {csrf[:4]}": send(headers, csrf).status_code for headers, csrf in tries}
    after = contents()
    found: dict[str, Any] = {key: status for key, status in statuses.items() if status != 403}
    return found | {name: "changed" for name in after if after[name] != before[name]}


@pytest.mark.parametrize("path", WEB_ROUTES)
def test_forms_of_another_site(world: World, path: str) -> None:
    cookie = signed_in(world)
    assert attack(web_sender(world, path, cookie), cookie, path not in SESSIONLESS) == {}


@pytest.mark.parametrize("route", UNSAFE)
def test_requests_of_another_site(world: World, route: str) -> None:
    cookie = signed_in(world)
    assert attack(api_sender(world, route, cookie), cookie, route not in SESSIONLESS_API) == {}


def test_every_unsafe_route_is_attacked(world: World) -> None:
    unsafe = {route for route in routes_of(world.api.app) if not route.startswith(("GET ", "HEAD "))}
    assert unsafe == set(UNSAFE)


def test_looking_changes_nothing() -> None:
    """What a link of another site can do is GET: no page of the console takes a change that way."""
    assert {method for route in routes() for method in route.methods or ()} == {"GET", "POST"}


AWAY = [
    "//evil.example",
    "https://evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "///evil.example/..",
    "javascript:x",
]


@pytest.mark.parametrize("path", WEB_ROUTES)
def test_no_form_leads_away(world: World, path: str) -> None:
    """Whatever a form calls the address to go on to (attack A24)."""
    cookie = signed_in(world)
    for away in AWAY:
        throttle.forget()
        send = web_sender(world, path, cookie, dict.fromkeys(("next", "back", "return", "url", "to", "from"), away))
        answer = send({"sec-fetch-site": "same-origin"}, csrf_token(token_hash(cookie)))
        assert answer.status_code < 500
        for header in ("location", "hx-redirect", "hx-location", "hx-push-url", "refresh"):
            assert leads_here(answer.headers.get(header, "/")), answer.headers[header]
        if path == "/logout":
            with db.unit_of_work() as session:
                cookie = factories.make_session(session, world.users["owner"])


def leads_here(location: str) -> bool:
    """Whether a browser stays on the site: a path, not the beginning of another host."""
    return bool(re.fullmatch(r"/(?![/\\\\])[!-~]*", location))
