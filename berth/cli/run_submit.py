"""`berth run submit` and `berth run clone`: a spec from a file, flags and the command after "--"."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Output
from berth.cli.run_result import RUN_FIELDS
from berth.cli.run_waiting import add_waiting, after_submit
from berth.cli.shell import Shell
from berth.cli.spec_file import SpecFile
from berth.cli.text import plain
from berth.errors import BerthError, InvalidInput
from berth.quantities import show_count, show_size

PLAN_FIELDS = ("starts", "pool", "asked", "free", "place", "reason")


def _spec_arguments(parser: argparse.ArgumentParser) -> None:
    spec = parser.add_argument_group("what it is")
    spec.add_argument("--name", help="what people see in lists; by default that of the program")
    spec.add_argument("--cpu", metavar="CORES", help="such as 1, 0.5 or 500m (1)")
    spec.add_argument("--memory", metavar="SIZE", help="such as 1Gi or 512Mi (1Gi)")
    spec.add_argument("--shared-memory", metavar="SIZE", help="of /dev/shm, on clusters (half of the memory)")
    spec.add_argument("--gpus", type=int, metavar="N", help="whole GPUs (0)")
    spec.add_argument(
        "--replicas", type=int, metavar="N", help="pods side by side, each with all of this, on clusters (1)"
    )
    where = spec.add_mutually_exclusive_group()
    where.add_argument("--pool", metavar="NAME", help="where it runs")
    where.add_argument("--cluster", metavar="NAME", dest="pool", help="the same: a cluster's pool bears its name")
    spec.add_argument("--priority", metavar="LEVEL", help="low, normal or high")
    spec.add_argument("--image", help="container image, used on clusters")
    spec.add_argument("--env", action="append", metavar="K=V", help="environment variable; K alone takes yours")
    spec.add_argument("--secret", action="append", metavar="NAME[=VAR]", help="a secret of the project as a variable")
    spec.add_argument(
        "--secret-file", action="append", metavar="NAME[=FILE]", help="the same as a file in $BERTH_SECRETS"
    )
    spec.add_argument(
        "--param", action="append", metavar="K=V", help="parameter; numbers and true/false keep their type"
    )
    spec.add_argument("--tag", action="append", metavar="WORD", help="a word to find it by")
    spec.add_argument("--experiment", metavar="NAME", help="the experiment that it is part of")
    spec.add_argument("--timeout", metavar="TIME", help="end an attempt after 90s, 8h, …")
    spec.add_argument("--grace", metavar="TIME", help="time between the request to end and the kill (30s)")
    spec.add_argument(
        "--retry", action="append", metavar="CAUSE=N", help="failed, oom_killed, timed_out, start_failed or lost"
    )
    python = spec.add_mutually_exclusive_group()
    python.add_argument("--python", metavar="PATH", help="interpreter; by default the one active here")
    python.add_argument("--requirements", metavar="FILE", help="make an environment from this file of the folder")


def _submit_arguments(parser: argparse.ArgumentParser) -> None:
    _spec_arguments(parser)
    code = parser.add_argument_group("its code")
    code.add_argument("--dir", default=".", metavar="DIR", help="the folder that goes up and that it starts in (here)")
    code.add_argument("--no-snapshot", action="store_true", help="send no folder")
    code.add_argument(
        "-f", "--file", metavar="FILE", help="spec in TOML, JSON or YAML; flags win; - reads JSON from stdin"
    )
    code.add_argument("--idempotency-key", metavar="KEY", help="submitting twice with the same key submits once")
    _plan_flag(parser)
    add_waiting(parser)


def _plan_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what a submit would lead to, and submit nothing")


def _submit(shell: Shell) -> int:
    options = shell.options
    file = SpecFile(options.file) if options.file else None
    spec = file.spec if file else {}
    apply_flags(spec, options)
    if shell.rest is not None:
        spec.pop("script", None)
        spec["command"] = shell.rest
    if not spec.get("command") and not spec.get("script"):
        raise InvalidInput(
            "there is no command",
            code="NO_COMMAND",
            hint="Put it after --: `berth run submit -- python train.py --lr 0.1`",
        )
    has_folder = not options.no_snapshot and "snapshot" not in spec
    requirements = spec.get("requirements")
    if isinstance(requirements, str) and has_folder and not (Path(options.dir) / requirements).is_file():
        raise InvalidInput(f"there is no {requirements} in {options.dir}", hint="--requirements is relative to --dir.")
    if not any(spec.get(key) for key in ("python", "requirements", "image")):
        spec["python"] = submitting_python()
    from berth.runs import default_name

    spec.setdefault("name", default_name(spec))
    command = spec.get("command")
    entry = [str(part) for part in command] if isinstance(command, list) else ["script"]
    try:
        if options.dry_run:
            return print_plan(shell, shell.client.runs.plan(spec))
        source = {"entry": " ".join(" ".join(entry).split())[:200]}
        run = _send(shell, spec, source, file.source_text if file else None)
    except BerthError as problem:
        if file is not None:
            file.point(problem, spec)
        raise
    return after_submit(shell, run)


def _send(shell: Shell, spec: dict[str, Any], source: dict[str, Any], source_text: str | None) -> Any:
    runs, options = shell.client.runs, shell.options
    key = options.idempotency_key
    if options.no_snapshot or "snapshot" in spec:
        return runs.create(spec, source, idempotency_key=key, source_text=source_text)
    from berth import snapshots

    with snapshots.pack(Path(options.dir)) as snapshot:
        for name in snapshot.left_out:
            shell.out.say(f"left out: {name}")
        project = shell.client.project
        was_sent = runs.upload(snapshot, project)
        if not shell.out.is_quiet:
            size = show_size(snapshot.packed_bytes)
            shell.out.say(f"{'sent' if was_sent else 'unchanged:'} {show_count(snapshot.files, 'file')}, {size} packed")
        spec["snapshot"] = snapshot.digest
        return runs.create(spec, {**snapshot.source, **source}, project, key, source_text)


def apply_flags(spec: dict[str, Any], options: argparse.Namespace) -> None:
    """Puts the flags over the spec; maps are merged key by key."""
    for key in (
        "name",
        "cpu",
        "memory",
        "shared_memory",
        "gpus",
        "replicas",
        "pool",
        "priority",
        "image",
        "experiment",
        "timeout",
        "grace",
    ):
        value = getattr(options, key)
        if value is not None:
            spec[key] = value
    for key, flag, read in (
        ("env", "env", _env_value),
        ("parameters", "param", _parameter),
        ("retry", "retry", _count),
    ):
        given = getattr(options, flag)
        if given:
            before = spec.get(key) or {}
            if not isinstance(before, dict):
                raise InvalidInput(f"{key} of the file must have keys, so that --{flag} can be added")
            spec[key] = {**before, **dict(_pairs(given, flag, read))}
    asked = [*_secrets(options.secret, "env"), *_secrets(options.secret_file, "file")]
    if asked:
        places = [use for use in spec.get("secrets") or [] if use not in asked]
        spec["secrets"] = [*places, *asked]
    if options.tag:
        spec["tags"] = options.tag
    if options.python:
        spec.pop("requirements", None)
        spec["python"] = absolute_python(options.python)
    if options.requirements:
        spec.pop("python", None)
        spec["requirements"] = options.requirements


def submitting_python() -> str:
    """The interpreter active where the command is typed: that of the virtual environment, else of PATH."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if os.environ.get(variable):
            found = Path(os.environ[variable]) / "bin" / "python"
            if found.exists():
                return str(found.absolute())
    found_on_path = shutil.which("python3") or shutil.which("python")
    return str(Path(found_on_path or sys.executable).absolute())


