"""`berth run capsule`, `run diff` and `run rerun --exact` against the real server."""

import hashlib

from tests.cli.conftest import World


def submit(world: World, *arguments: str) -> str:
    return world.cli("run", "submit", "--no-snapshot", "--quiet", *arguments, "--", "train").stdout.strip()


def test_what_a_run_was(world: World) -> None:
    run = submit(world, "--param", "lr=0.1")
    found = world.cli.json("run", "capsule", run, "--json")
    assert found["sha256"] == hashlib.sha256(found["canonical"].encode()).hexdigest()
    assert world.cli("run", "capsule", run, "--quiet").stdout.strip() == found["sha256"]
    assert found["sha256"] in world.cli("run", "capsule", run).stdout
    assert world.cli.json("run", "capsule", "@last", "--json=sha256,recorded")["recorded"] is True
    old = world.make_run().public_id
    assert "older than capsules" in world.cli("run", "capsule", old).stderr
    assert "NOT_FOUND" in world.cli("run", "capsule", "r-2222222222", code=5).stderr


def test_again_exactly(world: World) -> None:
    run = submit(world, "--param", "lr=0.1", "--cpu", "2")
    again = world.cli("run", "rerun", "--exact", run, "--quiet").stdout.strip()
    hashes = {world.cli("run", "capsule", key, "--quiet").stdout for key in (run, again)}
    assert len(hashes) == 1
    assert world.cli.json("run", "show", again, "--json=parent")["parent"] == run
    old = world.make_run().public_id
    refused = world.cli("run", "rerun", "--exact", old, code=6)
    assert "RUN_NOT_REPEATABLE" in refused.stderr
    assert "older than capsules" in refused.stderr


def test_what_differs(world: World) -> None:
    first, second = submit(world, "--param", "lr=0.1"), submit(world, "--param", "lr=1.0", "--cpu", "2")
    done = world.cli("run", "diff", first, second)
    assert done.stdout == "parameters\tParameters: lr 0.1 → 1.0\nresources\tResources: cpu 1 → 2\n"
    found = world.cli.json("run", "diff", first, second, "--json=differences")
    assert [one["part"] for one in found["differences"]] == ["parameters", "resources"]
    same = world.cli("run", "diff", first, world.cli("run", "rerun", first, "--quiet").stdout.strip())
    assert (same.stdout, "Nothing differs" in same.stderr) == ("", True)
    assert "RUNS_NOT_FOUND" in world.cli("run", "diff", first, "r-2222222222", code=5).stderr
    assert world.cli("run", "diff", first, code=2).stderr
