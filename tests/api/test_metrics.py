"""Metrics through the API: batches that may come twice, charts that stay small, and who may send."""

import json
import math
from typing import Any

import httpx
import pytest

from app import db
from app.models import Run
from app.repositories import metrics as repository
from app.settings import get_settings
from tests import factories
from tests.api.conftest import World

AT = 1_795_325_000_000


@pytest.fixture
def run(world: World) -> Run:
    with db.unit_of_work() as session:
        made: Run = factories.make_run(session, world.ours, world.users["editor"], state="running")
        return made


def send(client: httpx.Client, run: Run, points: list[Any], **extra: Any) -> httpx.Response:
    return client.post(f"/runs/{run.public_id}/metrics", json={"points": points, **extra})


def read(client: httpx.Client, run: Run, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/runs/{run.public_id}/metrics", params=query)
    assert answer.status_code == 200, answer.text
    return {series["name"]: series for series in answer.json()["series"]}


def test_points_come_back(world: World, run: Run) -> None:
    client = world.as_("editor")
    answer = send(client, run, [["loss", n, AT + n, 1 / (n + 1)] for n in range(5)] + [["acc", 0, AT, 1]])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 6})
    found = read(world.as_("viewer"), run)
    assert found["loss"]["step"] == [0, 1, 2, 3, 4]
    assert found["loss"]["at_ms"] == [AT + n for n in range(5)]
    assert found["loss"]["last"] == [1.0, 0.5, 1 / 3, 0.25, 0.2]
    assert found["loss"]["is_exact"]
    assert found["acc"]["last"] == [1.0]
    assert read(client, run, keys="acc,nothing").keys() == {"acc"}
    assert read(client, run, keys=["acc", "loss"]).keys() == {"acc", "loss"}
    assert read(client, run, after_step=2)["loss"]["step"] == [3, 4]


def test_a_name_with_commas_is_found_when_it_is_alone(world: World, run: Run) -> None:
    client = world.as_("editor")
    send(client, run, [["f1,macro", 0, AT, 0.5], ["f1", 0, AT, 0.4]])
    assert "f1,macro" in read(client, run, keys=["f1,macro"])
    assert read(client, run, keys="").keys() == {"f1,macro", "f1"}


def test_a_batch_that_is_sent_again_changes_nothing(world: World, run: Run) -> None:
    points = [["loss", n, AT, 0.5] for n in range(10)]
    for _ in range(3):
        assert send(world.as_("editor"), run, points).status_code == 202
    assert send(world.as_("editor"), run, [*points, ["loss", 10, AT, 0.1], ["loss", 10, AT, 0.1]]).status_code == 202
    [series] = read(world.as_("editor"), run).values()
    assert (series["points"], len(series["step"])) == (11, 11)


def test_numbers_that_are_none_are_kept_and_are_no_extremes(world: World, run: Run) -> None:
    points = [["x", 1, AT, 2.0], ["x", 2, AT, "nan"], ["x", 3, AT, 1], ["y", 1, AT, "inf"], ["z", 1, AT, "-inf"]]
    assert send(world.as_("editor"), run, points).status_code == 202
    found = read(world.as_("editor"), run)
    assert found["x"]["last"] == [2.0, "nan", 1.0]
    assert (found["y"]["last"], found["z"]["last"]) == (["inf"], ["-inf"])
    reduced = read(world.as_("editor"), run, buckets=1)["x"]
    assert (reduced["last"], reduced["min"], reduced["max"], reduced["is_exact"]) == ([1.0], [1.0], [2.0], False)
    with db.read_session() as session:
        summary = {one.name: one for one in repository.list_series(session, run.id)}
    assert (summary["x"].min_value, summary["x"].max_value, summary["x"].last_value) == (1.0, 2.0, 1.0)
    assert summary["x"].points == 3
    send(world.as_("editor"), run, [["only", 1, AT, "nan"]])
    with db.read_session() as session:
        [only] = [one for one in repository.list_series(session, run.id) if one.name == "only"]
    assert only.min_value is None
    assert only.last_value is not None
    assert math.isnan(only.last_value)


def test_the_summary_follows_the_last_step_whatever_the_order(world: World, run: Run) -> None:
    for step in (5, 1, 9, 3):
        send(world.as_("editor"), run, [["loss", step, AT + step, step * 1.5]])
    with db.read_session() as session:
        [series] = repository.summaries(session, [run.id])[run.id]
    assert (series.last_step, series.last_value, series.min_value, series.max_value) == (9, 13.5, 1.5, 13.5)
    assert series.last_at is not None
    assert series.last_at.timestamp() * 1000 == AT + 9


@pytest.mark.parametrize("x", ["step", "time"])
def test_long_series_are_reduced_without_losing_extremes(world: World, run: Run, x: str) -> None:
    values = [math.sin(n / 50) for n in range(6000)]
    values[4321] = 99.0
    for start in (0, 3000):
        points = [["loss", n, AT + n * 10, values[n]] for n in range(start, start + 3000)]
        assert send(world.as_("editor"), run, points).status_code == 202
    series = read(world.as_("editor"), run, buckets=100, x=x)["loss"]
    assert len(series["step"]) == 100
    assert not series["is_exact"]
    assert series["points"] == 6000
    assert max(series["max"]) == 99.0
    assert min(series["min"]) == min(values)
    assert series["step"][-1] == 5999
    assert series["last"][-1] == values[5999]
    assert series["step"] == sorted(series["step"])


