"""Runs over HTTP: submit once, list by filter and cursor, stop, run again, and the refusals."""

import threading
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app import db
from app.repositories import run_filters
from app.services import runs as service
from tests import factories
from tests.api.conftest import World

HELLO: dict[str, Any] = {"name": "hello", "command": ["python3", "-c", "print(1)"]}


@pytest.fixture
def editor(world: World) -> httpx.Client:
    return world.as_("editor")


def submit(client: httpx.Client, project: str = "ours", **spec: Any) -> dict[str, Any]:
    answer = client.post(f"/projects/{project}/runs", json={"spec": {**HELLO, **spec}})
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_submitted_run_is_in_line_and_says_so(editor: httpx.Client) -> None:
    answer = editor.post("/projects/ours/runs", json={"spec": HELLO, "source": {"git_dirty": True}})
    assert answer.status_code == 202
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{made['id']}"
    assert (made["state"], made["desired"], made["created_by"], made["project"]) == (
        "queued",
        "running",
        "editor",
        "ours",
    )
    assert made["reason"]["code"] == "JUST_SUBMITTED"
    assert made["place"] == 1
    read = editor.get(f"/runs/{made['id']}")
    moving = {"waited_seconds": None}
    assert made | moving == read.json() | moving  # the answer is not read back from what was written
    assert read.json()["source"] == {"git_dirty": True}
    assert read.json()["attempts"] == []
    assert editor.get(f"/runs/{made['id']}", headers={"if-none-match": read.headers["etag"]}).status_code == 304


def test_the_same_key_submits_once(editor: httpx.Client) -> None:
    headers = {"idempotency-key": "nightly-1"}
    first = editor.post("/projects/ours/runs", json={"spec": HELLO}, headers=headers)
    second = editor.post("/projects/ours/runs", json={"spec": HELLO}, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    other = editor.post("/projects/ours/runs", json={"spec": {**HELLO, "name": "b"}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(editor.get("/projects/ours/runs").json()["items"]) == 1


def test_the_same_key_from_many_clients_at_once_submits_once(world: World) -> None:
    ids: list[str] = []

    def post() -> None:
        answer = world.as_("editor").post(
            "/projects/ours/runs", json={"spec": HELLO}, headers={"idempotency-key": "race"}
        )
        ids.append(answer.json()["id"])

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_a_field_that_is_not_there_comes_with_the_one_that_was_meant(editor: httpx.Client) -> None:
    secret = {"name": "HF_TOKEN", "evn": "HF_TOKEN"}
    spec = {**HELLO, "memroy": "1Gi", "gpu": 1, "colour": "red", "secrets": [secret]}
    answer = editor.post("/projects/ours/runs", json={"spec": spec, "sorce": {}})
    assert answer.status_code == 422
    assert {error["pointer"]: error["message"] for error in answer.json()["errors"]} == {
        "/spec/memroy": "is not a field here; did you mean memory?",
        "/spec/gpu": "is not a field here; did you mean gpus?",
        "/spec/colour": "is not a field here",
        "/spec/secrets/0/evn": "is not a field here; did you mean env?",
        "/sorce": "is not a field here; did you mean source?",
    }
    run = editor.post("/projects/ours/runs", json={"spec": HELLO}).json()["id"]
    answer = editor.post(f"/runs/{run}:clone", json={"changes": {"memroy": "1Gi"}})
    error = {"pointer": "/changes/memroy", "message": "is not a field here; did you mean memory?"}
    assert answer.json()["errors"] == [error]


def test_all_that_keeps_a_run_from_starting_is_said_at_once(editor: httpx.Client) -> None:
    with db.unit_of_work() as session:
        factories.make_pool(session, "local", cpu_millis=2000, memory_bytes=4 << 30)
    service.forget_what_was_seen()
    spec = {**HELLO, "memory": "900Ti", "snapshot": "0" * 64, "secrets": [{"name": "NOPE", "env": "A"}]}
    answer = editor.post("/projects/ours/runs", json={"spec": spec})
    assert (answer.status_code, answer.json()["code"]) == (422, "NEVER_FITS")
    pointers = [error["pointer"] for error in answer.json()["errors"]]
    assert pointers == ["/spec/memory", "/spec/snapshot", "/spec/secrets/0/name"]


@pytest.mark.parametrize(
    ("spec", "pointer", "fix"),
    [
        ({"memory": "16G"}, "/spec/memory", "16Gi"),
        ({"cpu": "two"}, "/spec/cpu", None),
        ({"privileged": True}, "/spec/privileged", None),
        ({"env": {"PATH": "/tmp"}}, "/spec/env/PATH", None),
        ({"gpus": -1}, "/spec/gpus", None),
        ({"name": "a\x00b"}, None, None),
        ({"script": "true"}, "/spec/script", None),
    ],
)
def test_bad_specs_are_refused_at_their_field(
    editor: httpx.Client, spec: dict[str, Any], pointer: str | None, fix: str | None
) -> None:
    answer = editor.post("/projects/ours/runs", json={"spec": {**HELLO, **spec}})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]]
        assert fix in [error.get("fix") for error in problem["errors"]]
    assert editor.get("/projects/ours/runs").json()["items"] == []


def test_what_can_never_fit_is_refused_with_the_nearest(editor: httpx.Client) -> None:
    with db.unit_of_work() as session:
        factories.make_pool(session, "local", cpu_millis=2000, memory_bytes=4 << 30)
    service.forget_what_was_seen()
    answer = editor.post("/projects/ours/runs", json={"spec": {**HELLO, "cpu": "64"}})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "NEVER_FITS")
    assert problem["errors"][0] | {"message": ""} == {"pointer": "/spec/cpu", "message": "", "fix": "2"}
    assert "2 CPU" in problem["hint"]
    unknown = editor.post("/projects/ours/runs", json={"spec": {**HELLO, "pool": "a100"}})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "UNKNOWN_POOL")
    service.forget_what_was_seen()


