"""The code of docs/guides, run as it stands there against a real Berth with real runs.

A fence says after its language what becomes of the block: `run`, `file=NAME` (written into the folder in which the
guide's other blocks run), `cluster` (run by tests/clusters/kubernetes/test_add_a_cluster.py and test_install.py), or
`not-run: why`.
Blocks of one guide run in order and share their names. In `console` blocks the lines after a `$ command` are what it
prints, where `…` stands for anything.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import berth
from app.trial.demo_server import DemoServer
from app.trial.embedded import find
from app.workloads.sample import make_sample

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
LANGUAGES = ("python", "console", "sh")
FENCE = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.M | re.S)
PROJECT = "guides"


@dataclass(frozen=True)
class Block:
    """A fenced block and where it stands."""

    guide: str
    line: int
    language: str
    info: str
    text: str

    @property
    def where(self) -> str:
        return f"docs/guides/{self.guide}:{self.line}"


def blocks_of(guide: Path) -> list[Block]:
    text = guide.read_text(encoding="utf-8")
    return [
        Block(guide.name, text.count("\n", 0, found.start()) + 1, *found.groups()) for found in FENCE.finditer(text)
    ]


BLOCKS = {guide.name: blocks_of(guide) for guide in sorted(GUIDES.glob("*.md"))}
EXECUTED = [name for name, blocks in BLOCKS.items() if any(block.info == "run" for block in blocks)]


def test_every_block_runs_or_says_why_not() -> None:
    unclear = [
        block.where
        for blocks in BLOCKS.values()
        for block in blocks
        if block.language in LANGUAGES and not re.fullmatch(r"run|cluster|file=[\w.-]+|not-run: \w.{5,}", block.info)
    ]
    assert unclear == [], "mark them ```python run, ```python file=NAME or ```sh not-run: why"
    assert "python.md" in EXECUTED


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """A Berth of its own, with a project for the guides."""
    folder = Path(tempfile.mkdtemp(prefix="berth-t-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BERTH_HOME", str(folder))
        with DemoServer(lambda _: None) as made, made.client() as client:
            client.projects.create(PROJECT)
            yield made
    servers = find(folder, folder)
    for each in (servers.postgres, servers.valkey):
        if each is not None:
            each.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("guide", EXECUTED)
def test_a_guide_does_what_it_says(
    guide: str, server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = server.environment(PROJECT)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name, value in (environment | {"PATH": path, "XDG_CONFIG_HOME": str(tmp_path / "config")}).items():
        monkeypatch.setenv(name, value)
    names: dict[str, object] = {"__name__": "guide"}
    try:
        for block in BLOCKS[guide]:
            execute(block, names)
    finally:
        for made in names.values():
            if isinstance(made, berth.Client):
                made.close()


def test_the_sample_runs_on_a_machine_with_nothing_installed(server: DemoServer) -> None:
    spec = make_sample().model_dump(mode="json", exclude_defaults=True)
    spec["script"] = spec["script"].replace("0.5 -", "0.0 -")  # as fast as it can
    with server.client() as client:
        run = client.runs.create(spec, project=PROJECT).wait(timeout="2m", raise_on_failure=True)
        loss = client.runs.metrics(run.id)["loss"]
        assert list(loss.steps) == list(range(1, 41))
        assert loss.last[-1] < loss.last[0] / 2, "it learns"
        assert run.progress == {"done": 40, "total": 40}
        assert [output.path for output in run.outputs()] == ["model.json"]


def execute(block: Block, names: dict[str, object]) -> None:
    if block.info.startswith("file="):
        Path(block.info.removeprefix("file=")).write_text(block.text, encoding="utf-8")
    elif block.info not in ("run", "cluster"):
        return
    elif block.language == "python":
        # Blank lines before it, so that a traceback names the line of the guide.
        exec(compile("\n" * block.line + block.text, block.where, "exec"), names)
    elif block.language == "console":
        run_session(block)
    else:
        run_shell(block, block.text)


def run_session(block: Block) -> None:
    """Each command of a console block, and whether it printed what the guide shows."""
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.M):
        printed = run_shell(block, command)
        if shown:
            pattern = ".*?".join(re.escape(part) for part in shown.rstrip().split("…"))
            assert re.fullmatch(pattern, printed.rstrip(), re.S), (block.where, command, printed)


def run_shell(block: Block, script: str) -> str:
    """What it prints; it must end with 0."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], text=True, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, (block.where, script, done.stdout, done.stderr)
    return done.stdout
