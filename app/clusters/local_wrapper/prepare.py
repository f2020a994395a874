"""What has to be there before the program: the unpacked snapshot and, if asked for, its environment.

Environments are kept by the hash of what they are made of and shared by all runs that ask for the same. Making
one executes code of others (set-up scripts), so it happens within the limits and the sandbox of the run.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from app.clusters.local_wrapper import sandbox
from app.clusters.local_wrapper.capture import Capture
from app.clusters.local_wrapper.cgroups import Group
from app.clusters.local_wrapper.child import Launch, StartError, spawn
from app.clusters.local_wrapper.folder import FOLDERS, Folder
from app.clusters.local_wrapper.supervise import Bounds, Ended, Requests, supervise

_SECONDS = 1800.0  # that making an environment may take
_ARCHIVES = (".whl", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?\s*([<>=!~;].*)?")


class Interrupted(Exception):
    """Asked to end before the program began."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Preparation(NamedTuple):
    """What the steps work with."""

    folder: Folder
    plan: dict[str, Any]
    options: dict[str, Any]
    capture: Capture
    requests: Requests


def make_folders(folder: Folder) -> None:
    """The program's own folders, empty: a wrapper that died before the program began may have filled them."""
    for name in FOLDERS:
        _remove(folder.file(name))
        os.mkdir(folder.file(name), 0o700)
    os.makedirs(f"{os.path.dirname(folder.path)}/checkpoint", 0o700, exist_ok=True)


def _remove(path: str) -> None:
    if os.path.exists(path):
        import shutil  # here, like hashlib below: few attempts need it, and every wrapper would wait for it

        shutil.rmtree(path, ignore_errors=True)


def unpack_snapshot(preparation: Preparation) -> None:
    """Fills work/. Raises StartError with the reason, Interrupted."""
    folder, options = preparation.folder, preparation.options
    if preparation.plan["snapshot_digest"] is None:
        return

    def call() -> int:
        from app.clusters.local_wrapper import unpack  # here, since its imports would double the wrapper

        archive, work = folder.file("snapshot.tar.gz"), folder.file("work")
        return unpack.run(archive, work, options["files"], options["bytes"])

    launch = Launch(argv=["unpack"], env={}, folder=folder.path, call=call)
    _step(preparation, launch, "The run's files cannot be unpacked")


