"""Capsules through the API: what a run really was, the same again exactly, and what differs in words."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app import db
from app.domain import capsule
from app.models import AuditEntry, Environment, Run
from app.services import runs
from app.settings import get_settings
from app.stores import objects
from app.workloads.kinds.job import JobSpec
from tests import factories
from tests.api.conftest import World
from tests.api.test_definitions import DIGITS, JOBS, YAML
from tests.api.test_snapshots import packed, upload

RUNS = "/projects/ours/runs"


@pytest.fixture
def made(world: World) -> Iterator[World]:
    """With a pool, a secret, and the definition `digits`."""
    runs.forget_what_was_seen()
    with db.unit_of_work() as session:
        factories.make_pool(session)
    assert world.as_("editor").put("/projects/ours/secrets/HF_TOKEN", json={"value": "canary-9"}).status_code < 300
    assert world.as_("editor").post(JOBS, content=DIGITS, headers=YAML).status_code == 201
    yield world
    runs.forget_what_was_seen()


def submit(world: World, source: dict[str, Any] | None = None, **spec: Any) -> str:
    body = {"spec": {"name": "train", "command": ["python", "train.py"], **spec}, "source": source or {}}
    answer = world.as_("editor").post(RUNS, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def read(world: World, run: str, who: str = "viewer") -> Any:
    answer = world.as_(who).get(f"/runs/{run}/capsule")
    assert answer.status_code == 200, answer.text
    return answer.json()


def exactly(world: World, run: str, who: str = "editor") -> Any:
    return world.as_(who).post(f"/runs/{run}:rerun", json={"exact": True})


def describe(run: str, packages: dict[str, str], **changes: Any) -> None:
    """What a first attempt ran in, as `converge` records it."""
    told = {"interpreter": "/venv/bin/python", "version": "3.11.2", "packages": packages} | changes
    document = capsule.read_environment(told).document()
    digest = capsule.digest_of(capsule.canonical(document))
    with db.unit_of_work() as session:
        row = session.scalars(select(Run).where(Run.public_id == run)).one()
        attempt, _ = factories.make_attempt(session, row)
        attempt.environment, attempt.platform = digest, {"berth": "0.1.0", "os": "Linux 6.1", "machine": "x86_64"}
        if session.get(Environment, (row.project_id, digest)) is None:
            session.add(Environment(project_id=row.project_id, digest=digest, document=document))


def count() -> tuple[int, int]:
    with db.read_session() as session:
        return tuple(session.scalar(select(func.count()).select_from(what)) for what in (Run, AuditEntry))  # type: ignore[return-value]


def test_a_run_has_its_whole_plan_from_the_start(made: World) -> None:
    data = packed(("train.py", b"print(1)"))
    upload(made, data)
    run = submit(
        made,
        {"git_commit": "a" * 40, "git_dirty": True},
        snapshot=hashlib.sha256(data).hexdigest(),
        parameters={"lr": 1.0, "on": True},
        env={"MODE": "x"},
        secrets=[{"name": "HF_TOKEN", "env": "HF_TOKEN"}],
        image="org/train:1",
    )
    found = read(made, run)
    assert hashlib.sha256(found["canonical"].encode()).hexdigest() == found["sha256"]
    assert found["recorded"]
    spec = found["manifest"]["spec"]
    assert (spec["memory"], spec["grace"], spec["retry"], spec["pool"]) == ("1Gi", "30s", {"lost": 2}, "local")
    assert '"lr":1.0' in found["canonical"]
    assert spec["secrets"] == [{"name": "HF_TOKEN", "env": "HF_TOKEN", "file": None}]
    assert "canary-9" not in str(found)
    assert {"name", "tags", "experiment"} & set(spec) == set()
    assert found["snapshot"] == {"sha256": spec["snapshot"], "is_kept": True, "bytes": len(data), "files": 1}
    assert found["image"] == {"name": "org/train:1", "digest": None}
    assert found["source"]["git_dirty"] is True
    assert found["attempts"] == []
    describe(run, {"NumPy": "2.1.0"})
    (attempt,) = read(made, run)["attempts"]
    assert attempt["environment"]["packages"] == {"numpy": "2.1.0"}
    assert attempt["platform"]["berth"] == "0.1.0"


def test_others_do_not_learn_of_it(made: World) -> None:
    run = submit(made)
    for key in (run, "r-2222222222", "nonsense"):
        answer = made.as_("stranger").get(f"/runs/{key}/capsule")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
        assert exactly(made, key, "stranger").status_code == 404
    assert exactly(made, run, "viewer").status_code == 403


@pytest.fixture
def other_defaults() -> Iterator[None]:
    """Berth as a later version might be: other defaults, and a field that there was not."""
    before = {name: JobSpec.model_fields[name].default for name in ("memory", "grace", "retry")}
    changed = {"memory": "2Gi", "grace": "5s", "retry": {"lost": 0}}

    def change(values: dict[str, Any]) -> None:
        for name, value in values.items():
            JobSpec.model_fields[name].default = value
        JobSpec.model_rebuild(force=True)

    change(changed)
    yield
    change(before)


@pytest.fixture
def first(made: World) -> str:
    """A run of the definition's first version."""
    answer = made.as_("editor").post(f"{JOBS}/digits:run", json={"parameters": {"note": "x"}})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_exactly_again_after_everything_changed(made: World, first: str, other_defaults: None) -> None:
    editor = made.as_("editor")
    was = read(made, first)
    newer = DIGITS.replace('cpu: "1"', 'cpu: "2"').replace("default: 0.1", "default: 0.2")
    assert editor.post(f"{JOBS}/digits/versions", content=newer, headers=YAML).status_code == 201
    tags = editor.patch(f"/runs/{first}", json={"tags": ["moved"], "experiment": "e"}, headers={"if-match": "*"})
    assert tags.status_code == 200
    answer = exactly(made, first)
    assert answer.status_code == 202, answer.text
    again = answer.json()
    assert read(made, again["id"])["canonical"] == was["canonical"]
    assert read(made, again["id"])["sha256"] == was["sha256"]
    assert (again["parent"], again["memory"], again["definition"]["version"]) == (first, "1Gi", 1)
    assert again["tags"] == ["moved"]
    usual = editor.post(f"/runs/{first}:rerun", json={}).json()
    assert read(made, usual["id"])["sha256"] != was["sha256"], "an ordinary rerun takes the defaults of today"
    once_more = exactly(made, again["id"]).json()
    assert read(made, once_more["id"])["sha256"] == was["sha256"]


