"""Postgres and a Redis-compatible server under BERTH_HOME, started or joined; the last user stops them.

Every user holds a shared lock on one file, which the kernel takes back however the user ends. Whoever can
get that lock for itself alone is the last one. Where BERTH_DATABASE__URL or BERTH_REDIS__URL is set, that
server is used and none is embedded in its place.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.home import generated_secret
from app.trial.postgres import Postgres
from app.trial.processes import private_folder
from app.trial.valkey import Valkey


@dataclass(frozen=True)
class Embedded:
    """Where the servers are. `postgres` and `valkey` are None for those that the user named."""

    database_url: str
    redis_url: str
    postgres: Postgres | None
    valkey: Valkey | None

    def environment(self) -> dict[str, str]:
        """The settings with which Berth's processes find them."""
        return {"BERTH_DATABASE__URL": self.database_url, "BERTH_REDIS__URL": self.redis_url}

    def revive(self) -> list[str]:
        """Starts what does not answer; the names of those."""
        servers = {"Postgres": self.postgres, "Valkey": self.valkey}
        return [name for name, server in servers.items() if server is not None and server.start_or_join()]

    def revive_dead(self) -> list[str]:
        """Starts again what has ended since; cheap when nothing has, so it may be asked every second."""
        servers = {"Postgres": self.postgres, "Valkey": self.valkey}
        return [
            name
            for name, server in servers.items()
            if server is not None and not server.is_alive() and server.start_or_join()
        ]


@contextmanager
def embedded(home: Path) -> Iterator[Embedded]:
    """Both servers, ready, for as long as the block lasts. Raises EmbeddedError."""
    private_folder(home)
    logs = private_folder(home / "processes")
    users = os.open(home / "embedded.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with starting_and_stopping(home):
            fcntl.flock(users, fcntl.LOCK_SH)
            servers = find(home, logs)
            try:
                servers.revive()
            except BaseException:
                _stop_if_last(users, servers)
                raise
        try:
            yield servers
        finally:
            with starting_and_stopping(home):
                _stop_if_last(users, servers)
    finally:
        os.close(users)


def find(home: Path, logs: Path) -> Embedded:
    """The servers of this home, running or not."""
    database_url, redis_url = os.environ.get("BERTH_DATABASE__URL"), os.environ.get("BERTH_REDIS__URL")
    postgres = valkey = None
    if not database_url:
        postgres = Postgres(home, logs / "postgres.log", generated_secret(home, "postgres_password"))
    if not redis_url:
        valkey = Valkey(home, logs / "valkey.log", generated_secret(home, "valkey_password"))
    return Embedded(
        database_url or (postgres.url if postgres else ""),
        redis_url or (valkey.url if valkey else ""),
        postgres,
        valkey,
    )


@contextmanager
def starting_and_stopping(home: Path) -> Iterator[None]:
    """One process at a time starts or stops the servers of a home."""
    with (home / "embedded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stop_if_last(users: int, servers: Embedded) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(users, fcntl.LOCK_UN)
        return
    for server in (servers.postgres, servers.valkey):
        if server is not None:
            server.stop()
