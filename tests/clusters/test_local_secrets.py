"""Secrets on this machine: how a program gets them, that the log masks them, and that nothing of them stays."""

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clusters.base import ClusterRejected, SecretValues
from app.clusters.local_wrapper import private
from app.clusters.local_wrapper.capture import MAX_TEXT, Capture
from app.clusters.local_wrapper.folder import Folder
from app.services.run_tokens import run_token
from app.workloads.plans import RunPlan, SecretRef
from tests.clusters.world import MIB, World, wait_for

TOKEN, KEY = "canary-token-7c1d", "-----BEGIN KEY-----\nQ0FOQVJZS0VZMDAx\nQ0FOQVJZS0VZMDAy\n-----END KEY-----\n"
REFS = [SecretRef("HF", env="HF_TOKEN"), SecretRef("ssh", file="id"), SecretRef("HF", file="token")]
VALUES = SecretValues({"HF": TOKEN, "ssh": KEY})


def with_secrets(plan: RunPlan, refs: list[SecretRef] = REFS) -> RunPlan:
    return dataclasses.replace(plan, secrets=refs)


def left_in(folder: Path) -> list[str]:
    """Files of the attempt that hold a value."""
    canaries = [TOKEN.encode(), b"Q0FOQVJZS0VZMDAx"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(str(p.relative_to(folder)) for p in files if any(c in p.read_bytes() for c in canaries))


def test_a_program_gets_them_and_nothing_is_left(any_world: World) -> None:
    program = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["BERTH_SECRETS"])
print("modes", oct(folder.stat().st_mode & 0o777), sorted({oct(p.stat().st_mode & 0o777) for p in folder.iterdir()}))
print("token", os.environ["HF_TOKEN"], (folder / "token").read_text() == os.environ["HF_TOKEN"])
print((folder / "id").read_text())
pathlib.Path(os.environ["BERTH_OUTPUT"], "kept").write_text((folder / "id").read_text())
sys.stderr.write("RuntimeError: refused for " + os.environ["HF_TOKEN"])
sys.exit(1)
"""
    plan = with_secrets(any_world.plan(program))
    any_world.cluster.start(plan, VALUES)
    replica = any_world.wait_end(plan)
    lines = any_world.text(plan).split("\n")
    assert lines[0] == "modes 0o700 ['0o600']"
    assert lines[1] == "token *** True"
    assert lines[2:6] == ["-----BEGIN KEY-----", "***", "***", "-----END KEY-----"]
    assert replica.first_error == "RuntimeError: refused for ***"
    folder = any_world.folder(plan)
    assert (folder / "output" / "kept").read_text() == KEY
    assert left_in(folder) == ["output/kept"]
    assert not (folder / private.FILES).exists()
    assert not (folder / private.VALUES).exists()


def test_a_repeated_start_finds_the_same_plan_also_with_other_values(world: World) -> None:
    plan = with_secrets(world.plan("import os, time; print('ready'); time.sleep(60)"))
    world.cluster.start(plan, VALUES)
    world.wait_line(plan, "ready")
    folder = world.folder(plan)
    assert not (folder / private.VALUES).exists(), "nothing needs it once the program has begun"
    world.new_cluster().start(plan, SecretValues({"HF": "replaced meanwhile", "ssh": "x"}))
    world.new_cluster().start(plan, SecretValues(missing={"HF": "it was deleted"}))
    assert not (folder / private.VALUES).exists()
    world.cluster.stop(plan.run_id, plan.attempt, 0)
    world.wait_end(plan)
    assert not (folder / private.FILES).exists()


def test_what_cannot_be_had_is_a_refusal_that_names_it(world: World) -> None:
    plan = with_secrets(world.plan("print('never')"))
    with pytest.raises(ClusterRejected, match="the secret HF cannot be given to it: it was deleted"):
        world.cluster.start(plan, SecretValues({"ssh": KEY}, {"HF": "it was deleted"}))
    assert left_in(world.folder(plan)) == []
    world.cluster.stop(plan.run_id, plan.attempt, 0)
    world.wait_end(plan)


def test_values_that_wait_for_a_program_that_never_began_go_with_its_end(world: World) -> None:
    plan = with_secrets(world.plan("print('never')"))
    folder = world.folder(plan)
    world.cluster._write_plan(Folder(str(folder)), plan)
    world.cluster._leave_secrets(Folder(str(folder)), plan, VALUES)
    assert (folder / private.VALUES).stat().st_mode & 0o777 == 0o600
    assert left_in(folder) == [private.VALUES]
    world.cluster.stop(plan.run_id, plan.attempt, 0)
    world.wait_end(plan)
    assert left_in(folder) == []


def test_a_killed_wrapper_leaves_nothing_either(world: World) -> None:
    plan = with_secrets(world.plan("import time; print('ready', flush=True); time.sleep(60)"))
    world.cluster.start(plan, VALUES)
    world.wait_line(plan, "ready")
    folder = Folder(str(world.folder(plan)))
    assert left_in(world.folder(plan)) == ["secrets/id", "secrets/token"]
    wrapper = folder.read("wrapper.lock")
    assert wrapper is not None
    Path("/proc", str(wrapper["pid"])).exists()
    import os
    import signal

    os.kill(wrapper["pid"], signal.SIGKILL)
    assert wait_for(lambda: (status := world.status(plan)) and status.gone)
    assert left_in(world.folder(plan)) == []


def test_values_are_not_shown_or_serialised() -> None:
    assert TOKEN not in repr(VALUES) + str(VALUES) + f"{VALUES}"
    with pytest.raises(TypeError):
        pickle.dumps(VALUES)


def written(tmp_path: Path, pieces: list[bytes], masks: list[bytes]) -> bytes:
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    capture = Capture(str(path), 64 * MIB, masks)
    for piece in pieces:
        capture.feed(b"o", piece)
    capture.close()
    return b"".join(line.split(b" ", 2)[2] for line in path.read_bytes().split(b"\n")[:-1])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_however_it_is_cut_a_value_is_masked(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also in lines beyond what one record holds, and wherever a read ends."""
    before = data.draw(st.sampled_from([0, 10, MAX_TEXT - 20, MAX_TEXT - 3, MAX_TEXT, MAX_TEXT + 5, 2 * MAX_TEXT - 7]))
    text = b"." * before + TOKEN.encode() + b"," * data.draw(st.integers(0, 50)) + TOKEN.encode() + b"end"
    cuts = sorted([*data.draw(st.lists(st.integers(0, len(text)), max_size=4)), before + 5])
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    log = written(tmp_path_factory.getbasetemp(), pieces, [TOKEN.encode()])
    assert TOKEN.encode() not in log
    assert log == text.replace(TOKEN.encode(), b"***")


def test_what_is_masked() -> None:
    values = {"short": "1234567", "long": "12345678", "newline": "with-newline\n", "lines": "a\nlonger line\r\nb\n"}
    assert private.masks(values) == [b"with-newline", b"longer line", b"12345678"]
    assert private.masks({"a": "abcdefgh", "b": "abcdefghij"}) == [b"abcdefghij", b"abcdefgh"], "the longest first"


def test_the_runs_own_token_is_masked(world: World) -> None:
    plan = world.plan('import os, sys; print(dict(os.environ)); sys.exit("no: " + os.environ["BERTH_TOKEN"])')
    token = run_token(plan.run_id, 1)
    plan.env["BERTH_TOKEN"] = token
    world.cluster.start(plan)
    replica = world.wait_end(plan)
    assert "'BERTH_TOKEN': '***'" in world.text(plan)
    assert token not in world.text(plan)
    assert replica.first_error == "no: ***"
