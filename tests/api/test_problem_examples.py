"""Every problem that the API answers is in its document, and is what a request that provokes it really gets.

A new problem needs an example in the document (`problems(…)` at its route), and a provocation here or in another test.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import db
from app.api.problems import describe
from app.api.router import openapi_document
from app.errors import PROBLEMS
from app.repositories import views
from app.services import throttle
from app.services.tokens import MAX_PER_USER
from app.settings import get_settings
from tests import factories
from tests.api.conftest import World

ROOT = Path(__file__).parents[2]
document: dict[str, Any] = openapi_document()
MAIL = {"name": "x", "channel": "mail", "target": "a@example.org", "events": ["run.ended"]}
HOOK = {"name": "x", "channel": "webhook", "target": "https://example.org/", "events": ["run.ended"]}
JSON = {"content-type": "application/json"}
OF_A_REQUEST = {"name", "project", "run", "count", "ids", "allow"}
OF_A_PLACE = {"TOO_MANY_WAITING": {"limit"}}  # a setting that the test lowers
SPEC = {"spec": {"name": "x", "command": ["true"]}}


def documented() -> dict[str, dict[str, Any]]:
    """The examples of all problems, by code."""
    found: dict[str, dict[str, Any]] = {}
    entries = [*document["components"]["responses"].values()]
    for operations in document["paths"].values():
        for operation in operations.values():
            entries += operation["responses"].values()
    for entry in entries:
        content = entry.get("content", {}).get("application/problem+json", {})
        found |= {code: example["value"] for code, example in content.get("examples", {}).items()}
    return found


def fields_of(shown: dict[str, Any]) -> dict[str, Any]:
    """What an example has beside the members that every problem has."""
    usual = {"type", "title", "status", "code", "detail", "hint", "errors", "trace_id"}
    return {name: value for name, value in shown.items() if name not in usual}


def last_owner(world: World) -> httpx.Response:
    return world.as_("admin").delete("/projects/ours/members/owner")


def project_in_use(world: World) -> httpx.Response:
    with db.unit_of_work() as session:
        factories.make_run(session, world.ours, world.users["owner"])
    return world.as_("owner").delete("/projects/ours")


def user_disabled(world: World) -> httpx.Response:
    admin = world.as_("admin")
    admin.patch("/users/viewer", json={"disabled": True}, headers={"if-match": "*"})
    return admin.post("/users/viewer:reset-password")


def too_many_tokens(world: World) -> httpx.Response:
    with db.unit_of_work() as session:
        for _ in range(MAX_PER_USER):
            factories.make_token(session, world.users["owner"])
    return world.as_("owner").post("/tokens", json={"name": "x", "scope": "read"})


def too_many_views(world: World) -> httpx.Response:
    client = world.as_("owner")
    for number in range(views.MOST):
        client.post("/projects/ours/views", json={"name": f"v{number}"})
    return client.post("/projects/ours/views", json={"name": "one more"})


def too_many_notifications(world: World) -> httpx.Response:
    with db.unit_of_work() as session:
        for _ in range(get_settings().notifications.per_owner):
            factories.make_notification(session, project_id=world.ours.id)
    return world.as_("owner").post("/projects/ours/notifications", json=HOOK)


def too_many_tests(world: World) -> httpx.Response:
    client = world.as_("owner")
    made = client.post("/projects/ours/notifications", json=HOOK).json()["id"]
    answers = [client.post(f"/projects/ours/notifications/{made}:test") for _ in range(30)]
    return answers[-1]


def delivery_pending(world: World) -> httpx.Response:
    with db.unit_of_work() as session:
        notification = factories.make_notification(session, project_id=world.ours.id)
        delivery = factories.make_delivery(session, notification, state="pending")
    path = f"/projects/ours/notifications/{notification.id}/deliveries/{delivery.message_id}:resend"
    return world.as_("owner").post(path)


def too_many(world: World) -> httpx.Response:
    answers = [world.as_("nobody").post("/terminal-logins", json={}) for _ in range(30)]
    return answers[-1]


def too_many_waiting(world: World) -> httpx.Response:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(get_settings().limits, "waiting_runs_per_project", 1)
        with db.unit_of_work() as session:
            factories.make_pool(session)
            factories.make_run(session, world.ours, world.users["owner"])
        return world.as_("owner").post("/projects/ours/runs", json=SPEC)


def token_too_narrow(world: World) -> httpx.Response:
    token = world.as_("owner").post("/tokens", json={"name": "ci", "scope": "write"}).json()["token"]
    return world.api.client(token).put("/projects/ours/members/editor", json={"role": "owner"})


PROVOKED: dict[str, Callable[[World], httpx.Response]] = {
    "DELIVERY_PENDING": delivery_pending,
    "LAST_OWNER": last_owner,
    "MAIL_NOT_SET_UP": lambda world: world.as_("owner").post("/projects/ours/notifications", json=MAIL),
    "PROJECT_IN_USE": project_in_use,
    "TOO_MANY": too_many,
    "TOO_MANY_NOTIFICATIONS": too_many_notifications,
    "TOO_MANY_TESTS": too_many_tests,
    "TOO_MANY_TOKENS": too_many_tokens,
    "TOO_MANY_VIEWS": too_many_views,
    "TOO_MANY_WAITING": too_many_waiting,
    "USER_DISABLED": user_disabled,
    "BODY_TOO_LARGE": lambda world: world.as_("owner").post("/tokens", content=b" " * 1_100_000, headers=JSON),
    "COMPARE_COUNT": lambda world: world.as_("owner").get("/projects/ours/runs:compare"),
    "CURSOR_EXPIRED": lambda world: world.as_("owner").get("/projects/ours/runs", params={"after": "x"}),
    "FORBIDDEN": lambda world: world.as_("viewer").post("/projects/ours/runs", json=SPEC),
    "INVALID": lambda world: world.as_("owner").post("/tokens", json={}),
    "INVALID_TOKEN": lambda world: world.api.client("berth_u_x").get("/session"),
    "MALFORMED_JSON": lambda world: world.as_("owner").post("/tokens", content=b"{", headers=JSON),
    "METHOD_NOT_ALLOWED": lambda world: world.as_("owner").put("/tokens"),
    "MISDIRECTED": lambda world: world.as_("owner").get("/session", headers={"host": "evil.example"}),
    "NOT_FOUND": lambda world: world.as_("owner").get("/runs/r-2222222222"),
    "PROJECT_EXISTS": lambda world: world.as_("admin").post("/projects", json={"name": "ours"}),
    "TOKEN_TOO_NARROW": token_too_narrow,
    "TOO_COMPLEX": lambda world: world.as_("owner").post("/tokens", content=b"[" * 100_000, headers=JSON),
    "UNAUTHENTICATED": lambda world: world.as_("nobody").get("/session"),
    "UNKNOWN_USER": lambda world: world.as_("owner").put("/projects/ours/members/x", json={"role": "viewer"}),
    "UNSUPPORTED_MEDIA_TYPE": lambda world: world.as_("owner").post("/tokens", content=b"x"),
    "USER_EXISTS": lambda world: world.as_("admin").post("/users", json={"name": "owner"}),
}
# Provoked where the situation is made anyway: the file asserts the code of a real answer.
ELSEWHERE = {
    "ANSWER_NOT_KEPT": "test_idempotency.py",
    "BAD_ARCHIVE": "test_snapshots.py",
    "CLUSTER_EXISTS": "test_clusters.py",
    "CLUSTER_IN_USE": "test_clusters.py",
    "CLUSTER_IS_LOCAL": "test_clusters.py",
    "CSRF": "test_sessions.py",
    "DEFINITION_ARCHIVED": "test_definitions.py",
    "DEFINITION_CHANGED": "test_definitions.py",
    "DEFINITION_EXISTS": "test_definitions.py",
    "DIGEST_MISMATCH": "test_snapshots.py",
    "IDEMPOTENCY_KEY_REUSED": "test_idempotency.py",
    "INVALID_DEFINITION": "test_definitions.py",
    "KUBECONFIG_NOT_READY": "test_namespaces.py",
    "LAST_ADMIN": "test_sessions.py",
    "LINK_NOT_VALID": "test_accounts.py",
    "NEVER_FITS": "test_runs.py",
    "DEBUG_NEEDS_CLUSTER": "test_debug_runs.py",
    "ONE_REPLICA_ONLY": "test_clusters.py",
    "OUTPUT_LOST": "test_outputs.py",
    "OUTPUT_REMOVED": "test_outputs.py",
    "OUTPUTS_LOST": "test_outputs.py",
    "POOL_DRAINING": "test_clusters.py",
    "PRECONDITION_FAILED": "test_definitions.py",
    "PROJECT_NOT_IN_CLUSTER": "test_namespaces.py",
    "PRECONDITION_REQUIRED": "test_accounts.py",
    "RANGE_NOT_SATISFIABLE": "test_outputs.py",
    "RUN_NOT_REPEATABLE": "test_capsules.py",
    "RUNS_NOT_FOUND": "test_comparing.py",
    "SERVICE_ACCOUNT_EXISTS": "test_accounts.py",
    "TOO_MANY_RUNS": "test_bulk_runs.py",
    "TOO_MANY_SECRETS": "test_secrets.py",
    "TOO_MANY_SERIES": "test_metrics.py",
    "TOO_MANY_TRIES": "test_sessions.py",
    "UNAVAILABLE": "test_bad_input.py",
    "UNKNOWN_POOL": "test_runs.py",
    "UNKNOWN_SECRET": "test_secrets.py",
    "UNKNOWN_SNAPSHOT": "test_runs.py",
    "VIEW_EXISTS": "test_comparing.py",
    "WRONG_OLD_PASSWORD": "test_sessions.py",
    "WRONG_PASSWORD": "test_sessions.py",
}
NOT_PROVOKED = {
    "BAD_REQUEST": "the server below the application answers what it cannot parse",
    "INTERNAL": "it would be a mistake of ours; test_bad_input.py breaks a route to see its form",
}
NOT_OF_THE_API = {
    "CONFLICT": "a category; only its kinds are raised",
    "SECRET_EXISTS": "of the page that adds a secret; the API replaces",
}


def test_every_problem_has_an_example_and_a_provocation() -> None:
    known = {code for code, error in PROBLEMS.items() if error.__module__.startswith("app.")}
    examples = set(documented())
    assert sorted(known - examples - set(NOT_OF_THE_API)) == [], "put these into problems(…) of their route"
    assert sorted(examples - set(PROVOKED) - set(ELSEWHERE) - set(NOT_PROVOKED)) == [], "provoke these"
    for code, file in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / "tests" / "api" / file).read_text(), (code, file)


def test_no_example_has_an_empty_slot() -> None:
    assert [code for code, shown in documented().items() if "{" in shown["detail"] + shown["hint"]] == []


@pytest.mark.parametrize("code", PROVOKED)
def test_a_problem_is_as_the_document_shows_it(code: str, world: World) -> None:
    throttle.forget()
    answer = PROVOKED[code](world)
    shown, got = documented()[code], answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert [got[name] for name in ("code", "type", "title", "status")] == [
        shown[name] for name in ("code", "type", "title", "status")
    ]
    assert answer.status_code == shown["status"]
    assert set(got) ^ set(shown) <= {"errors"}, "the answer and its example have different fields"
    assert {name: type(got[name]) for name in shown if name in got} == {
        name: type(value) for name, value in shown.items() if name in got
    }
    # But for what is of this very request, such as the name that it asked for, both say the same.
    mine = {name: got[name] for name in set(shown) & (OF_A_REQUEST | OF_A_PLACE.get(code, set()))}
    filled = describe(PROBLEMS[code](None, **(fields_of(shown) | mine)), "en")
    assert filled | mine == {name: value for name, value in got.items() if name not in ("trace_id", "errors")}
