"""What the program runs in: its interpreter is asked, once, beside the program, for its version and its packages.

The answer goes to environment.json, as it was given: whoever reads that takes nothing of it on trust. It is kept by
interpreter and used again for as long as none of the folders on its path has changed, so that nearly all attempts
ask nobody. An interpreter is any program a user names. So it is asked in the sandbox of the run, without the run's
environment, by a process of its own that the program's end does not wait for longer than a moment.
"""

import json
import os
import re
import signal
from contextlib import suppress
from typing import Any, NamedTuple

from app.clusters.local_wrapper import sandbox
from app.clusters.local_wrapper.folder import Folder, send_hint

FILE = "environment.json"
_SECONDS = 20  # that an interpreter may take to answer
_CPU_SECONDS = 10
_MEMORY = 1 << 30
_BYTES = 1 << 20  # of an answer
_PATIENCE = 5.0  # seconds that the end of a program waits for the answer
_PYTHON = re.compile(r"(python|pypy)[0-9.]*")
_ASK = """
import importlib.metadata as m, json, os, sys
found = {}
for one in m.distributions():
    name = one.metadata["Name"]
    if name and name not in found:
        found[name] = one.version
folders = {}
for path in sys.path:
    if os.path.isdir(path):
        folders[path] = os.stat(path).st_mtime_ns
print(json.dumps({"interpreter": sys.executable, "version": sys.version.split()[0], "packages": found,
                  "folders": folders}))
"""


class Place(NamedTuple):
    """Where the program runs. `program` is the file of its command; `python` the interpreter that is first on its
    path; `confine` the arguments of the sandbox `bwrap`, both empty without one."""

    folder: Folder
    options: dict[str, Any]
    program: str
    python: str
    bwrap: str
    confine: list[str]


class Asking(NamedTuple):
    """Somebody asks: `answered` ends when there is an answer, and the asking ends when `asker` is closed."""

    answered: int
    asker: int


def describe(place: Place) -> Asking | None:
    """Writes environment.json, now or as soon as the interpreter has answered: then what to wait for is returned.

    Never raises for what the interpreter does.
    """
    python = _interpreter(place)
    kept = f"{place.options['local']}/environments/{_key(python)}.json"
    known = _still_true(kept)
    if known is not None:
        _write(place, known)
        return None
    try:
        return _ask_beside(place, python, kept)
    except OSError as error:
        _write(place, {"interpreter": python, "note": f"The interpreter was not asked: {error.strerror}"})
        return None


def wait_for(asking: Asking | None) -> None:
    """Waits for a moment until the answer is there. Nobody asks any more afterwards."""
    if asking is None:
        return
    import select  # here, like others below: few attempts need them, and every wrapper would wait for them

    waiting = select.poll()
    waiting.register(asking.answered, select.POLLIN | select.POLLHUP)
    if not waiting.poll(_PATIENCE * 1000):
        os.close(asking.asker)
        waiting.poll(_PATIENCE * 1000)
    else:
        os.close(asking.asker)
    os.close(asking.answered)


def _interpreter(place: Place) -> str:
    is_python = _PYTHON.fullmatch(os.path.basename(place.program))
    is_shim = place.program.startswith(place.folder.file("bin") + "/")
    return place.program if is_python and not is_shim else place.python


