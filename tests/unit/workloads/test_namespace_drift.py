"""What differs between an object as it is wanted and as it is found."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from app.workloads.namespace_drift import find_differences, removal_of

WANTED = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "berth", "namespace": "space", "labels": {"a": "1"}},
    "spec": {
        "hard": {"pods": "5k", "services": "0"},
        "ingress": [],
        "podSelector": {},
        "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
    },
}


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(found: dict[str, Any]) -> None:
        *parts, last, value = path
        for part in parts:
            found = found[part]
        found[last] = value

    return change


def _found(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """As an API server gives it: with what it adds, without what is empty."""
    found: dict[str, Any] = copy.deepcopy(WANTED)
    del found["apiVersion"], found["kind"], found["spec"]["ingress"]
    found["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": [{}]}
    found["status"] = {"hard": {"pods": "1"}}
    change(found)
    return found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: None, []),
        (_set("metadata", "labels", "of-others", "2"), []),
        (_set("metadata", "annotations", {"x": "y"}), []),
        (_set("metadata", "labels", "a", "2"), [("metadata.labels.a", '"2"', '"1"')]),
        (_set("metadata", "labels", {}), [("metadata.labels.a", "", '"1"')]),
        (_set("spec", "hard", "pods", "1"), [("spec.hard.pods", '"1"', '"5k"')]),
        (lambda found: found["spec"]["hard"].pop("services"), [("spec.hard.services", "", '"0"')]),
        (_set("spec", "hard", "requests.cpu", "0"), [("spec.hard.requests.cpu", '"0"', "")]),
        (
            _set("spec", "podSelector", {"matchLabels": {"x": "y"}}),
            [("spec.podSelector.matchLabels", '{"x": "y"}', "")],
        ),
        (_set("spec", "ingress", [{}]), [("spec.ingress", "[{}]", "[]")]),
        (_set("spec", "egress", []), [("spec.egress", "[]", '[{"ports": [{"port": 53, "protocol": "UDP"}]}]')]),
        (_set("spec", "egress", 0, "ports", 0, "port", 443), [("spec.egress[0].ports[0].port", "443", "53")]),
        (_set("spec", "egress", 0, "to", [{"x": 1}]), [("spec.egress[0].to", '[{"x": 1}]', "")]),
    ],
)
def test_differences(change: Callable[[dict[str, Any]], Any], expected: list[tuple[str, str, str]]) -> None:
    found = find_differences(WANTED, _found(change))
    assert [(one.field, one.was, one.should) for one in found] == expected
    assert all(one.object == "ResourceQuota berth" for one in found)


def test_one_that_is_gone() -> None:
    (found,) = find_differences(WANTED, None)
    assert (found.object, found.field, found.was, found.should) == ("ResourceQuota berth", "", "", "")


def test_false_is_a_value() -> None:
    wanted = {"kind": "ServiceAccount", "metadata": {"name": "a", "labels": {}}, "automountServiceAccountToken": False}
    assert find_differences(wanted, {"metadata": {}, "automountServiceAccountToken": False}) == []
    (found,) = find_differences(wanted, {"metadata": {}})
    assert (found.field, found.was, found.should) == ("automountServiceAccountToken", "", "false")


def test_values_of_secrets_are_not_shown() -> None:
    wanted = {"kind": "Secret", "metadata": {"name": "s", "labels": {}}, "type": "t", "data": {"key": "canary-new"}}
    for data in ({"key": "canary-old"}, {}, None):
        found = find_differences(wanted, {"metadata": {}, "type": "t", "data": data})
        assert len(found) == 1
        assert "canary" not in repr(found)


def test_what_is_long_or_much_is_cut() -> None:
    found = _found(_set("spec", "egress", [{"x": "y" * 1000}] * 3))
    (one,) = find_differences(WANTED, found)
    assert len(one.was) == 300
    many = _found(_set("spec", "hard", {f"count/{number}": "1" for number in range(100)}))
    assert len(find_differences(WANTED, many)) == 20


def test_what_is_there_besides_is_taken_away_by_a_patch() -> None:
    found = _found(_set("spec", "hard", {"pods": "1", "services": "0", "requests.cpu": "0"}))
    assert removal_of(find_differences(WANTED, found)) == {"spec": {"hard": {"requests.cpu": None}}}
    assert removal_of(find_differences(WANTED, None)) == {}
    listed = _found(_set("spec", "egress", 0, "to", [{"x": 1}]))
    assert removal_of(find_differences(WANTED, listed)) == {}
