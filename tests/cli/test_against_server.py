"""The command line against the real web process: what it sends, prints and exits with."""

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import psutil
import pytest
from sqlalchemy import text as sql

import berth
from app import db
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG
from app.domain.access import Role
from app.models import Output
from app.services import terminals
from app.stores import objects
from app.workers.logs import ship_logs
from tests import factories
from tests.cli.conftest import World
from tests.fakes_logs import FakeLogCluster

RUN_ID = re.compile(r"r-[2-9a-z]{10}")


def write_project(world: World) -> None:
    (world.cli.folder / "train.py").write_text("print('hello')\n")
    (world.cli.folder / "secret.env").write_text("KEY=1\n")
    (world.cli.folder / ".berthignore").write_text("*.env\n")


def test_submit_sends_the_folder_once_and_records_where_it_came_from(world: World) -> None:
    write_project(world)
    for command in (["init", "-q", "-b", "work"], ["add", "."], ["commit", "-qm", "x"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *command], cwd=world.cli.folder, check=True)
    asked = ["--cpu", "2", "--memory", "512Mi", "--param", "lr=0.1", "--param", "name=x", "--env", "A=b=c"]
    asked += ["--tag", "t1", "--retry", "lost=1", "--timeout", "1h", "--grace", "5s", "--priority", "high"]
    done = world.cli("run", "submit", *asked, "--", "python", "train.py", "--lr", "0.1", "--json")
    run_id, state, url = done.stdout.rstrip("\n").split("\t")
    assert RUN_ID.fullmatch(run_id)
    assert (state, url) == ("queued", f"{world.web.url}/r/{run_id}")
    assert "sent 2 files" in done.stderr
    run = world.cli.json("run", "show", run_id, "--json")
    spec = run["spec"]
    assert spec["command"] == ["python", "train.py", "--lr", "0.1", "--json"]
    assert (spec["cpu"], spec["memory"], spec["priority"], spec["timeout"], spec["grace"]) == (
        "2",
        "512Mi",
        "high",
        "1h",
        "5s",
    )
    assert (spec["parameters"], spec["env"], spec["retry"], spec["tags"]) == (
        {"lr": 0.1, "name": "x"},
        {"A": "b=c"},
        {"lost": 1},
        ["t1"],
    )
    assert run["name"] == "train"
    assert Path(spec["python"]).is_absolute()
    assert run["source"] == {
        "git_commit": run["source"]["git_commit"],
        "git_branch": "work",
        "git_dirty": False,
        "entry": "python train.py --lr 0.1 --json",
    }
    again = world.cli("run", "submit", "--quiet", "--", "python", "train.py")
    assert RUN_ID.fullmatch(again.stdout.strip())
    assert again.stderr == ""
    assert "unchanged: 2 files" in world.cli("run", "submit", "--", "python", "train.py").stderr
    assert world.cli.json("run", "show", "@last", "--json=spec")["spec"]["snapshot"] == spec["snapshot"]


