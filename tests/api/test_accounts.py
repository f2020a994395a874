"""Tokens, terminals, users, projects, members, service accounts and the audit log, as clients see them."""

import pytest
from sqlalchemy import text

from app import db
from app.models import ApiToken, AuditEntry, User
from app.services import terminals, throttle
from tests import factories
from tests.api.conftest import World
from tests.api.test_sessions import at_once


def test_a_token_is_shown_once_and_stored_as_a_hash(world: World) -> None:
    made = world.as_("editor").post("/tokens", json={"name": "ci", "scope": "write", "expires_in": "30d"})
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith("berth_u_")
    assert made.json()["expires_at"] > made.json()["created_at"]
    listed = world.as_("editor").get("/tokens")
    assert token not in listed.text
    assert listed.json()["items"][0] == {key: value for key, value in made.json().items() if key != "token"}
    with db.read_session() as session:
        assert token[12:] not in str(session.execute(text("select * from api_token")).all())
        assert token not in str(session.execute(text("select * from audit_entry")).all())


def test_a_token_does_what_its_scope_says(world: World) -> None:
    def made(**body: object) -> str:
        answer = world.as_("owner").post("/tokens", json={"name": "x", "scope": "read"} | body)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["token"]
        return token

    reader = world.api.client(made())
    assert reader.get("/projects/ours").status_code == 200
    assert reader.get("/session").json()["scope"] == "read"
    assert reader.put("/projects/ours/members/editor", json={"role": "owner"}).status_code == 403
    assert reader.post("/tokens", json={"name": "x", "scope": "admin"}).status_code == 403
    narrow = world.api.client(made(scope="admin", project="ours"))
    assert narrow.get("/session").json()["project"] == "ours"
    assert narrow.post("/tokens", json={"name": "x", "scope": "admin"}).status_code == 403


def test_a_token_cannot_be_for_anothers_project(world: World) -> None:
    for name in ("theirs", "absent"):
        answer = world.as_("owner").post("/tokens", json={"name": "x", "scope": "read", "project": name})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/project"


@pytest.mark.parametrize(
    ("expires_in", "fix"), [("30", "30s"), ("1 week", None), ("5s", "1m"), ("-1d", None), ("9999d", None)]
)
def test_a_wrong_duration_is_explained(world: World, expires_in: str, fix: str | None) -> None:
    answer = world.as_("owner").post("/tokens", json={"name": "x", "scope": "read", "expires_in": expires_in})
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["pointer"], error.get("fix")) == ("/expires_in", fix)


def test_a_revoked_token_ends_at_once(world: World) -> None:
    made = world.as_("owner").post("/tokens", json={"name": "x", "scope": "read"}).json()
    client = world.api.client(made["token"])
    assert client.get("/session").status_code == 200
    assert world.as_("owner").delete(f"/tokens/{made['id']}").status_code == 204
    assert client.get("/session").status_code == 401
    assert world.as_("owner").delete(f"/tokens/{made['id']}").status_code == 404
    assert made["id"] not in world.as_("owner").get("/tokens").text


def test_last_use_is_written_once_a_minute(world: World) -> None:
    def used() -> object:
        return next(item["used_at"] for item in client.get("/tokens").json()["items"])

    client = world.as_("owner")
    first = used()
    assert first is not None
    assert used() == first
    with db.unit_of_work() as session:
        session.execute(text("update api_token set used_at = now() - interval '2 minutes'"))
    assert used() > first  # type: ignore[operator]


def test_a_runs_token_dies_with_its_attempt(world: World) -> None:
    with db.unit_of_work() as session:
        run = factories.make_run(session, world.ours, world.users["editor"], state="running")
        _, token = factories.make_attempt(session, run)
    job = world.api.client(token)
    assert job.get("/session").json()["code"] == "NOT_FOUND"  # known, and nothing for it here
    for change in ("state = 'succeeded'", "state = 'running', attempt = 2"):
        with db.unit_of_work() as session:
            session.execute(text(f"update run set {change}"))
        assert job.get("/session").json()["code"] == "INVALID_TOKEN"


def test_a_terminal_signs_in_through_the_browser(world: World) -> None:
    throttle.forget()
    terminal = world.as_("nobody")
    begun = terminal.post("/terminal-logins", json={"name": "laptop"}).json()
    assert begun["url"] == f"http://localhost:8800/terminal?code={begun['user_code']}"
    body = {"device_code": begun["device_code"]}
    assert terminal.post("/terminal-logins:poll", json=body).json() == {"status": "pending"}
    actor = world.actor("editor")
    with db.unit_of_work() as session:
        assert terminals.find(session, actor, begun["user_code"].lower()) == "laptop"
        terminals.decide(session, actor, begun["user_code"], approve=True)

    def poll(_: int) -> int:
        return terminal.post("/terminal-logins:poll", json=body).status_code

    assert sorted(at_once(poll, 3)) == [200, 404, 404]
    with db.read_session() as session:
        assert session.query(ApiToken).filter_by(name="laptop").one().user_id == actor.user_id
        assert begun["device_code"] not in str(session.execute(text("select * from one_time_link")).all())


