"""The life of one attempt: take the lock, prepare, start the program once, stand by it, write down the end."""

import json
import os
import signal
import sys
import time
from typing import Any, NamedTuple

from app.clusters.local_wrapper import cgroups, child, environments, prepare, private, processes, sandbox
from app.clusters.local_wrapper.capture import Capture, FirstError
from app.clusters.local_wrapper.child import Launch, StartError
from app.clusters.local_wrapper.folder import Folder, send_hint
from app.clusters.local_wrapper.meter import NAME, Meter
from app.clusters.local_wrapper.supervise import Bounds, Ended, Requests, supervise

INSTALL = "BERTH_INSTALL"
"""The environment variable with the settings of package installers, as JSON."""
_PATIENCE_SECONDS = 1.0


def run(path: str, options: str, tell: int) -> None:
    """Runs the attempt in the folder `path`, unless it has a wrapper, has begun before, or is over.

    Writes "+" to `tell` as soon as that is settled.
    """
    folder = Folder(path)
    # Who looks after an attempt without a wrapper holds the lock as well, but for a moment only.
    with folder.exclusive(patience=_PATIENCE_SECONDS) as lock:
        over = lock is None or os.path.exists(folder.tombstone)
        if over or folder.exists("exit.json") or folder.exists("started.json"):
            if lock is not None:
                private.drop_values(folder)  # whoever asked for this start was late and has left them for nobody
            _settle(tell)
            return
        assert lock is not None
        requests = Requests(folder)
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(processes.identify(os.getpid())).encode(), 0)
        _settle(tell)
        chosen = {**json.loads(options), "install": json.loads(os.environ.pop(INSTALL, "{}"))}
        plan = folder.read("plan.json")
        if plan is None:
            return
        end = _Attempt(folder, plan, chosen, requests).live()
        private.drop(folder)
        _finish(folder, chosen, end)


def _settle(tell: int) -> None:
    os.write(tell, b"+")
    os.close(tell)


def finish_unstarted(folder: Folder, cause: str) -> None:
    """Writes the end of an attempt whose program never began, so that it never will. The lock must be held."""
    words = {"stopped": "It was stopped before it began.", "lost": "The wrapper was ended before it began."}
    folder.write("exit.json", make_end(cause, words[cause]), durable=True)


def make_end(cause: str | None, message: str, **facts: Any) -> dict[str, Any]:
    """What exit.json holds."""
    end: dict[str, Any] = {"exit_code": None, "signal": None, "cause": cause, "message": message}
    end |= {"first_error": None, "started_at": None, "finished_at": time.time()}
    return end | {"cpu_seconds": None, "max_rss_bytes": None} | facts


def _finish(folder: Folder, options: dict[str, Any], end: dict[str, Any]) -> None:
    folder.write("exit.json", end, durable=True)
    send_hint(options["local"])


class _Limits(NamedTuple):
    """What is in force: a control group, or the watchdog and the processors to stay on."""

    group: cgroups.Group | None
    cores: set[int]