def test_the_python_is_that_of_the_active_environment(world: World, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    submit = ["run", "submit", "--no-snapshot", "--quiet"]
    world.cli(*submit, "--", "true", env={"VIRTUAL_ENV": str(environment)})
    assert world.cli.json("run", "show", "@last", "--json")["spec"]["python"] == str(environment / "bin" / "python")
    world.cli(*submit, "--image", "pytorch:2", "--", "true", env={"VIRTUAL_ENV": str(environment)})
    assert world.cli.json("run", "show", "@last", "--json")["spec"].get("python") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.toml", 'name = "file"\ncommand = ["a", "b"]\ncpu = "500m"\n[parameters]\nlr = 0.5\nseed = 1\n'),
        ("run.json", '{"name": "file", "command": ["a", "b"], "cpu": "500m", "parameters": {"lr": 0.5, "seed": 1}}'),
        ("run.yaml", "# why\nname: file\ncommand: [a, b]\ncpu: 500m\nparameters:\n  lr: 0.5\n  seed: 1\n"),
    ],
)
def test_a_spec_from_a_file_and_flags_over_it(world: World, name: str, text: str) -> None:
    (world.cli.folder / name).write_text(text)
    run = world.cli.json("run", "submit", "-f", name, "--no-snapshot", "--param", "lr=0.7", "--json")
    spec = world.cli.json("run", "show", run["id"], "--json=spec")["spec"]
    assert (run["name"], run["cpu"], spec["command"]) == ("file", "500m", ["a", "b"])
    assert spec["parameters"] == {"lr": 0.7, "seed": 1}
    kept = world.cli.json("run", "capsule", run["id"], "--json=source_text")["source_text"]
    assert (kept or "").startswith("# why\nname: file\n") == name.endswith(".yaml")
    assert kept is None or "  lr: 0.7\n" in kept


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.toml", 'script = "true"\n\n[parameters]\nlr = 1\n[env]\nA = "x"\nB = 1\n[retry]\nfailed = "x"\n'),
        ("run.json", '{"script": "true",\n\n "parameters":\n {"lr": 1},\n "env": {"A": "x",\n  "B": 1}}'),
        ("run.yaml", "script: |\n  true\n\nenv:\n  A: x\n  B: 1\n"),
        ("wrap.yaml", "spec:\n  script: true\n\n  env:\n    A: x\n    B: 1\n"),
    ],
)
def test_a_refusal_names_the_line_of_the_file(world: World, name: str, text: str) -> None:
    (world.cli.folder / name).write_text(text)
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "B" in words)
    done = world.cli("run", "submit", "-f", name, "--no-snapshot", code=2)
    assert re.search(rf"^  env/B \(line {line}\): ", done.stderr, re.M)
    done = world.cli("run", "submit", "-f", name, "--no-snapshot", "--env", "B=2", "--cpu", "no", code=2)
    assert "env/B" not in done.stderr
    assert re.search(r"^  cpu: ", done.stderr, re.M), "what a flag says has no line in the file"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bomb.yaml", "a: &a [x, x]\nb: [*a, *a]\n", "line 2: aliases"),
        ("deep.yaml", "[" * 100_000, "nested deeper than 64"),
        ("twice.yaml", "script: a\nname: b\nname: c\n", 'line 3: found duplicate key "name"'),
        ("inf.yaml", "script: a\nparameters:\n  lr: .inf\n", "parameters/lr (line 3) is not a finite number"),
        ("key.yaml", "script: a\n? [b]\n: c\n", "which is no text"),
        ("tag.yaml", "script: !!python/object/apply:os.system [id]\n", "line 1: could not determine a constructor"),
        ("broken.json", "{", "line 1 column 2"),
        ("twice.json", '{"script": "a", "name": "b", "name": "c"}', "'name' stands twice"),
        ("nan.json", '{"script": "a", "parameters": {"lr": NaN}}', "NaN is no JSON number"),
        ("half.json", '{\n"script": "\\ud800"}', "script (line 2) has half of a surrogate pair"),
        ("deep.json", "[" * 100_000, "nested too deeply"),
        ("long.json", '{"gpus": ' + "9" * 100_000 + "}", "100000 digits"),
        ("list.toml", "= 1", "line 1"),
        ("date.toml", 'script = "a"\n[parameters]\nday = 2026-01-01\n', "parameters/day (line 3) is a date"),
        ("types.json", '{"command": 5, "name": 6, "requirements": 7}', "command (line 1): must be a list"),
        ("maps.json", '{"command": ["a"], "env": [1]}', "env (line 1): must be an object"),
    ],
)
def test_bombs_and_nonsense_in_a_file_are_refused(world: World, name: str, text: str, said: str) -> None:
    (world.cli.folder / name).write_text(text)
    done = world.cli("run", "submit", "-f", name, "--no-snapshot", code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_refusals_name_the_field_the_fix_and_the_code(world: World) -> None:
    done = world.cli("run", "submit", "--no-snapshot", "--memory", "16G", "--", "true", code=2)
    assert "(INVALID)" in done.stderr
    assert re.search(r"^  memory: .*decimal unit.* -> 16Gi$", done.stderr, re.M)
    done = world.cli("run", "submit", "--no-snapshot", "--cpu", "4000", "--", "true", code=7)
    assert "(NEVER_FITS)" in done.stderr
    assert world.cli("run", "ls").stdout == ""


def test_a_mistyped_field_of_a_file_has_its_line_and_the_nearest_name(world: World) -> None:
    (world.cli.folder / "run.yaml").write_text("# mine\nname: x\nmemroy: 1Gi\ncommand: [echo]\n")
    done = world.cli("run", "submit", "-f", "run.yaml", "--no-snapshot", code=2)
    assert "  memroy (line 3): is not a field here; did you mean memory?\n" in done.stderr


def test_the_same_key_submits_once(world: World) -> None:
    command = ["run", "submit", "--no-snapshot", "--quiet", "--idempotency-key", "nightly-1", "--", "true"]
    assert world.cli(*command).stdout == world.cli(*command).stdout
    assert len(world.cli("run", "ls").stdout.splitlines()) == 1


def test_a_list_for_programs(world: World) -> None:
    runs = [world.make_run(name=f"n{number}") for number in range(3)]
    world.set(runs[0].public_id, state="failed", first_error="ValueError: a\tb\x1b[2J")
    lines = world.cli("run", "ls").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [run.public_id for run in reversed(runs)]
    assert all(len(line.split("\t")) == 9 for line in lines)
    assert lines[2].split("\t")[8] == "ValueError: a b"
    assert world.cli("run", "ls", "--quiet", "-n", "1").stdout == f"{runs[2].public_id}\n"
    failed = world.cli.json("run", "ls", "-q", "status:failed", "--json=id,state,exit_code")
    assert failed == [{"id": runs[0].public_id, "state": "failed", "exit_code": None}]
    assert world.cli("run", "ls", "--jq", ".[].name").stdout == "n2\nn1\nn0\n"
    assert world.cli("run", "show", runs[0].public_id, "--jq", ".state").stdout == "failed\n"
    every = world.cli.json("run", "ls", "--json")[0]
    assert list(every)[:3] == ["id", "project", "name"]
    done = world.cli("run", "ls", "-q", "stat:failed", code=2)
    assert "-> status" in done.stderr


def test_ids_written_short(world: World) -> None:
    world.make_run(public_id="r-aaaaaaaaa2")
    world.make_run(public_id="r-aaaaaaaab2")
    for text in ("r-aaaaaaaaa", "aaaaaaaaa", "r-aaaaaaaaa2"):
        assert world.cli.json("run", "show", text, "--json=id") == {"id": "r-aaaaaaaaa2"}
    assert world.cli.json("run", "show", "@last", "--json=id") == {"id": "r-aaaaaaaab2"}
    assert "AMBIGUOUS_ID" in world.cli("run", "show", "r-aaaa", code=2).stderr
    assert "(NOT_FOUND)" in world.cli("run", "show", "r-bbbb", code=5).stderr
    assert "(NOT_FOUND)" in world.cli("run", "show", "r-bbbbbbbbbb", code=5).stderr


def test_who_may_not(world: World) -> None:
    run = world.make_run()
    assert world.cli("run", "show", run.public_id, code=5, env=world.as_("stranger")).stdout == ""
    assert "(FORBIDDEN)" in world.cli("run", "stop", run.public_id, code=5, env=world.as_("viewer")).stderr
    done = world.cli("run", "ls", code=4, env={"BERTH_TOKEN": "berth_u_wrong"})
    assert "berth login" in done.stderr
    assert world.cli("run", "ls", code=4, env={"BERTH_TOKEN": ""}).returncode == 4


def test_show_and_why(world: World) -> None:
    run = world.make_run(
        reason_code="CPU_BUSY", reason={"pool": "local", "asked": "2", "free": "1", "capacity": "4", "holders": "r-x"}
    )
    why = world.cli("run", "why", run.public_id).stdout
    assert why.startswith("First in line for pool local: needs 2 CPU")
    answer = world.cli.json("run", "why", run.public_id, "--json")
    assert (answer["code"], answer["text"], answer["args"]["asked"]) == ("CPU_BUSY", why.splitlines()[0], "2")
    facts = dict(line.split("\t", 1) for line in world.cli("run", "show", run.public_id).stdout.splitlines())
    assert (facts["id"], facts["state"], facts["why"]) == (run.public_id, "queued", why.splitlines()[0])
    assert world.cli("run", "why", run.public_id, env={"BERTH_LANG": "zh-CN"}).stdout


def test_parameters_are_shown_as_they_are_given(world: World) -> None:
    given = ["--param", "flag=true", "--param", "lr=0.1", "--param", "name=007"]
    world.cli("run", "submit", "--no-snapshot", *given, "--", "true")
    facts = dict(line.split("\t", 1) for line in world.cli("run", "show", "@last").stdout.splitlines())
    assert sorted(facts["parameters"].split(", ")) == ["flag=true", "lr=0.1", "name=007"]


def test_stop_rerun_and_clone(world: World) -> None:
    first = world.cli(
        "run", "submit", "--no-snapshot", "--quiet", "--param", "lr=0.1", "--param", "n=3", "--", "a"
    ).stdout.strip()
    copy = world.cli("run", "rerun", first, "--quiet").stdout.strip()
    assert world.cli.json("run", "show", copy, "--json=parent")["parent"] == first
    changed = world.cli(
        "run", "clone", first, "--param", "lr=0.2", "--cpu", "2", "--quiet", "--", "b", "c"
    ).stdout.strip()
    spec = world.cli.json("run", "show", changed, "--json=spec")["spec"]
    assert (spec["parameters"], spec["cpu"], spec["command"]) == ({"lr": 0.2, "n": 3}, "2", ["b", "c"])
    stopped = world.cli("run", "stop", first, copy, "--json=id,desired").stdout
    assert [row["desired"] for row in json.loads(stopped)] == ["stopped", "stopped"]
    assert world.cli("run", "stop", first, "r-bbbbbbbbbb", code=5).stdout.startswith(first)


@pytest.mark.parametrize(
    ("state", "exit_code", "arguments", "code"),
    [
        ("succeeded", 0, [], 0),
        ("failed", 3, [], 100),
        ("failed", 3, ["--propagate"], 3),
        ("failed", None, ["--propagate"], 100),
        ("stopped", None, [], 101),
        ("running", None, ["--timeout", "0.3"], 102),
    ],
)
def test_wait_tells_the_result(
    world: World, state: str, exit_code: int | None, arguments: list[str], code: int
) -> None:
    run = world.make_run()
    world.set(run.public_id, state=state, exit_code=exit_code)
    done = world.cli("run", "wait", run.public_id, *arguments, code=code)
    assert done.stdout.split("\t")[:2] == [run.public_id, state]


def test_submit_and_wait(world: World) -> None:
    process = world.cli.start("run", "submit", "--no-snapshot", "--wait", "--json=id,state", "--", "true")
    deadline = time.monotonic() + 30
    while not (ids := world.cli("run", "ls", "--quiet").stdout.split()):
        assert time.monotonic() < deadline
    world.set(ids[0], state="failed", exit_code=1, first_error="boom")
    out, err = process.communicate(timeout=30)
    assert json.loads(out) == {"id": ids[0], "state": "failed"}
    assert "boom" in err
    assert process.returncode == 100


def test_logs_and_their_options(world: World) -> None:
    run = world.make_run(state="running")
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running")
    cluster = FakeLogCluster()
    cluster.write(
        run.public_id, 1, *[f"line {number}" for number in range(1, 21)], "\x1b[31mred\x1b[0m\x1b]0;title\x07"
    )
    while ship_logs(cluster):
        pass
    read = ["run", "logs", run.public_id]
    lines = world.cli(*read).stdout.splitlines()
    assert lines == [f"line {number}" for number in range(1, 21)] + ["red"]
    assert world.cli(*read, "--tail", "2").stdout.splitlines() == ["line 20", "red"]
    assert world.cli(*read, "--since", "19").stdout.splitlines() == ["line 20", "red"]
    assert world.cli(*read, "--grep", r"line 1\d$").stdout.splitlines() == [f"line {n}" for n in range(10, 20)]
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z line 1\n", world.cli(*read, "--timestamps").stdout)
    rows = [json.loads(line) for line in world.cli(*read, "--json=line,text", "--tail", "1").stdout.splitlines()]
    assert rows[0]["line"] == 21
    assert "the newest is 1" in world.cli(*read, "--attempt", "2", code=2).stderr


def test_logs_of_replicas_are_asked_for_by_number(world: World) -> None:
    run = world.make_run(state="running", replicas=2)
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running")
    cluster = FakeLogCluster()
    for replica in range(2):
        cluster.write(run.public_id, 1, f"from {replica}", replica=replica)
    while ship_logs(cluster):
        pass
    read = ["run", "logs", run.public_id]
    assert world.cli(*read).stdout == "from 0\n"
    assert world.cli(*read, "--replica", "1").stdout == "from 1\n"
    assert json.loads(world.cli(*read, "--replica", "1", "--json").stdout)["replica"] == 1
    refused = world.cli(*read, "--replica", "2", code=2).stderr
    assert "there is no replica 2: the run has 2 replicas, 0 to 1" in refused
    write_project(world)
    told = world.cli("run", "submit", "--replicas", "2", "--", "python", "train.py", code=2).stderr
    assert "ONE_REPLICA_ONLY" in told


def test_outputs_are_listed_and_fetched(world: World) -> None:
    run = world.make_run(state="succeeded")
    files = {"model.bin": b"x" * 300_000, "plots/a b.png": b"png", "plots/日本.txt": b""}
    with db.unit_of_work() as session:
        for path, content in files.items():
            key = objects.output_key(world.project.id, run.id, 1, path)
            objects.of(world.project.id).put(key, content)
            digest = hashlib.sha256(content).hexdigest()
            row = {"path": path, "attempt": 1, "bytes": len(content), "sha256": digest, "object_key": key}
            session.add(Output(run_id=run.id, **row))
    listed = {row["path"]: row["bytes"] for row in world.cli.json("run", "outputs", run.public_id, "--json")}
    assert listed == {path: len(content) for path, content in files.items()}
    assert world.cli("run", "download", run.public_id, "model.bin", "-o", "one").stdout == "one/model.bin\n"
    assert len(world.cli("run", "download", run.public_id, "plots", "-o", "some").stdout.splitlines()) == 2
    world.cli("run", "download", run.public_id, "-o", "all")
    for path, content in files.items():
        assert (world.cli.folder / "all" / path).read_bytes() == content
    assert "(NO_SUCH_OUTPUT)" in world.cli("run", "download", run.public_id, "nothing", code=5).stderr
    with berth.Client(world.web.url, world.tokens["owner"], "vision") as client:
        artifacts = client.runs.get(run.public_id).artifacts
        assert {path: one.read_bytes() for path, one in artifacts.items()} == files
        assert artifacts["plots/a b.png"].download(world.cli.folder / "sdk").read_bytes() == b"png"
    world.cli("run", "outputs", run.public_id, code=5, env=world.as_("stranger"))


def test_following_through_restarts_of_the_server_and_ctrl_c(world: World) -> None:
    run = world.make_run(state="running")
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running")
    cluster = FakeLogCluster()
    count, stop = 3000, threading.Event()

    def write() -> None:
        for number in range(1, count + 1, 50):
            cluster.write(run.public_id, 1, *[f"line {n}" for n in range(number, number + 50)])
            ship_logs(cluster)
            if stop.wait(0.05):
                return

    writer = threading.Thread(target=write)
    writer.start()
    follower = world.cli.start("run", "logs", "-f", run.public_id)
    assert follower.stdout is not None
    lines: list[str] = []
    guard = threading.Timer(180, follower.kill)
    guard.start()
    try:
        for wanted in (500, 1500):
            lines += read_until(follower.stdout, wanted - len(lines))
            world.web.stop()
            time.sleep(0.3)
            world.web.start()
        lines += read_until(follower.stdout, count - len(lines))
        assert lines == [f"line {number}\n" for number in range(1, count + 1)]
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=60)
        assert (out, follower.returncode) == ("", 130)
        assert f"{run.public_id} goes on" in err
        assert world.cli.json("run", "show", run.public_id, "--json=desired") == {"desired": "running"}
    finally:
        stop.set()
        guard.cancel()
        follower.kill()
        follower.communicate()
        writer.join()


