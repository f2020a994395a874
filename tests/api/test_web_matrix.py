"""Every route of the pages against everybody, as a page and by htmx: the table says what each gets.

A route without a row fails. Nothing here is derived from the permission table in the code. Forms are sent as the page
would send them, with the visitor's own CSRF field and with what would be accepted of somebody who may.
"""

import datetime
import html
import re
from typing import Any

import httpx
import pytest

from app import db
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG
from app.domain.access import Role
from app.services import throttle
from app.services.identity import token_hash
from app.services.sessions import csrf_token
from tests import factories
from tests.api.conftest import World
from tests.api.test_matrix import values
from tests.browser.test_pages import routes

# disabled: a session of somebody who was disabled. left: somebody who was a member until just now.
# Least rights first, so that nobody's success disturbs the next one's test.
WHO = ["nobody", "disabled", "left", "stranger", "viewer", "editor", "owner", "admin"]

# One number is the status of both; with a stroke, of the page and of the same by htmx. Where somebody who may gets 404
# or 422, what the form names is not there or incomplete, which is found after the permission.
# nobody, disabled, left, stranger, viewer, editor, owner, admin
TABLE: dict[str, str] = {
    "GET /static/{asked}/{name:path}": "                           200     200     200 200 200 200 200 200",
    "GET /": "                                                     303/401 303/401 200 200 200 200 200 200",
    "POST /sign-in": "                                             404     404     404 404 404 404 404 404",
    "GET /projects": "                                             303/401 303/401 200 200 200 200 200 200",
    "GET /login": "                                                200     200     303 303 303 303 303 303",
    "POST /login": "                                               401     401     401 401 401 401 401 401",
    "POST /logout": "                                              303     303     303 303 303 303 303 303",
    "POST /preferences": "                                         303     303     303 303 303 303 303 303",
    "GET /setup": "                                                404     404     404 404 404 404 404 404",
    "POST /setup": "                                               422     422     422 422 422 422 422 422",
    "GET /invitation": "                                           404     404     404 404 404 404 404 404",
    "POST /invitation": "                                          404     404     404 404 404 404 404 404",
    "GET /terminal": "                                             200     200     200 200 200 200 200 200",
    "POST /terminal": "                                            303/401 303/401 404 404 404 404 404 404",
    "GET /projects/{project}": "                                   303/401 303/401 404 404 303 303 303 303",
    "GET /projects/{project}/runs": "                              303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/changes": "                      303/401 303/401 404 404 204 204 204 204",
    "GET /projects/{project}/runs/columns": "                      303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/runs/columns": "                     303/401 303/401 404 404 303 303 303 303",
    "GET /projects/{project}/runs/new": "                          303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/runs/new": "                         303/401 303/401 404 404 403 422 422 422",
    "POST /projects/{project}/runs/new/check": "                   303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/jobs/check": "                       303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/runs/sample": "                      303/401 303/401 404 404 403 303 303 303",
    "POST /projects/{project}/runs/bulk": "                        303/401 303/401 404 404 403 303 303 303",
    "GET /projects/{project}/runs/{run}/outputs": "                303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/outputs/{path:path}": "    303/401 303/401 404 404 404 404 404 404",
    "GET /projects/{project}/runs/{run}/output-image/{path:path}": "303/401 303/401 404 404 404 404 404 404",
    "GET /r/{run}": "                                              303/401 303/401 404 404 303 303 303 303",
    "GET /projects/{project}/runs/{run}": "                        303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/live": "                   303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/menu": "                   303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/state": "                  303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/after": "                  303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/logs": "                   303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/metrics": "                303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/metrics.csv": "            303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/system": "                 303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/spec": "                   303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/events": "                 303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/runs/{run}/events/new": "             303/401 303/401 404 404 204 204 204 204",
    "POST /projects/{project}/runs/{run}/metrics/pins": "          303/401 303/401 404 404 404 404 404 404",
    "POST /projects/{project}/runs/{run}/rerun-exact": "           303/401 303/401 404 404 403 409 409 409",
    "POST /projects/{project}/runs/{run}/stop": "                  303/401 303/401 404 404 403 303 303 303",
    "POST /projects/{project}/runs/{run}/mute": "                  303/401 303/401 404 404 303 303 303 303",
    "POST /projects/{project}/runs/{run}/debug": "                 303/401 303/401 404 404 403 409 409 409",
    "POST /projects/{project}/runs/{run}/rerun": "                 303/401 303/401 404 404 403 303 303 303",
    "GET /projects/{project}/compare": "                           303/401 303/401 404 404 422 422 422 422",
    "GET /projects/{project}/experiments": "                       303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/views": "                            303/401 303/401 404 404 303 303 303 303",
    "POST /projects/{project}/views/{view}/delete": "              303/401 303/401 404 404 404 404 404 404",
    "GET /projects/{project}/jobs": "                              303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/jobs/new": "                          303/401 303/401 404 404 403 200 200 200",
    "GET /projects/{project}/jobs/{name}/edit": "                  303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/jobs/new": "                         303/401 303/401 404 404 403 303 303 303",
    "POST /projects/{project}/jobs/{name}/edit": "                 303/401 303/401 404 404 403 422 422 422",
    "GET /projects/{project}/jobs/{name}/diff": "                  303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/jobs/{name}": "                       303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/jobs/{name}/run": "                  303/401 303/401 404 404 403 303 303 303",
    "POST /projects/{project}/jobs/{name}/check": "                303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/jobs/{name}/archive": "              303/401 303/401 404 404 403 303 303 303",
    "GET /projects/{project}/settings/secrets": "                  303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/settings/secrets": "                 303/401 303/401 404 404 403 303 303 303",
    "GET /projects/{project}/settings/secrets/{secret}": "         303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/settings/secrets/{secret}": "        303/401 303/401 404 404 403 303 303 303",
    "POST /projects/{project}/settings/secrets/{secret}/delete": " 303/401 303/401 404 404 403 200 200 200",
    "GET /projects/{project}/settings/retention": "                303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/settings/retention": "               303/401 303/401 404 404 403 403 303 303",
    "GET /projects/{project}/settings/notifications": "            303/401 303/401 404 404 403 403 200 200",
    "GET /me/notifications": "                                     303/401 303/401 200 200 200 200 200 200",
    "POST /projects/{project}/settings/notifications": "           303/401 303/401 404 404 403 403 404 404",
    "POST /me/notifications": "                                    303/401 303/401 404 404 404 404 404 404",
    "GET /projects/{project}/settings": "                          303/401 303/401 404 404 200 200 200 200",
    "GET /projects/{project}/settings/kubeconfig": "               303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/settings/kubeconfig": "              303/401 303/401 404 404 403 303 303 303",
    "POST /projects/{project}/settings/kubeconfig/download": "     303/401 303/401 404 404 403 200 200 200",
    "POST /projects/{project}/settings": "                         303/401 303/401 404 404 403 403 303 303",
    "POST /projects/{project}/settings/delete": "                  303/401 303/401 404 404 403 403 422 422",
    "GET /projects/{project}/settings/members": "                  303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/settings/members": "                 303/401 303/401 404 404 403 403 303 303",
    "POST /projects/{project}/settings/members/{user}/remove": "   303/401 303/401 404 404 403 403 303 303",
    "GET /projects/{project}/settings/service-accounts": "         303/401 303/401 404 404 200 200 200 200",
    "POST /projects/{project}/settings/service-accounts": "        303/401 303/401 404 404 403 403 303 303",
    "GET /projects/{project}/settings/service-accounts/{account}": "303/401 303/401 404 404 403 403 200 200",
    "POST /projects/{project}/settings/service-accounts/{account}": "303/401 303/401 404 404 403 403 303 303",
    "POST /projects/{project}/settings/service-accounts/{account}/tokens": "303/401 303/401 404 404 403 403 200 200",
    "POST /projects/{project}/settings/service-accounts/{account}/tokens/{token}/revoke": (
        "                                                  303/401 303/401 404 404 403 403 303 303"
    ),
    "GET /projects/{project}/settings/tokens": "                   303/401 303/401 404 404 403 403 200 200",
    "POST /projects/{project}/settings/tokens/{token}/revoke": "   303/401 303/401 404 404 403 403 404 404",
    "GET /me": "                                                   303/401 303/401 200 200 200 200 200 200",
    "POST /me": "                                                  303/401 303/401 422 422 422 422 422 422",
    "POST /me/password": "                                         303/401 303/401 422 422 422 422 422 422",
    "GET /me/tokens": "                                            303/401 303/401 200 200 200 200 200 200",
    "POST /me/tokens": "                                           303/401 303/401 200 200 200 200 200 200",
    "POST /me/tokens/{token}/revoke": "                            303/401 303/401 303 303 303 303 303 303",
    "GET /me/sessions": "                                          303/401 303/401 200 200 200 200 200 200",
    "POST /me/sessions/{session_id}/end": "                        303/401 303/401 404 404 404 404 404 404",
    "POST /me/sessions/end-others": "                              303/401 303/401 303 303 303 303 303 303",
    "GET /admin/users": "                                          303/401 303/401 404 404 404 404 404 200",
    "POST /admin/users": "                                         303/401 303/401 404 404 404 404 404 200",
    "GET /admin/users/{user}": "                                   303/401 303/401 404 404 404 404 404 200",
    "POST /admin/users/{user}": "                                  303/401 303/401 404 404 404 404 404 303",
    "POST /admin/users/{user}/end-sessions": "                     303/401 303/401 404 404 404 404 404 303",
    "POST /admin/users/{user}/reset": "                            303/401 303/401 404 404 404 404 404 200",
    "GET /admin/projects": "                                       303/401 303/401 404 404 404 404 404 200",
    "POST /admin/projects": "                                      303/401 303/401 404 404 404 404 404 303",
    "GET /admin/audit": "                                          303/401 303/401 404 404 404 404 404 200",
    "GET /projects/{project}/settings/audit": "                    303/401 303/401 404 404 403 403 200 200",
    "GET /admin/audit.csv": "                                      303/401 303/401 404 404 404 404 404 200",
    "GET /projects/{project}/settings/audit.csv": "                303/401 303/401 404 404 403 403 200 200",
    "GET /admin/clusters": "                                           303/401 303/401 404 404 404 404 404 200",
    "POST /admin/clusters": "                                          303/401 303/401 404 404 404 404 404 303",
    "GET /admin/clusters/{cluster}": "                                 303/401 303/401 404 404 404 404 404 200",
    "POST /admin/clusters/{cluster}/settings": "                       303/401 303/401 404 404 404 404 404 303",
    "POST /admin/clusters/{cluster}/check": "                          303/401 303/401 404 404 404 404 404 303",
    "POST /admin/clusters/{cluster}/drain": "                          303/401 303/401 404 404 404 404 404 303",
    "POST /admin/clusters/{cluster}/credentials": "                    303/401 303/401 404 404 404 404 404 303",
    "POST /admin/clusters/{cluster}/registries": "                     303/401 303/401 404 404 404 404 404 303",
    "POST /admin/clusters/{cluster}/registries/remove": "              303/401 303/401 404 404 404 404 404 303",
    "POST /admin/clusters/{cluster}/remove": "                         303/401 303/401 404 404 404 404 404 303",
    "GET /admin/health": "                                         303/401 303/401 404 404 404 404 404 200",
    "GET /problems": "                                             200     200     200 200 200 200 200 200",
    "GET /problems/{code}": "                                      200     200     200 200 200 200 200 200",
    "GET /docs/api": "                                             200     200     200 200 200 200 200 200",
    "GET /docs/api/{operation}": "                                 200     200     200 200 200 200 200 200",
    "GET /search": "                                               303/401 303/401 200 200 200 200 200 200",
}

