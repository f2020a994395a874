"""What can ever start in a pool, by its nodes."""

import json

import pytest

from app.domain.pool_sizes import Node, Obstacle, PoolSize, facts_of, largest
from app.domain.quota import Resources

GIB = 1 << 30


def _of(cpu: int, memory: int = 1, gpus: int = 0) -> Resources:
    return Resources(cpu * 1000, memory * GIB, gpus)


def _pool(*nodes: Node) -> PoolSize:
    """As it is read back from a cluster's facts."""
    total = sum((node.room for node in nodes), Resources())
    open_total = sum((node.room for node in nodes if not node.is_for_gpus), Resources())
    return PoolSize.of(total, json.loads(json.dumps(facts_of(nodes, open_total))))


SMALL, LARGE = Node(_of(2, 8)), Node(_of(64, 256, 8), is_for_gpus=True)
MIXED = _pool(SMALL, LARGE, LARGE)


@pytest.mark.parametrize(
    ("pool", "asked", "replicas", "obstacle"),
    [
        (MIXED, _of(2, 8), 1, None),
        (MIXED, _of(64, 256, 8), 1, None),
        (MIXED, _of(128, 512, 16), 2, None),
        # Nodes for GPUs do not count for a run without.
        (MIXED, _of(64), 1, Obstacle(_of(64), _of(2, 8), _of(2), is_of_node=True)),
        (MIXED, _of(4, 2), 2, Obstacle(_of(4, 2), _of(2, 8), _of(1), is_of_node=False)),
        # The sum has it, and no node.
        (MIXED, _of(4, 4, 12), 1, Obstacle(_of(4, 4, 12), _of(64, 256, 8), _of(4, 4, 8), is_of_node=True)),
        (_pool(SMALL, SMALL), _of(4), 1, Obstacle(_of(4), _of(2, 8), _of(2), is_of_node=True)),
        # All of it on the same node.
        (
            _pool(Node(_of(8, 8)), Node(_of(2, 64))),
            _of(8, 64),
            1,
            Obstacle(_of(8, 64), _of(8, 8), _of(8, 8), is_of_node=True),
        ),
        (_pool(Node(_of(8, 8)), Node(_of(2, 64))), _of(2, 64), 1, None),
        # GPUs without a taint are for all.
        (_pool(Node(_of(64, 256, 8))), _of(64), 1, None),
        (_pool(LARGE), _of(99), 1, Obstacle(_of(99), Resources(), _of(64, 1, 1), is_of_node=True)),
        # Enough nodes for one replica, not for all.
        (_pool(SMALL, SMALL), _of(6, 3), 3, Obstacle(_of(6, 3), _of(4, 16), Resources(1333, GIB), is_of_node=False)),
        # No nodes are known: this machine, and a cluster that no release looked at that tells of them.
        (PoolSize(_of(4, 16)), _of(4), 1, None),
        (PoolSize(_of(4, 16)), _of(5), 1, Obstacle(_of(5), _of(4, 16), _of(4), is_of_node=False)),
        (PoolSize.of(_of(4, 16), {"version": "v1.34.1"}), _of(4), 1, None),
    ],
)
def test_what_never_starts(pool: PoolSize, asked: Resources, replicas: int, obstacle: Obstacle | None) -> None:
    assert pool.obstacle(asked, replicas) == obstacle


def test_only_the_largest_nodes_are_kept() -> None:
    open_large = Node(LARGE.room)
    assert largest([SMALL, SMALL, Node(_of(1, 8)), LARGE]) == [SMALL, LARGE]
    assert largest([LARGE, SMALL, open_large]) == [open_large]
    line = [Node(_of(number, 99 - number)) for number in range(60)]
    assert largest(line[:50]) == line[:50]
    assert largest(line) == []
