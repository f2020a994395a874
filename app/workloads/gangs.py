"""What several replicas of one attempt know of each other: their numbers, their names, and the way between them.

Each has a stable name, "<run>-<attempt>-<index>.<run>-<attempt>": the host name that an indexed Job gives its pod, in
the domain of a headless Service of the attempt's own. Pure.
"""

from collections.abc import Collection, Mapping
from typing import Any

Manifest = dict[str, Any]

PORT = 29500
"""Where the first replica is expected to listen: the usual port of torch. A headless Service forwards nothing, so that
any other can be used."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation by which Kubernetes says the replica of an indexed Job's pod."""


def peers(name: str, replicas: int) -> list[str]:
    """The names of all replicas of the attempt's object, in the order of their numbers. Any pod of the namespace
    resolves them."""
    return [f"{name}-{index}.{name}" for index in range(replicas)]


def environment(name: str, replicas: int, taken: Collection[str]) -> list[Manifest]:
    """The variables by which a replica finds the others. Of those that torch reads, the ones in `taken` are the
    program's own and are left alone."""
    names = peers(name, replicas)
    torch: list[Manifest] = [
        {"name": "MASTER_ADDR", "value": names[0]},
        {"name": "MASTER_PORT", "value": str(PORT)},
        number("RANK"),
        {"name": "WORLD_SIZE", "value": str(replicas)},
    ]
    own = [number("BERTH_REPLICA"), {"name": "BERTH_PEERS", "value": ",".join(names)}]
    return own + [one for one in torch if one["name"] not in taken]


def number(variable: str) -> Manifest:
    """A variable with the replica's number, which Kubernetes fills in."""
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}}


def build_service(metadata: Manifest, selector: Mapping[str, str]) -> Manifest:
    """The headless Service that gives the pods their names, from before they are ready: they look for each other."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": dict(selector),
            "ports": [{"name": "peers", "port": PORT}],
        },
    }


def build_policy(metadata: Manifest, selector: Mapping[str, str]) -> Manifest:
    """The way between them, on all ports, in a namespace that lets nobody in."""
    each_other = {"podSelector": {"matchLabels": dict(selector)}}
    spec = {
        "podSelector": {"matchLabels": dict(selector)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [each_other]}],
        "egress": [{"to": [each_other]}],
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