def test_a_refused_terminal_gets_nothing(world: World) -> None:
    terminal = world.as_("nobody")
    begun = terminal.post("/terminal-logins", json={}).json()
    with db.unit_of_work() as session:
        terminals.decide(session, world.actor("editor"), begun["user_code"], approve=False)
    answer = terminal.post("/terminal-logins:poll", json={"device_code": begun["device_code"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "LINK_NOT_VALID")


def test_polling_too_often_is_refused(world: World) -> None:
    throttle.forget()
    terminal = world.as_("nobody")
    body = {"device_code": terminal.post("/terminal-logins", json={}).json()["device_code"]}
    statuses = [terminal.post("/terminal-logins:poll", json=body).status_code for _ in range(45)]
    assert statuses == [200] * 40 + [429] * 5


def test_names_are_unique(world: World) -> None:
    admin, owner = world.as_("admin"), world.as_("owner")
    assert admin.post("/users", json={"name": "editor"}).json()["code"] == "USER_EXISTS"
    assert admin.post("/projects", json={"name": "ours"}).json()["code"] == "PROJECT_EXISTS"
    answer = owner.post("/projects/ours/service-accounts", json={"name": "robot", "role": "viewer"})
    assert answer.json()["code"] == "SERVICE_ACCOUNT_EXISTS"
    # A service account may be called as a person, and as another project's service account.
    answer = owner.post("/projects/ours/service-accounts", json={"name": "editor", "role": "viewer"})
    assert answer.status_code == 201


MASS = ["id", "kind", "password_hash", "disabled_at", "project_id", "created_at", "version", "owner_id", "quota"]


@pytest.mark.parametrize("field", MASS)
def test_fields_that_are_not_offered_cannot_be_set(world: World, field: str) -> None:
    admin = world.as_("admin")
    answers = [
        admin.post("/users", json={"name": "x", field: "x"}),
        admin.patch("/users/viewer", json={field: "x"}),
        admin.patch("/me", json={field: "x", "display_name": "changed"}),
        admin.post("/projects", json={"name": "x", field: "x"}),
        admin.patch("/projects/ours", json={"title": "x", field: "x"}, headers={"if-match": "*"}),
        admin.put("/projects/ours/members/viewer", json={"role": "owner", field: "x"}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert world.as_("viewer").get("/session").json()["projects"][0]["role"] == "viewer"
    assert admin.get("/session").json()["user"]["display_name"] == ""


def test_nobody_makes_themselves_an_administrator(world: World) -> None:
    for body in ({"is_admin": True}, {"role": "owner"}, {"kind": "service_account"}):
        assert world.as_("viewer").patch("/me", json=body).status_code == 422
    assert world.as_("viewer").get("/session").json()["user"]["is_admin"] is False


def test_conditional_requests(world: World) -> None:
    owner = world.as_("owner")
    tag = owner.get("/projects/ours").headers["etag"]
    assert owner.get("/projects/ours", headers={"if-none-match": tag}).status_code == 304
    assert owner.patch("/projects/ours", json={"title": "A"}).json()["code"] == "PRECONDITION_REQUIRED"
    weak = owner.patch("/projects/ours", json={"title": "A"}, headers={"if-match": f"W/{tag}"})
    assert weak.status_code == 412
    changed = owner.patch("/projects/ours", json={"title": "A"}, headers={"if-match": tag})
    assert (changed.status_code, changed.json()["title"]) == (200, "A")
    late = owner.patch("/projects/ours", json={"title": "B"}, headers={"if-match": tag})
    assert (late.status_code, late.json()["current"]) == (412, owner.get("/projects/ours").json())
    assert owner.get("/projects/ours", headers={"if-none-match": tag}).status_code == 200


def test_of_two_who_change_the_same_version_one_wins(world: World) -> None:
    tag = world.as_("owner").get("/projects/ours").headers["etag"]

    def change(number: int) -> int:
        client = world.as_("owner")
        return client.patch("/projects/ours", json={"title": f"T{number}"}, headers={"if-match": tag}).status_code

    assert sorted(at_once(change, 4)) == [200, 412, 412, 412]


def test_members_come_and_go(world: World) -> None:
    owner = world.as_("owner")
    assert world.as_("stranger").get("/projects/ours").status_code == 404
    assert owner.put("/projects/ours/members/stranger", json={"role": "viewer"}).status_code == 201
    assert owner.put("/projects/ours/members/stranger", json={"role": "editor"}).status_code == 200
    assert world.as_("stranger").get("/projects/ours").json()["role"] == "editor"
    assert owner.delete("/projects/ours/members/stranger").status_code == 204
    assert world.as_("stranger").get("/projects/ours").status_code == 404
    assert owner.delete("/projects/ours/members/stranger").status_code == 404
    assert owner.put("/projects/ours/members/absent", json={"role": "viewer"}).json()["code"] == "UNKNOWN_USER"
    assert owner.put("/projects/ours/members/robot", json={"role": "owner"}).status_code == 404


def test_a_service_account_outlives_the_people(world: World) -> None:
    owner = world.as_("owner")
    made = owner.post("/projects/ours/service-accounts", json={"name": "nightly", "role": "editor"})
    assert made.status_code == 201
    token = owner.post("/projects/ours/service-accounts/nightly/tokens", json={"name": "ci", "scope": "write"})
    client = world.api.client(token.json()["token"])
    assert token.json()["token"].startswith("berth_s_")
    world.as_("admin").patch("/users/owner", json={"disabled": True})
    assert owner.get("/session").status_code == 401
    who = client.get("/session").json()
    assert (who["user"]["name"], who["user"]["kind"], who["scope"]) == ("nightly", "service_account", "write")
    admin = world.as_("admin")
    assert admin.patch("/projects/ours/service-accounts/nightly", json={"disabled": True}).json()["disabled"]
    assert client.get("/session").status_code == 401
    again = admin.post("/projects/ours/service-accounts/nightly/tokens", json={"name": "ci", "scope": "write"})
    assert again.status_code == 404


def test_pages_of_a_list(world: World) -> None:
    with db.unit_of_work() as session:
        for number in range(7):
            factories.make_user(session, f"page{number}")
    admin = world.as_("admin")
    names: list[str] = []
    url = "/users?limit=4"
    while True:
        answer = admin.get(url)
        page = answer.json()
        names += [item["name"] for item in page["items"]]
        assert page["has_more"] == (page["next"] is not None) == ("link" in answer.headers)
        if not page["has_more"]:
            break
        assert answer.headers["link"].endswith('rel="next"')
        url = "http://localhost:8800" + answer.headers["link"][1:].partition(">")[0]
    with db.read_session() as session:
        everybody = [row.name for row in session.query(User.name).filter_by(kind="person")]
    assert names == sorted(everybody)


def test_a_cursor_that_was_tampered_with_is_expired(world: World) -> None:
    with db.unit_of_work() as session:
        for number in range(3):
            factories.make_user(session, f"page{number}")
    admin = world.as_("admin")
    cursor = admin.get("/users?limit=1").json()["next"]
    for wrong in (cursor[:-1], cursor + "A", cursor.swapcase(), "x", "", "=", "é", "A" * 600):
        answer = admin.get("/users", params={"after": wrong})
        if wrong:
            assert (answer.status_code, answer.json()["code"]) == (400, "CURSOR_EXPIRED"), wrong
    assert admin.get("/projects", params={"after": cursor}).status_code == 400
    assert admin.get("/users", params={"after": cursor, "limit": 1}).status_code == 200


def test_every_change_has_its_row(world: World) -> None:
    admin = world.as_("admin")
    admin.post("/users", json={"name": "grace", "project": "ours", "role": "viewer"}, headers={"x-request-id": "req-7"})
    entries = admin.get("/audit?object_id=grace").json()["items"]
    assert [entry["verb"] for entry in entries] == ["member.set", "user.create"]
    assert {entry["actor"] for entry in entries} == {"admin"}
    assert {entry["request_id"] for entry in entries} == {"req-7"}
    assert entries[0]["project"] == "ours"
    of_project = world.as_("owner").get("/projects/ours/audit").json()["items"]
    assert [entry["verb"] for entry in of_project] == ["member.set"]
    assert admin.get("/audit?actor=nobody-such").json()["items"] == []


def test_a_change_whose_record_cannot_be_written_does_not_happen(world: World) -> None:
    with db.unit_of_work() as session:
        session.execute(text("alter table audit_entry add constraint never check (false) not valid"))
    try:
        answer = world.as_("admin").post("/projects", json={"name": "unrecorded"})
        assert answer.status_code == 500
        assert "never" not in answer.text
    finally:
        with db.unit_of_work() as session:
            session.execute(text("alter table audit_entry drop constraint never"))
    assert world.as_("admin").get("/projects/unrecorded").status_code == 404


def test_a_request_id_with_line_breaks_is_not_taken(world: World) -> None:
    admin = world.as_("admin")
    answer = admin.post("/projects", json={"name": "x"}, headers={"x-request-id": "a b\tc"})
    assert " " not in answer.headers["x-request-id"]
    with db.read_session() as session:
        ids = session.query(AuditEntry.request_id).all()
    assert {row[0] for row in ids} == {answer.headers["x-request-id"]}


@pytest.mark.parametrize("language", ["zh-CN", "zh-Hans,en;q=0.5", "de, zh;q=0.3"])
def test_errors_say_which_language_they_are_in(world: World, language: str) -> None:
    answer = world.as_("nobody").get("/session", headers={"accept-language": language})
    assert answer.headers["content-language"] == "zh-CN"
    assert answer.json()["code"] == "UNAUTHENTICATED"
