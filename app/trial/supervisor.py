"""`berth up`: starts Postgres, Valkey and Berth's three processes, watches them, and ends them well.

`up` replaces the calling process by a lean one, which stays as long as Berth runs: it imports nothing
heavy. Runs are not its children; they outlive it and are adopted by the next start.
"""

import argparse
import contextlib
import errno
import http.client
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.home import default_home
from app.trial.child import MARKER, Child, end_orphans
from app.trial.embedded import Embedded, embedded
from app.trial.postgres import EmbeddedError, rotate, tail
from app.trial.processes import ProcessId
from app.trial.state import AlreadyRunningError, only_instance, read_record, write_record

GRACE = 20.0
READY_WITHIN = 90.0
PYTHON = [sys.executable, "-P"]  # -P: the folder that Berth is started in is no place to import from


class StartError(RuntimeError):
    """Berth cannot start; the message says why and what to do."""


def up(
    *, port: int | None = None, stop_runs: bool | None = None, browser: bool = True, parent: int | None = None
) -> None:
    """Never returns: becomes the supervisor. Port 0 takes a free one; `stop_runs` answers beforehand."""
    command = [*PYTHON, "-m", "app.trial.supervisor"]
    command += [] if port is None else ["--port", str(port)]
    command += [] if stop_runs is None else ["--stop-runs" if stop_runs else "--keep-runs"]
    command += [] if browser else ["--no-browser"]
    command += [] if parent is None else ["--parent", str(parent)]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606


def home_folder() -> Path:
    """BERTH_HOME as `app.settings` works it out, without its imports."""
    if os.environ.get("BERTH_HOME"):
        return Path(os.environ["BERTH_HOME"]).expanduser().absolute()
    return default_home()


