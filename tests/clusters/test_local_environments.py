"""Environments from requirements, and snapshots that should not be unpacked. All of it works offline."""

import base64
import hashlib
import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

from app.clusters import local_files
from tests.clusters.world import World

NAME = "hello-7.1-py3-none-any.whl"


def make_wheel(text: str) -> bytes:
    """A wheel with one module and one command."""
    info = "hello-7.1.dist-info"
    files = {
        "hello.py": f"TEXT = {text!r}\ndef main():\n    print('said', TEXT)\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: hello\nVersion: 7.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nhello = hello:main\n",
    }
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def snapshot(world: World, text: str, program: str = "import hello\nprint(hello.TEXT)\n") -> str:
    return world.upload({"requirements.txt": f"./{NAME}\n", NAME: make_wheel(text), "main.py": program})


def test_an_environment_is_made_once_and_kept(any_world: World) -> None:
    digest = snapshot(any_world, "one")
    plans = [
        any_world.plan(
            snapshot_digest=digest, project_id="p", python=None, requirements="requirements.txt", command=command
        )
        for command in (["python", "main.py"], ["hello"], ["python", "main.py"])
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(any_world.cluster.start, plans))
    for plan in plans:
        assert any_world.wait_end(plan).exit_code == 0, any_world.text(plan)
    texts = [any_world.text(plan) for plan in plans]
    assert sum("Makes an environment from requirements.txt" in text for text in texts) == 1
    assert "said one" in texts[1]
    assert ("o", "one") in any_world.log(plans[2])
    assert len(list((any_world.home / "local" / "venvs").glob("*/berth-ready"))) == 1


def test_the_same_words_in_another_snapshot_are_another_environment(world: World) -> None:
    for text in ("one", "two"):
        plan = world.plan(snapshot_digest=snapshot(world, text), project_id="p", requirements="requirements.txt")
        assert world.run(plan).exit_code == 0, world.text(plan)
        assert world.log(plan)[-1] == ("o", text)


def test_an_empty_file_makes_an_empty_environment(world: World) -> None:
    files: dict[str, str | bytes] = {"requirements.txt": "# nothing\n", "main.py": "import sys\nprint(sys.prefix)"}
    plan = world.plan(snapshot_digest=world.upload(files), project_id="p", requirements="requirements.txt")
    assert world.run(plan).exit_code == 0, world.text(plan)
    assert world.log(plan)[-1][1].startswith(f"{world.home}/local/venvs/")


def test_what_cannot_be_installed_is_said(world: World) -> None:
    files: dict[str, str | bytes] = {"requirements.txt": "./missing-1.0-py3-none-any.whl\n", "main.py": "print(1)"}
    plan = world.plan(snapshot_digest=world.upload(files), project_id="p", requirements="requirements.txt")
    replica = world.run(plan)
    assert replica.cause == "start_failed"
    assert "requirements.txt" in replica.message
    assert any(stream == "b" and "missing" in text for stream, text in world.log(plan))
    plan = world.plan("print(1)", requirements="nothing.txt")
    assert "nothing.txt" in world.run(plan).message
    plan = world.plan("print(1)", requirements="../../../../../../etc/passwd")
    assert "not one of the run's files" in world.run(plan).message


def test_a_stop_ends_the_preparation(world: World) -> None:
    """The package's own set-up would take a minute."""
    files: dict[str, str | bytes] = {"requirements.txt": "fifo.txt\n", "main.py": "print(1)"}
    plan = world.plan(snapshot_digest=world.upload(files), project_id="p", requirements="requirements.txt")
    world.cluster.start(plan)
    world.cluster.stop(plan.run_id, 1, 30)
    replica = world.wait_end(plan)
    assert (replica.cause, replica.exit_code) == ("stopped", None)


def test_a_snapshot_that_leads_outside_is_refused(any_world: World) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("../../escaped")
        tar.addfile(member, io.BytesIO())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    any_world.archives[digest] = buffer.getvalue()
    plan = any_world.plan(snapshot_digest=digest, project_id="p", command=["true"])
    replica = any_world.run(plan)
    assert replica.cause == "start_failed"
    assert "'../../escaped' is not a path inside the archive" in replica.message
    assert not list(any_world.home.glob("**/escaped"))


def test_environments_that_nobody_asked_for_in_a_month_are_removed(world: World) -> None:
    files: dict[str, str | bytes] = {
        "requirements.txt": "",
        "main.py": "import time\nprint('begun', flush=True)\ntime.sleep(600)",
    }
    used = world.plan(snapshot_digest=world.upload(files), project_id="p", requirements="requirements.txt")
    world.cluster.start(used)
    world.wait_line(used, "begun")
    venvs = world.home / "local" / "venvs"
    for name in ("old", "young"):
        (venvs / name).mkdir()
        (venvs / f"{name}.lock").touch()
        (venvs / name / "berth-ready").touch()
    for ready in venvs.glob("*/berth-ready"):
        if ready.parent.name != "young":
            os.utime(ready, (0, 0))
    local_files.prune(world.home / "local")
    left = {path.name for path in venvs.iterdir() if path.is_dir()}
    assert len(left) == 2, "the one in use and the young one"
    assert "young" in left


def test_a_wheel_of_the_snapshot_is_not_a_name_of_the_index(world: World) -> None:
    """Also where it is written like one, without "./": other snapshots and projects have others by that name."""
    for project, text in (("p", "one"), ("p", "two"), ("q", "three")):
        files: dict[str, str | bytes] = {"requirements.txt": f"{NAME}\n", NAME: make_wheel(text)}
        files["main.py"] = "import hello\nprint(hello.TEXT)\n"
        plan = world.plan(snapshot_digest=world.upload(files), project_id=project, requirements="requirements.txt")
        assert world.run(plan).exit_code == 0, world.text(plan)
        assert world.log(plan)[-1] == ("o", text)


def test_an_environment_belongs_to_one_project(world: World) -> None:
    files: dict[str, str | bytes] = {"requirements.txt": "", "main.py": "import sys\nprint(sys.prefix)"}
    digest = world.upload(files)
    for project in ("p", "q"):
        plan = world.plan(snapshot_digest=digest, project_id=project, requirements="requirements.txt")
        assert world.run(plan).exit_code == 0, world.text(plan)
    assert len(list((world.home / "local" / "venvs").glob("*/berth-ready"))) == 2
