"""What is sent along to be taken for somebody else, and what is written down of it (attacks A25, A26, A27)."""

import gc
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func
from structlog.testing import capture_logs

from app import db, observability
from app.models import User
from app.services import links, passwords, sessions, throttle
from tests import factories
from tests.api.conftest import World

PASSWORD = "a long enough one"
_NAMES = """x-forwarded-user x-forwarded-email x-forwarded-preferred-username x-remote-user remote-user remote_user
    x-auth-request-user x-auth-request-email x-webauth-user x-user x-user-id x-authenticated-user kubeflow-userid
    x-goog-authenticated-user-email cf-access-authenticated-user-email x-ms-client-principal-name x-token x-api-key
    x-auth-token private-token x-access-token ssl-client-s-dn x-client-cert x-original-user"""
IDENTITY = _NAMES.split()
PAGES = ["/", "/projects/ours/runs", "/me", "/admin/users", "/search?q=a"]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    throttle.forget()
    yield
    throttle.forget()


def test_identity_headers_are_nobody(world: World) -> None:
    token = world.tokens["admin"]
    for value in ("admin", token, f"Bearer {token}"):
        forged = dict.fromkeys(IDENTITY, value)
        client = world.as_("nobody")
        assert client.get("/session", headers=forged).status_code == 401
        for path in PAGES:
            answer = client.get(f"http://localhost:8800{path}", headers=forged)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login")
        assert world.as_("viewer").get("/users", headers=forged).status_code == 403


def test_tokens_in_addresses_are_nobody_and_are_not_written_down(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with db.unit_of_work() as session:
        cookie = factories.make_session(session, world.users["admin"])
        key = links.create(session, links.INVITATION, user_id=world.users["viewer"].id)
    secrets = [world.tokens["admin"], cookie, key]
    client = world.as_("nobody")
    said: list[Any] = []
    with capture_logs() as records:
        for secret in secrets:
            for name in ("token", "access_token", "api_key", "key", "auth", "authorization", "session", "berth"):
                assert client.get("/session", params={name: secret}).status_code == 401
                answer = client.get("http://localhost:8800/projects", params={name: secret})
                assert answer.status_code == 303
                assert client.get(f"/runs/r-2222222222/logs?{name}={secret}").status_code == 401
            said += [
                client.get(f"http://localhost:8800/nowhere/{secret}"),
                client.get("http://localhost:8800/", params={"k": "x" + secret}),
            ]
            client.post("/invitations:accept", json={"key": "x" + secret, "password": PASSWORD})
            client.post("/session", json={"name": secret[:60], "password": secret[:60]})
        said.append(client.get(f"http://localhost:8800/invitation?k={key}"))
    body, _ = observability.metrics()
    written = caplog.text + repr(records) + body.decode()
    assert [secret for secret in secrets if secret in written] == []
    for answer in said:
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers.get("cache-control", "").startswith("no-store"), answer.url


def test_an_unknown_name_costs_what_a_known_one_does(world: World) -> None:
    """In time of the processor, which other work on the machine does not add to: a hash is nearly all of it."""
    with db.unit_of_work() as session:
        session.merge(world.users["viewer"]).password_hash = passwords.hash_password(PASSWORD)
        session.query(User).filter_by(name="disabled").delete()
        factories.make_user(
            session, "disabled", disabled_at=func.now(), password_hash=passwords.hash_password("x" * 12)
        )

    def cost(name: str) -> float:
        throttle.forget()
        begun = time.thread_time_ns()
        with pytest.raises(sessions.WrongPassword):
            sessions.log_in(name, "not the password", address="", agent="")
        return (time.thread_time_ns() - begun) / 1e6

    gc.collect()
    taken: dict[str, list[float]] = {name: [] for name in ("viewer", "unknown", "disabled", "robot")}
    for _ in range(9):
        for name, costs in taken.items():
            costs.append(cost(name))
    medians = {name: statistics.median(costs) for name, costs in taken.items()}
    known = medians["viewer"]
    assert all(0.6 * known < found < 1.6 * known for found in medians.values()), medians
