"""What strangers send: a clear answer within milliseconds, never a 500, and nothing changes."""

import json
import time
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy.exc

from app import db
from app.api import strict_json
from app.errors import AppError
from app.models import Project
from tests.api.conftest import World

BODY = {"content-type": "application/json"}


def post(world: World, body: bytes, **headers: str) -> httpx.Response:
    return world.as_("admin").post("/projects", content=body, headers=BODY | headers)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[" * 100_000, 422, "TOO_COMPLEX"),
        (b'{"a":' * 100_000, 422, "TOO_COMPLEX"),
        (b"[" * 70 + b"]" * 70, 422, "TOO_COMPLEX"),
        (b'{"name":' + b"9" * 100_000 + b"}", 422, "TOO_COMPLEX"),
        (b"{" + b",".join(b'"k%d":1' % number for number in range(60_000)) + b"}", 422, "TOO_COMPLEX"),
        (b'{"name":NaN}', 400, "MALFORMED_JSON"),
        (b'{"name":-Infinity}', 400, "MALFORMED_JSON"),
        (b'{"name":"x","name":"y"}', 422, "INVALID"),
        (b'{"name":"x\\u0000"}', 422, "INVALID"),
        (b'{"name":"\\ud800"}', 422, "INVALID"),
        (b'{"\\udfff":"x"}', 422, "INVALID"),
        (b'{"name":"\xed\xa0\x80"}', 400, "MALFORMED_JSON"),
        (b'{"name":"\xff"}', 400, "MALFORMED_JSON"),
        (b'{"name":"x"', 400, "MALFORMED_JSON"),
        (b"{'name':'x'}", 400, "MALFORMED_JSON"),
        (b'{"name":"x"}{}', 400, "MALFORMED_JSON"),
        (b"", 422, "INVALID"),
        (b"null", 422, "INVALID"),
        (b"[]", 422, "INVALID"),
        (b'"x"', 422, "INVALID"),
        (b"1e999", 422, "INVALID"),
        (b'{"name":1}', 422, "INVALID"),
        (b'{"name":""}', 422, "INVALID"),
        (b'{"name":"' + b"x" * 1_000_000 + b'"}', 422, "INVALID"),
        (b'{"name":"' + b"x" * 1_100_000 + b'"}', 413, "BODY_TOO_LARGE"),
        (b'{"name":"x","title":"a\\nb"}', 422, "INVALID"),
        (b'{"name":"x","title":"\xe2\x80\xae"}', 422, "INVALID"),
        (b'{"name":"..\\u002f..","title":""}', 422, "INVALID"),
    ],
)
def test_bodies(world: World, body: bytes, status: int, code: str) -> None:
    for _ in range(3):  # threads of other tests may work in this process, too
        started = time.process_time()
        answer = post(world, body)
        spent = time.process_time() - started
        if spent < 0.5:
            break
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(answer.content) < 10_000, "the input is not sent back"
    assert spent < 0.5
    with db.read_session() as session:
        assert session.query(Project).count() == 2


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * 1_000_000, b'{"a":' * 200_000, b'"' + b'\\"' * 500_000, b"1" * 1_000_000]
)
def test_reading_hostile_json_is_quick(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(AppError):
        strict_json.parse(body)
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("document", [{}, [], "", 0, None, {"a": [{"b": "ü\u2603"}]}, [[1, 2.5, "x"]] * 500])
def test_what_is_fine_is_read_as_it_is(document: Any) -> None:
    assert strict_json.parse(json.dumps(document).encode()) == document
    assert strict_json.parse(json.dumps(document, ensure_ascii=False).encode()) == document


def test_every_finding_has_its_pointer(world: World) -> None:
    answer = post(world, b'{"title":7,"a/b~c":1}')
    errors = {error["pointer"]: error["message"] for error in answer.json()["errors"]}
    assert errors == {
        "/name": "is required",
        "/title": "must be a text",
        "/a~1b~0c": "is not a field here",
    }
    answer = post(world, b'{"name":"x","title":{"a":[1,"\\u0000"]}}')
    assert answer.json()["errors"][0]["pointer"] == "/title/a/1"
    answer = post(world, b'{\n  "name": "x",\n  oops\n}')
    assert (answer.json()["line"], answer.json()["column"]) == (3, 3)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_other_forms_of_body(world: World, kind: str) -> None:
    answer = post(world, b'{"name":"x"}', **{"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_that_lies_about_its_length_is_cut_off(world: World) -> None:
    def chunks() -> Any:
        for _ in range(40):
            yield b"x" * 50_000

    answer = world.as_("admin").post("/projects", content=chunks(), headers=BODY)
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1000000000", "limit=x", "limit=1e3", "limit=-1", "actor=%00", "after=" + "x" * 601, "limit="],
)
def test_queries(world: World, query: str) -> None:
    answer = world.as_("admin").get(f"/audit?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "INVALID"


@pytest.mark.parametrize("name", ["%00", "%ff", "..", "a" * 300, "%F0%9F%92%A9", "%0a", "ours%20", "OURS"])
def test_path_values(world: World, name: str) -> None:
    paths = [f"/projects/{name}/members", f"/users/{name}", f"/projects/ours/service-accounts/{name}/tokens"]
    for path in paths[: 2 if name == ".." else 3]:  # ".." is gone before it is sent: the last would be another path
        assert world.as_("admin").get(path).status_code in (404, 422)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "FOO"])
def test_other_methods(world: World, method: str) -> None:
    answer = world.as_("admin").request(method, "/projects")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, POST"


def test_what_goes_wrong_inside_stays_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr("app.repositories.projects.list_projects", broken)
    answer = world.as_("admin").get("/projects")
    assert answer.status_code == 500
    assert "swordfish" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json()["error_id"] in answer.json()["detail"]


@pytest.mark.parametrize(
    "error",
    [
        sqlalchemy.exc.TimeoutError("no connection"),
        sqlalchemy.exc.OperationalError("select 1", {}, psycopg.OperationalError("gone")),
        psycopg.errors.QueryCanceled("too slow"),
        psycopg.OperationalError("server closed the connection unexpectedly"),
    ],
)
def test_a_database_that_is_away_is_said_to_be(world: World, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr("app.repositories.projects.list_projects", broken)
    answer = world.as_("admin").get("/projects")
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "2"
    assert "gone" not in answer.text


def test_every_answer_has_the_headers(world: World) -> None:
    for path in ("/projects", "/nowhere", "/openapi.json"):
        headers = world.as_("admin").get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