def absolute_python(text: str) -> str:
    """`--python` as an absolute path, links kept: a virtual environment's python is a link."""
    found = shutil.which(os.path.expanduser(text))  # noqa: PTH111 - also a name on PATH
    if not found:
        raise InvalidInput(
            f"--python {text}: there is no such program", hint="Give its path, or a name that is on PATH."
        )
    return str(Path(found).absolute())


def _pairs(given: Iterable[str], flag: str, read: Any) -> Iterable[tuple[str, Any]]:
    for text in given:
        key, equals, value = text.partition("=")
        if not key or (not equals and flag != "env"):
            raise InvalidInput(f"--{flag} {text}: it must be written as NAME=VALUE")
        yield key, read(key, value if equals else None)


def _secrets(given: Iterable[str] | None, place: str) -> Iterator[dict[str, str]]:
    """NAME, which is the place as well, or NAME=PLACE; a value never stands on a command line."""
    for text in given or ():
        name, equals, where = text.partition("=")
        if not name or (equals and not where):
            flag = "--secret" if place == "env" else "--secret-file"
            raise InvalidInput(f"{flag} {name}: it must be written as NAME or NAME=WHERE, with the name of a secret")
        yield {"name": name, place: where or name}


def _env_value(key: str, value: str | None) -> str:
    if value is None:
        if key not in os.environ:
            raise InvalidInput(f"--env {key}: it is not set here", hint=f"Write --env {key}=VALUE.")
        return os.environ[key]
    return value


