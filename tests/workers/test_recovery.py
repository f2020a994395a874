"""Faults that the experiments of tests/chaos found, each as small as it can be made."""

import threading
import time
import uuid
from collections.abc import Callable

import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import db
from app.queue import celery
from app.services import leases, observations
from app.workers import dispatch
from tests.workers.test_convergence import World, actor, stop, submit, world

__all__ = ["actor", "stop", "submit", "world"]


def test_a_watcher_that_comes_late_waits_and_notes_nothing_of_a_cleaned_attempt(
    world: World, submit: Callable[..., str]
) -> None:
    """It had read its list before the clean-up. Taking the locks the other way round, the two would deadlock."""
    public_id = submit()
    world.turn()
    world.cluster.end(public_id, 1)
    listed = world.cluster.statuses()
    failed: list[Exception] = []

    def watch() -> None:
        try:
            with db.unit_of_work() as late:
                observations.record_statuses(late, world.terms["watch"], listed)
        except Exception as error:
            failed.append(error)

    with db.unit_of_work() as session:
        run_id = session.scalar(text("select id from run where public_id = :id for update"), {"id": public_id})
        thread = threading.Thread(target=watch)
        thread.start()
        time.sleep(0.3)
        session.execute(text("update attempt set cleaned_at = now() where run_id = :id"), {"id": run_id})
        session.execute(text("delete from observation where run_id = :id"), {"id": run_id})
    thread.join(10)
    assert failed == []
    assert world.column("select count(*) from observation") == [0]


def test_the_dispatcher_gives_hints_again_when_the_broker_is_back(
    world: World, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.unit_of_work() as session:
        term = leases.acquire(session, "dispatch", "test", 600)
    assert term is not None
    sent: list[str] = []
    converged: list[uuid.UUID] = []
    is_away = True

    def send(name: str, arguments: tuple[str, ...], **_: object) -> None:
        if is_away:
            raise OperationalError("connection refused")
        sent.append(arguments[0])

    monkeypatch.setattr(dispatch, "_BROKER_REST_SECONDS", 0.0)
    monkeypatch.setattr(celery, "send_task", send)
    monkeypatch.setattr(celery, "connection_for_write", lambda: FakeConnection())
    monkeypatch.setattr(celery.amqp, "Producer", FakeProducer)
    monkeypatch.setattr(dispatch, "converge_run", converged.append)
    dispatcher = dispatch.Dispatcher()
    for round_number in range(4):
        is_away = round_number < 2
        with db.unit_of_work() as session:
            submit_due(session, submit())
        dispatcher.work(term)
    assert (len(converged), len(sent)) == (2, 2)


def submit_due(session: Session, public_id: str) -> None:
    session.execute(text("update run set due_at = now() where public_id = :id"), {"id": public_id})


class FakeConnection:
    """A broker's connection as far as the dispatcher handles it."""

    def collect(self) -> None:
        """Nothing is open."""


class FakeProducer:
    """Made on a connection."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
