"""A Postgres of its own for the measurement, as durable as one in use: fsync and synchronous_commit are on."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app.trial.postgres import binary, run_prefix, wait_until
from bench.machine import Process, free_port

# Autovacuum is off because it would work at some moment of one case and not of another; tables are vacuumed
# and analysed after they were filled.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_connections": "200",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "60min",
    "autovacuum": "off",
    "jit": "off",
}


@dataclass(frozen=True)
class Server:
    """Where it listens, and the process whose tree does its work."""

    port: int
    pid: int
    version: str

    def url(self, database: str) -> str:
        """A libpq URL."""
        return f"postgresql://bench@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """A new database's URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(database)))
        return self.url(database)


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A server with an empty cluster in `folder`, for as long as the block lasts."""
    prefix = run_prefix()
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    if prefix[:1] == ["setpriv"]:
        shutil.chown(data, "nobody")
    make = [_program("initdb"), "-D", data, "--username=bench", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    subprocess.run([*prefix, *map(str, make)], check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    command: list[str | Path] = [
        *prefix,
        _program("postgres"),
        "-D",
        data,
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-k",
        "",
    ]
    command += [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    with Process("Postgres", command, folder / "postgres.log", end_by=signal.SIGINT) as process:
        url = f"postgresql://bench@127.0.0.1:{port}/postgres"
        if not wait_until(lambda: _answers(url), 60):
            raise RuntimeError(f"Postgres does not start:\n{process.log.read_text()[-2000:]}")
        with psycopg.connect(url) as connection:
            version = connection.info.parameter_status("server_version") or "unknown"
        yield Server(port, process.pid, re.split(r"\s", version)[0])


def _program(name: str) -> Path:
    """From the folder PG_BIN if that is set, else Debian's newest, else the embedded wheel's."""
    named = os.environ.get("PG_BIN")
    if named:
        return Path(named) / name
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return installed[-1] if installed else binary(name)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
