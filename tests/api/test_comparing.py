"""Comparing runs, experiments and saved views through the API."""

import uuid
from typing import Any

import pytest

from app import db
from app.models import MetricSeries
from tests import factories
from tests.api.conftest import World

PROJECT = "/projects/ours"


def make(world: World, *, theirs: bool = False, metrics: dict[str, float] | None = None, **values: Any) -> str:
    with db.unit_of_work() as session:
        owner, project = ("stranger", world.theirs) if theirs else ("owner", world.ours)
        run = factories.make_run(session, project, world.users[owner], **values)
        for name, value in (metrics or {}).items():
            session.add(
                MetricSeries(
                    run_id=run.id, name=name, last_step=1, last_value=value, min_value=value - 1, max_value=value + 1
                )
            )
        return run.public_id


def compare(world: World, *ids: str, **query: str) -> Any:
    return world.as_("viewer").get(f"{PROJECT}/runs:compare", params={"ids": ",".join(ids), **query})


def test_what_differs_and_which_is_best(world: World) -> None:
    spec = {"name": "x", "command": ["python", "train.py"], "parameters": {"lr": 0.1, "seed": 1}}
    first = make(world, spec=spec, source={"git_commit": "a" * 40}, metrics={"loss": 0.5, "acc": 0.9})
    second = make(
        world,
        spec=spec | {"parameters": {"lr": 1.0, "seed": 1}, "env": {"A": "x"}, "priority": "normal"},
        source={"git_commit": "b" * 40},
        metrics={"loss": 0.2, "acc": 0.7, "nan": float("nan")},
    )
    body = compare(world, first, second).json()
    assert body["summary"] == (
        "These 2 runs differ in parameters (lr 0.1 / 1.0); code (git_commit aaaaaaaa / bbbbbbbb); "
        "environment ($A – / x). The same in all: definition, other settings, resources, platform."
    )
    parts = {part["part"]: part["lines"] for part in body["parts"]}
    assert parts["parameters"][0] == {"name": "lr", "differs": True, "values": ["0.1", "1.0"]}
    assert not [line for line in parts["definition"] if line["differs"]], "a default equals the same written out"
    metrics = {one["name"]: one for one in body["metrics"]}
    assert (metrics["loss"]["better"], metrics["loss"]["best"], metrics["loss"]["last"]) == ("lower", [1], [0.5, 0.2])
    assert (metrics["acc"]["better"], metrics["acc"]["best"], metrics["acc"]["max"]) == ("higher", [0], [1.9, 1.7])
    assert (metrics["nan"]["last"], metrics["nan"]["best"]) == ([None, "nan"], [])
    turned = {one["name"]: one for one in compare(world, first, second, higher="loss", lower="acc").json()["metrics"]}
    assert (turned["loss"]["best"], turned["acc"]["best"]) == ([0], [1])


def test_the_same_runs_are_said_to_be_the_same(world: World) -> None:
    body = compare(world, make(world), make(world)).json()
    assert "have the same parameters, code" in body["summary"]
    assert body["metrics"] == []


@pytest.mark.parametrize("count", [0, 1, 21])
def test_too_few_and_too_many(world: World, count: int) -> None:
    ids = [make(world) for _ in range(count)]
    answer = compare(world, *ids, *ids)
    assert (answer.status_code, answer.json()["code"]) == (422, "COMPARE_COUNT")
    assert f"Different runs named: {count}." in answer.json()["detail"]


def test_unknown_and_foreign_runs_look_the_same(world: World) -> None:
    own = make(world)
    for other in (make(world, theirs=True), "r-2222222222", "nonsense"):
        answer = compare(world, own, other)
        assert (answer.status_code, answer.json()["code"]) == (404, "RUNS_NOT_FOUND")
        assert answer.json()["detail"] == f"This project has no run {other}."


def test_experiments_with_their_best_value(world: World) -> None:
    make(world, experiment="a/1", state="failed", metrics={"loss": 2.0})
    make(world, experiment="a/1", state="running", metrics={"loss": 3.0})
    make(world, experiment="b", state="succeeded", archived=True)
    make(world, experiment="c", state="succeeded")
    make(world, theirs=True, experiment="theirs")
    client = world.as_("viewer")
    found = client.get(f"{PROJECT}/experiments", params={"metric": "loss"}).json()
    assert [(one["name"], one["runs"], one["live"], one["failed"], one["best"]) for one in found["items"]] == [
        ("a/1", 2, 1, 1, 1.0),
        ("c", 1, 0, 0, None),
    ]
    highest = client.get(f"{PROJECT}/experiments", params={"metric": "loss", "better": "higher"}).json()
    assert highest["items"][0]["best"] == 4.0
    first = client.get(f"{PROJECT}/experiments", params={"limit": 1}).json()
    second = client.get(f"{PROJECT}/experiments", params={"limit": 1, "after": first["next"]}).json()
    assert ([one["name"] for one in second["items"]], second["has_more"]) == (["c"], False)


def test_views_may_have_columns(world: World) -> None:
    viewer = world.as_("viewer")
    assert viewer.post(f"{PROJECT}/views", json={"name": "Plain"}).json()["columns"] is None
    shown = {"name": "Losses", "columns": ["ran", "metric"], "metric": "val/loss"}
    losses = viewer.post(f"{PROJECT}/views", json=shown).json()
    assert (losses["columns"], losses["metric"]) == (["metric", "ran"], "val/loss")
    assert viewer.post(f"{PROJECT}/views", json={"name": "y", "columns": ["nope"]}).status_code == 422


def test_views_are_own_or_shared(world: World) -> None:
    owner, editor, viewer = world.as_("owner"), world.as_("editor"), world.as_("viewer")
    own = viewer.post(f"{PROJECT}/views", json={"name": " Mine ", "q": "owner:me", "sort": "name"})
    assert own.status_code == 201, own.text
    assert own.json()["name"] == "Mine"
    assert viewer.post(f"{PROJECT}/views", json={"name": "Mine"}).json()["code"] == "VIEW_EXISTS"
    assert viewer.post(f"{PROJECT}/views", json={"name": "x", "shared": True}).status_code == 403
    shared = editor.post(f"{PROJECT}/views", json={"name": "Failed", "q": "status:failed", "shared": True}).json()
    assert [one["name"] for one in viewer.get(f"{PROJECT}/views").json()["items"]] == ["Failed", "Mine"]
    assert [one["name"] for one in owner.get(f"{PROJECT}/views").json()["items"]] == ["Failed"]
    hidden, absent = own.json()["id"], str(uuid.uuid4())
    assert [owner.delete(f"{PROJECT}/views/{key}").status_code for key in (hidden, absent)] == [404, 404]
    assert viewer.delete(f"{PROJECT}/views/{shared['id']}").status_code == 403
    assert editor.patch(f"{PROJECT}/views/{shared['id']}", json={"shared": False}).json()["shared"] is False
    assert owner.get(f"{PROJECT}/views").json()["items"] == []
    assert editor.delete(f"{PROJECT}/views/{shared['id']}").status_code == 204
    verbs = [one["verb"] for one in owner.get(f"{PROJECT}/audit").json()["items"]]
    assert [verb for verb in verbs if verb.startswith("view.")] == [
        "view.delete",
        "view.update",
        "view.create",
        "view.create",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": " "},
        {"name": "x" * 61},
        {"name": "a\nb"},
        {"name": "x", "q": "stats:x"},
        {"name": "x", "sort": "z"},
    ],
)
def test_bad_views(world: World, body: dict[str, Any]) -> None:
    answer = world.as_("editor").post(f"{PROJECT}/views", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID")