def test_the_hash_is_that_of_the_plan_alone(made: World) -> None:
    one = read(made, submit(made, name="a", tags=["x"], memory="1Gi"))
    assert one["sha256"] == read(made, submit(made, name="b", experiment="e"))["sha256"]
    assert one["sha256"] != read(made, submit(made, name="a", cpu="2"))["sha256"]


def test_many_run_again_have_their_plan_and_their_definition_too(made: World) -> None:
    started = made.as_("editor").post(f"{JOBS}/digits:run", json={"parameters": {"note": "n"}})
    assert started.status_code == 202, started.text
    old = [str(started.json()["id"]), submit(made, secrets=[{"name": "HF_TOKEN", "env": "HF_TOKEN"}])]
    with db.unit_of_work() as session:
        session.execute(text("update run set state = 'failed', desired = 'stopped'"))
    answer = made.as_("editor").post(f"{RUNS}:rerun-failed", json={"ids": old})
    again = {item["id"]: item["new_id"] for item in answer.json()["items"]}
    for one in old:
        before, after = read(made, one), read(made, again[one])
        assert after["recorded"] is True
        assert after["sha256"] == before["sha256"]
        assert exactly(made, again[one]).status_code == 202
        definitions = [made.as_("viewer").get(f"/runs/{run}").json()["definition"] for run in (one, again[one])]
        assert definitions[0] == definitions[1]


def test_a_default_that_was_written_out_is_kept(made: World) -> None:
    run = submit(made, memory="1Gi", timeout=None)
    again = made.as_("editor").post(f"/runs/{run}:rerun", json={}).json()["id"]
    for one in (run, again):
        spec = made.as_("viewer").get(f"/runs/{one}").json()["spec"]
        assert (spec["memory"], spec["timeout"]) == ("1Gi", None)
        assert {"cpu", "tags", "experiment"} & set(spec) == set(), "nobody wrote that"


def test_the_text_is_kept_with_what_was_put_over_it(made: World) -> None:
    written = "# why\nname: text\nscript: echo\ncpu: 1  # one\n"
    sent = {"spec": {"name": "text", "script": "echo", "cpu": "2"}, "source_text": written}
    run = made.as_("editor").post(RUNS, json=sent).json()["id"]
    assert read(made, run)["source_text"] == written.replace("1  #", '"2"  #')
    with db.unit_of_work() as session:
        session.execute(text("update run set state = 'failed', desired = 'stopped'"))
    many = made.as_("editor").post(f"{RUNS}:rerun-failed", json={"ids": [run]}).json()["items"][0]["new_id"]
    assert read(made, many)["source_text"] == read(made, run)["source_text"]
    clone = made.as_("editor").post(f"/runs/{run}:clone", json={"changes": {"cpu": "1"}}).json()["id"]
    assert read(made, clone)["source_text"] == written
    assert read(made, submit(made))["source_text"] is None
    for nonsense in ("", "no mapping", "a: [", "\u2028: 1", "[" * 1000):
        told = made.as_("editor").post(RUNS, json={**sent, "source_text": nonsense})
        assert told.status_code == 202, told.text
        assert "echo" in (read(made, told.json()["id"])["source_text"] or "echo")
    for refused in ("a: \x00", "x" * 131_073, 7):
        told = made.as_("editor").post(RUNS, json={**sent, "source_text": refused})
        assert (told.status_code, told.json()["errors"][0]["pointer"]) == (422, "/source_text")


