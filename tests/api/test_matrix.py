"""Every route against everybody: the table says what each gets, and a route without a row fails.

Whoever adds a route adds its row. Nothing here is derived from the permission table in the code.
"""

import datetime
import json
import uuid
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route as AnyRoute

from app import db
from app.api.routing import PREFIX, Route
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG
from app.domain.access import Role
from app.models import Definition
from app.services import definitions
from tests import factories
from tests.api.client import Api
from tests.api.conftest import World

# reader: the owner with a token of scope read. narrow: the owner of two projects with a token for `theirs` only.
# job: the token of a run of `ours`. Least rights first, so that nobody's success disturbs the next one's test.
WHO = ["nobody", "job", "stranger", "narrow", "viewer", "reader", "robot", "editor", "owner", "admin"]

#                                                          nob job str nar vie rea rob edi own adm
TABLE = {
    "GET /session": "                                      401 404 200 200 200 200 200 200 200 200",
    "POST /session": "                                     401 401 401 401 401 401 401 401 401 401",
    "DELETE /session": "                                   401 404 204 204 204 204 204 204 204 204",
    "POST /setup": "                                       404 404 404 404 404 404 404 404 404 404",
    "POST /invitations:accept": "                          404 404 404 404 404 404 404 404 404 404",
    "POST /terminal-logins": "                             201 201 201 201 201 201 201 201 201 201",
    "POST /terminal-logins:poll": "                        404 404 404 404 404 404 404 404 404 404",
    "PUT /me/password": "                                  401 404 422 403 422 403 403 422 422 422",
    "PATCH /me": "                                         401 404 200 403 200 403 403 200 200 200",
    "GET /me/sessions": "                                  401 404 200 403 200 403 200 200 200 200",
    "DELETE /me/sessions": "                               401 404 204 403 204 403 204 204 204 204",
    "DELETE /me/sessions/{session_id}": "                  401 404 404 403 404 403 404 404 404 404",
    "GET /tokens": "                                       401 404 200 200 200 200 200 200 200 200",
    "POST /tokens": "                                      401 404 201 403 201 403 403 201 201 201",
    "DELETE /tokens/{token}": "                            401 404 204 403 204 403 204 204 204 204",
    "GET /users": "                                        401 404 403 403 403 403 403 403 403 200",
    "POST /users": "                                       401 404 403 403 403 403 403 403 403 201",
    "GET /users/{user}": "                                 401 404 403 403 403 403 403 403 403 200",
    "PATCH /users/{user}": "                               401 404 403 403 403 403 403 403 403 200",
    "DELETE /users/{user}/sessions": "                     401 404 403 403 403 403 403 403 403 204",
    "POST /users/{user}:reset-password": "                 401 404 403 403 403 403 403 403 403 200",
    "GET /projects": "                                     401 404 200 200 200 200 200 200 200 200",
    "POST /projects": "                                    401 404 403 403 403 403 403 403 403 201",
    "GET /projects/{project}": "                           401 404 404 404 200 200 200 200 200 200",
    "PATCH /projects/{project}": "                         401 404 404 404 403 403 403 403 200 200",
    # A run of it waits.
    "DELETE /projects/{project}": "                        401 404 404 404 403 403 403 403 409 409",
    "GET /projects/{project}/tokens": "                    401 404 404 404 403 403 403 403 200 200",
    "DELETE /projects/{project}/tokens/{token}": "         401 404 404 404 403 403 403 403 404 404",
    "GET /projects/{project}/members": "                   401 404 404 404 200 200 200 200 200 200",
    "PUT /projects/{project}/members/{user}": "            401 404 404 404 403 403 403 403 200 200",
    "DELETE /projects/{project}/members/{user}": "         401 404 404 404 403 403 403 403 204 204",
    "GET /projects/{project}/service-accounts": "          401 404 404 404 200 200 200 200 200 200",
    "POST /projects/{project}/service-accounts": "         401 404 404 404 403 403 403 403 201 201",
    "PATCH /projects/{project}/service-accounts/{account}": "401 404 404 404 403 403 403 403 200 200",
    "GET /projects/{project}/service-accounts/{account}/tokens": "401 404 404 404 403 403 403 403 200 200",
    "POST /projects/{project}/service-accounts/{account}/tokens": "401 404 404 404 403 403 403 403 201 201",
    "DELETE /projects/{project}/service-accounts/{account}/tokens/{token}": (
        "                                                  401 404 404 404 403 403 403 403 204 204"
    ),
    "GET /projects/{project}/secrets": "                   401 404 404 404 200 200 200 200 200 200",
    "GET /projects/{project}/secrets/{secret}": "          401 404 404 404 200 200 200 200 200 200",
    "PUT /projects/{project}/secrets/{secret}": "          401 404 404 404 403 403 200 200 200 200",
    "DELETE /projects/{project}/secrets/{secret}": "       401 404 404 404 403 403 204 204 204 204",
    "GET /health": "                                       401 404 403 403 403 403 403 403 403 200",
    # Of clusters; {cluster} is one that has no pool, so it may be removed.
    "GET /clusters": "                                     401 404 403 403 403 403 403 403 403 200",
    "POST /clusters": "                                    401 404 403 403 403 403 403 403 403 201",
    "GET /clusters/{cluster}": "                           401 404 403 403 403 403 403 403 403 200",
    "PATCH /clusters/{cluster}": "                         401 404 403 403 403 403 403 403 403 200",
    "PUT /clusters/{cluster}/credentials": "               401 404 403 403 403 403 403 403 403 200",
    "POST /clusters/{cluster}:check": "                    401 404 403 403 403 403 403 403 403 202",
    "POST /clusters/{cluster}:drain": "                    401 404 403 403 403 403 403 403 403 200",
    "POST /clusters/{cluster}:undrain": "                  401 404 403 403 403 403 403 403 403 200",
    "DELETE /clusters/{cluster}": "                        401 404 403 403 403 403 403 403 403 200",
    "GET /clusters/{cluster}/drift": "                     401 404 403 403 403 403 403 403 403 200",
    "GET /clusters/{cluster}/registries": "                401 404 403 403 403 403 403 403 403 200",
    "PUT /clusters/{cluster}/registries/{server:path}": "       401 404 403 403 403 403 403 403 403 200",
    "DELETE /clusters/{cluster}/registries/{server:path}": "    401 404 403 403 403 403 403 403 403 204",
    # Editors; a kubeconfig is of whoever asked for it, so that of the test is its owner's.
    "POST /projects/{project}/kubeconfigs": "              401 404 404 404 403 403 202 202 202 202",
    "GET /projects/{project}/kubeconfigs/{kubeconfig}": "  401 404 404 404 403 403 200 200 200 200",
    "POST /projects/{project}/kubeconfigs/{kubeconfig}:fetch": "401 404 404 404 403 403 200 200 200 200",
    # Owners only; of one's own, whoever may see them. Muting needs a run that one can see.
    "GET /projects/{project}/notifications": "          401 404 404 404 403 200 403 403 200 200",
    "POST /projects/{project}/notifications": "         401 404 404 404 403 403 403 403 201 201",
    "GET /projects/{project}/notifications/{notification}": "401 404 404 404 403 200 403 403 200 200",
    "PATCH /projects/{project}/notifications/{notification}": "401 404 404 404 403 403 403 403 200 200",
    "DELETE /projects/{project}/notifications/{notification}": "401 404 404 404 403 403 403 403 204 204",
    "POST /projects/{project}/notifications/{notification}:test": "401 404 404 404 403 403 403 403 202 202",
    "POST /projects/{project}/notifications/{notification}:rotate-secret": "401 404 404 404 403 403 403 403 200 200",
    "GET /projects/{project}/notifications/{notification}/deliveries": "401 404 404 404 403 200 403 403 200 200",
    "POST /projects/{project}/notifications/{notification}/deliveries/{delivery}:resend": (
        "                                                  401 404 404 404 403 403 403 403 202 202"
    ),
    "PUT /projects/{project}/muted-runs/{run}": "       401 404 404 404 403 403 403 403 204 204",
    "DELETE /projects/{project}/muted-runs/{run}": "    401 404 404 404 403 403 403 403 204 204",
    "GET /me/notifications": "                          401 404 200 403 200 200 200 200 200 200",
    "POST /me/notifications": "                         401 404 201 403 201 403 201 201 201 201",
    "GET /me/notifications/{notification}": "           401 404 200 403 200 200 200 200 200 200",
    "PATCH /me/notifications/{notification}": "         401 404 200 403 200 403 200 200 200 200",
    "DELETE /me/notifications/{notification}": "        401 404 204 403 204 403 204 204 204 204",
    "POST /me/notifications/{notification}:test": "     401 404 202 403 202 403 202 202 202 202",
    "POST /me/notifications/{notification}:rotate-secret": "401 404 200 403 200 403 200 200 200 200",
    "GET /me/notifications/{notification}/deliveries": "401 404 200 403 200 200 200 200 200 200",
    "POST /me/notifications/{notification}/deliveries/{delivery}:resend": "401 404 202 403 202 403 202 202 202 202",
    "PUT /me/muted-runs/{run}": "                       401 404 404 403 204 403 204 204 204 204",
    "DELETE /me/muted-runs/{run}": "                    401 404 404 403 204 403 204 204 204 204",
    "GET /audit": "                                        401 404 403 403 403 403 403 403 403 200",
    "GET /projects/{project}/audit": "                     401 404 404 404 403 200 403 403 200 200",
    # Of runs; {run} is another run than the job's own. No file and no snapshot of that name exists.
    "POST /projects/{project}/runs": "                     401 404 404 404 403 403 202 202 202 202",
    "GET /projects/{project}/runs": "                      401 404 404 404 200 200 200 200 200 200",
    "POST /projects/{project}/runs:stop": "                401 404 404 404 403 403 200 200 200 200",
    "POST /projects/{project}/runs:tag": "                 401 404 404 404 403 403 200 200 200 200",
    "POST /projects/{project}/runs:archive": "             401 404 404 404 403 403 200 200 200 200",
    "POST /projects/{project}/runs:unarchive": "           401 404 404 404 403 403 200 200 200 200",
    "POST /projects/{project}/runs:rerun-failed": "        401 404 404 404 403 403 200 200 200 200",
    "PATCH /runs/{run}": "                                 401 404 404 404 403 403 200 200 200 200",
    "POST /projects/{project}/runs:plan": "                401 404 404 404 403 403 200 200 200 200",
    "GET /projects/{project}/runs:compare": "              401 404 404 404 422 422 422 422 422 422",
    "GET /projects/{project}/experiments": "               401 404 404 404 200 200 200 200 200 200",
    "GET /projects/{project}/views": "                     401 404 404 404 200 200 200 200 200 200",
    "POST /projects/{project}/views": "                    401 404 404 404 201 403 201 201 201 201",
    # No view has that key; another's is hidden in the same way.
    "PATCH /projects/{project}/views/{view}": "            401 404 404 404 403 403 404 404 404 404",
    "DELETE /projects/{project}/views/{view}": "           401 404 404 404 404 403 404 404 404 404",
    "GET /runs/{run}": "                                   401 404 404 404 200 200 200 200 200 200",
    "POST /runs/{run}:stop": "                             401 404 404 404 403 403 202 202 202 202",
    "POST /runs/{run}:rerun": "                            401 404 404 404 403 403 202 202 202 202",
    # On this machine there is no pod to go into.
    "POST /runs/{run}:debug": "                            401 404 404 404 403 403 409 409 409 409",
    "POST /runs/{run}:clone": "                            401 404 404 404 403 403 202 202 202 202",
    "GET /runs/{run}/capsule": "                           401 404 404 404 200 200 200 200 200 200",
    "GET /runs/{run}/events": "                            401 404 404 404 200 200 200 200 200 200",
    "POST /runs/{run}/metrics": "                          401 404 404 404 403 403 202 202 202 202",
    "GET /runs/{run}/metrics": "                           401 404 404 404 200 200 200 200 200 200",
    "GET /runs/{run}/usage": "                             401 404 404 404 200 200 200 200 200 200",
    "GET /runs/{run}/logs": "                              401 404 404 404 200 200 200 200 200 200",
    "GET /runs/{run}/outputs": "                           401 404 404 404 200 200 200 200 200 200",
    "GET /runs/{run}/outputs.tar": "                       401 404 404 404 404 404 404 404 404 404",
    "GET /runs/{run}/outputs.zip": "                       401 404 404 404 404 404 404 404 404 404",
    "GET /projects/{project}/retention": "                 401 404 404 404 200 200 200 200 200 200",
    "PUT /projects/{project}/retention": "                 401 404 404 404 403 403 403 403 200 200",
    "GET /projects/{project}/retention/preview": "         401 404 404 404 200 200 200 200 200 200",
    "GET /projects/{project}/retention/announcements": "   401 404 404 404 200 200 200 200 200 200",
    "GET /projects/{project}/retention/announcements/{announcement}/runs": (
        "                                                  401 404 404 404 404 404 404 404 404 404"
    ),
    # {run} is another run than the job's own, without code, and without a live attempt.
    "GET /runs/{run}/code": "                              401 404 404 404 403 403 404 404 404 404",
    "GET /runs/{run}/checkpoint": "                        401 404 404 404 403 403 404 404 404 404",
    "PUT /runs/{run}/checkpoint": "                        401 404 404 404 403 403 204 204 204 204",
    "PUT /runs/{run}/outputs/{path:path}": "               401 404 404 404 403 403 404 404 404 404",
    "GET /runs/{run}/outputs/{path:path}": "               401 404 404 404 404 404 404 404 404 404",
    "GET /projects/{project}/snapshots/{digest}": "        401 404 404 404 403 403 404 404 404 404",
    # Of job definitions; {name} is `digits`, which takes no parameters.
    "GET /projects/{project}/jobs": "                      401 404 404 404 200 200 200 200 200 200",
    "POST /projects/{project}/jobs": "                     401 404 404 404 403 403 201 201 201 201",
    "GET /projects/{project}/jobs/{name}": "               401 404 404 404 200 200 200 200 200 200",
    "PATCH /projects/{project}/jobs/{name}": "             401 404 404 404 403 403 200 200 200 200",
    "GET /projects/{project}/jobs/{name}/versions": "      401 404 404 404 200 200 200 200 200 200",
    "POST /projects/{project}/jobs/{name}/versions": "     401 404 404 404 403 403 201 201 201 201",
    "GET /projects/{project}/jobs/{name}/versions/{number}": "401 404 404 404 200 200 200 200 200 200",
    "GET /projects/{project}/jobs/{name}/versions/{number}/source": "401 404 404 404 200 200 200 200 200 200",
    "GET /projects/{project}/jobs/{name}/diff": "          401 404 404 404 200 200 200 200 200 200",
    "POST /projects/{project}/jobs/{name}:run": "          401 404 404 404 403 403 202 202 202 202",
    "PUT /projects/{project}/snapshots/{digest}": "        401 404 404 404 403 403 415 415 415 415",
}

