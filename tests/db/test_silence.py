"""A Postgres that is frozen, and goes on: every request is answered in time, and no connection stays broken."""

import signal
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app import db, schema
from app.main import create_app
from app.settings import get_settings
from app.trial.postgres import Postgres
from tests import factories
from tests.api.client import Api, serving

LIMIT = 10.0  # seconds in which every request is answered
PATHS = ["/readyz", "/", "/api/v1/projects", "/problems/NOT_FOUND", "/projects"] * 4


@pytest.fixture
def postgres(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """A server of our own, which may be frozen; the process's engine is on it."""
    server = Postgres(home / "frozen", tmp_path / "postgres.log", "frozen")
    server.start_or_join()
    monkeypatch.setenv("BERTH_DATABASE__URL", server.url)
    monkeypatch.setenv("BERTH_DATABASE__POOL_SIZE", "4")
    monkeypatch.setattr(db, "PATIENCE", 0.3)
    monkeypatch.setattr(db, "engine", lru_cache(db.engine.__wrapped__))
    get_settings.cache_clear()
    schema.upgrade(db.engine())
    yield server
    send(server, signal.SIGCONT)
    db.engine().dispose()
    server.stop()
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def api(postgres: Postgres) -> Iterator[Api]:
    with serving(create_app()) as made:
        yield made


def send(server: Postgres, number: signal.Signals) -> None:
    for process in server.processes():
        process.send_signal(number)


def until_it_is_noticed() -> None:
    for thread in threading.enumerate():
        if thread.name == "postgres-silence":
            thread.join(5)
            assert not thread.is_alive()


def ask_all(api: Api, token: str, cookie: str) -> list[tuple[int, str, float]]:
    """Status, text and seconds of each path, all asked at once."""
    found: dict[int, tuple[int, str, float]] = {}

    def ask(number: int, path: str) -> None:
        client = api.client(token) if path.startswith("/api/") else api.client(cookie=cookie)
        began = time.monotonic()
        answer = client.get(f"http://localhost:8800{path}")
        found[number] = answer.status_code, answer.text, time.monotonic() - began

    threads = [threading.Thread(target=ask, args=one) for one in enumerate(PATHS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[number] for number in range(len(PATHS))]


def test_requests_are_answered_while_postgres_is_frozen_and_all_is_well_afterwards(
    postgres: Postgres, api: Api
) -> None:
    with db.unit_of_work() as session:
        user = factories.make_user(session, "alice", is_admin=True)
        token, cookie = factories.make_token(session, user), factories.make_session(session, user)
    assert {status for status, _, _ in ask_all(api, token, cookie)} == {200}

    send(postgres, signal.SIGSTOP)
    answers = ask_all(api, token, cookie)
    assert [status for status, _, _ in answers] == [503] * len(PATHS)
    assert max(seconds for _, _, seconds in answers) < LIMIT
    for path, (_, said, _) in zip(PATHS, answers, strict=True):
        assert ("UNAVAILABLE" if path != "/readyz" else "Postgres does not answer") in said

    send(postgres, signal.SIGCONT)
    until_it_is_noticed()
    for _ in range(2):
        assert {status for status, _, _ in ask_all(api, token, cookie)} == {200}
    assert db.engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_what_was_in_the_middle_of_its_work_when_postgres_froze_fails_and_leaves_nothing(postgres: Postgres) -> None:
    def work() -> None:
        with db.unit_of_work() as session:
            session.execute(text("create table half (x int)"))
            send(postgres, signal.SIGSTOP)
            db.driver(session).execute("select 1")

    with pytest.raises((psycopg.OperationalError, OperationalError)):
        work()
    send(postgres, signal.SIGCONT)
    until_it_is_noticed()
    with db.read_session() as session:
        assert session.scalar(text("select to_regclass('half')")) is None


def test_a_slow_statement_is_not_taken_for_silence(postgres: Postgres) -> None:
    with db.read_session() as session:
        assert session.scalar(text("select 7 from pg_sleep(1)")) == 7
