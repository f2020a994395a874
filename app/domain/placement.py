"""Which nodes of a cluster runs go to, as an administrator says it: labels to have, taints to tolerate. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_PART}"
_LABEL = re.compile(rf"({_KEY})=({_PART})?")
_TAINT = re.compile(rf"({_KEY})(?:=({_PART})?)?(?::(NoSchedule|NoExecute|PreferNoSchedule))?")
_STATES = "node.kubernetes.io/"
"""By such taints Kubernetes says that a node is out of order. To tolerate them would keep pods on lost nodes."""

Toleration = Mapping[str, str]


def read_selector(text: str) -> dict[str, str]:
    """Labels that a node must have, of "key=value, key=value". Raises ValueError."""
    found = {}
    for word in _words(text):
        match = _LABEL.fullmatch(word)
        if match is None:
            raise ValueError(word)
        found[match[1]] = match[2] or ""
    return found


def read_tolerations(text: str) -> tuple[Toleration, ...]:
    """Taints to tolerate, written as `kubectl taint` does: "key=value:NoSchedule, key". Without a value any is, and
    without an effect all are. Raises ValueError."""
    made = []
    for word in _words(text):
        match = _TAINT.fullmatch(word)
        if match is None or match[1].startswith(_STATES):
            raise ValueError(word)
        key, value, effect = match.groups()
        one = {"key": key, "operator": "Exists"} if "=" not in word else {"key": key, "value": value or ""}
        made.append(one | ({"effect": effect} if effect else {}))
    return tuple(made)


def gpu_toleration(resource: str) -> Toleration:
    """Of the taint by which nodes with GPUs are usually kept for pods that ask for one: it is named as they are."""
    return {"key": resource, "operator": "Exists"}


def is_of_pool(node: Mapping[str, Any], selector: Mapping[str, str], tolerations: Iterable[Toleration]) -> bool:
    """Whether pods with that selector and those tolerations may go to the node, a raw object of the API server.

    Taints that say that it is out of order for a moment do not count: what a pool has would come and go with them.
    """
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    tolerated = list(tolerations)
    taints = node.get("spec", {}).get("taints") or ()
    hard = [one for one in taints if one.get("effect") != "PreferNoSchedule" and not one["key"].startswith(_STATES)]
    return all(any(_tolerates(one, taint) for one in tolerated) for taint in hard)


def _tolerates(toleration: Toleration, taint: Mapping[str, Any]) -> bool:
    if toleration["key"] != taint["key"] or toleration.get("effect") not in (None, taint.get("effect")):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == (taint.get("value") or "")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
