"""The embedded servers: started, joined, shared, found again after a SIGKILL, and ended by the last user."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.trial import postgres as postgres_module
from app.trial.embedded import embedded, find
from app.trial.postgres import SETPRIV_FILES, Postgres, wait_until
from app.trial.processes import nobody


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short home of this test alone, whose servers are ended whatever the test did."""
    monkeypatch.delenv("BERTH_DATABASE__URL", raising=False)
    monkeypatch.delenv("BERTH_REDIS__URL", raising=False)
    folder = Path(tempfile.mkdtemp(prefix="berth-t-"))
    yield folder
    if (folder / "secrets.json").exists():
        servers = find(folder, folder)
        for server in (servers.postgres, servers.valkey):
            if server is not None:
                server.stop()
    shutil.rmtree(folder)


def test_both_are_durable_or_not_as_promised(home: Path) -> None:
    with embedded(home) as servers:
        with psycopg.connect(servers.database_url) as connection:
            for name in ("fsync", "synchronous_commit"):
                assert connection.execute(f"show {name}").fetchone() == ("on",)
            assert connection.execute("show listen_addresses").fetchone() == ("",)
            connection.execute("create table kept (x int)")
        client = redis.Redis.from_url(servers.redis_url)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("save") == {"save": ""}
        client.close()
        assert home.stat().st_mode & 0o077 == 0
        assert (home / "postgres").stat().st_mode & 0o077 == 0
        assert (home / "secrets.json").stat().st_mode & 0o077 == 0
        assert servers.postgres is not None
        wrong = Postgres(home, home / "x.log", "not-the-password")
        assert not wrong.is_ready(), "the socket asks for the password"
    assert servers.postgres.processes() == []
    with embedded(home) as servers, psycopg.connect(servers.database_url) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_the_last_user_stops_them(home: Path) -> None:
    with embedded(home) as first:
        assert first.postgres is not None
        with embedded(home) as second:
            assert second.database_url == first.database_url
        assert first.postgres.is_ready()
        assert first.valkey is not None
        assert first.valkey.is_ready()
    assert not first.postgres.processes()
    assert not first.valkey.processes()


def test_a_killed_user_leaves_them_to_the_next(home: Path) -> None:
    code = (
        "import os, sys, signal, pathlib\n"
        "from app.trial.embedded import embedded\n"
        "with embedded(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home)], check=False)
    assert done.returncode == -signal.SIGKILL
    servers = find(home, home)
    assert servers.postgres is not None
    assert servers.postgres.is_ready()
    with embedded(home) as joined, psycopg.connect(joined.database_url):
        pass
    assert not servers.postgres.processes()


@pytest.mark.parametrize("which", ["postgres", "valkey"])
def test_killed_servers_are_replaced(home: Path, which: str) -> None:
    with embedded(home) as servers:
        server = getattr(servers, which)
        assert servers.revive_dead() == []
        server.main.send_signal(signal.SIGKILL)
        assert wait_until(lambda: not server.is_alive(), 5)
        assert len(servers.revive_dead()) == 1
        assert server.is_ready()


def test_a_pid_file_whose_number_is_somebody_else_is_no_obstacle(home: Path) -> None:
    with embedded(home):
        pass
    other = subprocess.Popen(["sleep", "60"])
    try:
        lines = f"{other.pid}\n{home.resolve() / 'postgres'}\n1\n5432\n{home}\n\n  1 1\nready   \n"
        (home / "postgres" / "postmaster.pid").write_text(lines)
        with embedded(home) as servers, psycopg.connect(servers.database_url):
            assert other.poll() is None, "a process that is not ours was ended"
    finally:
        other.kill()
        other.wait()


def test_a_home_too_long_for_a_socket(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    with embedded(deep) as servers:
        assert servers.postgres is not None
        sockets = servers.postgres.sockets
        assert not sockets.is_relative_to(home)
        assert sockets.stat().st_mode & 0o077 == 0
        with psycopg.connect(servers.database_url), embedded(deep) as joined:
            assert joined.database_url == servers.database_url
    shutil.rmtree(sockets.parent)


def test_servers_that_were_named_are_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_DATABASE__URL", "postgresql://elsewhere/x")
    monkeypatch.setenv("BERTH_REDIS__URL", "redis://elsewhere/0")
    with embedded(home) as servers:
        assert (servers.database_url, servers.redis_url) == ("postgresql://elsewhere/x", "redis://elsewhere/0")
        assert servers.postgres is None
        assert servers.valkey is None
    assert not (home / "postgres").exists()


def test_an_initdb_that_was_cut_short_is_done_again(home: Path) -> None:
    (home / "postgres" / "base").mkdir(parents=True)
    (home / "postgres" / "base" / "half").write_text("")
    with embedded(home) as servers, psycopg.connect(servers.database_url):
        assert not (home / "postgres" / "base" / "half").exists()


def test_root_without_user_namespaces(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of running Postgres for root work, one after the other on the same data."""
    if os.geteuid() != 0:
        postgres = Postgres(home, home / "x.log", "x")
        assert postgres_module.run_prefix() == []
        assert not postgres.is_ready()
        return
    uid = nobody()
    setpriv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *SETPRIV_FILES]
    for prefix in (setpriv, postgres_module.run_prefix(), setpriv):
        monkeypatch.setattr(postgres_module, "run_prefix", lambda prefix=prefix: prefix)
        with embedded(home) as servers, psycopg.connect(servers.database_url):
            pass
