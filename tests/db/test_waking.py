"""Who waits for a notification gets one for every change, however many changes share it."""

import threading
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


def test_those_who_wait_for_their_turn_share_one(listening: Connection) -> None:
    """Three changes are committed while a NOTIFY is on its way: one more is sent for all three."""

    def change() -> None:
        with db.statement_session() as session:
            queue.wake_admission_of_many(session)

    threads = [threading.Thread(target=change) for _ in range(3)]
    with queue._sending:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.3)
            assert thread.is_alive()
    for thread in threads:
        thread.join()
    with db.statement_session() as session:
        db.driver(session).execute("select pg_notify('berth_admission', 'last')")
    payloads = []
    for note in listening.notifies(timeout=5):
        payloads.append(note.payload)
        if note.payload == "last":
            break
    assert payloads == ["", "last"]