def test_progress(world: World, run: Run) -> None:
    assert send(world.as_("editor"), run, [], progress={"done": 31, "total": 90}).status_code == 202
    with db.read_session() as session:
        found = session.get(Run, run.id)
        assert found is not None
        assert (found.progress_done, found.progress_total, found.version) == (31, 90, run.version + 1)
    assert send(world.as_("editor"), run, [], progress={"done": 31, "total": 90}).status_code == 202
    assert send(world.as_("editor"), run, [], progress={"done": 40}).status_code == 202
    with db.read_session() as session:
        found = session.get(Run, run.id)
        assert found is not None
        assert (found.progress_done, found.progress_total, found.version) == (40, None, run.version + 2)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({}, "/points"),
        ({"points": {}}, "/points"),
        ({"points": [["a", 1, AT, 1.0]], "more": 1}, "/more"),
        ({"points": [["a", 1, AT, 1.0]] * 5001}, "/points"),
        ({"points": [["a", 1, AT, 1.0], ["a", 1, AT]]}, "/points/1"),
        ({"points": ["abcd"]}, "/points/0"),
        ({"points": [{"name": "a"}]}, "/points/0"),
        ({"points": [5]}, "/points/0"),
        ({"points": [["", 1, AT, 1.0]]}, "/points/0/0"),
        ({"points": [["a\nb", 1, AT, 1.0]]}, "/points/0/0"),
        ({"points": [["a" * 201, 1, AT, 1.0]]}, "/points/0/0"),
        ({"points": [[1, 1, AT, 1.0]]}, "/points/0/0"),
        ({"points": [["a", True, AT, 1.0]]}, "/points/0/1"),
        ({"points": [["a", 1.5, AT, 1.0]]}, "/points/0/1"),
        ({"points": [["a", 2**53, AT, 1.0]]}, "/points/0/1"),
        ({"points": [["a", 1, -1, 1.0]]}, "/points/0/2"),
        ({"points": [["a", 1, 10**15, 1.0]]}, "/points/0/2"),
        ({"points": [["a", 1, AT, None]]}, "/points/0/3"),
        ({"points": [["a", 1, AT, "NaN"]]}, "/points/0/3"),
        ({"points": [["a", 1, AT, True]]}, "/points/0/3"),
        ({"points": [["a", 1, AT, 10**310]]}, "/points/0/3"),
        ({"points": [], "progress": {"done": -1}}, "/progress/done"),
        ({"points": [], "progress": {"total": 1}}, "/progress/done"),
        ({"points": [], "progress": {"done": 1, "total": "2"}}, "/progress/total"),
        ({"points": [], "progress": {"done": 3, "total": 2}}, "/progress/done"),
        ({"points": [], "progress": [1, 2]}, "/progress"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(world: World, run: Run, body: Any, pointer: str) -> None:
    answer = world.as_("editor").post(f"/runs/{run.public_id}/metrics", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert read(world.as_("editor"), run) == {}


@pytest.mark.parametrize("body", [b"", b"{", b'{"points": [["a", 1, 1, NaN]]}', b"\xff"])
def test_what_is_no_json(world: World, run: Run, body: bytes) -> None:
    client = world.as_("editor")
    headers = {"content-type": "application/json"}
    assert client.post(f"/runs/{run.public_id}/metrics", content=body, headers=headers).status_code == 400
    assert client.post(f"/runs/{run.public_id}/metrics", content=b"{}").status_code == 415
    large = json.dumps({"points": [["a" * 190, n, AT, 1.0] for n in range(4900)]}).encode()
    assert len(large) > 1 << 20
    assert client.post(f"/runs/{run.public_id}/metrics", content=large, headers=headers).status_code == 413


def test_a_run_has_as_many_metrics_as_the_setting_allows(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get_settings().limits.metrics_per_run >= 2000
    monkeypatch.setattr(get_settings().limits, "metrics_per_run", 1000)
    client = world.as_("editor")
    assert send(client, run, [[f"m{n}", 0, AT, 1] for n in range(1000)]).status_code == 202
    answer = send(client, run, [["m5", 1, AT, 1], ["one too many", 1, AT, 1]])
    assert (answer.status_code, answer.json()["code"]) == (422, "TOO_MANY_SERIES")
    assert answer.json()["detail"].startswith("A run may have 1000 metrics, and 1 new names do not fit in.")
    assert send(client, run, [[f"m{n}", 1, AT, 1] for n in range(1000)]).status_code == 202


def test_who_may_send(world: World, run: Run) -> None:
    point = [["loss", 1, AT, 1.0]]
    expected = {"admin": 202, "owner": 202, "editor": 202, "robot": 202, "viewer": 403, "stranger": 404, "nobody": 401}
    assert {who: send(world.as_(who), run, point).status_code for who in expected} == expected
    expected = {"viewer": 200, "stranger": 404, "nobody": 401}
    found = {who: world.as_(who).get(f"/runs/{run.public_id}/metrics").status_code for who in expected}
    assert found == expected


def test_a_job_may_send_to_its_own_run_only(world: World, run: Run) -> None:
    with db.unit_of_work() as session:
        _, token = factories.make_attempt(session, run, state="running")
        other = factories.make_run(session, world.ours, world.users["editor"], state="running")
    job = world.api.client(token)
    assert send(job, run, [["loss", 1, AT, 1.0]]).status_code == 202
    assert send(job, other, [["loss", 1, AT, 1.0]]).status_code == 404
    assert job.get(f"/runs/{run.public_id}/metrics").status_code == 404


def test_series_that_are_gone_are_made_anew(world: World, run: Run) -> None:
    """Another process may have removed what this one remembers."""
    from sqlalchemy import text

    send(world.as_("editor"), run, [["loss", 1, AT, 1.0]])
    with db.unit_of_work() as session:
        session.execute(text("delete from metric_series"))
    assert send(world.as_("editor"), run, [["loss", 1, AT, 1.0]]).status_code == 202
    assert read(world.as_("editor"), run)["loss"]["step"] == [1]