def test_what_cannot_be_equal_is_refused_with_every_reason(made: World) -> None:
    data = packed(("train.py", b"print(1)"), ("requirements.txt", b"numpy\n"))
    upload(made, data)
    digest = hashlib.sha256(data).hexdigest()
    secrets = [{"name": "HF_TOKEN", "env": "HF_TOKEN"}]
    run = submit(made, snapshot=digest, requirements="requirements.txt", secrets=secrets)
    with db.unit_of_work() as session:
        session.execute(text("delete from snapshot"))
        session.execute(text("delete from pool"))
        factories.make_pool(session, "other")
    assert made.as_("editor").delete("/projects/ours/secrets/HF_TOKEN").status_code == 204
    runs.forget_what_was_seen()
    before = count()
    answer = exactly(made, run)
    assert (answer.status_code, answer.json()["code"]) == (409, "RUN_NOT_REPEATABLE")
    pointers = [one["pointer"] for one in answer.json()["errors"]]
    assert pointers == ["/spec/snapshot", "/spec/requirements", "/spec/pool", "/spec/secrets/0/name"]
    assert "there is no pool local any more" in answer.text
    assert count() == before
    assert read(made, run)["snapshot"] == {"sha256": digest, "is_kept": False, "bytes": None, "files": None}


def test_a_pool_that_shrank_and_a_run_older_than_capsules(made: World) -> None:
    run = submit(made, memory="2Gi")
    with db.unit_of_work() as session:
        session.execute(text("update pool set memory_bytes = 1024"))
    runs.forget_what_was_seen()
    assert "has become too small" in exactly(made, run).json()["errors"][0]["message"]
    with db.unit_of_work() as session:
        session.execute(text("update pool set memory_bytes = 1::bigint << 40"))
        session.execute(text("delete from capsule"))
    runs.forget_what_was_seen()
    answer = exactly(made, run)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/manifest")
    found = read(made, run)
    assert not found["recorded"]
    assert found["manifest"]["spec"]["memory"] == "2Gi"


def test_code_whose_file_is_gone(made: World) -> None:
    data = packed(("train.py", b"print(2)"))
    upload(made, data)
    digest = hashlib.sha256(data).hexdigest()
    run = submit(made, snapshot=digest)
    with db.read_session() as session:
        project = session.scalars(select(Run.project_id)).first()
    assert project is not None
    objects.of(project).delete([objects.snapshot_key(project, digest)])
    before = count()
    answer = exactly(made, run)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/spec/snapshot")
    assert "its file is gone" in answer.text
    assert count() == before
    upload(made, data)
    assert exactly(made, run).status_code == 202


@pytest.mark.parametrize(
    ("asked", "pointer"), [({}, "/spec/python"), ({"requirements": "requirements.txt"}, "/spec/requirements")]
)
def test_the_clusters_own_interpreter_became_another(made: World, asked: dict[str, Any], pointer: str) -> None:
    data = packed(("requirements.txt", b""))
    upload(made, data)
    run = submit(made, snapshot=hashlib.sha256(data).hexdigest(), **asked)
    describe(run, {}, interpreter="/env/bin/python" if asked else "/berth/bin/python")
    told = "jsonb_build_object('python', '/berth/bin/python', 'python_version', cast(:version as text))"
    facts = f"update cluster set facts = {told}"
    with db.unit_of_work() as session:
        session.execute(text(facts), {"version": "3.13.0"})
    before = count()
    answer = exactly(made, run)
    assert (answer.status_code, answer.json()["code"]) == (409, "RUN_NOT_REPEATABLE")
    (wrong,) = answer.json()["errors"]
    assert wrong["pointer"] == pointer
    assert "it ran with Python 3.11.2" in wrong["message"]
    assert "Python 3.13.0 by now" in wrong["message"]
    assert count() == before
    with db.unit_of_work() as session:
        session.execute(text(facts), {"version": "3.11.2"})
    assert exactly(made, run).status_code == 202


