"""Retention through the API: rules, what they would remove, and what is announced."""

import datetime
from typing import Any

from sqlalchemy import text

from app import db
from app.models import Output
from app.services import retention
from tests import factories
from tests.api.conftest import World

LONG_AGO = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100)


def make_runs(world: World, number: int) -> list[str]:
    made = []
    with db.unit_of_work() as session:
        for at in range(number):
            run = factories.make_run(
                session, world.ours, world.users["editor"], state="succeeded", finished_at=LONG_AGO, tags=[f"t{at}"]
            )
            factories.make_attempt(session, run, state="succeeded", outputs_stored_at=LONG_AGO)
            row = {"path": "model", "attempt": 1, "bytes": 10 + at, "sha256": "a" * 64, "object_key": "x"}
            session.add(Output(run_id=run.id, **row))
            made.append(run.public_id)
    return made


def test_rules_are_set_and_read(world: World) -> None:
    owner = world.as_("owner")
    assert owner.get("/projects/ours/retention").json() == {
        "keep_days": None,
        "keep_last": None,
        "keep_tags": [],
        "keep_experiments": [],
        "notice_hours": 24,
        "version": 0,
        "updated_at": None,
        "announced": None,
        "notes": [],
    }
    answer = owner.put("/projects/ours/retention", json={"keep_days": 30, "keep_tags": ["best"]})
    assert answer.status_code == 200, answer.text
    assert world.as_("viewer").get("/projects/ours/retention").json()["keep_days"] == 30
    for body, pointer in (
        ({"keep_days": 0}, "/keep_days"),
        ({"keep_days": "30"}, "/keep_days"),
        ({"keep_last": 10**30}, "/keep_last"),
        ({"keep_days": 1.5}, "/keep_days"),
        ({"notice_hours": None}, "/notice_hours"),
        ({"keep_tags": ["a\0"]}, "/keep_tags"),
        ({"keep_experiments": [""]}, "/keep_experiments"),
        ({"keep_everything": True}, "/keep_everything"),
    ):
        answer = owner.put("/projects/ours/retention", json=body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert pointer in answer.text or "\\u0000" in answer.text or answer.status_code == 400, answer.text
    assert owner.get("/projects/ours/retention").json()["keep_days"] == 30


def test_names_that_no_run_has_are_told(world: World) -> None:
    factory = [(False, "digits", ["best"]), (True, "resnet", [])]
    with db.unit_of_work() as session:
        for archived, experiment, tags in factory:
            values: Any = {"archived": archived, "experiment": experiment, "tags": tags}
            factories.make_run(session, world.ours, world.users["editor"], state="succeeded", **values)
        values = {"experiment": "digitss", "tags": ["bets"]}
        factories.make_run(session, world.theirs, world.users["stranger"], state="succeeded", **values)
    owner = world.as_("owner")
    named: Any = {"keep_days": 30, "keep_tags": ["best", "bets"], "keep_experiments": ["digits", "digitss", "resnet"]}
    told = ["No run is in experiment digitss.", "No run has the tag bets."]
    assert owner.get("/projects/ours/retention/preview", params=named).json()["notes"] == told
    assert owner.put("/projects/ours/retention", json=named).json()["notes"] == told
    zh = owner.get("/projects/ours/retention", headers={"Accept-Language": "zh"}).json()["notes"]
    assert zh == ["没有任何运行属于实验 digitss。", "没有任何运行带有标签 bets。"]


def test_a_preview_names_runs_and_bytes_and_changes_nothing(world: World) -> None:
    made = make_runs(world, 5)
    viewer = world.as_("viewer")
    body = viewer.get("/projects/ours/retention/preview", params={"keep_days": 30, "keep_last": 1}).json()
    assert (body["runs"], body["files"], body["bytes"]) == (4, 4, 10 + 11 + 12 + 13)
    assert [item["run"] for item in body["items"]] == made[:4]
    assert viewer.get("/projects/ours/retention/preview").json()["runs"] == 0
    params: Any = {"keep_days": 30, "keep_tags": ["t0", "t3"], "limit": 2}
    first = viewer.get("/projects/ours/retention/preview", params=params).json()
    second = viewer.get("/projects/ours/retention/preview", params={**params, "after": first["next"]}).json()
    assert [item["run"] for item in first["items"] + second["items"]] == [made[1], made[2], made[4]]
    answer = viewer.get("/projects/ours/retention/preview", params={**params, "keep_days": 31, "after": first["next"]})
    assert answer.json()["code"] == "CURSOR_EXPIRED"
    assert viewer.get("/projects/ours/retention/preview", params={"keep_days": 0}).status_code == 422
    with db.unit_of_work() as session:
        session.execute(text("update run set experiment = 'digits' where public_id = :id"), {"id": made[0]})
    named: Any = {"keep_days": 30, "keep_experiments": ["digits", "other"]}
    kept = viewer.get("/projects/ours/retention/preview", params=named).json()
    assert [item["run"] for item in kept["items"]] == made[1:]
    assert kept["rules"]["keep_experiments"] == ["digits", "other"]


def test_an_announcement_names_its_runs(world: World) -> None:
    made = make_runs(world, 3)
    world.as_("owner").put("/projects/ours/retention", json={"keep_days": 30, "keep_last": 1})
    with db.unit_of_work() as session:
        retention.announce_next(session)
    viewer = world.as_("viewer")
    announced = viewer.get("/projects/ours/retention").json()["announced"]
    assert (announced["state"], announced["runs"], announced["bytes"]) == ("announced", 2, 21)
    address = f"/projects/ours/retention/announcements/{announced['id']}/runs"
    body = viewer.get(address, params={"limit": 1}).json()
    more = viewer.get(address, params={"after": body["next"]}).json()
    assert [item["run"] for item in body["items"] + more["items"]] == made[:2]
    (listed,) = viewer.get("/projects/ours/retention/announcements").json()["items"]
    assert listed == announced
    assert world.as_("stranger").get(address.replace("ours", "theirs")).status_code == 404
    world.as_("owner").put("/projects/ours/retention", json={})
    assert viewer.get("/projects/ours/retention").json()["announced"] is None
