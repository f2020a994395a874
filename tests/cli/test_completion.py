"""What Tab offers: by words alone, in the real shells, and with runs and projects of a server."""

import shutil
import subprocess
import sys

import pytest

from berth.cli.completion import offer
from tests.cli.conftest import Cli, World

IN_SHELLS = {
    "bash": 'source <(berth completion bash); COMP_WORDS=(berth run sh); COMP_CWORD=2; _berth; echo "${COMPREPLY[@]}"',
    "zsh": "compdef() {}; _describe() { print -- ${found%%:*} }; source <(berth completion zsh);"
    " words=(berth run sh); CURRENT=3; _berth",
    "fish": "berth completion fish | source; complete -C 'berth run sh' | string split -f1 \\t",
}


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("", ["run", "project", "completion"], ["words"]),
        ("ru", ["run"], ["project"]),
        ("run ", ["submit", "ls", "open"], ["run"]),
        ("run s", ["submit", "show", "stop"], ["ls"]),
        ("run submit --me", ["--memory"], ["--cpu"]),
        ("token create ci --scope ", ["read", "write", "admin"], []),
        ("admin user ", ["ls"], ["user"]),
        ("completion ", ["bash", "zsh", "fish"], []),
        ("nothing ", [], ["run"]),
        ("run submit -- py", [], ["project"]),
    ],
)
def test_words(line: str, some: list[str], none: list[str]) -> None:
    found = {word for word, _ in offer(line.split(" "))}
    assert set(some) <= found
    assert not found & set(none)


@pytest.mark.parametrize("shell", IN_SHELLS)
def test_in_a_real_shell(cli: Cli, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    environment = cli.environment | {"PATH": f"{sys.prefix}/bin:{cli.environment['PATH']}"}
    done = subprocess.run(
        [shell, "-c", IN_SHELLS[shell]], capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["show"], "")


def test_runs_and_projects_of_the_server(world: World) -> None:
    run = world.make_run()
    offered = [world.cli("completion", "words", "--", *words).stdout for words in (["run", "show", "r-"], _PROJECTS)]
    assert offered == [f"{run.public_id}\tqueued {run.name}\n", "vision\t\n"]
    world.web.stop()
    try:
        assert world.cli("completion", "words", "--", *_PROJECTS).stdout == "vision\t\n", "kept for a while"
        assert world.cli("completion", "words", "--", "run", "ls", "-P", "vision", "r").stdout == ""
    finally:
        world.web.start()


_PROJECTS = ["run", "ls", "--project", ""]


def test_open_prints_the_address(world: World) -> None:
    run = world.make_run()
    assert world.cli("run", "open", run.public_id).stdout == f"{world.web.url}/r/{run.public_id}\n"
    assert world.cli.json("run", "open", "@last", "--json=id") == {"id": run.public_id}
    world.cli("run", "open", "r-2222222222", code=5)
