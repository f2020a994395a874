"""Secret values through the whole of Berth, by everything a person would use; then everything is searched for them.

A real `berth up` with its web, worker and controller processes, a run on this machine, and the only place where a
value may be found is the file into which the job itself wrote it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from app.trial.embedded import embedded, find
from tests.trial.test_supervisor import ENVIRONMENT, Up, berth_up

TOKEN, PASSWORD, UNUSED, REFUSED = (f"canary-{word}-d41f7a90" for word in ("token", "password", "unused", "refused"))
KEY_LINES = ["Y2FuYXJ5LWtleS1saW5lLW9uZQ", "Y2FuYXJ5LWtleS1saW5lLXR3bw"]
KEY = "-----BEGIN KEY-----\n" + "\n".join(KEY_LINES) + "\n-----END KEY-----\n"
CANARIES = [TOKEN, PASSWORD, UNUSED, REFUSED, *KEY_LINES]
PROGRAM = """
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["BERTH_SECRETS"])
output = pathlib.Path(os.environ["BERTH_OUTPUT"])
(output / "mine.txt").write_text(os.environ["TOKEN"] + (folder / "key").read_text())
print("token is", os.environ["TOKEN"], "and", (folder / "password").read_text())
print((folder / "key").read_text(), flush=True)
end = time.monotonic() + 60
while len(sys.argv) > 1 and time.monotonic() < end and not (output.parent / "work" / "go").exists():
    time.sleep(0.1)
raise RuntimeError("refused with " + os.environ["TOKEN"])
"""


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    folder = Path(tempfile.mkdtemp(prefix="berth-t-"))
    with berth_up(folder) as made:
        yield made
    servers = find(folder, folder)
    for server in (servers.postgres, servers.valkey):
        if server is not None:
            server.stop()
    shutil.rmtree(folder)


class Person:
    """The first administrator: with a browser's cookie for pages, with a token for the API and the command."""

    def __init__(self, up: Up) -> None:
        self.up = up
        link = re.search(r"http://\S+\?k=(\S+)", up.heard)
        assert link
        self.answers: list[str] = []
        self.http = httpx.Client(base_url=up.url, follow_redirects=False, timeout=60)
        form = {"k": link[1], "name": "ana", "password": "a long sentence", "project": "lab"}
        opened = self.http.post("/setup", data=form, headers={"sec-fetch-site": "same-origin"})
        assert opened.status_code == 303, opened.text
        cookie = opened.headers["set-cookie"].partition(";")[0]
        page = self.http.get("/projects/lab/settings/secrets", headers={"cookie": cookie})
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert csrf
        self.csrf = csrf[1]
        self.cookie = {"cookie": cookie, "x-csrf-token": self.csrf, "sec-fetch-site": "same-origin"}
        token = self.http.post("/api/v1/tokens", json={"name": "t", "scope": "admin"}, headers=self.cookie)
        self.bearer = {"authorization": f"Bearer {token.json()['token']}"}

    def page(self, path: str) -> str:
        return self.keep(self.http.get(path, headers=self.cookie)).text

    def form(self, path: str, **data: str) -> Any:
        return self.keep(self.http.post(path, data={"csrf": self.csrf, **data}, headers=self.cookie))

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.keep(self.http.request(method, f"/api/v1{path}", json=body, headers=self.bearer))

    def berth(self, *arguments: str, stdin: str = "") -> str:
        token = self.bearer["authorization"].split()[1]
        environment = ENVIRONMENT | {
            "BERTH_SERVER": self.up.url,
            "BERTH_TOKEN": token,
            "BERTH_PROJECT": "lab",
            "BERTH_HOME": str(self.up.home),
            "XDG_CONFIG_HOME": str(self.up.home / "none"),
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "berth", *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        self.answers += [done.stdout, done.stderr]
        return done.stdout

    def keep(self, answer: httpx.Response) -> httpx.Response:
        self.answers += [str(answer.headers), answer.text]
        return answer

    def wait(self, run: str, *states: str) -> dict[str, Any]:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            found: dict[str, Any] = self.api("GET", f"/runs/{run}").json()
            if found["state"] in states:
                return found
            time.sleep(0.2)
        raise AssertionError(f"{run} is {found['state']}: {found}")


def found_in(data: bytes) -> list[str]:
    return [canary for canary in CANARIES if canary.encode() in data]


def command_lines() -> bytes:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(lines)


def all_rows(up: Up) -> str:
    """Every row of every table as text, bytes as they are."""
    with embedded(up.home) as servers:
        url = servers.environment()["BERTH_DATABASE__URL"].replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url)
        with engine.connect() as session:
            names = session.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
            assert {"secret", "run", "audit_entry", "log_chunk", "observation", "idempotency_key"} <= set(names)
            rows = [
                str(row) for name in names for row in session.scalars(text(f'select cast(t as text) from "{name}" t'))
            ]
            chunks = session.scalars(text("select data from log_chunk where data is not null")).all()
        engine.dispose()
    assert len(rows) > 20
    return "\n".join(rows) + "".join(bytes(chunk).decode(errors="replace") for chunk in chunks)