SPEC = {"name": "x", "command": ["true"]}
NOTIFICATION = {"name": "x", "channel": "webhook", "target": "https://example.org/", "events": ["run.ended"]}
PASSWORD = "a long sentence"
# Bodies that would be accepted; {who} is replaced.
BODIES: dict[str, Any] = {
    "POST /session": {"name": "nobody-{who}", "password": PASSWORD},
    "POST /setup": {"key": "wrong", "name": "x-{who}", "password": PASSWORD},
    "POST /invitations:accept": {"key": "wrong", "password": PASSWORD},
    "POST /terminal-logins": {},
    "POST /terminal-logins:poll": {"device_code": "wrong-{who}"},
    "PUT /me/password": {"old": "not the password", "new": PASSWORD},
    "PATCH /me": {"display_name": "x"},
    "POST /tokens": {"name": "x", "scope": "read"},
    "POST /users": {"name": "x-{who}"},
    "PATCH /users/{user}": {"display_name": "x"},
    "POST /projects/{project}/notifications": NOTIFICATION,
    "PATCH /projects/{project}/notifications/{notification}": {"muted": True},
    "POST /me/notifications": NOTIFICATION,
    "PATCH /me/notifications/{notification}": {"muted": True},
    "POST /projects": {"name": "x-{who}"},
    "POST /clusters": {"name": "x-{who}", "kubeconfig": EXAMPLE_KUBECONFIG},
    "PATCH /clusters/{cluster}": {"settings": {"gpu_resource": "amd.com/gpu"}},
    "PUT /clusters/{cluster}/credentials": {"kubeconfig": EXAMPLE_KUBECONFIG},
    "PUT /clusters/{cluster}/registries/{server:path}": {"username": "x", "password": "x-{who}"},
    "POST /projects/{project}/kubeconfigs": {"cluster": "{cluster}"},
    "PUT /projects/{project}/retention": {"keep_days": 30, "keep_tags": ["best"]},
    "PATCH /projects/{project}": {"title": "x-{who}"},
    "PUT /projects/{project}/members/{user}": {"role": "editor"},
    "POST /projects/{project}/service-accounts": {"name": "x-{who}", "role": "viewer"},
    "PATCH /projects/{project}/service-accounts/{account}": {"role": "viewer"},
    "PUT /projects/{project}/secrets/{secret}": {"value": "x-{who}"},
    "POST /projects/{project}/runs": {"spec": SPEC},
    "POST /projects/{project}/runs:plan": {"spec": {"name": "x", "command": ["true"]}},
    "POST /projects/{project}/runs:stop": {"ids": ["r-7f3k2m9qwa"]},
    "POST /projects/{project}/runs:tag": {"ids": ["r-7f3k2m9qwa"], "add": ["x"]},
    "POST /projects/{project}/runs:archive": {"q": "name:nothing"},
    "POST /projects/{project}/runs:unarchive": {"q": "archived:yes"},
    "POST /projects/{project}/runs:rerun-failed": {"q": "name:nothing"},
    "PATCH /runs/{run}": {"tags": ["x"]},
    "POST /projects/{project}/views": {"name": "v-{who}"},
    "PATCH /projects/{project}/views/{view}": {"shared": False},
    "POST /projects/{project}/jobs": {"definition": {"name": "x-{who}", "spec": {"command": ["true"]}}},
    "PATCH /projects/{project}/jobs/{name}": {"archived": False},
    "POST /projects/{project}/jobs/{name}/versions": {"changes": {"title": "by {who}"}},
    "POST /projects/{project}/jobs/{name}:run": {},
    "POST /runs/{run}:stop": {},
    "POST /runs/{run}:rerun": {},
    "POST /runs/{run}:debug": {},
    "POST /runs/{run}:clone": {"changes": {"name": "y"}},
    "POST /runs/{run}/metrics": {"points": [["loss", 1, 1795325000000, 0.5]]},
    "POST /projects/{project}/service-accounts/{account}/tokens": {"name": "x", "scope": "read"},
}