def test_a_snapshot_of_another_project_does_not_exist(editor: httpx.Client) -> None:
    answer = editor.post("/projects/ours/runs", json={"spec": {**HELLO, "snapshot": "a" * 64}})
    assert (answer.status_code, answer.json()["code"]) == (422, "UNKNOWN_SNAPSHOT")


def test_pages_follow_each_other_without_gaps(editor: httpx.Client) -> None:
    made = [submit(editor, name=f"run-{number}")["id"] for number in range(7)]
    seen: list[str] = []
    after = None
    while True:
        parameters = {"limit": "3"} | ({"after": after} if after else {})
        page = editor.get("/projects/ours/runs", params=parameters).json()
        seen += [item["id"] for item in page["items"]]
        submit(editor, name="new while paging")
        after = page["next"]
        if not page["has_more"]:
            break
    assert seen == list(reversed(made))


@pytest.mark.parametrize("sort", ["created", "-created", "name", "-name"])
def test_every_order_pages_completely(editor: httpx.Client, sort: str) -> None:
    for name in ("b", "a", "b", "c", "a"):
        submit(editor, name=name)
    whole = [item["id"] for item in editor.get("/projects/ours/runs", params={"sort": sort}).json()["items"]]
    seen: list[str] = []
    after = None
    for _ in whole:
        parameters = {"limit": "1", "sort": sort} | ({"after": after} if after else {})
        page = editor.get("/projects/ours/runs", params=parameters).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert seen == whole


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("status:queued", ["second", "first"]),
        ("status:running,failed", []),
        ("-status:queued", []),
        ("owner:me", ["second", "first"]),
        ("owner:viewer", []),
        ("tag:baseline", ["first"]),
        ("-tag:baseline", ["second"]),
        ("param.lr:0.10", ["first"]),
        ("param.opt:adam", ["second"]),
        ("-param.lr:0.1", ["second"]),
        ("param.lr:>0.05", ["first"]),
        ("param.lr:<0.1", []),
        ("param.lr:>=0.10 param.lr:<1e3", ["first"]),
        ("-param.lr:>0.05", ["second"]),
        ("param.opt:>0", []),
        ("param.huge:>1", ["second"]),
        ("param.huge:1,1e99999,sNaN", []),
        ("metric.loss:<0.3", ["first"]),
        ("metric.loss:<=0.25 metric.loss:>-1e308", ["first"]),
        ("metric.loss:<0.25", []),
        ("metric.loss:0.5,0.25", ["first"]),
        ("-metric.loss:<0.3", ["second"]),
        ("metric.loss:>0", ["first"]),
        ("metric.other:>0", []),
        ("metric.loss:<0.3 status:running", []),
        ("metric.loss:<0.3 status:queued,running archived:any", ["first"]),
        (f"metric.{'x' * 900}:<1", []),
        ("metric.%s;--:<1", []),
        ("name:IRS", ["first"]),
        ("name:%", []),
        ("sec", ["second"]),
        ("created:<1h", ["second", "first"]),
        ("created:>1h", []),
        ("created:>2020-01-01", ["second", "first"]),
        ("gpu:>0", []),
        ("priority:high", ["second"]),
        ("pool:local -name:first", ["second"]),
    ],
)
def test_filters(editor: httpx.Client, q: str, names: list[str]) -> None:
    submit(editor, name="first", tags=["baseline"], parameters={"lr": 0.1})
    submit(editor, name="second", parameters={"opt": "adam", "huge": 10**390}, priority="high")
    with db.unit_of_work() as session:
        session.execute(_LOSSES)
    answer = editor.get("/projects/ours/runs", params={"q": q})
    assert answer.status_code == 200, answer.text
    assert [item["name"] for item in answer.json()["items"]] == names