class Supervisor:
    """One start of Berth, from the lock on its home to the end of its last process."""

    def __init__(self, home: Path, options: argparse.Namespace) -> None:
        self.home = home
        self.options = options
        self.marker = secrets.token_hex(16)
        self.children: list[Child] = []
        self.settings: dict[str, Any] = {}
        self.signals: list[int] = []
        self.url = ""
        # Threads that each have an arena of the allocator's keep memory that none of them uses.
        self.environment = {"MALLOC_ARENA_MAX": "2", **os.environ, "BERTH_HOME": str(home)}
        self.environment |= {MARKER: self.marker, "PYTHONUNBUFFERED": "1"}

    def run(self) -> int:
        """The exit code: 0 after an ordinary end."""
        with only_instance(self.home):
            for name in end_orphans(read_record(self.home)):
                say(f"ended a {name} process that an earlier Berth left behind")
            with subprocess.Popen(
                [*PYTHON, "-m", "app.trial.prepare"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self.environment,
                cwd=self.home,
                text=True,
            ) as preparing:
                try:
                    self.settings = answer_of(preparing)
                    listening = self.listen()
                    with embedded(self.home) as servers:
                        self.environment.update(servers.environment())
                        link = self.prepare(preparing)
                        with listening:
                            return self.serve(listening, servers, link)
                finally:
                    if preparing.poll() is None:
                        preparing.terminate()

    def listen(self) -> socket.socket:
        """The socket that the web process serves; held here so that its restart refuses nobody."""
        host = self.settings["host"]
        port = self.settings["port"] if self.options.port is None else self.options.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                raise StartError(
                    f"port {port} is taken by another program. Choose another with `berth up --port 8801` "
                    "or BERTH_WEB__PORT, or let one be chosen with `--port 0`."
                ) from None
            raise StartError(f"cannot listen on {host}:{port} (BERTH_WEB__HOST): {error.strerror}") from None
        listening.listen(2048)
        chosen = listening.getsockname()[1]
        self.environment["BERTH_WEB__PORT"] = str(chosen)
        told: str = self.settings["url"]
        self.url = told if self.settings["url_is_given"] else f"{told.rpartition(':')[0]}:{chosen}"
        return listening

    def prepare(self, preparing: "subprocess.Popen[str]") -> str:
        """Has the database made ready; returns the key of the sign-in link."""
        assert preparing.stdin is not None
        told = {name: value for name, value in self.environment.items() if name.startswith("BERTH_")}
        preparing.stdin.write(json.dumps(told) + "\n")
        preparing.stdin.flush()
        result = answer_of(preparing)
        preparing.wait(10)
        return str(result["link"])

    def serve(self, listening: socket.socket, servers: Embedded, link: str) -> int:
        """From the first process to the last."""
        wake = self.catch_signals()
        logs = self.home / "processes"
        worker = [*PYTHON, "-m", "app.trial.worker", str(self.settings["worker_threads"])]
        web = [*PYTHON, "-m", "app.trial.web", str(listening.fileno()), str(self.settings["web_processes"])]
        self.children = [
            Child("web", web, logs / "web.log", [listening.fileno()]),
            Child("worker", worker, logs / "worker.log"),
            Child("controller", [*PYTHON, "-m", "app.workers.controller"], logs / "controller.log"),
        ]
        try:
            for child in self.children:
                child.start(self.environment, self.home)
            self.record()
            self.wait_until_ready(wake)
            if not self.signals:
                self.announce(link)
            while not self.signals:
                self.look_after(servers)
                pause(wake, 1.0)
            self.settle_runs()
        finally:
            self.end_children()
        say("Berth has stopped")
        return 0

    def catch_signals(self) -> int:
        """Signals wake the loop through a pipe; the returned end is readable after one."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self.signals.append(number))
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return read

    def wait_until_ready(self, wake: int) -> None:
        """Returns when /readyz answers 200 or a signal came. Raises StartError."""
        deadline = time.monotonic() + READY_WITHIN
        while not self.signals:
            if is_served(self.environment["BERTH_WEB__PORT"], self.settings["host"], self.url):
                return
            for child in self.children:
                if not child.is_running():
                    raise StartError(f"{child.name} ended while starting. It wrote:\n{tail(child.log)}")
            if time.monotonic() > deadline:
                web = self.children[0]
                raise StartError(f"not ready after {READY_WITHIN:.0f} s. The web process wrote:\n{tail(web.log)}")
            pause(wake, 0.05)

    def announce(self, link: str) -> None:
        address = f"{self.url}/?k={link}"
        say(f"Berth is ready: {address}")
        say(f"The link signs you in once. Everything is kept in {self.home}. Ctrl-C stops Berth.")
        has_display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if self.options.browser and sys.stdout.isatty() and has_display:
            opener = "import sys, webbrowser; webbrowser.open(sys.argv[1])"
            subprocess.Popen([*PYTHON, "-c", opener, address], stderr=subprocess.DEVNULL)

    def look_after(self, servers: Embedded) -> None:
        """Starts again what has died, and keeps the logs small."""
        for name in servers.revive_dead():
            say(f"{name} had ended; it was started again")
        for child in self.children:
            if child.is_running():
                rotate(child.log)
            elif child.process is not None:
                say(child.note_crash(self.marker) + f". The end of {child.log}:\n{tail(child.log)}")
            elif time.monotonic() >= child.start_at:
                child.start(self.environment, self.home)
                self.record()
        if self.options.parent is not None and os.getppid() != self.options.parent:
            self.signals.append(signal.SIGTERM)

    def settle_runs(self) -> None:
        """Stops the runs if that is wanted; otherwise they go on and the next start adopts them."""
        count = self.ask_runs("count")
        if not count:
            return
        many = "the 1 running run" if count == 1 else f"the {count} running runs"
        wanted = self.options.stop_runs
        if wanted is None and sys.stdin.isatty() and signal.SIGHUP not in self.signals:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with contextlib.suppress(KeyboardInterrupt, EOFError):
                wanted = input(f"\nStop {many} too? [y/N] ").strip().lower() in {"y", "yes"}
            signal.signal(signal.SIGINT, lambda number, _frame: self.signals.append(number))
        if wanted:
            say(f"stopping {many}")
            left = self.ask_runs("stop")
            say("all runs have ended" if not left else f"{left} have not ended yet; the next start sees to them")
        else:
            say(
                f"{many} keep{'s' if count == 1 else ''} going; `berth up` finds {'it' if count == 1 else 'them'} again"
            )

    def ask_runs(self, what: str) -> int:
        """A number from app/trial/runs.py; 0 when it cannot be told."""
        done = subprocess.run(
            [*PYTHON, "-m", "app.trial.runs", what],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            say(f"the runs could not be asked about: {done.stderr.strip()[-300:]}")
            return 0
        return int(done.stdout)

    def end_children(self) -> None:
        """Web first, so that nobody is told yes who is not heard; all within the grace."""
        deadline = time.monotonic() + GRACE
        for child in self.children:
            child.ask_to_end()
        for child in self.children:
            if not child.end(deadline, self.marker):
                say(f"{child.name} did not end within {GRACE:.0f} s and was killed")
        self.children = []
        self.record()

    def record(self) -> None:
        """Says on disk what runs now."""
        write_record(
            self.home,
            {
                "supervisor": ProcessId.of(os.getpid()).as_dict(),
                "marker": self.marker,
                "url": self.url,
                "port": int(self.environment["BERTH_WEB__PORT"]),
                "children": {child.name: child.identity.as_dict() for child in self.children if child.identity},
            },
        )


def answer_of(preparing: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next line of app/trial/prepare.py. Raises StartError when it says what is wrong, or nothing."""
    assert preparing.stdout is not None
    line = preparing.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"error": "the preparation ended without a word"}
    if "error" in answer:
        raise StartError(answer["error"])
    return answer


def is_served(port: str, host: str, url: str) -> bool:
    """Whether the web process says that it is ready."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(address, int(port), timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": urlsplit(url).netloc})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def pause(wake: int, seconds: float) -> None:
    """Sleeps, but not through a signal."""
    if select.select([wake], [], [], seconds)[0]:
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)


def say(text: str) -> None:
    # A closed terminal must not keep Berth from ending its processes.
    with contextlib.suppress(OSError):
        print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line that `up` makes. 0 well, 1 cannot start, 3 already running."""
    parser = argparse.ArgumentParser(prog="berth up")
    parser.add_argument("--port", type=int)
    parser.add_argument("--stop-runs", dest="stop_runs", action="store_true", default=None)
    parser.add_argument("--keep-runs", dest="stop_runs", action="store_false")
    parser.add_argument("--no-browser", dest="browser", action="store_false")
    parser.add_argument("--parent", type=int, help="stop when this process is no longer the parent")
    options = parser.parse_args(arguments)
    try:
        return Supervisor(home_folder(), options).run()
    except AlreadyRunningError as error:
        print(f"{error}. Stop it first, or use it.", file=sys.stderr)
        return 3
    except (StartError, EmbeddedError, OSError) as error:
        print(f"Berth cannot start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