def routes_of(app: FastAPI) -> list[str]:
    """Every method and path of the API, as the table names them."""
    found = []
    for route in app.router.routes:
        # Also what is not in the document: that keeps nobody from asking.
        if not isinstance(route, AnyRoute | Route) or not route.path.startswith(PREFIX):
            continue
        if isinstance(route, Route) or route.include_in_schema:
            methods = (route.methods or set()) - ({"HEAD"} if "GET" in (route.methods or ()) else set())
            found += [f"{method} {route.path.removeprefix(PREFIX)}" for method in sorted(methods)]
    return found


def test_every_route_states_its_action(api: Api) -> None:
    for route in api.app.router.routes:
        if getattr(route, "path", "").startswith(PREFIX) and getattr(route, "include_in_schema", False):
            assert isinstance(route, Route), route
            assert route.access.action is not None or route.access.why_public, route.path
            assert (route.openapi_extra or {})["x-berth-action"]


def test_every_route_has_a_row_and_every_row_a_route(api: Api) -> None:
    routes = routes_of(api.app)
    assert len(routes) == len(set(routes))
    assert sorted(set(routes) - set(TABLE)) == [], "routes without a row"
    assert sorted(set(TABLE) - set(routes)) == [], "rows without a route"


@pytest.mark.parametrize("route", TABLE)
def test_everybody(world: World, route: str) -> None:
    expected = dict(zip(WHO, (int(status) for status in TABLE[route].split()), strict=True))
    tokens = more_tokens(world)
    got = {}
    for at, who in enumerate(WHO):
        answer = ask(world, route, who, tokens.get(who), at)
        got[who] = answer.status_code
        if answer.status_code >= 400 and not route.startswith("HEAD "):
            assert answer.headers["content-type"] == "application/problem+json"
    assert got == expected