def _parameter(_key: str, value: str) -> Any:
    try:
        read = json.loads(value, parse_constant=str)
    except ValueError:
        return value
    return read if isinstance(read, bool | int | float) and abs(read) < 2**63 else value


def _count(key: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 3:
        raise InvalidInput(f"--retry {key}={value}: a number of retries is needed")
    return int(value)


def _clone_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")
    _spec_arguments(parser)
    _plan_flag(parser)
    add_waiting(parser)


def _clone(shell: Shell) -> int:
    options = shell.options
    run_id = shell.run_id(options.run)
    parent = shell.client.runs.get(run_id).spec
    changed = {key: dict(parent.get(key) or {}) for key in ("env", "parameters", "retry")}
    before = {key: dict(value) for key, value in changed.items()}
    apply_flags(changed, options)
    changes: dict[str, Any] = {key: value for key, value in changed.items() if value != before.get(key)}
    if options.python and parent.get("requirements"):
        changes["requirements"] = None
    if options.requirements and parent.get("python"):
        changes["python"] = None
    if shell.rest:
        changes["command"] = shell.rest  # takes the place of a script too
    if options.dry_run:
        replaced = {"script"} if "command" in changes else set()
        merged = {**{key: value for key, value in parent.items() if key not in replaced}, **changes}
        return print_plan(shell, shell.client.runs.plan({"name": run_id, **merged}))
    return after_submit(shell, shell.client.runs.clone(run_id, changes))


def _plan(shell: Shell) -> int:
    shell.options.dry_run = True
    return _submit(shell)


def print_plan(shell: Shell, plan: dict[str, Any]) -> int:
    """What a submit would lead to: JSON, fields by tabs, or two lines for people."""
    out, reason = shell.out, plan["reason"] or {}
    if out.is_json:
        wanted = out.fields or ()
        Output(wanted if set(wanted) <= set(PLAN_FIELDS) else PLAN_FIELDS, path=out.path).object(plan)
        return Exit.OK
    text = plain(reason.get("text") or "")
    if not out.is_terminal:
        place = "" if plan["place"] is None else str(plan["place"])
        out.line("\t".join((plan["starts"], plan["pool"], place, reason.get("code") or "", text)))
        return Exit.OK
    asked = plan["asked"]
    gpus = f"{asked['gpus']} GPU, " if asked["gpus"] else ""
    start = {"now": "at once", "later": "waits", "unknown": "when a cluster says what it has"}[plan["starts"]]
    place = f", place {plan['place']} in line" if plan["place"] is not None else ""
    pairs = [("Asks for", f"{gpus}{asked['cpu']} CPU, {asked['memory']}, pool {plan['pool']}")]
    out.facts([*pairs, ("Start", start + place + (f": {text}" if text else ""))])
    return Exit.OK


SUBMIT = Command(
    "run submit",
    _submit,
    "send the folder and a command to run in it",
    "berth run submit --cpu 2 --memory 4Gi --param lr=0.1 --retry oom_killed=1 --follow -- python train.py --lr 0.1",
    _submit_arguments,
    RUN_FIELDS,
    description="Packs the folder (without what .gitignore and .berthignore leave out), sends it unless the server "
    "has it,\nand queues the command that comes after --. Prints the run's id, state and page.",
    usage="berth run submit [options] -- COMMAND [ARGUMENT …]",
    takes_rest=True,
)
PLAN = Command(
    "run plan",
    _plan,
    "what a submit would lead to now",
    "berth run plan --cpu 2 --memory 4Gi -- python train.py",
    _submit_arguments,
    PLAN_FIELDS,
    description="Says whether it would start at once or wait, and for what. Sends no folder and submits nothing; "
    "what\na submit refuses is refused. `berth run submit --dry-run` is the same.",
    usage="berth run plan [options] -- COMMAND [ARGUMENT …]",
    takes_rest=True,
)
CLONE = Command(
    "run clone",
    _clone,
    "submit it again with changes",
    "berth run clone @last --param lr=0.01 --cpu 4",
    _clone_arguments,
    RUN_FIELDS,
    description="Submits a run again with some of its spec changed; parameters and env are merged key by key.",
    usage="berth run clone [options] RUN [-- COMMAND [ARGUMENT …]]",
    takes_rest=True,
)
COMMANDS = (SUBMIT, PLAN, CLONE)
