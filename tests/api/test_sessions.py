"""Signing in, cookies, CSRF, throttling, and what ends a session."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update

from app import db
from app.models import ApiToken, User
from app.services import links, passwords, sessions, throttle, users
from tests import factories
from tests.api.conftest import World

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _fresh_throttle() -> Iterator[None]:
    throttle.forget()
    yield
    throttle.forget()


@pytest.fixture
def person(world: World) -> User:
    with db.unit_of_work() as session:
        session.execute(
            update(User).where(User.name == "viewer").values(password_hash=passwords.hash_password(PASSWORD))
        )
    return world.users["viewer"]


def sign_in(client: httpx.Client, name: str = "viewer", password: str = PASSWORD, **headers: str) -> httpx.Response:
    return client.post("/session", json={"name": name, "password": password}, headers=headers)


def cookie_of(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


def test_the_cookie_is_bound_to_the_host_and_hidden_from_scripts(world: World, person: User) -> None:
    answer = sign_in(world.as_("nobody"))
    assert answer.status_code == 201
    assert answer.json()["user"]["name"] == "viewer"
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-berth=")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(attributes)
    assert not any(part.startswith("Domain") for part in attributes)
    stored = db.engine().connect().execute(text("select encode(token_hash, 'escape') from user_session")).scalars()
    assert cookie_of(answer) not in "".join(stored)


def test_signing_in_makes_a_new_session_and_ends_the_one_before(world: World, person: User) -> None:
    first = cookie_of(sign_in(world.as_("nobody")))
    planted = world.api.client(cookie=first)
    second = cookie_of(sign_in(planted))
    assert second != first
    assert planted.get("/session").status_code == 401
    assert world.api.client(cookie=second).get("/session").status_code == 200


def test_a_cookie_somebody_made_up_is_not_taken_over(world: World, person: User) -> None:
    made_up = world.api.client(cookie="made-up-by-an-attacker")
    assert cookie_of(sign_in(made_up)) != "made-up-by-an-attacker"
    assert made_up.get("/session").status_code == 401


def test_signing_out(world: World) -> None:
    browser = world.browser("viewer")
    answer = browser.delete("/session")
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert browser.get("/session").status_code == 401


@pytest.mark.parametrize("name", ["viewer", "unknown-name", "robot", "disabled"])
def test_a_wrong_password_answers_as_an_unknown_name(world: World, person: User, name: str) -> None:
    with db.unit_of_work() as session:
        factories.make_user(session, "disabled", password_hash=person.password_hash, disabled_at=text("now()"))
    answer = sign_in(world.as_("nobody"), name, "wrong password")
    assert (answer.status_code, answer.json()["code"]) == (401, "WRONG_PASSWORD")
    assert answer.json()["detail"] == sessions.WrongPassword.detail


def test_unknown_names_cost_a_hash_too(world: World, person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str | None] = []
    real = passwords._hasher.verify

    def verify(password: str, stored: str) -> bool:
        checked.append(stored)
        return real(password, stored)

    monkeypatch.setattr(passwords._hasher, "verify", verify)
    for name in ("viewer", "unknown-name"):
        assert sign_in(world.as_("nobody"), name, "wrong password").status_code == 401
    assert len(checked) == 2


def test_tries_are_bounded_per_name_whatever_the_address_says(world: World, person: User) -> None:
    statuses = []
    for number in range(14):
        client = world.api.client(address=f"10.0.0.{number}")
        statuses.append(sign_in(client, password="wrong", **{"x-forwarded-for": f"1.1.1.{number}"}).status_code)
    assert statuses == [401] * 10 + [429] * 4
    late = sign_in(world.as_("nobody"))
    assert late.status_code == 429
    assert late.json()["code"] == "TOO_MANY_TRIES"
    assert int(late.headers["retry-after"]) > 0


def test_tries_are_bounded_per_address_whatever_the_name(world: World) -> None:
    statuses = []
    for number in range(12):
        forged = {"x-forwarded-for": f"1.1.1.{number}", "x-real-ip": f"2.2.2.{number}"}
        statuses.append(sign_in(world.as_("nobody"), f"name{number}", "wrong", **forged).status_code)
    assert statuses == [401] * 10 + [429] * 2


def test_signing_in_works_while_redis_is_away(world: World, person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_REDIS__URL", "redis://127.0.0.1:1/0")
    from app.settings import get_settings

    get_settings.cache_clear()
    try:
        assert sign_in(world.as_("nobody")).status_code == 201
        statuses = [sign_in(world.as_("nobody"), password="wrong").status_code for _ in range(10)]
        assert statuses[-1] == 429
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
        throttle._redis_away_until = 0.0


CROSS_SITE: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "", "origin": "https://evil.example"},
    {"sec-fetch-site": "", "origin": "http://localhost:8801"},
    {"sec-fetch-site": "", "origin": "null"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_a_cookie_from_another_site_changes_nothing(world: World, headers: dict[str, str]) -> None:
    browser = world.browser("owner")
    del browser.headers["sec-fetch-site"]
    sent = {name: value for name, value in headers.items() if value}
    answer = browser.post("/tokens", json={"name": "x", "scope": "read"}, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "CSRF")
    with db.read_session() as session:
        assert session.query(ApiToken).filter_by(name="x").count() == 0


@pytest.mark.parametrize("token", ["", "0" * 40, "\u00e9"])
def test_a_cookie_without_the_pages_token_changes_nothing(world: World, token: str) -> None:
    browser = world.browser("owner")
    sent = token.encode("latin-1")
    answer = browser.post("/tokens", json={"name": "x", "scope": "read"}, headers={b"x-csrf-token": sent})
    assert (answer.status_code, answer.json()["code"]) == (403, "CSRF")


def test_a_browsers_own_pages_may(world: World) -> None:
    browser = world.browser("owner")
    browser.headers["x-csrf-token"] = browser.get("/session").json()["csrf_token"]
    assert browser.post("/tokens", json={"name": "x", "scope": "read"}).status_code == 201
    del browser.headers["sec-fetch-site"]  # an old browser
    body = {"name": "y", "scope": "read"}
    assert browser.post("/tokens", json=body, headers={"origin": "http://localhost:8800"}).status_code == 201


def test_the_csrf_token_of_another_session_does_not_count(world: World) -> None:
    browser, other = world.browser("owner"), world.browser("owner")
    browser.headers["x-csrf-token"] = other.headers["x-csrf-token"]
    assert browser.delete("/session").status_code == 403


def test_nobody_is_signed_in_by_another_site(world: World, person: User) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert sign_in(world.as_("nobody"), **headers).status_code == 403


def test_a_new_password_ends_all_other_sessions(world: World, person: User) -> None:
    here, elsewhere = world.browser("viewer"), world.browser("viewer")
    body = {"old": PASSWORD, "new": "another long sentence"}
    wrong = here.put("/me/password", json=body | {"old": "not it"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "WRONG_OLD_PASSWORD")
    assert here.put("/me/password", json=body).status_code == 204
    assert here.get("/session").status_code == 200
    assert elsewhere.get("/session").status_code == 401
    assert sign_in(world.as_("nobody")).status_code == 401
    assert sign_in(world.as_("nobody"), password="another long sentence").status_code == 201


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaa", "viewerviewer", "x" * 201])
def test_weak_passwords_are_refused_with_a_reason_and_not_repeated(world: World, person: User, password: str) -> None:
    answer = world.browser("viewer").put("/me/password", json={"old": PASSWORD, "new": password})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/new"
    assert answer.json()["errors"][0]["message"]
    assert password not in answer.text


def test_disabling_ends_everything_at_once(world: World, person: User) -> None:
    browser, program = world.browser("viewer"), world.as_("viewer")
    with db.unit_of_work() as session:
        link = links.create(session, links.INVITATION, user_id=person.id)
    admin = world.as_("admin")
    assert admin.patch("/users/viewer", json={"disabled": True}).json()["disabled"] is True
    assert browser.get("/session").status_code == 401
    assert program.get("/session").json()["code"] == "INVALID_TOKEN"
    assert sign_in(world.as_("nobody")).status_code == 401
    answer = world.as_("nobody").post("/invitations:accept", json={"key": link, "password": PASSWORD})
    assert answer.status_code == 404
    # Enabling gives back the password, but neither sessions nor tokens.
    assert admin.patch("/users/viewer", json={"disabled": False}).json()["disabled"] is False
    assert browser.get("/session").status_code == program.get("/session").status_code == 401
    assert sign_in(world.as_("nobody")).status_code == 201


def test_disabled_counts_even_where_rows_are_left(world: World, person: User) -> None:
    browser, program = world.browser("viewer"), world.as_("viewer")
    with db.unit_of_work() as session:
        session.execute(text("""update "user" set disabled_at = now() where name = 'viewer'"""))
    assert browser.get("/session").status_code == program.get("/session").status_code == 401


def test_expired_sessions_and_tokens(world: World) -> None:
    with db.unit_of_work() as session:
        cookie = factories.make_session(session, world.users["viewer"], hours=-1)
        token = factories.make_token(session, world.users["viewer"], expires_at=text("now() - interval '1 s'"))
    assert world.api.client(cookie=cookie).get("/session").status_code == 401
    assert world.api.client(token).get("/session").status_code == 401


@pytest.mark.parametrize(
    "token",
    [
        "",
        "berth_",
        "berth_u_" + "A" * 43,
        "berth_r_" + "A" * 43,
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "x" * 10_000,
        "berth_u_\u00e9",
    ],
)
def test_tokens_of_the_wrong_form(world: World, token: str) -> None:
    client = world.as_("nobody")
    answer = client.get("/session", headers={b"authorization": b"Bearer " + token.encode("utf-8")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_identity_headers_and_query_tokens_are_ignored(world: World) -> None:
    forged = {"x-forwarded-user": "admin", "remote-user": "admin", "kubeflow-userid": "admin"}
    assert world.as_("nobody").get("/session", headers=forged).status_code == 401
    assert world.as_("nobody").get(f"/session?token={world.tokens['admin']}").status_code == 401
    answer = world.as_("viewer").get("/session", headers=forged)
    assert answer.json()["user"]["name"] == "viewer"


def test_the_first_administrator_is_set_up_once(world: World) -> None:
    with db.unit_of_work() as session:
        session.execute(text("""update "user" set is_admin = false"""))
        keys = [users.create_sign_in_link(session) for _ in range(4)]

    def set_up(number: int) -> int:
        body = {"key": keys[number], "name": f"first{number}", "password": PASSWORD, "project": f"p{number}"}
        return world.as_("nobody").post("/setup", json=body).status_code

    assert sorted(at_once(set_up, 4)) == [201, 404, 404, 404]
    with db.read_session() as session:
        assert session.query(User).filter_by(is_admin=True).count() == 1


def test_an_invitation_works_once(world: World) -> None:
    made = world.as_("admin").post("/users", json={"name": "grace", "project": "ours", "role": "editor"})
    assert made.status_code == 201
    key = made.json()["invitation_url"].partition("?k=")[2]

    def accept(number: int) -> int:
        body = {"key": key, "password": f"{PASSWORD} {number}"}
        return world.as_("nobody").post("/invitations:accept", json=body).status_code

    assert sorted(at_once(accept, 4)) == [201, 404, 404, 404]


def test_a_refused_password_does_not_use_the_invitation_up(world: World) -> None:
    made = world.as_("admin").post("/users", json={"name": "grace"})
    key = made.json()["invitation_url"].partition("?k=")[2]
    client = world.as_("nobody")
    assert client.post("/invitations:accept", json={"key": key, "password": "short"}).status_code == 422
    answer = client.post("/invitations:accept", json={"key": key, "password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json()["user"]["name"] == "grace"


def test_a_sign_in_link_works_once_and_for_the_administrator(world: World) -> None:
    with db.unit_of_work() as session:
        key = users.create_sign_in_link(session)
        found = links.find(session, key)
        assert found is not None
        assert found.kind == links.SIGN_IN
    got: list[Any] = []

    def use(_: int) -> int:
        try:
            with db.unit_of_work() as session:
                got.append(sessions.sign_in_by_link(session, key, address="", agent=""))
        except links.LinkNotValid:
            return 404
        return 200

    assert sorted(at_once(use, 4)) == [200, 404, 404, 404]
    assert got[0].name == "admin"


def test_resetting_a_password_takes_the_old_one_away(world: World, person: User) -> None:
    browser = world.browser("viewer")
    url = world.as_("admin").post("/users/viewer:reset-password").json()["url"]
    assert browser.get("/session").status_code == 401
    assert sign_in(world.as_("nobody")).status_code == 401
    key = url.partition("?k=")[2]
    body = {"key": key, "password": "a new long sentence"}
    assert world.as_("nobody").post("/invitations:accept", json=body).status_code == 201
    with db.unit_of_work() as session:
        assert users.reset_password(session, "viewer").startswith("http://localhost:8800/invitation?k=")


def test_two_administrators_cannot_disable_each_other(world: World) -> None:
    with db.unit_of_work() as session:
        second = factories.make_user(session, "second", is_admin=True)
        token = factories.make_token(session, second)
    for _ in range(5):
        pairs = [(world.tokens["admin"], "second"), (token, "admin")]

        def demote(number: int, pairs: list[tuple[str, str]] = pairs) -> int:
            whose, name = pairs[number]
            return world.api.client(whose).patch(f"/users/{name}", json={"is_admin": False}).status_code

        statuses = at_once(demote, 2)
        with db.unit_of_work() as session:
            assert session.query(User).filter_by(is_admin=True).count() == 1, statuses
            session.execute(text("""update "user" set is_admin = true where name in ('admin', 'second')"""))


@pytest.mark.parametrize("change", [{"is_admin": False}, {"disabled": True}])
def test_the_last_administrator_stays(world: World, change: dict[str, bool]) -> None:
    answer = world.as_("admin").patch("/users/admin", json=change)
    assert (answer.status_code, answer.json()["code"]) == (409, "LAST_ADMIN")
    assert world.as_("admin").get("/users/admin").json()["is_admin"] is True


def at_once(work: Any, times: int) -> list[int]:
    """The results of `work(0)` … started together."""
    barrier = threading.Barrier(times)
    results: list[int] = [0] * times

    def run(number: int) -> None:
        barrier.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
