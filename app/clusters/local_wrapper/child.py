"""Starts a program inside its limits, and ends everything that it started."""

import errno
import os
import signal
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from typing import Any, NamedTuple

from app.clusters.local_wrapper import processes
from app.clusters.local_wrapper.cgroups import Group

_OOM_SCORE = b"500"  # when the whole machine runs out of memory, a run goes before Berth and its database


class StartError(Exception):
    """The program could not be started. The message is for the user."""


class Launch(NamedTuple):
    """What to execute and within what. `bwrap` is the sandbox's program and `confine` its arguments.

    With `call`, that function runs in the new process in place of a program; it returns the exit code.
    """

    argv: list[str]
    env: dict[str, str]
    folder: str
    bwrap: str = ""
    confine: Sequence[str] = ()
    group: Group | None = None
    cores: Set[int] = frozenset()
    call: Callable[[], int] | None = None


class Child(NamedTuple):
    """A process that was started, the ends of its pipes, and what it may have spread to."""

    pid: int
    stdout: int
    stderr: int
    isolated: bool
    group: Group | None

    def members(self) -> list[processes.Stat]:
        """Everything alive that belongs to it, itself included.

        Only for a child that was not waited for: until then nobody else can have its number.
        """
        stats = processes.every()
        inside = set(self.group.members()) if self.group else set()
        inside.update(stat.process.pid for stat in processes.descendants(os.getpid(), stats))
        inside.update(stat.process.pid for stat in processes.in_session(self.pid, stats))
        return [stat for stat in stats if stat.process.pid in inside]

    def signal(self, number: int) -> bool:
        """Signals all of it, but not bubblewrap's own two processes: the sandbox must outlive its program.

        Returns whether anybody was there.
        """
        alive = self.members()
        spared = set()
        if self.isolated:
            spared = {self.pid, *(stat.process.pid for stat in alive if stat.parent == self.pid)}
        sent = [processes.send(s.process, number) for s in alive if s.process.pid not in spared]
        return any(sent)

    def kill(self) -> bool:
        """Ends all of it. Whether nothing is left."""
        for turn in range(40):
            if self.group is not None:
                self.group.kill()
            alive = self.members()
            if not alive:
                return True
            for stat in alive:
                processes.send(stat.process, signal.SIGKILL)
            time.sleep(0.001 * (turn + 1))
        return False


def end_remains(identity: dict[str, Any] | None, group: Group | None, run_id: str) -> bool:
    """Kills what a dead wrapper left behind, found by the identity that it wrote down. Whether nothing is left.

    A process that merely has the number now is never touched. When the first process itself is gone, those of
    its session count only if they carry the run's id in their environment.
    """
    if identity is None or identity["boot"] != processes.boot_id():
        return True
    for turn in range(40):
        if group is not None:
            group.kill()
        alive = _remains(identity, group, run_id)
        if not alive:
            return True
        for stat in alive:
            processes.send(stat.process, signal.SIGKILL)
        time.sleep(0.001 * (turn + 1))
    return False


def _remains(identity: dict[str, Any], group: Group | None, run_id: str) -> list[processes.Stat]:
    stats = processes.every()
    leader: int = identity["pid"]
    inside = set(group.members()) if group else set()
    if processes.find(identity):
        inside.update(stat.process.pid for stat in processes.descendants(leader, stats))
        inside.update(stat.process.pid for stat in processes.in_session(leader, stats))
    elif all(stat.process.pid != leader for stat in stats):
        members = [stat.process.pid for stat in processes.in_session(leader, stats)]
        inside.update(pid for pid in members if processes.has_environment(pid, "BERTH_RUN_ID", run_id))
    return [stat for stat in stats if stat.process.pid in inside]


def spawn(launch: Launch, record: Callable[[dict[str, Any]], None]) -> Child:
    """Starts it. `record` gets its identity before the program may begin; if that fails, it never begins.

    Raises StartError with the reason when it cannot be executed.
    """
    inside, arguments = _confine(launch) if launch.bwrap else (launch, os.open(os.devnull, os.O_RDONLY))
    told, tell = os.pipe()  # one byte lets the child go on; its end without one makes it exit
    failed, fail = os.pipe()  # closed by a successful execve, else it carries the errno
    stdout, to_stdout = os.pipe()
    stderr, to_stderr = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        _become(inside, told, fail, to_stdout, to_stderr)
    for handle in (told, fail, to_stdout, to_stderr, arguments):
        os.close(handle)
    child = Child(pid, stdout, stderr, bool(launch.bwrap), launch.group)
    try:
        record({**processes.identify(pid), "isolated": child.isolated})
        os.write(tell, b"+")
    finally:
        os.close(tell)
    with os.fdopen(failed, "rb") as pipe:
        error = pipe.read()
    if error:
        os.waitpid(pid, 0)
        os.close(stdout)
        os.close(stderr)
        raise StartError(f"{inside.argv[0]} cannot be executed: {os.strerror(int(error))}")
    return child


def _confine(launch: Launch) -> tuple[Launch, int]:
    """The launch of bubblewrap around it, and the file with its arguments, which the child inherits.

    The environment is among them: bubblewrap itself must not obey it (LD_LIBRARY_PATH), being outside of the
    sandbox, and secrets must not stand in its command line.
    """
    words = [*launch.confine, *(word for pair in launch.env.items() for word in ("--setenv", *pair))]
    if any("\0" in word for word in words):
        raise StartError("The environment has a NUL character.")  # it would end one argument and begin another
    handle = os.memfd_create("arguments", 0)
    with open(handle, "wb", closefd=False) as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in words))
    os.lseek(handle, 0, os.SEEK_SET)
    argv = [launch.bwrap, "--args", str(handle), "--", *launch.argv]
    return launch._replace(argv=argv, env={}), handle


def _become(launch: Launch, told: int, fail: int, stdout: int, stderr: int) -> None:
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        for entry in launch.group.entries if launch.group else []:
            with open(entry, "w") as file:
                file.write("0")
        if launch.cores:
            os.sched_setaffinity(0, launch.cores)
        with suppress(OSError), open("/proc/self/oom_score_adj", "wb") as score:
            score.write(_OOM_SCORE)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.umask(0o022)
        if os.read(told, 1) == b"+":
            os.chdir(launch.folder)
            if launch.call is not None:
                os.closerange(3, 256)  # the wrapper's lock above all
                os._exit(launch.call())
            os.execve(launch.argv[0], launch.argv, launch.env)
    except OSError as error:
        os.write(fail, str(error.errno or 1).encode())
    except ValueError:
        os.write(fail, str(errno.EINVAL).encode())
    finally:
        os._exit(127)
