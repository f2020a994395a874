"""What an attempt says of the environment that its program runs in."""

import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.clusters import local_files
from app.domain.capsule import read_environment
from berth import __version__
from tests.clusters.test_local_environments import snapshot
from tests.clusters.world import World, wait_for


def told(world: World, plan: Any) -> dict[str, Any]:
    found = world.cluster.environment(plan.run_id, plan.attempt)
    assert found is not None
    return found


def test_a_run_says_its_interpreter_and_packages(any_world: World) -> None:
    plan = any_world.plan("print('hello')")
    assert any_world.run(plan).exit_code == 0
    status = any_world.status(plan)
    assert status is not None
    assert status.described
    found = told(any_world, plan)
    environment = read_environment(found)
    assert environment.version == sys.version.split()[0]
    assert Path(environment.interpreter).name.startswith("python")
    assert dict(environment.packages)["pydantic"] == version("pydantic")
    assert found["platform"] == {"berth": __version__, "machine": os.uname().machine, "os": found["platform"]["os"]}
    # The second asks nobody: what is known is there before the program begins.
    again = any_world.plan("import time; time.sleep(60)")
    any_world.cluster.start(again)
    wait_for(lambda: (any_world.folder(again) / "started.json").exists() or None)
    assert read_environment(told(any_world, again)) == environment
    any_world.cluster.stop(again.run_id, 1, 0)
    any_world.wait_end(again)


def test_an_environment_of_requirements_is_told(world: World) -> None:
    digest = snapshot(world, "one")
    plan = world.plan(snapshot_digest=digest, project_id="p", python=None, requirements="requirements.txt")
    assert world.run(plan).exit_code == 0
    assert dict(read_environment(told(world, plan)).packages) == {"hello": "7.1"}


def test_what_is_installed_later_is_seen(world: World) -> None:
    digest = snapshot(world, "one")
    plan = world.plan(snapshot_digest=digest, project_id="p", python=None, requirements="requirements.txt")
    world.run(plan)
    (site,) = (world.home / "local" / "venvs").glob("*/lib/python*/site-packages")
    info = site / "later-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Later\nVersion: 1.0\n")
    again = world.plan(snapshot_digest=digest, project_id="p", python=None, requirements="requirements.txt")
    world.run(again)
    assert dict(read_environment(told(world, again)).packages) == {"hello": "7.1", "later": "1.0"}
    kept = world.home / "local" / "environments"
    assert list(kept.iterdir())
    for path in kept.iterdir():
        os.utime(path, (0, 0))
    local_files.prune(world.home / "local")
    assert not list(kept.iterdir())


def test_a_program_that_is_no_python_says_so(any_world: World) -> None:
    for number, script in enumerate(("echo '[1'", "head -c 3000000 /dev/zero", "exit 3", "echo '{\"packages\": 1}'")):
        folder = any_world.home / f"odd{number}" / "bin"
        folder.mkdir(parents=True)
        python = folder / "python"
        python.write_text(f'#!/bin/sh\ncase "$1" in -I) {script};; *) echo ran;; esac\n')
        python.chmod(0o755)
        plan = any_world.plan(python=str(python), command=["python", "main.py"])
        assert any_world.run(plan).exit_code == 0, any_world.text(plan)
        found = told(any_world, plan)
        assert found["interpreter"] == str(python)
        assert "no Python" in found["note"]
        assert read_environment(found).packages == ()


def test_an_interpreter_that_hangs_holds_nothing_up(world: World) -> None:
    folder = world.home / "slow" / "bin"
    folder.mkdir(parents=True)
    python = folder / "python"
    python.write_text('#!/bin/sh\ncase "$1" in -I) sleep 600;; *) echo ran;; esac\n')
    python.chmod(0o755)
    plan = world.plan(python=str(python), command=["python", "main.py"])
    began = time.monotonic()
    world.cluster.start(plan)
    world.wait_line(plan, "ran")
    assert time.monotonic() - began < 2
    assert world.wait_end(plan).exit_code == 0
    assert time.monotonic() - began < 10
    assert told(world, plan)["note"] == "The interpreter did not answer in time."
    assert not [line for line in Path("/proc").glob("[0-9]*/cmdline") if b"slow/bin/python" in _read(line)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