def ask(world: World, route: str, who: str, token: str | None, at: int) -> httpx.Response:
    """The answer to what would be accepted of somebody who may; `at` makes the address of each their own."""
    method, path = route.split(" ", 1)
    found = values(world, who, path)
    body = BODIES.get(route)
    if body is not None:
        body = json.loads(json.dumps(body).replace("{who}", who).replace("{cluster}", found["cluster"]))
    headers = {"if-match": "*"} if method == "PATCH" else {}
    client = world.api.client(token, address=f"10.0.0.{at}")
    path = path.replace(":path", "").format(**found)
    query = {"from": 1, "to": 1} if path.endswith("/diff") else None
    return client.request(method, path, json=body, headers=headers, params=query)


def more_tokens(world: World) -> dict[str, str]:
    """Tokens of everybody in the table."""
    with db.unit_of_work() as session:
        factories.make_pool(session)
        owner = world.users["owner"]
        both = factories.make_member(session, world.ours, Role.OWNER)
        factories.make_member(session, world.theirs, Role.OWNER, both)
        run = factories.make_run(session, world.ours, owner, state="running")
        _, job = factories.make_attempt(session, run, state="running")
        return world.tokens | {
            "reader": factories.make_token(session, owner, "read"),
            "narrow": factories.make_token(session, both, project_id=world.theirs.id),
            "job": job,
        }


