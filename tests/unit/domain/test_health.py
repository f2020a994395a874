"""How parts are judged: each finding, at its bounds, and that what is wrong says what to do."""

import pytest

from app.domain import health
from app.domain.health import Check, Health

OK, WARN, BAD = Health.OK, Health.WARN, Health.BAD

CASES: list[tuple[Check, Health]] = [
    (health.judge_postgres("0004", "0004", 1.0), OK),
    (health.judge_postgres("0004", "0004", 251.0), WARN),
    (health.judge_postgres("0003", "0004", 1.0), BAD),
    (health.judge_postgres(None, "0004", 1.0), BAD),
    (health.judge_redis(None, 1.0, 0), OK),
    (health.judge_redis(None, 1.0, 1001), WARN),
    (health.judge_redis("ConnectionError", 1.0, 0), BAD),
    (health.judge_workers([1.0, 400.0]), OK),
    (health.judge_workers([30.0]), WARN),
    (health.judge_workers([61.0]), BAD),
    (health.judge_workers([]), BAD),
    (health.judge_workers(None), WARN),
    (health.judge_loop("dispatch", 3.0, 10.0), OK),
    (health.judge_loop("dispatch", -1.0, 10.0), BAD),
    (health.judge_loop("dispatch", None, 10.0), BAD),
    (health.judge_objects(None, 2.0, "url", ""), OK),
    (health.judge_objects("PermissionError", 2.0, "folder", "/home/objects"), BAD),
    (health.judge_objects("PermissionError", 2.0, "bucket", "b"), BAD),
    (health.judge_objects("PermissionError", 2.0, "url", ""), BAD),
    (health.judge_disk(50, 100, "50 B"), OK),
    (health.judge_disk(9, 100, "9 B"), WARN),
    (health.judge_disk(2, 100, "2 B"), BAD),
    (health.judge_cluster("local", 5.0), OK),
    (health.judge_cluster("local", 30.0), WARN),
    (health.judge_cluster("local", 61.0), BAD),
    (health.judge_cluster("local", None), BAD),
]


@pytest.mark.parametrize(("check", "expected"), CASES)
def test_a_part_is_judged(check: Check, expected: Health) -> None:
    assert check.health == expected
    assert bool(check.fix) == (expected != OK)
    text = f"{check.says} {check.fix}".format_map(check.slots)
    assert "{" not in text


def test_the_age_of_a_lead_is_since_it_was_taken_last() -> None:
    assert health.judge_loop("dispatch", 3.0, 10.0).age_seconds == 7.0
    assert health.judge_loop("dispatch", -5.0, 10.0).age_seconds == 15.0


def test_the_whole_is_as_its_worst_part() -> None:
    assert health.worst([CASES[0][0], CASES[1][0]]) == WARN
    assert health.worst([check for check, _ in CASES]) == BAD
    assert health.worst([]) == OK


def test_the_remedy_of_an_object_store_is_about_the_one_in_use() -> None:
    fixes = {place: health.judge_objects("X", 1.0, place, "here").fix for place in ("folder", "bucket", "url")}
    assert {place for place, fix in fixes.items() if "BERTH_OBJECTS__URL" in fix} == {"url"}
    assert {place for place, fix in fixes.items() if "{where}" in fix} == {"folder", "bucket"}


HELD = {"dispatch": 10.0, "watch:local": 10.0}
LED = {"dispatch": -8.0, "watch:local": -9.0}
OUTAGES: list[tuple[dict[str, float], dict[str, float], float | None, list[tuple[str, float, str]]]] = [
    (LED, {"local": 4.0}, 1.0, []),
    ({}, {"local": 4000.0}, None, []),  # nothing was ever led: Berth was just made
    (LED | {"dispatch": 2.0}, {"local": 4.0}, 1.0, []),  # another takes over
    ({"dispatch": 20.0, "watch:local": 21.0}, {"local": 33.0}, 1.0, [("controller", 969.0, "")]),
    (LED, {"a": 21.0, "b": 4.0}, 1.0, [("cluster", 979.0, "a")]),
    (LED, {"local": 4.0}, 16.0, [("worker", 984.0, "")]),
    (LED | {"watch:local": 5.0}, {}, 16.0, [("controller", 985.0, ""), ("worker", 984.0, "")]),
]


@pytest.mark.parametrize(("ended", "clusters", "worker", "expected"), OUTAGES)
def test_what_does_not_answer(
    ended: dict[str, float], clusters: dict[str, float], worker: float | None, expected: list[tuple[str, float, str]]
) -> None:
    found = health.judge_outages(1000.0, ended, HELD, clusters, worker)
    assert [(one.part, one.since, one.name) for one in found] == expected
    assert [one.is_stale for one in found] == [part != "worker" for part, _, _ in expected]
