"""Many runs by one request: what changes, what is left as it is and why, and what the audit log says of it."""

from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import db
from app.models import AuditEntry, Run
from tests import factories
from tests.api.conftest import World

PROJECT = "/projects/ours"


def make(world: World, state: str = "running", *, theirs: bool = False, **values: Any) -> str:
    with db.unit_of_work() as session:
        owner = world.users["stranger" if theirs else "owner"]
        spec = {"name": "x", "command": ["true"], "tags": ["old"]}
        project = world.theirs if theirs else world.ours
        return factories.make_run(session, project, owner, state=state, **({"spec": spec} | values)).public_id


def bulk(world: World, verb: str, status: int = 200, who: str = "editor", **body: Any) -> Any:
    answer = world.as_(who).post(f"{PROJECT}/runs:{verb}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def row(run: str) -> Run:
    with db.unit_of_work() as session:
        found = session.scalar(select(Run).where(Run.public_id == run))
    assert found is not None
    return found


def audited(verb: str) -> list[str]:
    with db.unit_of_work() as session:
        return list(session.scalars(select(AuditEntry.object_id).where(AuditEntry.verb == verb)))


def test_stopping_says_what_was_skipped_and_changes_nothing_twice(world: World) -> None:
    running, ended, foreign = make(world), make(world, "failed"), make(world, theirs=True)
    asked = [running, ended, foreign, "r-2222222222", "nonsense", running]
    foreseen = bulk(world, "stop", ids=asked, dry_run=True)
    assert (foreseen["changed"], foreseen["skipped"], foreseen["matched"]) == (1, 4, 5)
    assert row(running).desired == "running"
    assert audited("run.stop") == []
    done = bulk(world, "stop", ids=asked)
    assert {item["id"]: item["code"] for item in done["items"]} == {
        running: None,
        ended: "ENDED",
        foreign: "NOT_FOUND",
        "r-2222222222": "NOT_FOUND",
        "nonsense": "NOT_FOUND",
    }
    assert {**foreseen, "dry_run": False} == done
    stopped = row(running)
    assert (stopped.desired, stopped.generation, stopped.version) == ("stopped", 2, 2)
    assert stopped.due_at is not None
    assert row(foreign).desired == "running"
    assert bulk(world, "stop", ids=[running])["items"][0]["code"] == "STOPPING"
    assert audited("run.stop") == [running]


def test_archived_runs_leave_lists_but_stay(world: World) -> None:
    ended, running = make(world, "succeeded"), make(world)
    assert bulk(world, "archive", q="")["changed"] == 1
    assert bulk(world, "archive", ids=[ended])["items"][0]["code"] == "ARCHIVED"
    listed = {
        q: {item["id"] for item in world.as_("viewer").get(f"{PROJECT}/runs", params={"q": q}).json()["items"]}
        for q in ("", "archived:yes", "archived:any", "-archived:yes", "archived:any status:succeeded,running")
    }
    assert listed == {
        "": {running},
        "archived:yes": {ended},
        "archived:any": {ended, running},
        "-archived:yes": {running},
        "archived:any status:succeeded,running": {ended, running},
    }
    assert world.as_("viewer").get(f"/runs/{ended}").json()["archived"] is True
    assert bulk(world, "unarchive", q="archived:yes")["changed"] == 1
    assert row(ended).archived is False
    assert (audited("run.archive"), audited("run.unarchive")) == ([ended], [ended])


def test_labels_of_many(world: World) -> None:
    first, second = make(world, tags=["a", "b"]), make(world, tags=["c"], experiment="old")
    done = bulk(world, "tag", ids=[first, second], add=["c", "d"], remove=["a"], experiment="digits")
    assert done["changed"] == 2
    assert (row(first).tags, row(first).experiment) == (["b", "c", "d"], "digits")
    assert (row(second).tags, row(second).experiment) == (["c", "d"], "digits")
    assert bulk(world, "tag", q="experiment:digits", add=["c"])["changed"] == 0
    assert bulk(world, "tag", q="experiment:digits", experiment="")["changed"] == 2
    assert row(first).experiment is None
    with db.unit_of_work() as session:
        entry = session.scalar(
            select(AuditEntry).where(AuditEntry.verb == "run.tag", AuditEntry.object_id == first).limit(1)
        )
    assert entry is not None
    assert entry.before == {"tags": ["a", "b"], "experiment": None}
    assert entry.after == {"tags": ["b", "c", "d"], "experiment": "digits"}


def test_failed_runs_are_run_again_once(world: World) -> None:
    failed, ended = make(world, "failed", tags=["kept"], experiment="digits"), make(world, "succeeded")
    done = bulk(world, "rerun-failed", ids=[failed, ended])
    items = {item["id"]: item for item in done["items"]}
    assert items[ended]["code"] == "NOT_FAILED"
    made = world.as_("viewer").get(f"/runs/{items[failed]['new_id']}").json()
    assert (made["state"], made["parent"], made["tags"], made["experiment"]) == ("queued", failed, ["kept"], "digits")
    assert made["spec"] == {"name": "x", "command": ["true"], "tags": ["kept"], "experiment": "digits"}
    assert made["created_by"] == "editor"
    again = bulk(world, "rerun-failed", ids=[failed])
    assert again["items"][0]["code"] == "RERUN_ALREADY"


def test_what_is_run_again_has_a_manifest_and_keeps_its_definition(world: World) -> None:
    source = "name: job\nspec: {command: ['true'], cpu: '2'}\n"
    headers = {"content-type": "application/yaml"}
    assert world.as_("editor").post(f"{PROJECT}/jobs", content=source, headers=headers).status_code == 201
    run = world.as_("editor").post(f"{PROJECT}/jobs/job:run", json={}).json()["id"]
    with db.unit_of_work() as session:
        session.execute(update(Run).where(Run.public_id == run).values(state="failed"))
    again = bulk(world, "rerun-failed", ids=[run])["items"][0]["new_id"]
    before, after = (world.as_("viewer").get(f"/runs/{one}/capsule").json() for one in (run, again))
    assert after["manifest"] == before["manifest"]
    assert after["manifest"]["definition"] == {"name": "job", "version": 1}
    assert world.as_("viewer").get(f"/runs/{again}").json()["definition"] == {"name": "job", "version": 1}


def test_what_has_lost_its_code_or_a_secret_is_not_run_again(world: World) -> None:
    spec = {"name": "x", "command": ["true"]}
    gone: list[dict[str, Any]] = [
        {"secrets": [{"name": "KEY", "env": "KEY"}]},
        {"snapshot": "0" * 64},
        {"cpu": "never valid"},
    ]
    runs = [make(world, "failed", spec=spec | part) for part in gone]
    for is_dry in (True, False):
        done = bulk(world, "rerun-failed", ids=runs, dry_run=is_dry)
        assert [item["code"] for item in done["items"]] == ["PARTS_GONE"] * 3


def test_what_never_fits_is_not_run_again(world: World) -> None:
    with db.unit_of_work() as session:
        factories.make_pool(session, cpu_millis=500)
    assert bulk(world, "rerun-failed", ids=[make(world, "failed")])["items"][0]["code"] == "NEVER_FITS"


def test_at_most_a_thousand_by_a_few_statements(world: World) -> None:
    with db.unit_of_work() as session:
        for _ in range(1001):
            factories.make_run(session, world.ours, world.users["owner"], state="failed")
    assert bulk(world, "archive", 422, q="status:failed")["code"] == "TOO_MANY_RUNS"
    with db.unit_of_work() as session:
        ids = list(session.scalars(select(Run.public_id).limit(1000)))
    assert bulk(world, "archive", ids=ids)["changed"] == 1000
    assert len(audited("run.archive")) == 1000
    assert bulk(world, "archive", 422, ids=[*ids, "r-2222222222"])["code"] == "INVALID"


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("stop", {}),
        ("stop", {"ids": []}),
        ("stop", {"ids": ["r-2222222222"], "q": ""}),
        ("stop", {"q": "stats:failed"}),
        ("stop", {"ids": "r-2222222222"}),
        ("stop", {"ids": [1]}),
        ("stop", {"q": "", "dry_run": "no"}),
        ("tag", {"q": ""}),
        ("tag", {"q": "", "add": ["no blanks"]}),
        ("tag", {"q": "", "add": ["a"], "remove": ["a"]}),
        ("tag", {"q": "", "experiment": "no blanks"}),
        ("archive", {"q": "", "add": ["a"]}),
    ],
)
def test_bad_input_changes_nothing(world: World, verb: str, body: dict[str, Any]) -> None:
    make(world)
    answer = bulk(world, verb, 422, **body)
    assert answer["code"] == "INVALID"
    assert answer["errors"]
    with db.unit_of_work() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0