def values(world: World, who: str, path: str) -> dict[str, str]:
    """Path values that exist, made anew for each: a person, a service account, and a token to revoke."""
    with db.unit_of_work() as session:
        person = factories.make_member(session, world.ours, Role.VIEWER)
        account = factories.make_service_account(session, world.ours, Role.VIEWER)
        owner = account if "{account}" in path else world.users.get(who, person)
        secret = factories.make_token(session, owner)
        token = factories.token_id(session, secret)
        run = factories.make_run(session, world.ours, world.users["editor"], spec=SPEC)
        kept = factories.make_secret(session, world.ours)
        cluster = factories.make_cluster(session)
        factories.make_registry(session, cluster)
        factories.make_namespace(session, world.ours.id, cluster)
        if "{name}" in path and not session.query(Definition).count():
            text = "name: digits\nspec: {command: ['true']}\n"
            definitions.create_definition(session, world.actor("editor"), world.ours.id, text)
        mine = world.users["owner"] if who in ("reader", "nobody", "job", "narrow") else world.users[who]
        asked = factories.make_kubeconfig(session, world.ours.id, mine.id, cluster)
        hears = {"user_id": mine.id} if path.startswith("/me/") else {"project_id": world.ours.id}
        notification = factories.make_notification(session, **hears)
        delivery = factories.make_delivery(session, notification, state="failed")
    return {
        "secret": kept.name,
        "cluster": cluster.name,
        "server": "registry.example.com",
        "kubeconfig": str(asked.id),
        "notification": str(notification.id),
        "delivery": str(delivery.message_id),
        "project": "ours",
        "session_id": "0" * 16,
        "user": person.name,
        "account": account.name,
        "token": str(token),
        "run": run.public_id,
        "view": str(uuid.uuid4()),
        "path": "model.bin",
        "digest": "0" * 64,
        "name": "digits",
        "number": "1",
        "announcement": str(uuid.uuid4()),
    }


