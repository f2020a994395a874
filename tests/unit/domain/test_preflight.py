"""How a cluster is judged: each check with a cluster that fails it, and that what is wrong says how to mend it."""

from dataclasses import replace
from typing import Any

import pytest

from app.domain import preflight
from app.domain.preflight import TITLES
from app.domain.preflight_facts import NEEDED, NEEDLESS, Facts, Finding, NodeFacts, PodFacts, Status, permission

HELD = {permission(*one): True for one in NEEDED} | {permission(*one): False for one in NEEDLESS}
GOOD = Facts(
    version="v1.34.8",
    latency_ms=(3.0, 900.0, 4.0),
    clock_seconds=-0.4,
    permissions=HELD,
    nodes=[NodeFacts("a", True), NodeFacts("b", True, gpus=8, is_gpu_machine=True)],
    default_classes=["standard"],
    is_privileged_refused=True,
    restricted_refusal="",
    is_quota_counted=True,
    has_network_policies=True,
    pull_secret="berth/registry",
    pull_secret_trouble="",
    berth_url="https://berth.example.com",
    pod=PodFacts("image", 2.0, 60.0, dns="", reaches_berth="", denied_reached=False),
)
assert GOOD.pod is not None


def _without(name: str) -> dict[str, bool]:
    return {one: held for one, held in HELD.items() if one != name}


def _pod(**changes: Any) -> dict[str, Any]:
    assert GOOD.pod is not None
    return {"pod": replace(GOOD.pod, **changes)}


OK, WARN, FAIL, UNKNOWN = Status.OK, Status.WARN, Status.FAIL, Status.UNKNOWN
CASES: list[tuple[str, Status, dict[str, Any]]] = [
    ("REACHABLE", FAIL, {"trouble": "connection refused"}),
    ("REACHABLE", FAIL, {"trouble": "401 Unauthorized", "is_trouble_of_access": True}),
    ("VERSION", FAIL, {"version": "v1.28.15"}),
    ("VERSION", OK, {"version": "v1.29.0-gke.100"}),
    ("VERSION", OK, {"version": "v1.34+"}),
    ("VERSION", WARN, {"version": "v1.35.0"}),
    ("VERSION", UNKNOWN, {"version": "nightly"}),
    ("PERMISSIONS", FAIL, {"permissions": HELD | {"create jobs.batch": False}}),
    ("PERMISSIONS", UNKNOWN, {"permissions": _without("create jobs.batch")}),
    ("EXCESS", WARN, {"permissions": HELD | {"* *.*": True}}),
    ("EXCESS", UNKNOWN, {"permissions": _without("* *.*")}),
    ("LATENCY", OK, {"latency_ms": (250.0,)}),
    ("LATENCY", WARN, {"latency_ms": (251.0, 260.0, 3.0)}),
    ("LATENCY", FAIL, {"latency_ms": (2001.0,)}),
    ("LATENCY", UNKNOWN, {"latency_ms": ()}),
    ("CLOCK", WARN, {"clock_seconds": 6.0}),
    ("CLOCK", FAIL, {"clock_seconds": -61.0}),
    ("CLOCK", UNKNOWN, {"clock_seconds": None}),
    ("NODES", FAIL, {"nodes": [NodeFacts("a", False), NodeFacts("b", True, is_cordoned=True)]}),
    ("NODES", FAIL, {"nodes": []}),
    ("NODES", WARN, {"nodes": [NodeFacts("a", True), NodeFacts("b", False)]}),
    ("NODES", UNKNOWN, {"nodes": None}),
    ("GPU_PLUGIN", FAIL, {"nodes": [NodeFacts("a", True, gpus=8), NodeFacts("b", True, is_gpu_machine=True)]}),
    ("GPU_PLUGIN", WARN, {"nodes": [NodeFacts("a", True)]}),
    ("GPU_PLUGIN", UNKNOWN, {"nodes": None}),
    ("STORAGE_CLASS", WARN, {"default_classes": []}),
    ("STORAGE_CLASS", WARN, {"default_classes": ["a", "b"]}),
    ("STORAGE_CLASS", UNKNOWN, {"default_classes": None}),
    ("POD_SECURITY", FAIL, {"is_privileged_refused": False}),
    ("POD_SECURITY", FAIL, {"restricted_refusal": "admission webhook denied the request"}),
    ("POD_SECURITY", UNKNOWN, {"is_privileged_refused": None}),
    ("QUOTA", FAIL, {"is_quota_counted": False}),
    ("QUOTA", UNKNOWN, {"is_quota_counted": None}),
    ("NETWORK_POLICY", FAIL, {"has_network_policies": False}),
    ("NETWORK_POLICY", WARN, _pod(denied_reached=True)),
    ("NETWORK_POLICY", UNKNOWN, _pod(denied_reached=None)),
    ("PULL_SECRET", OK, {"pull_secret": ""}),
    ("PULL_SECRET", FAIL, {"pull_secret_trouble": "it is not there"}),
    ("PULL_SECRET", UNKNOWN, {"pull_secret_trouble": None}),
    ("POD_START", FAIL, _pod(seconds=None, trouble="0/3 nodes are available")),
    ("POD_START", FAIL, _pod(seconds=None, trouble="not found", is_pull_trouble=True)),
    ("POD_START", WARN, _pod(seconds=31.0)),
    ("POD_START", UNKNOWN, {"pod": PodFacts()}),
    ("DNS", FAIL, _pod(dns="Temporary failure in name resolution")),
    ("DNS", UNKNOWN, _pod(dns=None)),
    ("BERTH_URL", FAIL, _pod(reaches_berth="timed out")),
    ("BERTH_URL", FAIL, {"berth_url": ""}),
    ("BERTH_URL", UNKNOWN, _pod(reaches_berth=None)),
    ("CLEAN_UP", WARN, {"left_behind": "berth-check-x"}),
]


def _find(facts: Facts, code: str) -> Finding:
    return next(finding for finding in preflight.judge(facts) if finding.code == code)


@pytest.mark.parametrize(("code", "status", "changes"), CASES)
def test_a_cluster_that_is_wrong_in_one_way(code: str, status: Status, changes: dict[str, Any]) -> None:
    found = _find(replace(GOOD, **changes), code)
    assert found.status is status
    assert bool(found.fix) == (status is not OK)
    assert "{" not in f"{found.says} {found.fix}".format_map(found.slots)
    assert Finding.of(found.as_dict()) == found


def test_a_good_cluster_has_nothing_to_mend() -> None:
    found = preflight.judge(GOOD)
    assert {finding.code: finding.status for finding in found} == dict.fromkeys(TITLES, OK)
    assert preflight.worst(found) is OK


def test_each_check_has_a_failing_case() -> None:
    assert {code for code, status, _ in CASES if status in (FAIL, WARN)} == set(TITLES)


def test_nothing_is_said_of_a_cluster_that_could_not_be_asked() -> None:
    assert [finding.code for finding in preflight.judge(Facts(trouble="refused"))] == ["REACHABLE"]


def test_what_is_unknown_is_no_failure() -> None:
    found = preflight.judge(Facts(version="v1.34.1", berth_url="http://berth"))
    assert preflight.worst(found) is UNKNOWN


def test_what_is_missing_is_named_and_counted() -> None:
    missing = dict.fromkeys((permission(*one) for one in NEEDED), False)
    found = _find(replace(GOOD, permissions=missing), "PERMISSIONS")
    assert found.slots["count"] == len(NEEDED)
    assert str(found.slots["missing"]).startswith("get namespaces, list namespaces")
    assert str(found.slots["missing"]).endswith(f"+ {len(NEEDED) - 8}")
