"""Who waits for a notification gets one for every change, however many changes share it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from app import db, queue
from app.settings import get_settings

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def listening(engine: Engine) -> Iterator[Connection]:
    url = get_settings().database_url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("listen berth_admission")
        yield connection


def test_after_a_statement_it_is_sent_at_once_and_in_a_transaction_with_the_commit(listening: Connection) -> None:
    with db.statement_session() as session:
        queue.wake_admission_of_many(session)
        assert [note.channel for note in listening.notifies(timeout=5, stop_after=1)] == [queue.ADMISSION]
    with db.unit_of_work() as session:
        queue.wake_admission_of_many(session)
        assert not list(listening.notifies(timeout=0.1))
    assert [note.channel for note in listening.notifies(timeout=5, stop_after=1)] == [queue.ADMISSION]


def test_changes_in_quick_succession_share_one(listening: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is told of at once, the next three together, and after their NOTIFY a fourth by another one."""
    monkeypatch.setattr(queue, "SPACING", 0.5)
    monkeypatch.setattr(queue, "_sent_at", -1.0)
    for _ in range(4):
        with db.statement_session() as session:
            queue.wake_admission_of_many(session)
    assert len(list(listening.notifies(timeout=5, stop_after=2))) == 2
    with db.statement_session() as session:
        queue.wake_admission_of_many(session)
    assert len(list(listening.notifies(timeout=5, stop_after=1))) == 1
    assert not list(listening.notifies(timeout=0.1))


def test_what_cannot_be_sent_keeps_nobody_from_sending(
    listening: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is in the log, and the next change is told of."""
    monkeypatch.setattr(queue, "_is_planned", True)
    monkeypatch.setattr(queue, "_sent_at", -1.0)
    with monkeypatch.context() as broken:
        broken.setattr(queue, "_WAKE_ADMISSION_SQL", "select no_such_function()")
        queue._send_planned()
    assert "a notification was not sent" in caplog.text
    with db.statement_session() as session:
        queue.wake_admission_of_many(session)
    assert len(list(listening.notifies(timeout=5, stop_after=1))) == 1
