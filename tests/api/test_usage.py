"""What a run used, through the API: sums, buckets, states, and who may read."""

from typing import Any

import pytest

from app import db
from app.domain.usage import Lines, Slice
from app.models import Run
from app.repositories import usage
from app.repositories.usage import UsageSource
from tests import factories
from tests.api.conftest import World

AT = 1_795_325_000_000
MIB = 1 << 20


def make_slices(number: int, **values: Any) -> list[Slice]:
    one = Slice(0, 2000, 800_000, 300, 500, 200 * MIB, 190 * MIB, 210 * MIB, 4096, 8192, 5 * MIB, None, None, None)
    return [one._replace(end_ms=AT + 2000 * (place + 1), **values) for place in range(number)]


@pytest.fixture
def run(world: World) -> Run:
    with db.unit_of_work() as session:
        made: Run = factories.make_run(
            session, world.ours, world.users["editor"], state="running", cpu_millis=4000, memory_bytes=1 << 30
        )
        factories.make_attempt(session, made, state="running", started_at=made.created_at)
        return made


def add(run: Run, slices: list[Slice], meter: str | None = "", offset: int = 0, end: int = 1) -> bool:
    with db.unit_of_work() as session:
        return usage.add_lines(session, UsageSource(run.id, run.public_id, 1, 0, offset), Lines(slices, meter), end)


def read(world: World, run: Run, **query: Any) -> dict[str, Any]:
    answer = world.as_("viewer").get(f"/runs/{run.public_id}/usage", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_sums_and_parts_of_what_was_asked(world: World, run: Run) -> None:
    add(run, make_slices(50))
    found = read(world, run)
    assert (found["state"], found["is_exact"], found["asked"]["cpu"]) == ("live", True, 4.0)
    summary = found["summary"]
    assert (summary["cpu_mean"], summary["cpu_max"], summary["cpu_percent"]) == (0.4, 0.5, 10.0)
    assert (summary["memory_max"], summary["memory_percent"]) == (210 * MIB, 20.5)
    assert (summary["cpu_seconds"], summary["seconds"], summary["disk_read"]) == (40.0, 100.0, 50 * 4096)
    assert (summary["gpu"], found["gpu_reason"]) == (None, "no_meter")
    assert "nvidia-smi" in found["gpu_text"]
    assert len(found["at_ms"]) == len(found["series"]["cpu"]["mean"]) == 50
    assert found["series"]["gpu_busy"] is None


def test_buckets_are_fewer_and_lose_nothing(world: World, run: Run) -> None:
    add(run, make_slices(50))
    found = read(world, run, buckets=7)
    assert len(found["at_ms"]) <= 7
    assert not found["is_exact"]
    assert sum(found["span_ms"]) == 100_000
    assert found["series"]["memory"]["max"] == [210 * MIB] * len(found["at_ms"])
    used = zip(found["series"]["cpu"]["mean"], found["span_ms"], strict=True)
    assert sum(mean * span for mean, span in used) / 1000 == pytest.approx(40.0)


def test_gpus_and_why_there_are_none(world: World, run: Run) -> None:
    add(run, make_slices(2, gpus=0, gpu_busy=0, gpu_memory=0), "nvidia-smi")
    assert read(world, run)["gpu_reason"] == "not_used"
    later = [one._replace(end_ms=one.end_ms + 9000) for one in make_slices(2, gpus=2, gpu_busy=900, gpu_memory=MIB)]
    assert add(run, later, None, 1, 2)
    found = read(world, run)
    assert found["gpu_reason"] is None
    assert found["summary"]["gpu"] == {"count": 2, "busy_percent": 45.0, "memory_bytes": MIB}
    assert found["series"]["gpu_busy"]["last"][-1] == 90.0


def test_a_place_that_was_read_before_counts_once(world: World, run: Run) -> None:
    assert add(run, make_slices(3), "", 0, 100)
    assert not add(run, make_slices(3), "", 0, 100)
    assert read(world, run)["summary"]["cpu_seconds"] == 2.4


def test_states_without_figures(world: World, run: Run) -> None:
    assert read(world, run)["state"] == "starting"
    assert read(world, run)["summary"] is None
    with db.unit_of_work() as session:
        queued = factories.make_run(session, world.ours, world.users["editor"])
        ended = factories.make_run(session, world.ours, world.users["editor"], state="succeeded")
        factories.make_attempt(session, ended, state="succeeded", started_at=ended.created_at)
    assert read(world, queued)["state"] == "waiting"
    assert read(world, ended)["state"] == "none"
    add(ended, make_slices(1, span_ms=20))
    assert read(world, ended)["state"] == "short"


@pytest.mark.parametrize("query", [{"attempt": 7}, {"replica": 1}])
def test_what_the_run_does_not_have_is_not_found(world: World, run: Run, query: dict[str, int]) -> None:
    assert world.as_("viewer").get(f"/runs/{run.public_id}/usage", params=query).status_code == 404


@pytest.mark.parametrize("query", [{"attempt": 0}, {"buckets": 0}, {"buckets": 1001}, {"attempt": "x"}])
def test_bad_questions(world: World, run: Run, query: dict[str, Any]) -> None:
    assert world.as_("viewer").get(f"/runs/{run.public_id}/usage", params=query).status_code == 422
