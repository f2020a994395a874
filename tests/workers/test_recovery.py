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
from app.clusters.base import ObjectStatus, ReplicaStatus
from app.services import leases, observations
from app.settings import get_settings
from app.workers import dispatch, liveness
from app.workers.broker import celery
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
    thread.join(60)
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
            due(session, submit())
        dispatcher.work(term)
    assert (len(converged), len(sent)) == (2, 2)


def due(session: Session, public_id: str) -> None:
    session.execute(text("update run set due_at = now() where public_id = :id"), {"id": public_id})


class FakeConnection:
    """A broker's connection as far as the dispatcher handles it."""

    def collect(self) -> None:
        """Nothing is open."""


class FakeProducer:
    """Made on a connection."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection


def test_what_no_worker_heeds_the_dispatcher_does_itself(
    world: World, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workers may be gone, or deaf, while the broker takes every message."""
    with db.unit_of_work() as session:
        term = leases.acquire(session, "dispatch", "test", 600)
        due(session, submit())
        due(session, heeded := submit())
    assert term is not None
    converged: list[uuid.UUID] = []
    monkeypatch.setattr(celery, "send_task", lambda *_, **__: None)
    monkeypatch.setattr(celery, "connection_for_write", lambda: FakeConnection())
    monkeypatch.setattr(celery.amqp, "Producer", FakeProducer)
    monkeypatch.setattr(dispatch, "converge_run", converged.append)
    monkeypatch.setattr(get_settings().convergence, "redeliver_seconds", 0.1)
    dispatcher = dispatch.Dispatcher()
    dispatcher.work(term)
    with db.unit_of_work() as session:
        due(session, heeded)
    time.sleep(0.2)
    dispatcher.work(term)
    assert len(converged) == 1
    assert world.run(heeded)["id"] not in converged


def test_a_deaf_worker_is_one_that_is_idle_and_asks_for_nothing() -> None:
    hearing = liveness.Hearing()
    assert not any(hearing.is_lost(True, 0) for _ in range(10))
    assert not any(hearing.is_lost(False, 2) for _ in range(10))
    assert [hearing.is_lost(False, 0) for _ in range(3)] == [False, False, True]
    hearing = liveness.Hearing()
    assert [hearing.is_lost(listens, 0) for listens in (False, False, True, False)] == [False] * 4


def test_a_start_of_which_nothing_is_seen_is_looked_at_again(world: World, submit: Callable[..., str]) -> None:
    """What was to start the program died after it was asked to: a wrapper, say, before its program began."""
    public_id = submit()
    world.turn()
    world.cluster.objects[public_id, 1] = ObjectStatus(public_id, 1, [ReplicaStatus(0, "starting")], gone=False)
    with db.unit_of_work() as session:
        session.execute(text("update run set state = 'starting'"))
        session.execute(text("update attempt set state = 'starting'"))
    world.watcher.work(world.terms["watch"])
    world.converge_due()
    assert world.run(public_id)["due_at"] is not None
    with db.unit_of_work() as session:
        session.execute(text("update attempt set admitted_at = now() - interval '20 s'"))
        session.execute(text("update observation set seen_at = now() - interval '20 s'"))
        session.execute(text("update run set due_at = now()"))
    started = world.cluster.calls["start"]
    world.converge_due()
    assert world.cluster.calls["start"] == started + 1


def test_what_a_late_start_leaves_is_cleaned_up_also_if_it_never_began(
    world: World, submit: Callable[..., str]
) -> None:
    """A start that slept between its look for a tombstone and writing its plan."""
    public_id = submit()
    world.turn()
    world.cluster.end(public_id, 1)
    world.turn(2)
    world.cluster.objects[public_id, 1] = ObjectStatus(public_id, 1, [ReplicaStatus(0, "starting")], gone=False)
    world.watcher._check_absent(world.terms["watch"], world.cluster.statuses())
    assert world.cluster.objects == {}