def test_no_value_is_anywhere_but_where_the_job_wrote_it(up: Up) -> None:
    ana = Person(up)
    # In: by API, page and command, and by requests that are refused.
    assert ana.api("PUT", "/projects/lab/secrets/TOKEN", {"value": TOKEN}).status_code == 201
    assert ana.form("/projects/lab/settings/secrets", name="password", value=PASSWORD).status_code == 303
    ana.berth("secret", "set", "key", "--from-file", "-", stdin=KEY)
    ana.berth("secret", "set", "unused", stdin=UNUSED + "\n")
    ana.api("PUT", "/projects/lab/secrets/bad name", {"value": REFUSED})
    ana.api("PUT", "/projects/lab/secrets/ok", {"value": REFUSED, "extra": REFUSED})
    ana.api("PUT", "/projects/lab/secrets/ok", {"value": [REFUSED]})
    ana.api("PUT", "/projects/lab/secrets/ok", {"value": REFUSED + "\0"})
    ana.api("PUT", "/projects/none/secrets/ok", {"value": REFUSED})
    ana.form("/projects/lab/settings/secrets", name="TOKEN", value=REFUSED)
    ana.form("/projects/lab/settings/secrets", name="not a name", value=REFUSED)
    ana.berth("secret", "set", "not a name", stdin=REFUSED)
    # Used: a run that shows all it has, and one that is looked at while it has them.
    uses = [
        {"name": "TOKEN", "env": "TOKEN"},
        {"name": "password", "file": "password"},
        {"name": "key", "file": "key"},
    ]
    spec = {"name": "canary", "command": ["python3", "-c", PROGRAM], "secrets": uses, "python": sys.executable}
    ended = ana.api("POST", "/projects/lab/runs", {"spec": spec})
    assert ended.status_code == 202, ended.text
    run = ended.json()["id"]
    found = ana.wait(run, "failed")
    live_spec = spec | {"name": "live", "command": [*spec["command"], "wait"]}
    live = ana.api("POST", "/projects/lab/runs", {"spec": live_spec}).json()["id"]
    ana.wait(live, "running")
    folder = up.home / "local" / "runs" / live / "1"
    assert found_in((folder / "plan.json").read_bytes()) == []
    assert not (folder / "secrets.json").exists()
    assert found_in(command_lines()) == []
    assert ana.api("POST", f"/runs/{live}:stop", {}).status_code == 202
    ana.wait(live, "stopped", "failed")
    # Out: everything that can be asked for.
    log = "\n".join(line["text"] for line in ana.api("GET", f"/runs/{run}/logs").json()["items"])
    assert "token is *** and ***" in log
    assert "RuntimeError: refused with ***" in log
    assert found["first_error"] == "RuntimeError: refused with ***"
    for path in (f"/runs/{run}", f"/runs/{run}/events", "/projects/lab/secrets", "/projects/lab/audit", "/audit"):
        assert ana.api("GET", path).status_code == 200
    ana.api("GET", "/projects/lab/secrets/TOKEN")
    ana.api("POST", "/projects/lab/runs", {"spec": spec | {"secrets": [{"name": "TOKN", "env": "A"}]}})
    found = ana.api("GET", f"/runs/{run}/capsule").json()
    assert [use["name"] for use in found["manifest"]["spec"]["secrets"]] == ["TOKEN", "password", "key"]
    assert found["attempts"][0]["environment"]["packages"], "what it ran in is known"
    pages = (f"runs/{run}", f"runs/{run}/spec", f"runs/{run}/spec?diff={live}", "runs")
    for path in ("settings/secrets", "settings/secrets/TOKEN", "settings/secrets/key", *pages):
        assert "</html>" in ana.page(f"/projects/lab/{path}")
    for arguments in (("secret", "ls", "--json"), ("run", "show", run, "--json"), ("run", "logs", run)):
        assert ana.berth(*arguments)
    assert ana.berth("run", "capsule", run, "--json")
    assert ana.berth("run", "diff", run, live)
    assert ana.berth("run", "diff", run, live, "--json")
    assert "4 re-encrypted" in ana.berth("admin", "reencrypt-secrets", "--new-key")
    assert "0 re-encrypted" in ana.berth("admin", "reencrypt-secrets")
    again = ana.api("POST", f"/runs/{run}:rerun", {"exact": True}).json()["id"]
    assert ana.wait(again, "failed")["first_error"] == "RuntimeError: refused with ***", "opened with the new key"
    ana.api("DELETE", "/projects/lab/secrets/unused")
    assert found_in("\n".join(ana.answers).encode()) == []
    assert found_in(all_rows(up).encode()) == []
    ana.http.close()
    said = up.end()
    assert found_in(said.encode()) == []
    wrote = files_with_values(up.home)
    # The job's own output, as Berth keeps it; nothing else, and no file of the database either.
    assert wrote, "the job wrote them into its output, which is kept"
    for name in wrote:
        data = (up.home / name).read_bytes()
        assert data == (TOKEN + KEY).encode(), name
    logs = b"".join(path.read_bytes() for path in (up.home / "processes").rglob("*") if path.is_file())
    assert len(logs) > 0
    assert json.loads((up.home / "secrets.json").read_text())["encryption_keys"].count(",") == 1


def files_with_values(home: Path) -> list[str]:
    """Every file of Berth's home, the database's own included, that holds a value."""
    found = []
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and found_in(path.read_bytes()):
                found.append(str(path.relative_to(home)))
    return found