JOB = "name: x-{who}\nspec: {command: ['true']}\n"
FORMS: dict[str, dict[str, str]] = {
    "POST /projects/{project}/runs/bulk": {"action": "stop", "runs": "{run}", "confirmed": "1"},
    "POST /projects/{project}/runs/{run}/mute": {"do": "mute"},
    "POST /projects/{project}/views": {"name": "v-{who}"},
    "POST /projects/{project}/jobs/new": {"text": JOB},
    "POST /projects/{project}/jobs/{name}/archive": {"archived": "0"},
    "POST /projects/{project}/settings/secrets": {"name": "S_{number}", "value": "x"},
    "POST /projects/{project}/settings/secrets/{secret}": {"description": "x"},
    "POST /projects/{project}/settings/retention": {"keep_days": "30"},
    "POST /projects/{project}/settings": {"title": "x"},
    "POST /projects/{project}/settings/members": {"name": "{user}", "user": "{user}", "role": "editor"},
    "POST /projects/{project}/settings/service-accounts": {"name": "x-{number}", "role": "viewer"},
    "POST /projects/{project}/settings/service-accounts/{account}": {"role": "viewer"},
    "POST /projects/{project}/settings/service-accounts/{account}/tokens": {"name": "x", "scope": "read"},
    "POST /me": {"display_name": "x"},
    "POST /me/tokens": {"name": "x", "scope": "read"},
    "POST /admin/users": {"name": "x-{number}"},
    "POST /admin/users/{user}": {"display_name": "x"},
    "POST /admin/projects": {"name": "x-{number}"},
    "POST /admin/clusters": {"name": "x-{number}", "kubeconfig": EXAMPLE_KUBECONFIG},
    "POST /admin/clusters/{cluster}/settings": {"gpu_resource": "amd.com/gpu"},
    "POST /admin/clusters/{cluster}/credentials": {"kubeconfig": EXAMPLE_KUBECONFIG},
    "POST /admin/clusters/{cluster}/remove": {"name": "{cluster}"},
    "POST /admin/clusters/{cluster}/registries": {"server": "x", "username": "x", "password": "x"},
    "POST /admin/clusters/{cluster}/registries/remove": {"server": "{server}"},
    "POST /projects/{project}/settings/kubeconfig": {"cluster": "{cluster}", "hours": "8"},
    "POST /projects/{project}/settings/kubeconfig/download": {"key": "{kubeconfig}"},
}
QUERIES = {"GET /projects/{project}/jobs/{name}/diff": {"from": "1", "to": "1"}}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    found = {f"{method} {route.path}" for route in routes() for method in (route.methods or set()) - {"HEAD"}}
    assert sorted(found - set(TABLE)) == [], "routes without a row"
    assert sorted(set(TABLE) - found) == [], "rows without a route"


