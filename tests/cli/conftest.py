"""The real server in a process of its own, and the command line as a user starts it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app import db
from app.domain.access import Role
from app.models import Cluster, Project, Run, User
from tests import factories

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("BERTH_") and name != "VIRTUAL_ENV"
}

# Seconds until a process that has said nothing is taken never to speak. On a busy machine a start takes many.
PATIENCE = 300


@dataclass
class Web:
    """One web process; it can be stopped and started again on the same port."""

    port: int
    home: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        environment = {
            **os.environ,
            "BERTH_WEB__PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
        }
        command = ["uvicorn", "--factory", "app.main:create_app", "--port", str(self.port), "--log-level", "warning"]
        command += ["--timeout-graceful-shutdown", "1"]
        self.process = subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=self.home)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/livez", timeout=5) as answer:
                if answer.status == 200:
                    return
            assert self.process.poll() is None, "the web process ended while starting"
            time.sleep(0.05)
        raise AssertionError(f"the web process did not answer within {PATIENCE} s")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


@dataclass
class Cli:
    """`berth` with a config folder and a current folder of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "berth", *arguments],
            cwd=self.folder,
            env=self.environment,
            text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )

    def __call__(
        self, *arguments: str, code: int | None = 0, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """The finished command; its exit code must be `code`."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "berth", *arguments],
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            text=True,
            input=stdin if stdin is not None else "",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str, **options: Any) -> Any:
        """What a command answers with --json."""
        return json.loads(self(*arguments, **options).stdout)


@dataclass
class World:
    """A project with an owner, and an outsider; `cli` is the owner's."""

    cli: Cli
    web: Web
    project: Project
    owner: User
    tokens: dict[str, str]

    def as_(self, who: str) -> dict[str, str]:
        return {"BERTH_TOKEN": self.tokens[who]}

    def make_run(self, **values: Any) -> Run:
        with db.unit_of_work() as session:
            spec = {"name": "train", "command": ["python", "train.py"], "parameters": {"lr": 0.1}}
            run: Run = factories.make_run(session, self.project, self.owner, **{"spec": spec} | values)
        return run

    def set(self, run_id: str, **values: Any) -> None:
        """Changes a run as the workers would."""
        changes = ", ".join(f"{name} = :{name}" for name in values)
        with db.unit_of_work() as session:
            session.execute(
                text(f"update run set {changes}, version = version + 1 where public_id = :id"), {"id": run_id, **values}
            )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Without a server."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Cli(
        folder,
        {
            **ENVIRONMENT,
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "BERTH_HOME": str(tmp_path / "home"),
            "BERTH_SERVER": "http://localhost:9",  # discard: nothing answers
        },
    )


@pytest.fixture(scope="package")
def web(engine: Engine, home: Path) -> Iterator[Web]:
    """The web process of these tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Web(port, home)
    try:
        made.start()
        yield made
    finally:
        made.stop()  # what is left running fails whatever test comes next


@pytest.fixture
def world(cli: Cli, web: Web, clean_database: Engine) -> World:
    """Somebody who is signed in by BERTH_TOKEN."""
    with db.unit_of_work() as session:
        cluster = Cluster(name="local", kind="local")
        session.add(cluster)
        session.flush()
        factories.make_pool(session, cluster_id=cluster.id)
        project = factories.make_project(session, "vision")
        owner = factories.make_member(session, project, Role.OWNER, factories.make_user(session, "ana"))
        viewer = factories.make_member(session, project, Role.VIEWER, factories.make_user(session, "vera"))
        other = factories.make_project(session, "theirs")
        stranger = factories.make_member(session, other, Role.OWNER, factories.make_user(session, "sam"))
        admin = factories.make_user(session, "root", is_admin=True)
        people = {"owner": owner, "viewer": viewer, "stranger": stranger, "admin": admin}
        tokens = {who: factories.make_token(session, user) for who, user in people.items()}
    cli.environment |= {"BERTH_SERVER": web.url, "BERTH_TOKEN": tokens["owner"], "BERTH_PROJECT": "vision"}
    return World(cli, web, project, owner, tokens)
