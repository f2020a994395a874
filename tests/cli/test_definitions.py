"""`berth job …` against the real web process, and the guide about it, carried out as it stands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import berth
from berth.definitions import read_parameters
from tests.cli.conftest import World

GUIDE = Path(__file__).parents[2] / "docs/guides/jobs.md"


def test_the_guide_can_be_followed(world: World) -> None:
    guide = GUIDE.read_text()
    [yaml] = re.findall(r"```yaml file=greet.yaml\n(.*?)```", guide, re.DOTALL)
    (world.cli.folder / "greet.yaml").write_text(yaml)
    commands = [line.split("#")[0].strip() for line in re.findall(r"^berth .*$", guide, re.MULTILINE)]
    assert len(commands) >= 7
    for command in commands:
        if " diff " in command:
            changed = yaml.replace("default: 2", "default: 3")
            (world.cli.folder / "greet.yaml").write_text(changed)
            assert "version 2" in world.cli("job", "apply", "-f", "greet.yaml").stderr
        words = shlex.split(command.removesuffix("> greet.yaml"))[1:]
        if words[:2] == ["job", "archive"]:
            break
        done = world.cli(*(word for word in words if word != "--follow"))
        if " export " in command:
            assert done.stdout == changed
        if " diff " in command:
            assert "default of parameter times was 2 and is 3" in done.stderr
            assert "+    default: 3" in done.stdout
        if " ls " in command:
            assert len(done.stdout.splitlines()) == 1
    for code in re.findall(r"```python run\n(.*?)```", guide, re.DOTALL):
        subprocess.run(
            [sys.executable, "-c", code], env=world.cli.environment, check=True, cwd=world.cli.folder, timeout=60
        )
    assert world.cli.json("job", "show", "greet", "--json=version,source")["source"].startswith("# Greets somebody.")
    runs = world.cli.json("run", "ls", "-q", "definition:greet", "--json=id,definition")
    assert [run["definition"]["version"] for run in runs] == [2, 1, 1]
    spec = world.cli.json("run", "show", runs[2]["id"], "--json=spec")["spec"]
    said = subprocess.run(spec["command"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split() == ["hello", "world"] * 3
    world.cli("job", "archive", "greet")
    assert world.cli("job", "ls").stdout == ""
    refused = world.cli("job", "run", "greet", "-p", "who=x", code=6)
    assert "DEFINITION_ARCHIVED" in refused.stderr
    world.cli("job", "archive", "greet", "--undo")


def test_a_file_with_mistakes_is_refused_with_its_lines(world: World) -> None:
    text = "name: x\nparameters:\n  lr: {type: number, default: fast}\nspec:\n  command: [true]\n  memory: 1GB\n"
    refused = world.cli("job", "apply", "-f", "-", stdin=text, code=2)
    assert "/parameters/lr/default (line 3): must be a number" in refused.stderr
    assert "memory (line 6)" in refused.stderr
    assert "-> 1Gi" in refused.stderr
    assert world.cli("job", "show", "x", code=5).stdout == ""
    assert "No such file" in world.cli("job", "apply", "-f", "missing.yaml", code=2).stderr


def test_values_of_the_command_line_get_their_types() -> None:
    kinds = {"s": "string", "i": "integer", "n": "number", "b": "boolean"}
    properties = {name: {"type": kind} for name, kind in kinds.items()}
    properties["a"] = {"type": "array", "items": {"type": "integer"}}  # type: ignore[dict-item]
    given = {"s": "1", "i": "2", "n": "1e-3", "b": "true", "a": "1,2", "x": "y"}
    expected = {"s": "1", "i": 2, "n": 0.001, "b": True, "a": [1, 2], "x": "y"}
    assert read_parameters(given, {"properties": properties}) == expected
    assert read_parameters({"i": "many", "a": "[3]"}, {"properties": properties}) == {"i": "many", "a": [3]}


def test_the_client_of_a_program(world: World) -> None:
    environment = world.cli.environment
    with berth.Client(environment["BERTH_SERVER"], environment["BERTH_TOKEN"], "vision") as client:
        source = (
            "# kept\nname: j\nparameters: {n: {type: integer, default: 1}}\nspec: {command: [a, '${{ params.n }}']}\n"
        )
        assert client.jobs.apply(source).raw["created"] is True
        assert client.jobs.apply(source).raw["created"] is False
        changed = client.jobs.change("j", {"parameters": {"n": {"default": 2}}}).raw
        assert (changed["version"], changed["source"]) == (2, source.replace("default: 1", "default: 2"))
        run = client.jobs.run("j", {"n": 5}, changes={"cpu": "2"})
        assert (run.spec["command"], run.cpu) == (["a", "5"], "2")
        assert [one.raw["version"] for one in client.jobs.versions("j")] == [2, 1]
        assert client.jobs.export("j", 1) == source.encode()
        assert [job.raw["last_run"]["id"] for job in client.jobs.list()] == [run.id]