@pytest.mark.parametrize("who", ["stranger", "viewer", "narrow"])
def test_anothers_project_answers_as_one_that_does_not_exist(world: World, who: str) -> None:
    client = world.api.client(more_tokens(world)[who])
    hidden, absent = ("ours", "absent") if who != "viewer" else ("theirs", "absent")
    for suffix in ("", "/members", "/audit", "/service-accounts", "/service-accounts/robot/tokens", "/secrets"):
        answers = [client.get(f"/projects/{name}{suffix}") for name in (hidden, absent)]
        bodies = [answer.json() | {"trace_id": ""} for answer in answers]
        assert bodies[0] == bodies[1]
        assert [answer.status_code for answer in answers] == [404, 404]


def test_anothers_token_cannot_be_revoked(world: World) -> None:
    with db.unit_of_work() as session:
        token = factories.token_id(session, world.tokens["stranger"])
    answers = [world.as_("owner").delete(f"/tokens/{key}") for key in (token, uuid.uuid4())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert world.as_("stranger").get("/session").status_code == 200


# Three more, whose cells follow from those above: nobody may do more for being thrown out.
# disabled: an owner who was disabled, as nobody. left: a member who was removed, as a stranger. within: an owner with a
# token for `ours` only, there as the owner and elsewhere as any narrowed token.


@pytest.mark.parametrize("route", TABLE)
def test_who_was_thrown_out_or_narrowed(world: World, route: str) -> None:
    told = dict(zip(WHO, (int(status) for status in TABLE[route].split()), strict=True))
    is_inside = "{project}" in route or "{run}" in route.replace("/me/muted-runs/{run}", "")
    expected = {
        "disabled": told["nobody"],
        "left": told["stranger"],
        "within": told["owner" if is_inside else "narrow"],
    }
    with db.unit_of_work() as session:
        factories.make_pool(session)
        disabled = factories.make_member(session, world.ours, Role.OWNER)
        left = factories.make_member(session, world.ours, Role.OWNER)
        owner = factories.make_member(session, world.ours, Role.OWNER, factories.make_user(session, "narrowed"))
        world.users |= {"disabled": disabled, "left": left, "within": owner}
        tokens = {
            "disabled": factories.make_token(session, disabled),
            "left": factories.make_token(session, left),
            "within": factories.make_token(session, owner, project_id=world.ours.id),
        }
    admin = world.as_("admin")
    assert admin.patch(f"/users/{disabled.name}", json={"disabled": True}, headers={"if-match": "*"}).is_success
    assert admin.delete(f"/projects/ours/members/{left.name}").is_success
    got = {who: ask(world, route, who, tokens[who], 100 + at).status_code for at, who in enumerate(tokens)}
    assert got == expected


@pytest.mark.parametrize("who", WHO)
def test_a_stream_is_for_whom_the_log_is(world: World, who: str) -> None:
    """The same row, by server-sent events."""
    route = "GET /runs/{run}/logs"
    expected = dict(zip(WHO, (int(status) for status in TABLE[route].split()), strict=True))[who]
    token = more_tokens(world).get(who)
    with db.unit_of_work() as session:
        run = factories.make_run(session, world.ours, world.users["editor"], state="succeeded")
        # With its log complete, so that the stream ends.
        factories.make_attempt(session, run, state="succeeded", logs_sealed_at=datetime.datetime.now(datetime.UTC))
    answer = world.api.client(token).get(f"/runs/{run.public_id}/logs", headers={"accept": "text/event-stream"})
    assert answer.status_code == expected
    kind = "text/event-stream" if expected == 200 else "application/problem+json"
    assert answer.headers["content-type"].startswith(kind)
