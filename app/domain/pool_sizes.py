"""What the nodes of a pool can hold at most, so that nothing waits for what there is not. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.quota import Resources

_MOST_NODES = 50


@dataclass(frozen=True)
class Node:
    """What one run may have of a node at most. One that `is_for_gpus` takes only runs that ask for some."""

    room: Resources
    is_for_gpus: bool = False

    def takes_all_of(self, other: "Node") -> bool:
        """Whether it takes whatever the other takes."""
        return other.room.fits(self.room) and (other.is_for_gpus or not self.is_for_gpus)


@dataclass(frozen=True)
class Obstacle:
    """Why a run never starts: `asked` is more than `room`. That is of one replica and the node that is nearest to it
    where it `is_of_node`, else of all replicas and the pool. `nearest` is what one replica could have."""

    asked: Resources
    room: Resources
    nearest: Resources
    is_of_node: bool


@dataclass(frozen=True)
class PoolSize:
    """`total` is what all nodes have together, `open_total` those that take runs without GPUs. `nodes` are the largest
    as `largest` has them; where they are not known there are none, and a run need only fit into the total."""

    total: Resources
    open_total: Resources | None = None
    nodes: Sequence[Node] = ()

    @classmethod
    def of(cls, total: Resources, facts: dict[str, Any]) -> "PoolSize":
        """With what `facts_of` told of its cluster, if anything."""
        nodes = tuple(Node(Resources(*room), is_for_gpus) for *room, is_for_gpus in facts.get("largest_nodes", ()))
        return cls(total, Resources(*facts["open_total"]) if "open_total" in facts else None, nodes)

    def obstacle(self, asked: Resources, replicas: int) -> Obstacle | None:
        """What keeps a run from ever starting, None where it fits. `asked` is for all of its replicas."""
        one = asked // replicas
        total = self.open_total if self.open_total is not None and not one.gpus else self.total
        nodes = [node for node in self.nodes if one.gpus or not node.is_for_gpus]
        if self.nodes and not nodes:
            with_gpu = replace(one, gpus=1)
            nearest = with_gpu.capped(_nearest(with_gpu, self.nodes)).capped(self.total // replicas)
            return Obstacle(one, Resources(), nearest, is_of_node=True)
        share = one.capped(total // replicas)
        if nodes and not one.fits(room := _nearest(one, nodes)):
            return Obstacle(one, room, share.capped(room), is_of_node=True)
        return None if asked.fits(total) else Obstacle(asked, total, share, is_of_node=False)


def _nearest(one: Resources, nodes: Iterable[Node]) -> Resources:
    """The room of the node that lacks least: GPUs first, which are scarcest, then CPU, then memory."""

    def lack(room: Resources) -> tuple[int, int, int]:
        missing = one.shortfall(room)
        return missing.gpus, missing.cpu_millis, missing.memory_bytes

    return min((node.room for node in nodes), key=lack)


def largest(nodes: Iterable[Node]) -> list[Node]:
    """Those that tell what fits on any: without each that takes nothing that another does not. None where these are
    too many to be kept."""
    kept: list[Node] = []
    for node in nodes:
        if not any(other.takes_all_of(node) for other in kept):
            kept = [other for other in kept if not node.takes_all_of(other)] + [node]
    return kept if len(kept) <= _MOST_NODES else []


def facts_of(nodes: Sequence[Node], open_total: Resources) -> dict[str, Any]:
    """What is kept of a cluster's usable nodes for `PoolSize.of`."""
    return {
        "largest_nodes": [[*_numbers(node.room), node.is_for_gpus] for node in largest(nodes)],
        "open_total": _numbers(open_total),
    }


def _numbers(room: Resources) -> list[int]:
    return [room.cpu_millis, room.memory_bytes, room.gpus]