@pytest.mark.parametrize("route", TABLE)
def test_everybody(world: World, route: str) -> None:
    expected = dict(zip(WHO, TABLE[route].split(), strict=True))
    assert observed(world, route) == expected


def observed(world: World, route: str) -> dict[str, str]:
    cookies = more_people(world)
    method, path = route.split(" ", 1)
    # What a form changes is made anew for each of them.
    kept = values(world, "owner", path) if method == "GET" else None
    return {who: both(world, route, who, cookies.get(who), kept) for who in WHO}


def both(world: World, route: str, who: str, cookie: str | None, kept: dict[str, str] | None) -> str:
    """The status as a page and by htmx: one number where they are the same."""
    page, htmx = (str(ask(world, route, who, cookie, by, kept).status_code) for by in ("page", "htmx"))
    return page if page == htmx else f"{page}/{htmx}"


def ask(
    world: World,
    route: str,
    who: str,
    cookie: str | None,
    by: str,
    kept: dict[str, str] | None,
    form: dict[str, str] | None = None,
) -> httpx.Response:
    throttle.forget()
    method, path = route.split(" ", 1)
    known = (kept or values(world, who, path)) | {
        "code": "NOT_FOUND",
        "asked": "0",
        "operation": "create-run",
        "session_id": "0" * 16,
    }
    known["name"] = "app.css" if path.startswith("/static") else known["name"]
    slots = known | {"who": f"{who}-{by}", "number": f"{WHO.index(who)}{by}"}
    data = {name: fill(text, slots) for name, text in (FORMS.get(route, {}) if form is None else form).items()}
    headers = {"sec-fetch-site": "same-origin", "accept-encoding": "identity"} | (
        {"hx-request": "true"} if by == "htmx" else {}
    )
    client = world.api.client(cookie=cookie, address=f"10.0.1.{WHO.index(who)}")
    client.base_url = httpx.URL("http://localhost:8800")
    if cookie:
        data["csrf"] = csrf_token(token_hash(cookie))
    path = fill(path.replace(":path", ""), known)
    sent: dict[str, Any] = {"data": data} if method == "POST" else {"params": QUERIES.get(route)}
    return client.request(method, path, headers=headers, **sent)