class _Attempt:
    def __init__(self, folder: Folder, plan: dict[str, Any], options: dict[str, Any], requests: Requests) -> None:
        self.folder = folder
        self.plan = plan
        self.options = options
        self.requests = requests
        self.limits = _Limits(None, set())
        self.started_at: float | None = None
        self.secrets = private.read_values(folder) if plan.get("secrets") else {}
        hidden = private.masks({**self.secrets, "": plan["env"].get("BERTH_TOKEN", "")})
        self.capture = Capture(folder.file("0.log"), plan["log_bytes"], hidden)

    def live(self) -> dict[str, Any]:
        """All of it. Returns what goes into exit.json; nothing of the attempt is alive then."""
        try:
            end = self._live()
        except prepare.Interrupted as interrupted:
            words = {"stopped": "It was stopped before it began.", "lost": "The wrapper was told to end."}
            end = make_end(interrupted.cause, words[interrupted.cause])
        except StartError as error:
            end = make_end("start_failed", str(error), first_error=str(error), started_at=self.started_at)
        except Exception as error:
            import traceback  # here, since no wrapper should need it

            traceback.print_exc(file=sys.stderr)  # into wrapper.err of the folder
            end = make_end("start_failed", f"Berth could not run it: {error!r}", started_at=self.started_at)
            child.end_remains(self.folder.read("started.json"), self.limits.group, self.plan["run_id"])
        if self.limits.group is not None:
            self.limits.group.remove()
        if end["cause"] not in (None, "failed"):
            self.capture.say(end["message"])
        self.capture.close()
        return end

    def _live(self) -> dict[str, Any]:
        child.end_remains(self.folder.read("setup.json"), None, self.plan["run_id"])
        if cause := prepare.interruption(self.requests):
            raise prepare.Interrupted(cause)
        preparation = prepare.Preparation(self.folder, self.plan, self.options, self.capture, self.requests)
        prepare.make_folders(self.folder)
        if not self.options["bwrap"]:
            _adopt_orphans()
        self.limits = self._limit()
        prepare.unpack_snapshot(preparation)
        environment = None
        if self.plan["requirements"]:
            environment = prepare.make_environment(preparation, self.limits.group)
        self.capture.errors = FirstError()
        launch = self._launch(environment)
        if cause := prepare.interruption(self.requests):
            raise prepare.Interrupted(cause)
        ooms = self.limits.group.oom_kills() if self.limits.group else 0
        described = environments.describe(self.place)
        self.started_at = time.time()
        meter = self._meter(self.started_at)
        program = child.spawn(launch, self._record)
        send_hint(self.options["local"])
        watchdog = None if self.limits.group else self.plan["memory_bytes"]
        bounds = Bounds(self.plan["timeout_seconds"], self.plan["grace_seconds"], watchdog)
        ended = supervise(program, self.capture, self.requests, bounds, meter=meter)
        environments.wait_for(described)
        return self._judge(ended, ooms)

    def _meter(self, started_at: float) -> Meter:
        folder, run = self.folder, os.path.dirname(self.folder.path)
        before = self.limits.group.cpu_seconds() if self.limits.group else None
        folders = [*map(folder.file, ("work", "output", "home", "tmp")), f"{run}/checkpoint"]
        return Meter(folder.file(NAME), started_at, before or 0.0, self.options["nvidia_smi"], folders)

    def _limit(self) -> _Limits:
        cpu, memory = self.plan["cpu_millis"], self.plan["memory_bytes"]
        if self.options["cgroups"]:
            name = f"berth-{self.options['mark']}-{self.plan['run_id']}-{self.plan['attempt']}"
            try:
                group = cgroups.create(name, cpu, memory)
                self.folder.write("group.json", {"version": group.version, "folders": group.folders})
                return _Limits(group, set())
            except OSError as error:
                self.capture.say(f"No control group ({error}): memory is watched, processors are assigned.")
        return _Limits(None, _choose_cores(-(-cpu // 1000), f"{self.options['local']}/cores"))

    def _launch(self, environment: str | None) -> Launch:
        folder, plan, options = self.folder, self.plan, self.options
        python = f"{environment}/bin/python" if environment else plan["python"] or options["python"]
        run = os.path.dirname(folder.path)
        env = {"PATH": sandbox.make_path(python, folder.file("bin")), "HOME": folder.file("home")}
        env |= {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | plan["env"]
        env["PYTHONPATH"] = ":".join(p for p in (env.get("PYTHONPATH"), options["sdk"]) if p)
        env |= {"BERTH_OUTPUT": folder.file("output"), "BERTH_CHECKPOINT": f"{run}/checkpoint"}
        address = f"{options['local']}/address"
        env |= {"BERTH_REPLICA": "0", "BERTH_URL_FILE": f"{address}/url"}
        env |= self._hand_over()
        work = folder.file("work")
        try:
            sandbox.find_program(python, "", "/")
            program = sandbox.find_program(plan["command"][0], env["PATH"], work)
        except OSError as error:
            raise StartError(str(error)) from error
        self.place = self._place(program, python, environment)
        secrets = env.get("BERTH_SECRETS")
        view = sandbox.View(
            home=options["home"],
            attempt=folder.path,
            writable=[work, folder.file("output"), folder.file("home"), f"{run}/checkpoint"],
            readable=[path for path in (folder.file("bin"), environment, options["sdk"], address, secrets) if path],
            interpreter=options["python"] if environment else python,
        )
        return Launch(
            argv=[program, *plan["command"][1:]],
            env=env,
            folder=work,
            bwrap=options["bwrap"],
            confine=sandbox.confine(view),
            group=self.limits.group,
            cores=self.limits.cores,
        )

    def _place(self, program: str, python: str, environment: str | None) -> environments.Place:
        """What the interpreter may see when it is asked: less than the program, and nothing that it could change."""
        folder, options = self.folder, self.options
        view = sandbox.View(
            home=options["home"],
            attempt=folder.path,
            writable=[],
            readable=[path for path in (folder.file("work"), environment) if path],
            interpreter=options["python"] if environment else python,
        )
        confine = sandbox.confine(view) if options["bwrap"] else []
        return environments.Place(folder, options, program, python, options["bwrap"], confine)

    def _record(self, identity: dict[str, Any]) -> None:
        started = {**identity, "started_at": self.started_at, "pgid": identity["pid"]}
        self.folder.write("started.json", started)
        private.drop_values(self.folder)

    def _hand_over(self) -> dict[str, str]:
        try:
            return private.hand_over(self.folder, self.plan.get("secrets") or [], self.secrets)
        except KeyError as error:
            raise StartError(f"the value of the secret {error} is not there") from None

    def _judge(self, ended: Ended, ooms: int) -> dict[str, Any]:
        group = self.limits.group
        cause = ended.asked
        if cause is None and ended.code and group is not None and group.oom_kills() > ooms:
            cause = "oom_killed"
        sandbox_words = self._sandbox_failure(ended) if cause is None else None
        if sandbox_words:
            raise StartError(sandbox_words)
        if cause is None and ended.code:
            cause = "failed"
        code, number = (ended.code, None) if ended.code >= 0 else (None, -ended.code)
        return make_end(
            cause,
            self._message(cause, ended),
            exit_code=code,
            signal=number,
            first_error=self.capture.errors.line if cause in ("failed", "oom_killed") else None,
            started_at=self.started_at,
            cpu_seconds=round(ended.cpu_seconds, 3),
            max_rss_bytes=ended.max_rss_bytes,
        )

    def _sandbox_failure(self, ended: Ended) -> str | None:
        line = self.capture.errors.line or ""
        if self.options["bwrap"] and ended.code == 1 and line.startswith("bwrap: "):
            return line.removeprefix("bwrap: ")
        return None

    def _message(self, cause: str | None, ended: Ended) -> str:
        forced = " It did not end within its grace and was killed." if ended.killed else ""
        if cause == "stopped":
            return f"It was stopped.{forced}"
        if cause == "timed_out":
            return f"It ran longer than its limit of {self.plan['timeout_seconds']} s.{forced}"
        if cause == "oom_killed":
            return f"It used more memory than the {self.plan['memory_bytes'] / (1 << 20):.0f} MiB it asked for."
        if cause == "lost":
            return f"Its wrapper was told to end, not by Berth; the machine may have been shut down.{forced}"
        if cause is None:
            return ""
        if ended.code < 0 or (self.options["bwrap"] and ended.code > 128):
            return f"It was ended by {_signal_name(ended.code)}."
        return f"It ended with exit code {ended.code}."


def _signal_name(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {code}"


def _adopt_orphans() -> None:
    """What the program leaves behind becomes the wrapper's child, so that it can be found and ended."""
    import ctypes  # here, since only runs without a sandbox pay for it

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _choose_cores(count: int, counter: str) -> set[int]:
    """The next processors in turn. The counter's file is a hint: two that read it at once share."""
    cores = sorted(os.sched_getaffinity(0))
    if count >= len(cores):
        return set(cores)
    try:
        with open(counter) as file:
            first = int(file.read() or 0)
    except (OSError, ValueError):
        first = 0
    with open(counter, "w") as file:
        file.write(str((first + count) % len(cores)))
    return {cores[(first + step) % len(cores)] for step in range(count)}