def test_an_interpreter_of_ones_own_became_another(made: World) -> None:
    run = submit(made, python="/venv/bin/python")
    describe(run, {"numpy": "1"})
    assert exactly(made, run).status_code == 202, "nothing else was told of it since"
    later = submit(made, python="/venv/bin/python")
    describe(later, {"numpy": "2"})
    assert exactly(made, run).status_code == 202, "packages are recorded, and told by the comparison"
    describe(submit(made, python="/venv/bin/python"), {}, version="3.12.1")
    answer = exactly(made, run)
    assert answer.status_code == 409
    assert "Python 3.12.1 by now" in answer.text
    assert exactly(made, submit(made, python="/venv/bin/python")).status_code == 202, "it has not run yet"
    assert exactly(made, run, "viewer").status_code == 403


def test_a_version_that_does_not_take_it_any_more_refuses(made: World) -> None:
    run = submit(made)
    with db.unit_of_work() as session:
        session.execute(text("""update capsule set manifest = replace(manifest, '"cpu":"1"', '"cpu":"many"')"""))
    assert exactly(made, run).json()["errors"][0]["pointer"] == "/manifest"


def test_the_same_key_makes_one_exact_rerun(made: World) -> None:
    run = submit(made)
    client = made.as_("editor")
    ids = {
        client.post(f"/runs/{run}:rerun", json={"exact": True}, headers={"idempotency-key": "k"}).json()["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert client.post(f"/runs/{run}:rerun", json={"exact": "yes"}).status_code == 422


def test_what_differs_in_words(made: World) -> None:
    first, second = packed(("a.py", b"1"), ("b.py", b"1"), ("c.py", b"1")), packed(("a.py", b"2"), ("d.py", b"1"))
    for data in (first, second):
        upload(made, data)
    one = submit(made, {"git_commit": "a" * 40}, snapshot=hashlib.sha256(first).hexdigest(), parameters={"lr": 0.1})
    two = submit(
        made, {"git_commit": "b" * 40}, snapshot=hashlib.sha256(second).hexdigest(), parameters={"lr": 1.0}, cpu="2"
    )
    common = {f"p{number}": "1" for number in range(300)}
    describe(one, common | {"numpy": "2.1.0", "x1": "1", "x2": "1"})
    describe(two, common | {"numpy": "2.2.1", "x1": "2", "x2": "2"}, version="3.12.1")
    with db.unit_of_work() as session:
        session.execute(text("update run set state = 'succeeded' where public_id = :id"), {"id": one})
        changed = "update run set state = 'failed', first_error = 'ValueError: nan' where public_id = :id"
        session.execute(text(changed), {"id": two})
    body = made.as_("viewer").get("/projects/ours/runs:compare", params={"ids": f"{one},{two}"}).json()
    told = {line["part"]: line["text"] for line in body["differences"]}
    assert told["parameters"] == "Parameters: lr 0.1 → 1.0"
    assert told["packages"] == "Packages: numpy 2.1.0 → 2.2.1, x1 1 → 2, x2 1 → 2"
    assert told["files"] == "Files: 1 changed (a.py), 1 new (d.py), 2 gone (b.py, c.py)"
    assert "git_commit aaaaaaaa → bbbbbbbb" in told["code"]
    assert told["resources"] == "Resources: cpu 1 → 2"
    assert told["environment"] == "What it ran in: python_version 3.11.2 → 3.12.1"
    assert told["outcome"] == "Outcome: succeeded → failed (ValueError: nan)"
    parts = {part["part"]: part["lines"] for part in body["parts"]}
    assert not any(line["name"] == "package/p1" for line in parts["environment"])
    chinese = made.as_("viewer").get(
        "/projects/ours/runs:compare", params={"ids": f"{one},{two}"}, headers={"accept-language": "zh"}
    )
    assert "参数" in chinese.json()["differences"][0]["text"]


def test_nothing_differs_and_lost_code(made: World) -> None:
    data, other = packed(("a.py", b"1")), packed(("a.py", b"2"))
    upload(made, data)
    upload(made, other)
    one, two = (submit(made, snapshot=hashlib.sha256(data).hexdigest()) for _ in range(2))
    three = submit(made, snapshot=hashlib.sha256(other).hexdigest())
    client = made.as_("viewer")
    assert client.get("/projects/ours/runs:compare", params={"ids": f"{one},{two}"}).json()["differences"] == []
    for path in (get_settings().home / "objects").rglob("*"):
        if path.is_file() and "snapshots" in path.parts:
            path.unlink()
    body = client.get("/projects/ours/runs:compare", params={"ids": f"{one},{three}"}).json()
    assert [line["part"] for line in body["differences"]] == ["code"]