def read_until(stream: IO[str], count: int) -> list[str]:
    found = [stream.readline() for _ in range(count)]
    assert all(found), f"it ended after {found.index('')} of {count} lines"
    return found


def test_ctrl_c_while_waiting_leaves_the_run(world: World) -> None:
    run = world.make_run(state="running")
    process = world.cli.start("run", "wait", run.public_id)
    # It is waiting once it has asked about the run.
    deadline = time.monotonic() + 60
    while not psutil.Process(process.pid).net_connections():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"berth run logs -f {run.public_id}" in err


def test_login_through_the_browser_and_logout(world: World) -> None:
    environment = {**world.cli.environment, "BERTH_TOKEN": "", "BERTH_SERVER": ""}
    for name in ("BERTH_TOKEN", "BERTH_SERVER", "BERTH_PROJECT"):
        environment.pop(name)
    world.cli.environment = environment
    process = world.cli.start("login", world.web.url)
    assert process.stderr is not None
    said = process.stderr.readline()
    match = re.search(r"Open (\S+) and check that it shows the code (\S+)", said)
    assert match, said
    with db.unit_of_work() as session:
        approve(session, world, match[2])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert f"signed in to {world.web.url} as ana" in err
    assert "project: vision" in err
    config = Path(environment["XDG_CONFIG_HOME"]) / "berth" / "config.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    assert world.cli("run", "ls", "--server", world.web.url).returncode == 0
    assert world.cli("run", "ls").returncode == 0
    assert len(world.cli("token", "ls").stdout.splitlines()) == 2
    assert "signed out" in world.cli("logout").stderr
    world.cli("run", "ls", "-P", "vision", code=4)
    tokens = world.cli("token", "ls", env={**world.as_("owner"), "BERTH_SERVER": world.web.url}).stdout
    assert len(tokens.splitlines()) == 1