def _key(python: str) -> str:
    import hashlib

    settings = f"{os.path.dirname(os.path.dirname(python))}/pyvenv.cfg"
    parts = [python, os.path.realpath(python), str(_changed(os.path.realpath(python))), str(_changed(settings))]
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _still_true(kept: str) -> dict[str, Any] | None:
    try:
        with open(kept, "rb") as file:
            found = json.loads(file.read(_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    folders = found.get("folders") if isinstance(found, dict) else None
    if not isinstance(folders, dict) or not folders:
        return None
    is_same = all(isinstance(path, str) and "\0" not in path and _changed(path) == at for path, at in folders.items())
    return found if is_same else None


def _write(place: Place, found: dict[str, Any]) -> None:
    uname = os.uname()
    platform = {"os": f"{uname.sysname} {uname.release}", "machine": uname.machine, "berth": place.options["berth"]}
    kept: dict[str, Any] = {
        name: found[name] for name in ("interpreter", "version", "packages", "note") if name in found
    }
    with suppress(OSError):  # the attempt may have been removed meanwhile
        place.folder.write(FILE, {**kept, "platform": platform})


def _ask_beside(place: Place, python: str, kept: str) -> Asking:
    """Leaves a process beside that asks; it is nobody's child, so what ends the program does not count it in. It
    ends with the wrapper, however that ends."""
    answered, answer = os.pipe()
    asked, asker = os.pipe()
    adopts = _adopts_orphans()
    if adopts:
        _adopt(False)
    try:
        child = os.fork()
        if child == 0:
            _leave(place, python, kept, (answer, asked))
        os.waitpid(child, 0)
    finally:
        if adopts:
            _adopt(True)
    os.close(answer)
    os.close(asked)
    return Asking(answered, asker)


def _leave(place: Place, python: str, kept: str, pipes: tuple[int, int]) -> None:
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
        for handle in range(3, 256):  # the wrapper's lock above all
            if handle not in pipes:
                with suppress(OSError):
                    os.close(handle)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(_SECONDS + 10)
        found = _ask(place, python, pipes[1])
        _write(place, found)
        send_hint(place.options["local"])
        if found.get("folders"):
            _keep(found, kept)
    finally:
        os._exit(0)


def _ask(place: Place, python: str, asked_by: int) -> dict[str, Any]:
    import subprocess

    command = [python, "-I", "-c", _ASK]
    if place.bwrap:
        command = [place.bwrap, *place.confine, "--", *command]
    unknown: dict[str, Any] = {"interpreter": python}
    try:
        asked = subprocess.Popen(
            command,
            cwd="/",
            env={"PATH": sandbox.SYSTEM_PATH, "HOME": "/nonexistent", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_limit,
        )
    except OSError as error:
        return {**unknown, "note": f"The interpreter could not be asked: {error.strerror}"}
    try:
        text = _read(asked.stdout.fileno() if asked.stdout else -1, asked_by)
    finally:
        with suppress(OSError):
            os.killpg(asked.pid, signal.SIGKILL)
        asked.wait()
    if text is None:
        return {**unknown, "note": "The interpreter did not answer in time."}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("packages"), dict):
        return {**unknown, "note": "The interpreter did not say what is installed; it may be no Python."}
    return {name: found.get(name) for name in ("interpreter", "version", "packages", "folders")}


def _limit() -> None:
    import resource

    with suppress(OSError, ValueError):
        os.nice(19)
    for what, most in ((resource.RLIMIT_CPU, _CPU_SECONDS), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def _read(handle: int, asked_by: int) -> bytes | None:
    """All that is written before the end, as far as it is of use; None when that takes too long, or nobody waits."""
    import select
    import time

    until, found = time.monotonic() + _SECONDS, b""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN | select.POLLHUP)
    waiting.register(asked_by, select.POLLHUP)
    while len(found) <= _BYTES:
        left = until - time.monotonic()
        ready = waiting.poll(left * 1000) if left > 0 else []
        if not ready or any(where == asked_by for where, _ in ready):
            return None
        piece = os.read(handle, 1 << 16)
        if not piece:
            return found
        found += piece
    return b""


def _keep(found: dict[str, Any], kept: str) -> None:
    with suppress(OSError):
        os.makedirs(os.path.dirname(kept), 0o700, exist_ok=True)
        draft = f"{kept}.{os.getpid()}"
        with open(draft, "w") as file:
            json.dump(found, file)
        os.rename(draft, kept)


def _adopts_orphans() -> bool:
    import ctypes

    found = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(37, ctypes.byref(found), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
    return bool(found.value)


def _adopt(on: bool) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(36, int(on), 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