def fill(text: str, slots: dict[str, str]) -> str:
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value)
    return text


def more_people(world: World) -> dict[str, str]:
    """A session of everybody in the table."""
    with db.unit_of_work() as session:
        factories.make_pool(session)
        world.users["left"] = factories.make_user(session, "left")
        world.users["disabled"] = factories.make_member(session, world.ours, Role.OWNER)
        cookies = {who: factories.make_session(session, world.users[who]) for who in WHO if who in world.users}
        session.merge(world.users["disabled"]).disabled_at = datetime.datetime.now(datetime.UTC)
    return cookies


# The links of these are in their forms' own addresses: tests/web/test_forms.py.
BY_LINK = {"POST /setup", "POST /invitation"}


def test_every_address_that_a_form_leaves_in_the_browser_has_a_page(world: World) -> None:
    """For a reload, and for the switch of the language, which goes where the page says that it is."""
    more_people(world)
    values(world, "admin", "{name}")  # the job, before the form of another one is sent
    dead = []
    for route in [one for one in TABLE if one.startswith("POST ") and one not in BY_LINK]:
        with db.unit_of_work() as session:
            cookie = factories.make_session(session, world.users["admin"])
        known = values(world, "admin", route)
        answers = [ask(world, route, "admin", cookie, "page", known, form) for form in ({}, FORMS.get(route, {}))]
        places = {answers[0].request.url.path}
        for answer in answers:
            places |= set(re.findall(r'name="next" value="([^"]+)"', answer.text))
        client = world.api.client(cookie=cookie)
        client.base_url = httpx.URL("http://localhost:8800")
        for place in places:
            found = client.get(html.unescape(place), follow_redirects=True)
            if found.status_code != 200:
                dead.append((route, place, found.status_code))
    assert dead == []