def approve(session: object, world: World, code: str) -> None:
    from app.domain.access import Actor

    actor = Actor(user_id=world.owner.id, name="ana", roles={world.project.id: Role.OWNER})
    terminals.decide(session, actor, code, approve=True)  # type: ignore[arg-type]


def test_login_with_a_token_from_stdin(world: World) -> None:
    environment = {"BERTH_TOKEN": "", "BERTH_SERVER": "", "BERTH_PROJECT": ""}
    world.cli("login", world.web.url, "--with-token", stdin="berth_u_wrong\n", code=4, env=environment)
    world.cli("login", world.web.url, "--with-token", stdin="\n", code=2, env=environment)
    done = world.cli("login", world.web.url, "--with-token", stdin=world.tokens["owner"] + "\n", env=environment)
    assert "as ana" in done.stderr
    assert world.cli("project", "ls", env=environment).stdout.split("\t")[0] == "vision"
    world.cli("project", "use", "nowhere", code=5, env=environment)
    world.cli("project", "use", "vision", env=environment)
    names = [row["name"] for row in world.cli.json("config", "ls", "--json", env=environment)]
    assert names == [world.web.url.removeprefix("http://")]
    piped = world.cli("login", world.web.url, stdin=world.tokens["viewer"] + "\n", env=environment)
    assert "as vera" in piped.stderr


