"""Which nodes runs go to, and what images are called."""

from typing import Any

import pytest

from app.domain.clusters import ClusterSettings, problems_of
from app.domain.images import digest_of, repository_of, what_ran
from app.domain.placement import gpu_toleration, is_of_pool, read_selector, read_tolerations

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def test_selectors_and_tolerations_are_read() -> None:
    assert read_selector(" pool=train , example.org/zone=a,empty= ") == {
        "pool": "train",
        "example.org/zone": "a",
        "empty": "",
    }
    assert read_tolerations("dedicated=ml:NoSchedule, spot, example.org/x:NoExecute, none=") == (
        {"key": "dedicated", "value": "ml", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
        {"key": "example.org/x", "operator": "Exists", "effect": "NoExecute"},
        {"key": "none", "value": ""},
    )
    assert read_selector("") == {}
    assert read_tolerations(" , ") == ()


@pytest.mark.parametrize(
    "text", ["pool", "=x", "a=b=c", "a b=c", "-a=b", "a=b:NoSchedule", "a=é", "a/b/c=d", "a=" + "x" * 64]
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_selector(text)
    assert [one.pointer for one in problems_of(ClusterSettings(node_selector=text))] == ["/settings/node_selector"]


@pytest.mark.parametrize(
    "text", ["=x", "a:Never", "*", "a b", "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready:NoExecute"]
)
def test_what_is_no_toleration(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_tolerations(text)
    assert [one.pointer for one in problems_of(ClusterSettings(tolerations=text))] == ["/settings/tolerations"]


def _node(*taints: str, **labels: str) -> dict[str, Any]:
    made = []
    for taint in taints:
        place, _, effect = taint.partition(":")
        key, _, value = place.partition("=")
        made.append({"key": key, "value": value, "effect": effect})
    return {"metadata": {"name": "n", "labels": labels}, "spec": {"taints": made}}


@pytest.mark.parametrize(
    ("node", "selector", "tolerations", "is_one"),
    [
        (_node(), "", "", True),
        (_node(pool="train"), "pool=train", "", True),
        (_node(pool="other"), "pool=train", "", False),
        (_node(), "pool=train", "", False),
        (_node("dedicated=ml:NoSchedule"), "", "", False),
        (_node("dedicated=ml:NoSchedule"), "", "dedicated=ml", True),
        (_node("dedicated=ml:NoSchedule"), "", "dedicated", True),
        (_node("dedicated=ml:NoSchedule"), "", "dedicated=other", False),
        (_node("dedicated=ml:NoExecute"), "", "dedicated=ml:NoSchedule", False),
        (_node("spot:PreferNoSchedule"), "", "", True),
        (_node("nvidia.com/gpu=present:NoSchedule"), "", "", True),  # runs with GPUs go there
        (_node("nvidia.com/gpu:NoSchedule", "spot:NoExecute"), "", "", False),
        (_node("node.kubernetes.io/memory-pressure:NoSchedule"), "", "", True),  # of a moment
    ],
)
def test_nodes_of_a_pool(node: dict[str, Any], selector: str, tolerations: str, is_one: bool) -> None:
    tolerated = (*read_tolerations(tolerations), gpu_toleration("nvidia.com/gpu"))
    assert is_of_pool(node, read_selector(selector), tolerated) is is_one


@pytest.mark.parametrize(
    ("asked", "told", "ran"),
    [
        ("python:3.11", f"docker.io/library/python@{DIGEST}", f"python@{DIGEST}"),
        ("r.test:5000/a/b:1", f"r.test:5000/a/b@{DIGEST}", f"r.test:5000/a/b@{DIGEST}"),
        ("r.test:5000/a/b", f"mirror.test/b@{DIGEST}", f"r.test:5000/a/b@{DIGEST}"),
        ("r.test/a:1", f"docker-pullable://r.test/a@{DIGEST}", f"r.test/a@{DIGEST}"),
        ("by-hand:1", DIGEST, DIGEST),
        (f"a@{DIGEST}", f"a@{OTHER}", f"a@{DIGEST}"),
        ("a:1", "", None),
        ("a:1", "a:1", None),
    ],
)
def test_what_a_run_got(asked: str, told: str, ran: str | None) -> None:
    assert what_ran(asked, told) == ran


def test_digests_and_repositories() -> None:
    assert digest_of(f"a@{DIGEST}") == digest_of(DIGEST) == DIGEST
    assert digest_of("a:1") is digest_of(None) is None
    assert (repository_of("h:1/a:b"), repository_of("h:1/a"), repository_of(f"a:1@{DIGEST}")) == ("h:1/a", "h:1/a", "a")
