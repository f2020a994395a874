"""A POST that is sent again is done once."""

import pytest
from sqlalchemy import text

from app import db
from app.models import ApiToken, AuditEntry, Project
from tests.api.conftest import World
from tests.api.test_sessions import at_once


def test_the_same_request_gets_the_same_answer(world: World) -> None:
    admin = world.as_("admin")
    answers = [admin.post("/projects", json={"name": "once"}, headers={"idempotency-key": "k1"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert {answer.headers["location"] for answer in answers} == {"/api/v1/projects/once"}
    assert answers[1].headers["idempotency-replayed"] == "true"
    with db.read_session() as session:
        assert session.query(AuditEntry).filter_by(verb="project.create").count() == 1


def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    admin = world.as_("admin")
    assert admin.post("/projects", json={"name": "one"}, headers={"idempotency-key": "k1"}).status_code == 201
    answer = admin.post("/projects", json={"name": "two"}, headers={"idempotency-key": "k1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert admin.get("/projects/two").status_code == 404


def test_keys_belong_to_a_user_and_a_route(world: World) -> None:
    headers = {"idempotency-key": "k1"}
    body = {"name": "shared", "role": "viewer"}
    assert world.as_("owner").post("/projects/ours/service-accounts", json=body, headers=headers).status_code == 201
    assert (
        world.as_("stranger").post("/projects/theirs/service-accounts", json=body, headers=headers).status_code == 201
    )
    assert world.as_("admin").post("/projects", json={"name": "shared"}, headers=headers).status_code == 201


def test_a_failed_request_may_be_repeated(world: World) -> None:
    admin, headers = world.as_("admin"), {"idempotency-key": "k1"}
    assert admin.post("/projects", json={"name": "ours"}, headers=headers).status_code == 409
    with db.unit_of_work() as session:
        session.execute(text("delete from project where name = 'ours'"))
    assert admin.post("/projects", json={"name": "ours"}, headers=headers).status_code == 201


def test_of_many_at_once_one_does_the_work(world: World) -> None:
    answers: dict[int, object] = {}

    def create(number: int) -> int:
        answer = world.as_("admin").post("/projects", json={"name": "race"}, headers={"idempotency-key": "k1"})
        answers[number] = answer.json()
        return answer.status_code

    assert at_once(create, 6) == [201] * 6
    assert all(answer == answers[0] for answer in answers.values())
    with db.read_session() as session:
        assert session.query(Project).filter_by(name="race").count() == 1


def test_a_secret_is_not_kept_for_a_second_answer(world: World) -> None:
    owner, headers = world.as_("owner"), {"idempotency-key": "k1"}
    made = owner.post("/tokens", json={"name": "once", "scope": "read"}, headers=headers)
    assert made.status_code == 201
    again = owner.post("/tokens", json={"name": "once", "scope": "read"}, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "ANSWER_NOT_KEPT")
    with db.read_session() as session:
        assert session.query(ApiToken).filter_by(name="once").count() == 1
        assert made.json()["token"] not in str(session.execute(text("select * from idempotency_key")).all())


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "\u00e9"])
def test_keys_of_the_wrong_form(world: World, key: str) -> None:
    headers = {b"idempotency-key": key.encode("latin-1")}
    answer = world.as_("admin").post("/projects", json={"name": "x"}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/header/Idempotency-Key"