def test_a_second_identity_on_one_server(world: World) -> None:
    environment = {"BERTH_TOKEN": "", "BERTH_SERVER": "", "BERTH_PROJECT": ""}
    own, other = (world.tokens[who] + "\n" for who in ("owner", "viewer"))
    world.cli("login", world.web.url, stdin=own, env=environment)
    done = world.cli("login", "--context", "second", world.web.url, stdin=other, env=environment)
    assert "as vera" in done.stderr
    rows = world.cli.json("config", "ls", "--json=name,server,current", env=environment)
    first = world.web.url.removeprefix("http://")
    assert rows == [
        {"name": first, "server": world.web.url, "current": False},
        {"name": "second", "server": world.web.url, "current": True},
    ]
    # The first one is still itself, and neither signs the other one out.
    world.cli("logout", "--context", "second", env=environment)
    assert world.cli("run", "ls", "--context", first, env=environment).returncode == 0
    world.cli("run", "ls", "--context", "second", "-P", "vision", code=4, env=environment)


def test_the_profiles_language_does_not_mix_in(world: World) -> None:
    run = world.make_run(state="failed", reason_code="EXIT_CODE", reason={"exit_code": 3}, exit_code=3)
    with db.unit_of_work() as session:
        session.execute(sql("update \"user\" set language = 'zh_CN' where name = 'ana'"))
    said = world.cli("run", "wait", run.public_id, code=100).stderr
    assert "The program ended with exit code 3." in said
    assert said.isascii()
    # Nor into programs, which are told in the language that they ask for.
    for language, code in ((None, "en"), ("zh_CN", "zh")):
        with berth.Client(world.web.url, world.tokens["owner"], "vision", language=language) as client:
            assert client.runs.get(run.public_id).why.isascii() == (code == "en")
            with pytest.raises(berth.BerthError) as refused:
                client.runs.get("r-2222222222")
            assert refused.value.detail.isascii() == (code == "en")
    assert "程序" in world.cli("run", "wait", run.public_id, code=100, env={"BERTH_LANG": "zh"}).stderr


