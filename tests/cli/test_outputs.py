"""`berth output` against a real server: listing, fetching, going on after a break, names that would leave."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from app import db
from app.models import Output, Run
from app.stores import objects
from berth.errors import BerthError
from berth.outputs import target_of
from tests.cli.conftest import World

BIG = bytes(range(256)) * 4096


def leave(world: World, run: Run, path: str, content: bytes, **values: Any) -> str:
    key = objects.output_key(world.project.id, run.id, 1, path)
    objects.of(world.project.id).put(key, content)
    digest = hashlib.sha256(content).hexdigest()
    row = {"path": path, "attempt": 1, "bytes": len(content), "sha256": digest, "object_key": key} | values
    with db.unit_of_work() as session:
        session.add(Output(run_id=run.id, **row))
    return digest


@pytest.fixture
def run(world: World) -> Run:
    return world.make_run(state="succeeded")


def test_folders_are_listed(world: World, run: Run) -> None:
    leave(world, run, "plots/a.png", b"123")
    leave(world, run, "model.bin", b"12345")
    rows = world.cli.json("output", "ls", run.public_id, "--json=kind,path,bytes")
    assert rows == [
        {"kind": "folder", "path": "plots", "bytes": 3},
        {"kind": "file", "path": "model.bin", "bytes": 5},
    ]
    assert world.cli("output", "ls", run.public_id, "plots").stdout.startswith("plots/a.png\t3\t")
    assert len(world.cli("output", "ls", run.public_id, "-r").stdout.splitlines()) == 2
    world.cli("output", "ls", run.public_id, "nothing", code=5)


def test_what_was_begun_is_gone_on_with(world: World, run: Run) -> None:
    digest = leave(world, run, "model.bin", BIG)
    into = world.cli.folder / "out"
    into.mkdir()
    (into / f".model.bin.{digest[:16]}.part").write_bytes(BIG[:700_000])
    assert world.cli("output", "get", run.public_id, "-o", "out").stdout == "out/model.bin\n"
    assert (into / "model.bin").read_bytes() == BIG
    assert [path.name for path in into.iterdir()] == ["model.bin"]


def test_a_beginning_that_is_wrong_is_noticed_and_thrown_away(world: World, run: Run) -> None:
    digest = leave(world, run, "model.bin", BIG)
    part = world.cli.folder / f".model.bin.{digest[:16]}.part"
    part.write_bytes(b"x" * 1000)
    assert "damaged" in world.cli("output", "get", run.public_id, code=8).stderr
    assert not part.exists()
    world.cli("output", "get", run.public_id)
    assert (world.cli.folder / "model.bin").read_bytes() == BIG
    part.write_bytes(BIG + b"longer")
    world.cli("output", "get", run.public_id)


def test_nothing_is_written_outside(world: World, run: Run) -> None:
    outside = world.cli.folder / "outside"
    outside.mkdir()
    (world.cli.folder / "out").mkdir()
    (world.cli.folder / "out/link").symlink_to(outside)
    leave(world, run, "link/file", b"x")
    assert "UNSAFE_PATH" in world.cli("output", "get", run.public_id, "-o", "out", code=1).stderr
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", "a\0b", "..\\x"])
def test_names_that_would_leave_are_refused(path: str) -> None:
    with pytest.raises(BerthError, match="leaves"):
        target_of(path, Path("out"))


def test_removed_files_are_told_and_left_out(world: World, run: Run) -> None:
    leave(world, run, "kept", b"1")
    leave(world, run, "gone", b"2", removed_at="2026-01-02T00:00:00Z", removed_by={"keep_days": 30})
    assert world.cli("output", "get", run.public_id).stdout == "kept\n"
    assert "OUTPUT_REMOVED" in world.cli("output", "get", run.public_id, "gone", code=5).stderr
    assert "2026-01-02" in world.cli("output", "ls", run.public_id).stdout
    assert "2026-01-02" in world.cli("run", "outputs", run.public_id).stdout


def test_all_but_the_lost_files_are_fetched(world: World, run: Run) -> None:
    for path in ("a", "d/b", "d/c", "e"):
        leave(world, run, path, path.encode())
    objects.of(world.project.id).delete(objects.output_key(world.project.id, run.id, 1, path) for path in ("a", "d/c"))
    done = world.cli("output", "get", run.public_id, "-o", "dl", code=5)
    assert done.stdout == "dl/d/b\ndl/e\n"
    assert f"lost outputs of {run.public_id}: 2 of 4; all others were written (OUTPUT_LOST)" in done.stderr
    assert "  a: is recorded, but is not in the object store\n  d/c: is" in done.stderr
    assert sorted(path.name for path in (world.cli.folder / "dl").rglob("*") if path.is_file()) == ["b", "e"]
    assert "  d/c: is recorded" in world.cli("output", "get", run.public_id, "d/c", code=5).stderr


def test_rules(world: World) -> None:
    assert "all outputs stay" in world.cli("output", "retention", "show").stderr
    world.cli("output", "retention", "set", "--days", "30", "--tag", "best", "--tag", "prod", "--experiment", "digits")
    said = world.cli("output", "retention", "preview", "--days", "30", "--experiment", "digitss").stderr
    assert said == "note: No run is in experiment digitss.\nwould remove 0 runs, 0 files, 0 B\n"
    assert "note: No run has the tag best.\nnote:" in world.cli("output", "retention", "show").stderr
    rules = world.cli.json("output", "retention", "show", "--json=keep_days,keep_tags,keep_experiments,notice_hours")
    kept = {"keep_tags": ["best", "prod"], "keep_experiments": ["digits"]}
    assert rules == {"keep_days": 30, **kept, "notice_hours": 24}
    assert "would remove 0 runs" in world.cli("output", "retention", "preview").stderr
    assert "keep_days" in world.cli("output", "retention", "set", "--days", "0", code=2).stderr
