"""Hostile programs inside bubblewrap, and what the environment of any program is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.clusters import local_files
from app.clusters.local_wrapper import sandbox
from tests.clusters.world import World, is_alive

ATTACK = r"""
import glob, json, os, signal, socket, sys
home, other, foreign, secret = sys.argv[1:]
found = {}

def attempt(name, action):
    try:
        found[name] = repr(action())
    except Exception as error:
        found[name] = f"refused: {type(error).__name__}"

attempt("secrets", lambda: open(home + "/secrets.json").read())
attempt("home", lambda: os.listdir(home))
attempt("runs", lambda: os.listdir(home + "/local/runs"))
attempt("other run", lambda: os.listdir(other))
attempt("own plan", lambda: open(os.getcwd() + "/../plan.json").read())
attempt("own exit", lambda: open(os.getcwd() + "/../exit.json", "w"))
attempt("postgres", lambda: socket.socket(socket.AF_UNIX).connect(home + "/postgres/.s.PGSQL.5432"))
attempt("kill foreign", lambda: os.kill(int(foreign), signal.SIGKILL))
attempt("foreign environ", lambda: open(f"/proc/{foreign}/environ", "rb").read())
attempt("parent environ", lambda: [p for p in glob.glob("/proc/[0-9]*/environ") if secret in open(p).read()])
attempt("pids", lambda: len(glob.glob("/proc/[0-9]*")))
attempt("write root", lambda: open("/usr/local/lib/evil", "w"))
attempt("write sysctl", lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
attempt("cgroup", lambda: [open(p, "w") for p in glob.glob("/sys/fs/cgroup/*/cgroup.procs")] or 1 / 0)
attempt("ssh", lambda: os.listdir(os.path.realpath("/proc/1/root") + os.path.expanduser("~root/.ssh")) or 1 / 0)
attempt("shadow", lambda: open("/etc/shadow").read() or 1 / 0)
attempt("tmp", lambda: os.listdir("/tmp/").remove(os.environ["SPY"]))
attempt("devices", lambda: [d for d in os.listdir("/dev") if d.startswith(("sd", "vd", "mem", "kmsg"))] or 1 / 0)
attempt("mount", lambda: os.system("mount -t tmpfs none /mnt 2>/dev/null") and 1 / 0)
attempt("home by mount", lambda: os.system("umount " + home + " 2>/dev/null") and 1 / 0)
print(json.dumps(found))
"""


def test_a_hostile_program_sees_and_reaches_nothing(isolated_world: World) -> None:
    world = isolated_world
    (world.home / "secrets.json").write_text('{"signing_key": "top"}')
    (world.home / "postgres").mkdir()
    victim = world.plan("import time\nprint('ready', flush=True)\ntime.sleep(60)")
    world.cluster.start(victim)
    world.wait_line(victim, "ready")
    foreign = subprocess.Popen(["sleep", "60"], env={"SECRET": "of-the-parent-7181"})
    spy = Path("/tmp") / f"berth-spy-{os.getpid()}"
    spy.touch()
    try:
        plan = world.plan(ATTACK, env={"SPY": spy.name})
        arguments = [str(world.home), str(world.folder(victim)), str(foreign.pid), "of-the-parent-7181"]
        plan = world.plan(ATTACK, env={"SPY": spy.name}, command=["python", "main.py", *arguments])
        assert world.run(plan).exit_code == 0, world.text(plan)
        assert is_alive(foreign.pid)
    finally:
        spy.unlink()
        foreign.kill()
        foreign.wait()
    found = json.loads(world.log(plan)[-1][1])
    assert int(found.pop("pids")) < 6
    assert found.pop("home") == "['local']"
    assert found.pop("runs") == f"['{plan.run_id}']"
    assert found.pop("parent environ") == "[]"
    assert [name for name, answer in found.items() if not answer.startswith("refused")] == []
    assert (world.folder(plan) / "exit.json").read_text() != ""


def test_the_environment_is_clean_and_complete(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATORS_SECRET", "x")
    plan = any_world.plan("import json, os\nprint(json.dumps(dict(os.environ)))", env={"BERTH_PARAM_LR": "0.1"})
    assert any_world.run(plan).exit_code == 0
    env = json.loads(any_world.log(plan)[-1][1])
    folder = any_world.folder(plan)
    assert env.pop("PATH") == f"{Path(sys.executable).parent}:{sandbox.SYSTEM_PATH}"
    assert env.pop("PYTHONPATH").startswith(f"{any_world.home}/local/sdk/")
    env.pop("PWD", None)
    env.pop("LC_CTYPE", None)
    assert env == {
        **plan.env,
        "BERTH_TOKEN": "***",  # as the log tells it
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BERTH_OUTPUT": str(folder / "output"),
        "BERTH_CHECKPOINT": str(folder.parent / "checkpoint"),
        "BERTH_REPLICA": "0",
        "BERTH_URL_FILE": f"{any_world.home}/local/address/url",
    }


def test_secrets_are_in_no_command_line(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD", "berth_hidden_82y")
    program = "import os, time\nprint('ready', 'berth_hidden_82y' in str(os.environ), flush=True)\ntime.sleep(60)"
    digest = any_world.upload({"requirements.txt": "# nothing\n", "main.py": program})
    plan = any_world.plan(
        env={"BERTH_TOKEN": "berth_hidden_71x"},
        snapshot_digest=digest,
        project_id="p",
        python=None,
        requirements="requirements.txt",
    )
    any_world.cluster.start(plan)
    any_world.wait_line(plan, "ready False")
    lines = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines += path.read_bytes()
        except OSError:
            continue
    assert b"berth_hidden_71x" not in lines
    assert b"berth_hidden_82y" not in lines
    assert (any_world.folder(plan) / "plan.json").stat().st_mode & 0o777 == 0o600
    assert (any_world.folder(plan)).stat().st_mode & 0o077 == 0


def test_the_loader_of_the_sandbox_does_not_obey_the_program(isolated_world: World, tmp_path: Path) -> None:
    """LD_AUDIT with a missing file makes the loader complain: only the program's own may."""
    plan = isolated_world.plan(command=["/bin/true"], env={"LD_PRELOAD": "/nonexistent/berth-x.so"})
    isolated_world.run(plan)
    complaints = [text for _, text in isolated_world.log(plan) if "berth-x.so" in text]
    assert len(complaints) <= 1


def test_the_sdk_is_there_for_any_interpreter(any_world: World) -> None:
    plan = any_world.plan("import sys\nsys.path = [p for p in sys.path if 'site-packages' not in p]\nimport berth\n"
                          "print(berth.__file__)")  # fmt: skip
    assert any_world.run(plan).exit_code == 0, any_world.text(plan)
    assert f"{any_world.home}/local/sdk" in any_world.text(plan)


def test_an_interpreter_below_a_hidden_folder_is_seen(isolated_world: World) -> None:
    for parent in (isolated_world.home / "tools", Path(isolated_world.home.parent) / f"{isolated_world.home.name}-x"):
        parent.mkdir()
        try:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", parent / "env"], check=True)
            python = f"{parent}/env/bin/python"
            plan = isolated_world.plan("import sys\nprint(sys.prefix)", python=python)
            assert isolated_world.run(plan).exit_code == 0, isolated_world.text(plan)
            assert isolated_world.log(plan)[-1] == ("o", f"{parent}/env")
        finally:
            subprocess.run(["rm", "-r", str(parent)], check=True)


def test_berths_state_is_never_shown_for_an_interpreter(isolated_world: World) -> None:
    (isolated_world.home / "postgres" / "bin").mkdir(parents=True)
    (isolated_world.home / "postgres" / "bin" / "python").symlink_to(sys.executable)
    plan = isolated_world.plan(
        f"import os\nprint(os.path.exists({str(isolated_world.home / 'postgres')!r}))",
        python=str(isolated_world.home / "postgres" / "bin" / "python"),
        command=[sys.executable, "main.py"],
    )
    isolated_world.run(plan)
    assert "True" not in isolated_world.text(plan)


def test_an_interpreter_that_is_not_there(any_world: World) -> None:
    replica = any_world.run(any_world.plan("print(1)", python="/home/nobody/venv/bin/python"))
    assert replica.cause == "start_failed"
    assert "/home/nobody/venv/bin/python" in replica.message


def test_what_cannot_be_executed_is_said(any_world: World) -> None:
    plan = any_world.plan("x", command=["./main.py"])
    replica = any_world.run(plan)
    assert (replica.cause, "not executable" in replica.message) == ("start_failed", True)
    plan = any_world.plan(
        command=["./x"],
        snapshot_digest=any_world.upload({"x": "#!/no/such/interpreter\n"}),
        project_id="p",
        env={"A": "1"},
    )
    assert any_world.run(plan).cause == "start_failed"


def test_a_python_by_another_name_is_python(any_world: World, tmp_path: Path) -> None:
    link = Path(sys.base_prefix) / "bin" / "python3.11"
    plan = any_world.plan("import sys\nprint('here', sys.version_info[0])", python=str(link))
    assert any_world.run(plan).exit_code == 0
    shims = tmp_path / "bin"
    shims.mkdir()
    odd = tmp_path / "py thon's" / "python9"
    odd.parent.mkdir()
    odd.symlink_to(sys.executable)
    path = sandbox.make_path(str(odd), str(shims))
    assert path.split(":")[:2] == [str(odd.parent), str(shims)]
    said = subprocess.run([f"{shims}/python", "-c", "print(7)"], capture_output=True, text=True, check=True)
    assert said.stdout == "7\n"


def test_a_nul_cannot_become_an_argument_of_the_sandbox(any_world: World) -> None:
    plan = any_world.plan("import os\nprint(os.listdir('/'))", env={"A": f"x\0--bind\0/\0{any_world.home}"})
    replica = any_world.run(plan)
    assert replica.cause == "start_failed"
    plan = any_world.plan(command=["python", "-c", "a\0b"])
    assert any_world.run(plan).cause == "start_failed"


def test_a_run_sees_where_berth_is_after_it_has_moved(any_world: World) -> None:
    program = 'import os, time\nprint("begun", flush=True)\n'
    program += 'while not (url := open(os.environ["BERTH_URL_FILE"]).read()):\n    time.sleep(0.05)\nprint(url)'
    plan = any_world.plan(program)
    any_world.cluster.start(plan)
    any_world.wait_line(plan, "begun")
    local_files.write_address(any_world.home / "local", "http://127.0.0.1:8811")
    assert any_world.wait_end(plan).exit_code == 0, any_world.text(plan)
    assert any_world.log(plan)[-1] == ("o", "http://127.0.0.1:8811")