def test_projects_members_tokens_and_accounts(world: World) -> None:
    admin = world.as_("admin")
    assert world.cli("project", "create", "speech", "--title", "Speech", env=admin).stdout == "speech\n"
    assert "(PROJECT_EXISTS)" in world.cli("project", "create", "speech", code=6, env=admin).stderr
    assert "(FORBIDDEN)" in world.cli("project", "create", "mine", code=5).stderr
    assert "title\tSpeech" in world.cli("project", "show", "speech", env=admin).stdout
    world.cli("project", "add-member", "sam", "--role", "viewer")
    members = {row["name"]: row["role"] for row in world.cli.json("project", "members", "--json")}
    assert members == {"ana": "owner", "vera": "viewer", "sam": "viewer"}
    world.cli("project", "remove-member", "sam", "-y")
    assert world.cli("project", "members", "--quiet").stdout == "ana\nvera\n"
    token = world.cli("token", "create", "ci", "--scope", "read", "--only", "vision", "--expires", "30d").stdout.strip()
    assert world.cli("run", "ls", env={"BERTH_TOKEN": token}).returncode == 0
    world.cli("run", "submit", "--no-snapshot", "--", "true", code=5, env={"BERTH_TOKEN": token})
    row = next(row for row in world.cli.json("token", "ls", "--json") if row["name"] == "ci")
    assert token.startswith(row["hint"])
    assert "token" not in row
    world.cli("token", "revoke", row["id"], "-y")
    world.cli("run", "ls", code=4, env={"BERTH_TOKEN": token})
    world.cli("service-account", "create", "nightly", "--role", "editor")
    robot = world.cli.json("service-account", "token", "nightly", "cron", "--json")["token"]
    world.cli("run", "submit", "--no-snapshot", "--", "true", env={"BERTH_TOKEN": robot})
    assert world.cli("service-account", "ls").stdout == "nightly\teditor\tactive\n"
    world.cli("service-account", "disable", "nightly", "-y")
    world.cli("run", "ls", code=4, env={"BERTH_TOKEN": robot})
    assert "is enabled" in world.cli("service-account", "enable", "nightly").stderr
    assert world.cli("service-account", "ls").stdout == "nightly\teditor\tactive\n"


def test_administration(world: World) -> None:
    admin = world.as_("admin")
    link = world.cli("admin", "user", "invite", "new", "--to", "vision", "--role", "editor", env=admin).stdout.strip()
    assert link.startswith(world.web.url)
    assert "(USER_EXISTS)" in world.cli("admin", "user", "invite", "new", code=6, env=admin).stderr
    assert "new" in world.cli("admin", "user", "ls", "--quiet", env=admin).stdout.split()
    (root,) = (row for row in world.cli.json("admin", "user", "ls", "--json", env=admin) if row["name"] == "root")
    assert root["last_seen_at"]
    assert root["sessions"] == 0
    assert "have ended" in world.cli("admin", "user", "end-sessions", "ana", "-y", env=admin).stderr
    assert "(NOT_FOUND)" in world.cli("admin", "user", "end-sessions", "noone", "-y", code=5, env=admin).stderr
    world.cli("admin", "user", "disable", "sam", "-y", env=admin)
    world.cli("run", "ls", "-P", "theirs", code=4, env=world.as_("stranger"))
    world.cli("admin", "user", "enable", "sam", env=admin)
    assert world.cli("admin", "user", "reset", "ana", env=admin).stdout.startswith(world.web.url)
    rows = world.cli.json("admin", "audit", "--actor", "root", "--json", env={**admin, "BERTH_PROJECT": ""})
    assert {"root"} == {row["actor"] for row in rows}
    assert len(rows) >= 4
    world.cli("admin", "user", "ls", code=5)