_LOSSES = text("""
  insert into metric_series (run_id, name, points, last_value)
  select id, 'loss', 1, case name when 'first' then 0.25 else 'NaN'::float8 end from run
""")


@pytest.mark.parametrize("sort", ["created", "-created", "name", "-name"])
def test_only_the_newest_are_looked_at_for_their_values(
    editor: httpx.Client, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_filters, "LOOKED_AT", 3)
    for number in range(5):
        submit(editor, name=f"n{number}", parameters={"lr": 1})
    seen: list[str] = []
    query = {"q": "param.lr:>0", "sort": sort, "limit": "2"}
    for _ in range(3):
        page = editor.get("/projects/ours/runs", params=query).json()
        seen += [item["name"] for item in page["items"]]
        if not page["next"]:
            break
        query["after"] = page["next"]
    assert seen == (["n4", "n3", "n2"] if sort.startswith("-") else ["n2", "n3", "n4"])


def test_a_filter_that_nobody_knows_names_the_nearest(editor: httpx.Client) -> None:
    answer = editor.get("/projects/ours/runs", params={"q": "statsu:failed"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["fix"] == "status"


def test_a_cursor_of_another_list_is_expired(editor: httpx.Client) -> None:
    for _ in range(2):
        submit(editor)
    cursor = editor.get("/projects/ours/runs", params={"limit": "1"}).json()["next"]
    answer = editor.get("/projects/ours/runs", params={"limit": "1", "sort": "name", "after": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "CURSOR_EXPIRED")


def test_only_the_asked_fields_come(editor: httpx.Client) -> None:
    submit(editor)
    item = editor.get("/projects/ours/runs", params={"fields": "state,name"}).json()["items"][0]
    assert set(item) == {"id", "state", "name"}
    assert editor.get("/projects/ours/runs", params={"fields": "secrets"}).status_code == 422


def test_stopping_twice_changes_it_once(editor: httpx.Client) -> None:
    run_id = submit(editor)["id"]
    first = editor.post(f"/runs/{run_id}:stop", json={})
    second = editor.post(f"/runs/{run_id}:stop", json={})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["desired"] == second.json()["desired"] == "stopped"
    events = [event["code"] for event in editor.get(f"/runs/{run_id}/events").json()["items"]]
    assert events == ["submitted", "stop_requested"]
    with db.read_session() as session:
        verbs = session.scalars(text("select verb from audit_entry where object_type = 'run' order by id")).all()
        assert verbs == ["run.submit", "run.stop"]
        assert session.scalar(text("select due_at from run")) is not None


def test_run_again_with_and_without_changes(editor: httpx.Client) -> None:
    first = submit(editor, parameters={"lr": 0.1}, cpu="500m")
    again = editor.post(f"/runs/{first['id']}:rerun", json={}).json()
    assert (again["parent"], again["spec"]) == (first["id"], first["spec"])
    changes = {"parameters": {"lr": 0.2}, "script": "true"}
    clone = editor.post(f"/runs/{first['id']}:clone", json={"changes": changes}).json()
    assert clone["spec"]["parameters"] == {"lr": 0.2}
    assert (clone["spec"]["script"], "command" in clone["spec"], clone["cpu"]) == ("true", False, "500m")
    bad = editor.post(f"/runs/{first['id']}:clone", json={"changes": {"memory": "16G"}})
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "/changes/memory"
    kind = editor.post(f"/runs/{first['id']}:clone", json={"changes": {"kind": "nuke"}})
    assert kind.json()["kind"] == "job" if kind.status_code == 202 else kind.status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/runs/{id}", None),
        ("GET", "/runs/{id}/events", None),
        ("POST", "/runs/{id}:stop", {}),
        ("POST", "/runs/{id}:rerun", {}),
        ("POST", "/runs/{id}:clone", {"changes": {}}),
    ],
)
def test_anothers_run_answers_as_one_that_does_not_exist(
    world: World, editor: httpx.Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    run_id = submit(editor)["id"]
    stranger = world.as_("stranger")
    answers = [
        stranger.request(method, path.format(id=name), json=body, headers={"x-request-id": "same"})
        for name in (run_id, "r-2222222222")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert world.as_("nobody").request(method, path.format(id=run_id), json=body).status_code == 401


def test_viewers_look_and_do_not_touch(world: World, editor: httpx.Client) -> None:
    run_id = submit(editor)["id"]
    viewer = world.as_("viewer")
    assert viewer.get(f"/runs/{run_id}").status_code == 200
    for path in (f"/runs/{run_id}:stop", f"/runs/{run_id}:rerun"):
        assert viewer.post(path, json={}).status_code == 403
    assert viewer.post("/projects/ours/runs", json={"spec": HELLO}).status_code == 403
    assert editor.get(f"/runs/{run_id}").json()["desired"] == "running"


def test_words_come_in_the_readers_language(editor: httpx.Client) -> None:
    run_id = submit(editor)["id"]
    english = editor.get(f"/runs/{run_id}").json()["reason"]
    chinese = editor.get(f"/runs/{run_id}", headers={"accept-language": "zh-CN"}).json()["reason"]
    assert english["code"] == chinese["code"]
    assert english["args"] == chinese["args"]


PARAMETER_IN_WORDS = (
    "must begin with a letter (A to Z) or an underscore, with up to 99 more letters, digits, dots, dashes or"
    " underscores after it, such as learning_rate"
)


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"parameters": {"lr": [1]}}, "/spec/parameters/lr", "must be a text, a number, or true or false"),
        ({"parameters": {"lr": "x" * 5000}}, "/spec/parameters/lr", "the number of characters must be at most 4096"),
        (
            {"parameters": {"1": 1}},
            "/spec/parameters/1",
            PARAMETER_IN_WORDS,
        ),
        (
            {"retry": {"often": 1}},
            "/spec/retry/often",
            "must be one of failed, oom_killed, timed_out, start_failed, lost",
        ),
        ({"env": {"A": 1}}, "/spec/env/A", "must be a text"),
    ],
)
def test_one_error_for_one_mistake_with_a_pointer_into_what_was_sent(
    editor: httpx.Client, change: dict[str, Any], pointer: str, message: str
) -> None:
    answer = editor.post("/projects/ours/runs", json={"spec": {"name": "x", "script": "true", **change}})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": pointer, "message": message}]
