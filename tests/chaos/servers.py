"""Postgres and Valkey for the experiments: servers of our own, which may be killed, or those that were named.

`BERTH_TEST_DATABASE_URL` and `BERTH_TEST_REDIS_URL` are used by every experiment that leaves its servers alone.
"""

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app import schema
from app.trial.postgres import Postgres
from app.trial.valkey import Valkey
from deploy.testcluster.cluster import Cluster

_PASSWORD = "chaos"
_numbers = itertools.count(1)


class Servers:
    """Started when first asked for, stopped by `close`. Databases are copies of one that was migrated once."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="berth-srv-"))
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        self._templates: dict[str, str] = {}
        self._cluster: Cluster | None = None
        self._own_cluster = False

    @property
    def postgres(self) -> Postgres:
        """Our own; running."""
        if self._postgres is None:
            self._postgres = Postgres(self.folder, self.folder / "postgres.log", _PASSWORD)
            self._postgres.start_or_join()
        return self._postgres

    @property
    def valkey(self) -> Valkey:
        """Our own; running."""
        if self._valkey is None:
            self._valkey = Valkey(self.folder, self.folder / "valkey.log", _PASSWORD)
            self._valkey.start_or_join()
        return self._valkey

    @property
    def cluster(self) -> Cluster:
        """A Kubernetes of deploy/testcluster, running; the one that `use_cluster` named, or our own."""
        if self._cluster is None:
            self._cluster = Cluster(int(os.environ.get("BERTH_TESTCLUSTER_FIRST", "1")))
            self._own_cluster = True
            self._cluster.up()
        return self._cluster

    def use_cluster(self, cluster: Cluster) -> None:
        """One that somebody else started and ends."""
        self._cluster = cluster

    def make_database(self, *, own: bool) -> str:
        """The URL of a new database with the whole schema; on our own server if `own` or where none is named."""
        named = None if own else os.environ.get("BERTH_TEST_DATABASE_URL")
        server = make_url(named or self.postgres.url)
        template = self._templates.get(named or "")
        if template is None:
            template = self._templates[named or ""] = f"berth_chaos_{os.getpid()}_{next(_numbers)}"
            execute(server.render_as_string(hide_password=False), f'create database "{template}"')
            migrated = create_engine(server.set(drivername="postgresql+psycopg", database=template))
            schema.upgrade(migrated)
            migrated.dispose()
        name = f"berth_chaos_{os.getpid()}_{next(_numbers)}"
        execute(server.render_as_string(hide_password=False), f'create database "{name}" template "{template}"')
        return server.set(database=name).render_as_string(hide_password=False)

    def redis_url(self, *, own: bool) -> str:
        """A Redis for one experiment; named servers give it a database of its own."""
        named = None if own else os.environ.get("BERTH_TEST_REDIS_URL")
        if named:
            return f"{named.rstrip('/').removesuffix('/0')}/{1 + next(_numbers) % 14}"
        return self.valkey.url

    def kill_postgres(self) -> None:
        """What an immediate stop does: nothing is written any more, the next start recovers from the log."""
        main = self.postgres.main
        assert main is not None, "it was started"
        main.send_signal(signal.SIGQUIT)
        deadline = time.monotonic() + 20
        while self.postgres.processes() and time.monotonic() < deadline:
            time.sleep(0.02)

    def kill_valkey(self) -> None:
        """SIGKILL; nothing of it is on disk."""
        for process in self.valkey.processes():
            process.kill()
        while self.valkey.processes():
            time.sleep(0.01)

    def drop(self, url: str) -> None:
        """Removes a database of `make_database`; one on our own server goes with the server."""
        named = os.environ.get("BERTH_TEST_DATABASE_URL")
        if named and make_url(named).host == make_url(url).host:
            with contextlib.suppress(psycopg.Error):
                execute(named, f'drop database "{make_url(url).database}" with (force)')

    def close(self) -> None:
        """Stops what was started here and removes everything."""
        if (named := os.environ.get("BERTH_TEST_DATABASE_URL", "")) != "" and named in self._templates:
            with contextlib.suppress(psycopg.Error):
                execute(named, f'drop database "{self._templates[named]}" with (force)')
        if self._postgres is not None:
            self._postgres.stop()
        if self._valkey is not None:
            self._valkey.stop()
        if self._cluster is not None and self._own_cluster:
            self._cluster.down()
        shutil.rmtree(self.folder, ignore_errors=True)


def execute(url: str, statement: str) -> None:
    """One statement outside of any transaction."""
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    engine = create_engine(plain.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