def test_clusters_are_added_drained_and_removed(world: World) -> None:
    admin = world.as_("admin")
    (world.cli.folder / "east.yaml").write_text(EXAMPLE_KUBECONFIG)
    assert world.cli("cluster", "ls", code=5).stdout == ""
    refused = world.cli("cluster", "add", "east", "--kubeconfig", "missing.yaml", code=2, env=admin)
    assert "missing.yaml cannot be read" in refused.stderr
    (world.cli.folder / "bad.yaml").write_text("users: [")
    assert "is no YAML" in world.cli("cluster", "add", "east", "--kubeconfig", "bad.yaml", code=2, env=admin).stderr
    added = world.cli("cluster", "add", "east", "--kubeconfig", "east.yaml", "--gpu-resource", "amd.com/gpu", env=admin)
    assert (added.stdout, "takes a minute" in added.stderr) == ("east\n", True)
    again = world.cli("cluster", "add", "east", "--kubeconfig", "east.yaml", code=6, env=admin)
    assert "(CLUSTER_EXISTS)" in again.stderr
    assert "runs in no cluster" in world.cli("cluster", "add", "in", "--in-cluster", code=2, env=admin).stderr
    sent = ("set-registry", "east", "https://ghcr.io/team", "--username", "x", "--password-stdin")
    assert "registry's host alone" in world.cli("cluster", *sent, stdin="y", code=2, env=admin).stderr
    assert "east" in world.cli("cluster", "ls", "--quiet", env=admin).stdout.split()
    found = world.cli.json("cluster", "show", "east", "--json", env=admin)
    assert (found["settings"]["gpu_resource"], found["status"], found["findings"]) == ("amd.com/gpu", "checking", [])
    assert "server\thttps://east.example.com:6443" in world.cli("cluster", "show", "east", env=admin).stdout
    assert "nothing to change" in world.cli("cluster", "set", "east", code=2, env=admin).stderr
    world.cli("cluster", "set", "east", "--gpu-resource", "", env=admin)
    assert "credentials 2" in world.cli("cluster", "rotate", "east", "--kubeconfig", "east.yaml", env=admin).stderr
    registry = ("east", "registry.example.com:5000")
    given = ("--username", "puller", "--password-stdin")
    set_registry = ("cluster", "set-registry", *registry, *given)
    assert "stdin has no password" in world.cli(*set_registry, code=2, env=admin, stdin="").stderr
    assert "as puller" in world.cli(*set_registry, env=admin, stdin="a long password\n").stderr
    assert "puller" in world.cli("cluster", "registries", "east", env=admin).stdout
    world.cli("cluster", "rm-registry", *registry, env=admin)
    assert "(NOT_FOUND)" in world.cli("cluster", "rm-registry", *registry, code=5, env=admin).stderr
    assert world.cli.json("cluster", "drift", "east", "--json", env=admin) == []
    no_mask = world.cli("cluster", "set", "east", "--egress", "10.20.0.1/16", code=2, env=admin)
    assert "must be 0" in no_mask.stderr
    refused = world.cli("project", "kubeconfig", "vision", "--cluster", "east", code=6, env=admin)
    assert "(PROJECT_NOT_IN_CLUSTER)" in refused.stderr
    assert "running: 0" in world.cli("cluster", "drain", "east", env=admin).stderr
    world.cli("cluster", "undrain", "east", env=admin)
    assert world.cli("cluster", "rm", "east", "--dry-run", env=admin).stdout.startswith("would be removed")
    assert "is removed" in world.cli("cluster", "rm", "east", "-y", env=admin).stderr
    assert "east" not in world.cli("cluster", "ls", "--quiet", env=admin).stdout.split()