def make_environment(preparation: Preparation, group: Group | None) -> str:
    """Returns the folder of the virtual environment. Raises StartError with the reason, Interrupted."""
    plan, options = preparation.plan, preparation.options
    requirements = _read_requirements(preparation.folder.file("work"), plan["requirements"])
    key = _key(requirements, plan, options["python"])
    kept = f"{options['local']}/venvs/{key}"
    os.makedirs(f"{options['local']}/venvs", 0o700, exist_ok=True)
    # Held for as long as this process lives: environments in use are not removed.
    lock = os.open(f"{kept}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _share(lock, f"{kept}/berth-ready", preparation):
        _build(preparation, group, kept, bool(requirements.strip()))
        fcntl.flock(lock, fcntl.LOCK_SH)
    os.utime(f"{kept}/berth-ready")
    return kept


def _read_requirements(work: str, name: str) -> str:
    path = os.path.realpath(os.path.join(work, name))
    if not path.startswith(os.path.realpath(work) + "/"):
        raise StartError(f"{name} is not one of the run's files")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(1 << 20)
    except (OSError, ValueError) as error:
        raise StartError(f"{name} cannot be read: {error}") from error
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _is_plain(line: str) -> bool:
    """Whether it names a package of the index: no path, no address, no archive that lies in the snapshot."""
    return bool(_PLAIN.fullmatch(line)) and not re.split(r"[\s<>=!~;\[]", line)[0].lower().endswith(_ARCHIVES)


def _key(requirements: str, plan: dict[str, Any], python: str) -> str:
    """An environment belongs to one project, whose code made it. Files that refer to more than names of packages
    mean something else in each snapshot."""
    import hashlib

    parts = [requirements, os.path.realpath(python), plan.get("project_id") or ""]
    if not all(_is_plain(line) for line in requirements.splitlines()):
        parts.append(plan["snapshot_digest"] or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _share(lock: int, ready: str, preparation: Preparation) -> bool:
    """Whether the environment is there and shared with us; else the lock is ours alone, to make it."""
    said = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.path.exists(ready):
                return True
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.exists(ready)
        except BlockingIOError:
            if not said:
                said = True
                preparation.capture.say("Waits for another run that makes the same environment.")
            if cause := interruption(preparation.requests):
                raise Interrupted(cause) from None
            time.sleep(0.1)


def interruption(requests: Requests) -> str | None:
    """For what cause the attempt should end now, if at all."""
    if requests.stop_grace() is not None:
        return "stopped"
    return "lost" if requests.is_terminated else None


def _build(preparation: Preparation, group: Group | None, kept: str, has_any: bool) -> None:
    """With uv in a folder beside, renamed when whole; environments of venv and pip cannot be moved, so those
    are made in place. A file inside says that it is whole."""
    plan, options, capture = preparation.plan, preparation.options, preparation.capture
    started = time.monotonic()
    python, uv = options["python"], options["uv"]
    folder = f"{kept}.{os.getpid()}" if uv else kept
    caches = f"{options['local']}/caches/{plan.get('project_id') or 'none'}"
    for path in (kept, folder):
        _remove(path)
    os.makedirs(folder, 0o755)
    os.makedirs(caches, 0o700, exist_ok=True)
    install = ["install", "--requirement", plan["requirements"]]
    if uv:
        make = [uv, "venv", "--quiet", "--allow-existing", "--relocatable", "--python", python, folder]
        fill = [uv, "pip", *install, "--python", f"{folder}/bin/python"]
    else:
        make = [python, "-m", "venv", folder]
        fill = [f"{folder}/bin/python", "-m", "pip", *install, "--disable-pip-version-check"]
    capture.say(f"Makes an environment from {plan['requirements']}.")
    env = {**options["install"], "PATH": sandbox.SYSTEM_PATH, "HOME": preparation.folder.file("home")}
    env |= {"LANG": "C.UTF-8", "UV_LINK_MODE": "copy", "UV_CACHE_DIR": caches, "PIP_CACHE_DIR": caches}
    env |= {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
    view = _view(preparation, folder, caches)
    try:
        for argv in (make, fill) if has_any else (make,):
            work, confine = preparation.folder.file("work"), sandbox.confine(view)
            launch = Launch(argv, env, work, bwrap=options["bwrap"], confine=confine, group=group)
            _step(preparation, launch, f"The environment cannot be made from {plan['requirements']}")
    except BaseException:
        _remove(folder)
        raise
    with open(f"{folder}/berth-ready", "w"):
        pass
    if folder != kept:
        os.rename(folder, kept)
    capture.say(f"The environment is ready after {time.monotonic() - started:.1f} s; it is kept for other runs.")


def _view(preparation: Preparation, folder: str, caches: str) -> sandbox.View:
    attempt = preparation.folder
    return sandbox.View(
        home=preparation.options["home"],
        attempt=attempt.path,
        writable=[attempt.file("work"), attempt.file("home"), folder, caches],
        readable=sandbox.interpreter_folders(preparation.options["uv"]) if preparation.options["uv"] else [],
        interpreter=preparation.options["python"],
    )


def _step(preparation: Preparation, launch: Launch, failure: str) -> Ended:
    record: Callable[[dict[str, Any]], None] = lambda who: preparation.folder.write("setup.json", who)  # noqa: E731
    child = spawn(launch, record)
    bounds = Bounds(_SECONDS, 0, None)
    ended = supervise(child, preparation.capture, preparation.requests, bounds, label=b"b")
    if ended.asked in ("stopped", "lost"):
        raise Interrupted(ended.asked)
    if ended.asked == "timed_out":
        raise StartError(f"{failure}: it took longer than {_SECONDS / 60:.0f} minutes")
    if ended.code and launch.group is not None and launch.group.oom_kills():
        raise StartError(f"{failure}: the memory that the run asks for is not enough for it")
    if ended.code:
        line = preparation.capture.errors.line
        raise StartError(f"{failure}: {line}" if line else f"{failure} (exit code {ended.code})")
    return ended
