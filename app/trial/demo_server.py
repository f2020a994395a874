"""The server that the demo talks to: the one that runs in this home, or one that it starts and ends."""

import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import berth
from app.trial.demo_report import DemoFailedError
from app.trial.embedded import find
from app.trial.state import running_record
from app.trial.supervisor import PYTHON, home_folder
from berth.errors import BerthError

ADMIN = "admin"
READY = "Berth is ready: "


class DemoServer:
    """For the length of a `with` block: a server, and a token of its oldest administrator for an hour."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.home = home_folder()
        self.process: subprocess.Popen[str] | None = None
        self.was_started = False  # by this demo, and so ended by it
        self.url = ""
        self.user = ""
        self.password = ""  # of the first administrator, where this demo made one; kept nowhere
        self.token = ""
        self.token_id = ""

    def __enter__(self) -> Self:
        try:
            record = running_record(self.home)
            if record is not None:
                self.url = record["url"]
                self.say(f"using the Berth that runs at {self.url}")
                key = self.in_database("link")["link"]
            else:
                key = self.start()
            self.sign_in(key)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def client(self, project: str | None = None) -> berth.Client:
        """A client of the SDK with the demo's token."""
        return berth.Client(self.url, self.token, project)

    def environment(self, project: str) -> dict[str, str]:
        """What the `berth` command finds its server with; the user's own configuration is left alone."""
        told = {"BERTH_SERVER": self.url, "BERTH_TOKEN": self.token, "BERTH_PROJECT": project}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
        return {**kept, **told, "BERTH_HOME": str(self.home)}

    def start(self) -> str:
        """Starts `berth up` on a free port; the key of its sign-in link."""
        self.say(f"starting Berth; its state is in {self.home}")
        self.was_started = True
        # A session of its own: Ctrl-C reaches the demo, which ends its runs and then the server.
        options = ["--port", "0", "--keep-runs", "--no-browser", "--parent", str(os.getpid())]
        self.process = subprocess.Popen(
            [*PYTHON, "-m", "app.trial.supervisor", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        heard = []
        for line in self.process.stdout:
            if line.startswith(READY):
                self.url, _, key = line.removeprefix(READY).strip().partition("/?k=")
                self.say(f"Berth is ready at {self.url}")
                return key
            heard.append(line)
        raise DemoFailedError("".join(heard).strip() or "the server ended without a word")

    def sign_in(self, key: str) -> None:
        """Sets up the first administrator through the API if there is none, and takes a token for an hour."""
        password = secrets.token_urlsafe(18)
        body = {"key": key, "name": ADMIN, "password": password, "project": "demo"}
        request = urllib.request.Request(  # noqa: S310 - http, our own
            f"{self.url}/api/v1/setup",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Origin": self.url},
        )
        try:
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310
                self.password = password
                self.say(f"set up the first administrator, {ADMIN}; a link of `berth up` signs in as it")
        except urllib.error.HTTPError as error:
            # The key of a later start signs in and sets nothing up.
            if error.code != 404:
                raise DemoFailedError(f"POST /api/v1/setup: {error.code} {error.read().decode()[:500]}") from None
        except OSError as error:
            raise DemoFailedError(f"POST /api/v1/setup: {error}") from None
        made = self.in_database("token")
        self.user, self.token, self.token_id = made["user"], made["token"], made["id"]

    def in_database(self, what: str) -> dict[str, Any]:
        """Asks app/trial/owner.py, with the rights of whoever owns the machine."""
        environment = {**os.environ, "BERTH_HOME": str(self.home), **addresses(self.home)}
        done = subprocess.run(
            [*PYTHON, "-m", "app.trial.owner", what], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoFailedError(f"the {what} could not be made: {done.stderr.strip()[-500:]}")
        made: dict[str, Any] = json.loads(done.stdout)
        return made

    def end(self) -> None:
        """Revokes the token, and ends the server if this demo started it."""
        if self.token_id:
            with suppress(BerthError), self.client() as client:
                client.call("DELETE", f"/tokens/{self.token_id}")
            self.token_id = ""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            print("the server did not end in time and was killed", file=sys.stderr)
        self.process = None


def addresses(home: Path) -> dict[str, str]:
    """Where the database and Redis of a running home are."""
    return find(home, home / "processes").environment()