def in_terminal(world: World, *arguments: str, columns: int = 100) -> tuple[int, str]:
    """The exit code and the screen of a command on a terminal of its own."""
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(world.cli.folder)
        environment = {**world.cli.environment, "COLUMNS": str(columns), "TERM": "xterm-256color"}
        os.execve(sys.executable, [sys.executable, "-P", "-m", "berth", *arguments], environment)
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([screen], [], [], 0.2)[0]:
            try:
                piece = os.read(screen, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_a_table_on_a_terminal(world: World) -> None:
    long = world.make_run(name="图像分类 " * 20 + "resnet", reason_code="JUST_SUBMITTED", reason={})
    other = world.make_run(name="short\x1b[2Jname")
    world.set(other.public_id, state="running", progress_done=1, progress_total=3)
    code, screen = in_terminal(world, "run", "ls")
    assert code == 0
    plain = re.sub(r"\x1b\[\d*m", "", screen)
    assert "\x1b" not in plain
    lines = plain.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATUS", "CPU", "MEM", "GPUS", "WAITED", "RAN", "WHY"]
    assert "● running 33%" in lines[1]
    assert long.public_id in lines[2]
    assert "…" in lines[2]
    assert "Submitted; the" in lines[2]
    from berth.cli.text import width

    assert all(width(line) <= 100 for line in lines)
    assert "\x1b[" in screen
    world.cli.environment["NO_COLOR"] = "1"
    assert "\x1b[" not in in_terminal(world, "run", "ls")[1]


def test_show_on_a_terminal(world: World) -> None:
    run = world.make_run(state="failed", first_error="ValueError: no such file", exit_code=1)
    code, screen = in_terminal(world, "run", "show", run.public_id)
    assert code == 0
    assert "ValueError: no such file" in screen
    assert "✗ failed" in screen


def test_secrets_are_set_listed_used_and_removed(world: World, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("canary-line-one\ncanary-line-two\n")
    made = world.cli("secret", "set", "HF_TOKEN", "--description", "of the team", stdin="canary-value\n")
    assert made.stdout == "HF_TOKEN\n"
    assert "version 1" in made.stderr
    world.cli("secret", "set", "ssh-key", "--from-file", str(tmp_path / "key.pem"))
    world.cli("secret", "set", "HF_TOKEN", "--keep-value", "--description", "mine")
    listed = world.cli.json("secret", "ls", "--json=name,description,version,last_runs")
    assert [(one["name"], one["description"], one["version"]) for one in listed] == [
        ("HF_TOKEN", "mine", 1),
        ("ssh-key", "", 1),
    ]
    submit = ["run", "submit", "--no-snapshot", "--quiet"]
    world.cli(*submit, "--secret", "HF_TOKEN", "--secret", "HF_TOKEN=TOKEN", "--secret-file", "ssh-key", "--", "true")
    assert world.cli.json("run", "show", "@last", "--json=spec")["spec"]["secrets"] == [
        {"name": "HF_TOKEN", "env": "HF_TOKEN"},
        {"name": "HF_TOKEN", "env": "TOKEN"},
        {"name": "ssh-key", "file": "ssh-key"},
    ]
    refused = world.cli(*submit, "--secret", "HF_TOKN", "--", "true", code=2)
    assert "secrets/0/name: is no secret of this project -> HF_TOKEN" in refused.stderr
    with db.unit_of_work() as session:
        from app.models import Run
        from app.services import secrets
        from app.workloads.plans import SecretRef

        run = session.query(Run).first()
        assert run is not None
        values = secrets.resolve(session, run.id, world.project.id, [SecretRef("HF_TOKEN"), SecretRef("ssh-key")])
    assert values.reveal() == {"HF_TOKEN": "canary-value", "ssh-key": "canary-line-one\ncanary-line-two\n"}
    world.cli("secret", "rm", "HF_TOKEN")
    assert world.cli("secret", "ls", "--quiet").stdout == "ssh-key\n"


def test_a_secret_is_never_an_argument_and_bad_ones_are_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_bytes(b"x" * (65_536 + 3))
    assert "unknown: canary" in world.cli("secret", "set", "A", "canary", code=2).stderr
    assert "the value is empty" in world.cli("secret", "set", "A", stdin="\n", code=2).stderr
    assert "not UTF-8" in world.cli("secret", "set", "A", "--from-file", str(tmp_path / "binary"), code=2).stderr
    assert "more than 65536" in world.cli("secret", "set", "A", "--from-file", str(tmp_path / "long"), code=2).stderr
    assert "cannot be read" in world.cli("secret", "set", "A", "--from-file", str(tmp_path / "none"), code=2).stderr
    assert "letters, digits" in world.cli("secret", "set", "a b", stdin="x", code=2).stderr


def test_labels_archiving_and_comparing(world: World) -> None:
    spec = {"name": "train", "command": ["python", "train.py"], "parameters": {"lr": 0.1}}
    first = world.make_run(tags=["draft"], state="succeeded", spec=spec).public_id
    second = world.make_run(state="failed", spec=spec | {"parameters": {"lr": 1.0}}).public_id
    done = world.cli("run", "tag", first, second, "+good", "-draft", "--experiment", "digits")
    assert "2 of 2 changed." in done.stderr
    shown = world.cli.json("run", "show", first, "--json=tags,experiment,archived")
    assert shown == {"tags": ["good"], "experiment": "digits", "archived": False}
    again = world.cli.json("run", "tag", "-q", "-status:queued experiment:digits", "+good", "--json=id,changed,code")
    assert {item["code"] for item in again} == {"SAME"}
    compared = world.cli("run", "compare", first, second)
    assert compared.stdout == "parameters\tlr\t0.1\t1.0\n"
    assert f"/projects/vision/compare?runs={first},{second}" in compared.stderr
    assert "differ in parameters (lr 0.1 / 1.0)" in world.cli.json("run", "compare", first, second, "--json")["summary"]
    assert "COMPARE_COUNT" in world.cli("run", "compare", first, code=2).stderr
    assert "RUNS_NOT_FOUND" in world.cli("run", "compare", first, "r-2222222222", code=5).stderr
    foreseen = world.cli("run", "archive", "-q", "status:succeeded,failed", "--dry-run")
    assert "2 of 2 would change." in foreseen.stderr
    assert "2 of 2 changed." in world.cli("run", "archive", "-q", "status:succeeded,failed", "-y").stderr
    assert world.cli("run", "ls", "--quiet").stdout == ""
    assert len(world.cli("run", "ls", "-q", "archived:yes", "--quiet").stdout.splitlines()) == 2
    world.cli("run", "unarchive", first)
    assert world.cli("run", "ls", "--quiet").stdout.strip() == first


def test_stopping_and_rerunning_what_a_filter_finds(world: World) -> None:
    waiting, failed = world.make_run().public_id, world.make_run(state="failed").public_id
    done = world.cli("run", "stop", "-q", "status:queued,failed")
    assert "1 of 2 changed. 1 skipped: It has ended." in done.stderr
    assert world.cli.json("run", "show", waiting, "--json=desired") == {"desired": "stopped"}
    made = world.cli.json("run", "rerun-failed", failed, "--json=id,new_id")
    assert world.cli.json("run", "show", made[0]["new_id"], "--json=parent") == {"parent": failed}
    assert "run again already" in world.cli("run", "rerun-failed", failed).stderr
    world.cli("run", "stop", "r-2222222222", "--dry-run", code=5)
    for wrong in (
        ["run", "stop"],
        ["run", "archive", failed, "-q", ""],
        ["run", "tag", failed],
        ["run", "stop", "-q", "x:y"],
    ):
        world.cli(*wrong, code=2)
    world.cli("run", "archive", failed, code=5, env=world.as_("viewer"))