def test_the_same_key_gives_the_same_answer(world: World) -> None:
    failed = make(world, "failed")
    client, headers = world.as_("editor"), {"idempotency-key": "once"}
    answers = [client.post(f"{PROJECT}/runs:rerun-failed", json={"ids": [failed]}, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"


def test_labels_of_one_run_need_the_version_that_was_read(world: World) -> None:
    run, client = make(world, tags=["a"]), world.as_("editor")
    tag = client.get(f"/runs/{run}").headers["etag"]
    assert client.patch(f"/runs/{run}", json={"tags": ["b"]}).status_code == 428
    done = client.patch(f"/runs/{run}", json={"tags": ["b", "c", "b"], "experiment": "x/1"}, headers={"if-match": tag})
    assert done.status_code == 200, done.text
    assert (done.json()["tags"], done.json()["experiment"]) == (["b", "c"], "x/1")
    old = client.patch(f"/runs/{run}", json={"tags": []}, headers={"if-match": tag})
    assert (old.status_code, old.json()["current"]["tags"]) == (412, ["b", "c"])
    same = client.patch(f"/runs/{run}", json={}, headers={"if-match": done.headers["etag"]})
    assert same.headers["etag"] == done.headers["etag"]
    gone = client.patch(f"/runs/{run}", json={"experiment": None}, headers={"if-match": "*"})
    assert (gone.json()["tags"], gone.json()["experiment"]) == (["b", "c"], None)
    for body in ({"tags": ["no blanks"]}, {"tags": "a"}, {"name": "x"}, {"experiment": ""}):
        assert client.patch(f"/runs/{run}", json=body, headers={"if-match": "*"}).status_code == 422
    foreign = make(world, theirs=True)
    assert client.patch(f"/runs/{foreign}", json={"tags": []}, headers={"if-match": "*"}).status_code == 404


def test_an_experiment_is_part_of_the_spec_and_of_a_rerun(world: World) -> None:
    with db.unit_of_work() as session:
        factories.make_pool(session)
    client = world.as_("editor")
    spec = {"name": "x", "command": ["true"], "experiment": "digits"}
    made = client.post(f"{PROJECT}/runs", json={"spec": spec}).json()
    assert made["experiment"] == "digits"
    client.patch(f"/runs/{made['id']}", json={"experiment": "moved"}, headers={"if-match": "*"})
    assert client.post(f"/runs/{made['id']}:rerun", json={}).json()["experiment"] == "moved"
    found = client.get(f"{PROJECT}/runs", params={"q": "experiment:moved", "fields": "experiment,archived"}).json()
    assert [(item["experiment"], item["archived"]) for item in found["items"]] == [("moved", False)] * 2
    bad = client.post(f"{PROJECT}/runs", json={"spec": spec | {"experiment": "no blanks"}})
    assert bad.json()["errors"][0]["pointer"] == "/spec/experiment"
