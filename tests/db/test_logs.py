"""Logs from a cluster's files into storage and out again: exact, whatever is doubled, late or in between."""

import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import Engine, text

from app.db import unit_of_work
from app.domain.loglines import read_gap
from app.errors import Invalid
from app.models import Run
from app.repositories import logs as rows
from app.services import logs
from app.services.logs import Place
from app.stores import logs as log_store
from app.stores import objects
from app.workers import logs as worker
from app.workers.logs import ship_logs
from tests.factories import make_attempt
from tests.fakes_logs import FakeLogCluster, make_logged_run


@pytest.fixture
def run(clean_database: Engine) -> Run:
    with unit_of_work() as session:
        return make_logged_run(session)


@pytest.fixture
def cluster() -> FakeLogCluster:
    return FakeLogCluster()


def finish(run: Run, number: int = 1) -> None:
    with unit_of_work() as session:
        session.execute(
            text("update attempt set finished_at = now(), state = 'succeeded' where run_id = :id and number = :n"),
            {"id": run.id, "n": number},
        )


def sealed_at(run: Run, number: int = 1) -> datetime | None:
    with unit_of_work() as session:
        found: datetime | None = session.scalar(
            text("select logs_sealed_at from attempt where run_id = :id and number = :n"), {"id": run.id, "n": number}
        )
        return found


def chunk_rows(run: Run) -> list[tuple[int, int, bool]]:
    """(first line, lines, is sealed) of the run's chunks."""
    with unit_of_work() as session:
        found = session.execute(
            text("select first_line, lines, object_key is not null from log_chunk where run_id = :id order by 1"),
            {"id": run.id},
        )
        return [(row[0], row[1], row[2]) for row in found]


def texts(lines: Iterator[logs.Line] | list[logs.Line]) -> list[str]:
    return [line.record.text.decode() for line in lines]


def ship_all(cluster: FakeLogCluster) -> None:
    while ship_logs(cluster):
        pass


def test_lines_are_shipped_while_the_run_runs_and_sealed_when_it_ended(run: Run, cluster: FakeLogCluster) -> None:
    cluster.write(run.public_id, 1, "one", "two")
    assert ship_logs(cluster)
    assert not ship_logs(cluster)
    cluster.write(run.public_id, 1, "three")
    assert ship_logs(cluster)
    assert chunk_rows(run) == [(1, 2, False), (3, 1, False)]
    assert sealed_at(run) is None
    assert not logs.read_facts(run.id).is_complete

    finish(run)
    ship_all(cluster)
    assert chunk_rows(run) == [(1, 3, True)]
    assert sealed_at(run) is not None
    facts = logs.read_facts(run.id)
    assert (facts.lines, facts.gaps, facts.is_complete) == (3, 0, True)
    assert texts(logs.read_all(run.id)) == ["one", "two", "three"]
    with unit_of_work() as session:
        assert session.scalar(text("select due_at is not null from run where id = :id"), {"id": run.id})


def test_an_attempt_without_output_is_sealed_too(run: Run, cluster: FakeLogCluster) -> None:
    finish(run)
    ship_logs(cluster)
    assert sealed_at(run) is not None
    assert logs.read_after(run.id, None, 10).lines == []


def test_what_was_written_last_is_read_before_the_log_is_sealed(run: Run, cluster: FakeLogCluster) -> None:
    cluster.write(run.public_id, 1, "first")
    ship_logs(cluster)
    cluster.write(run.public_id, 1, "last words")
    finish(run)
    assert ship_logs(cluster)
    assert sealed_at(run) is None, "there might be more"
    ship_all(cluster)
    assert texts(logs.read_all(run.id)) == ["first", "last words"]


def test_all_replicas_end_before_the_attempt_is_sealed(clean_database: Engine, cluster: FakeLogCluster) -> None:
    with unit_of_work() as session:
        run = make_logged_run(session, replicas=2)
    finish(run)
    cluster.write(run.public_id, 1, *(f"other {n}" for n in range(5)), replica=1)
    ship_logs(cluster)
    assert sealed_at(run) is None
    ship_all(cluster)
    assert sealed_at(run) is not None
    assert texts(logs.read_after(run.id, None, 10, replica=1).lines) == [f"other {n}" for n in range(5)]
    assert texts(logs.read_after(run.id, None, 10, replica=0).lines) == []


def test_a_cluster_that_does_not_answer_costs_time_only(run: Run, cluster: FakeLogCluster) -> None:
    cluster.write(run.public_id, 1, "one")
    cluster.is_down = True
    finish(run)
    assert not ship_logs(cluster)
    assert sealed_at(run) is None
    cluster.is_down = False
    ship_all(cluster)
    assert texts(logs.read_all(run.id)) == ["one"]


def test_other_clusters_logs_are_left_alone(run: Run, cluster: FakeLogCluster) -> None:
    cluster.name = "elsewhere"
    cluster.write(run.public_id, 1, "one")
    assert not ship_logs(cluster)


def test_small_chunks_are_joined_and_large_ones_sealed_while_running(
    run: Run, cluster: FakeLogCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SMALL_CHUNKS", 4)
    monkeypatch.setattr(worker, "SEAL_BYTES", 3000)
    for number in range(120):
        cluster.write(run.public_id, 1, f"line {number:04d} {'x' * 50}")
        ship_logs(cluster)
    found = chunk_rows(run)
    assert len(found) < 12
    assert found[0][2], "the beginning is sealed"
    assert not found[-1][2], "the end is open"
    assert [line.number for line in logs.read_all(run.id)] == list(range(1, 121))
    assert texts(logs.read_all(run.id))[77].startswith("line 0077")


def test_a_shipper_that_is_late_cannot_double_lines(run: Run, cluster: FakeLogCluster) -> None:
    """What a second shipper read before the first one stored, and even sealed, the same lines is dropped."""
    cluster.write(run.public_id, 1, "one", "two")
    with unit_of_work() as session:
        [stale] = rows.list_unsealed(session, "local")
    stale_piece = worker._new_chunk(stale, bytes(cluster.files[run.public_id, 1, 0]), 99)
    ship_logs(cluster)
    with unit_of_work() as session:
        assert rows.append(session, [stale_piece]) == set()
        [after_first] = rows.list_unsealed(session, "local")
    cluster.write(run.public_id, 1, "three")
    ship_logs(cluster)
    worker._seal_open(stale)
    with unit_of_work() as session:  # its key (run, attempt, replica, 3) is free again: the row was merged
        late = replace(stale_piece, source=after_first, lines=1, data=b"1 o three\n")
        assert rows.append(session, [late]) == set()
    assert texts(logs.read_all(run.id)) == ["one", "two", "three"]


def test_sealing_what_somebody_else_sealed_changes_nothing(run: Run, cluster: FakeLogCluster) -> None:
    cluster.write(run.public_id, 1, "one")
    ship_logs(cluster)
    with unit_of_work() as session:
        [source] = rows.list_unsealed(session, "local")
        chunks = rows.list_open(session, source, 10)
    worker._seal_open(source)
    with unit_of_work() as session:
        assert not rows.seal(session, source, chunks, "projects/x/logs/other")
    assert texts(logs.read_all(run.id)) == ["one"]


def test_doubled_shippers_and_readers_at_once_see_each_line_once(
    run: Run, cluster: FakeLogCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SMALL_CHUNKS", 3)
    monkeypatch.setattr(worker, "SEAL_BYTES", 20_000)
    monkeypatch.setattr(worker, "READ_BYTES", 2_000)
    total, stop, wrong = 4_000, threading.Event(), []

    def ship() -> None:
        while not stop.is_set():
            ship_logs(cluster)

    def read() -> None:
        while not stop.is_set():
            numbers = [line.number for line in logs.read_all(run.id)]
            if numbers != list(range(1, len(numbers) + 1)):
                wrong.append(numbers)

    threads = [threading.Thread(target=ship) for _ in range(3)] + [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(0, total, 50):
        cluster.write(run.public_id, 1, *(f"{n}" for n in range(number, number + 50)))
    for _ in range(200):
        if logs.read_facts(run.id).lines == total:
            break
        stop.wait(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    finish(run)
    ship_all(cluster)
    assert not wrong
    assert texts(logs.read_all(run.id)) == [str(n) for n in range(total)]


@pytest.fixture
def long_run(run: Run, cluster: FakeLogCluster, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Attempt 1 with 300 sealed lines; attempt 2 with 200 lines, the last ones open; a gap at 2.50."""
    monkeypatch.setattr(worker, "SEAL_BYTES", 2_000)
    for number in range(0, 300, 30):
        cluster.write(run.public_id, 1, *(f"a {n}" for n in range(number + 1, number + 31)))
        ship_logs(cluster)
    finish(run)
    ship_all(cluster)
    with unit_of_work() as session:
        make_attempt(session, run, number=2)
    cluster.write(run.public_id, 2, *(f"b {n}" for n in range(1, 50)))
    cluster.write(run.public_id, 2, "7 700 more than the limit", stream="g")
    for number in range(50, 200, 30):
        cluster.write(run.public_id, 2, *(f"b {n}" for n in range(number + 1, number + 31)))
        ship_logs(cluster)
    return run


def everything() -> list[tuple[int, int]]:
    return [(1, n) for n in range(1, 301)] + [(2, n) for n in range(1, 201)]


def places(window: logs.Window) -> list[tuple[int, int]]:
    return [(line.attempt, line.number) for line in window.lines]


def test_windows_cross_attempts(long_run: Run) -> None:
    window = logs.read_after(long_run.id, Place(1, 290), 20)
    assert places(window) == everything()[290:310]
    assert window.has_before
    assert window.has_after
    window = logs.read_before(long_run.id, Place(2, 11), 20)
    assert places(window) == everything()[290:310]
    first, last = logs.read_after(long_run.id, None, 5), logs.read_before(long_run.id, None, 5)
    assert (places(first), first.has_before, first.has_after) == (everything()[:5], False, True)
    assert (places(last), last.has_before, last.has_after) == (everything()[-5:], True, False)
    assert places(logs.read_after(long_run.id, Place(2, 200), 5)) == []
    assert places(logs.read_after(long_run.id, Place(1, 295), 10, attempt=1)) == everything()[295:300]


def test_any_window_equals_the_slice(long_run: Run) -> None:
    chance = random.Random(7)
    for _ in range(60):
        start, size = chance.randrange(500), chance.randrange(1, 120)
        place = Place(*everything()[start])
        assert places(logs.read_after(long_run.id, place, size)) == everything()[start + 1 : start + 1 + size]
        assert places(logs.read_before(long_run.id, place, size)) == everything()[max(0, start - size) : start]


def test_facts_tell_of_gaps(long_run: Run) -> None:
    facts = logs.read_facts(long_run.id)
    assert (facts.lines, facts.gaps, facts.is_complete) == (500, 1, False)
    [line] = logs.read_after(long_run.id, Place(2, 49), 1).lines
    assert line.record.stream == "g"
    assert read_gap(line.record.text).lines == 7


def test_search_and_first_error(long_run: Run, cluster: FakeLogCluster) -> None:
    assert logs.search(long_run.id, "A 29", 1).lines == [29, *range(290, 300)]
    assert logs.search(long_run.id, "b 29", 2).lines == [29]
    assert logs.search(long_run.id, "nowhere", 2).lines == []
    assert logs.find_first_error(long_run.id, 2) is None
    cluster.write(long_run.public_id, 2, "Traceback (most recent call last):", "ValueError: x", stream="e")
    ship_logs(cluster)
    assert logs.find_first_error(long_run.id, 2) == 201
    assert texts(logs.read_lines(long_run.id, 1, 0, [3, 299])) == ["a 3", "a 299"]


def test_search_is_bounded(long_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_HITS", 10)
    hits = logs.search(long_run.id, "a", 1)
    assert (hits.lines, hits.is_capped) == (list(range(1, 11)), True)
    monkeypatch.setattr(logs, "MAX_HITS", 1_000)
    monkeypatch.setattr(logs, "SEARCH_SECONDS", -1.0)
    hits = logs.search(long_run.id, "a 2", 1)
    assert hits.is_partial
    assert 0 < hits.searched_to < 300


def test_pages_are_bounded_in_bytes(run: Run, cluster: FakeLogCluster) -> None:
    cluster.write(run.public_id, 1, *("x" * 60_000 for _ in range(100)))
    ship_all(cluster)
    window = logs.read_after(run.id, None, 100)
    assert 30 <= len(window.lines) <= 36
    assert window.has_after
    window = logs.read_before(run.id, None, 100)
    assert window.lines[-1].number == 100
    assert window.has_before


def test_a_lost_object_is_shown_as_a_gap(long_run: Run) -> None:
    with unit_of_work() as session:
        project_id, key = session.execute(
            text(
                "select project_id, object_key from log_chunk c join run r on r.id = run_id"
                " where object_key is not null and c.attempt = 1 and first_line > 1 order by first_line limit 1"
            )
        ).one()
    assert key.startswith(objects.project_prefix(project_id))
    before = len(list(logs.read_all(long_run.id, attempt=1)))
    objects.of(project_id).delete([key])
    log_store._cache._held.clear()
    lines = list(logs.read_all(long_run.id, attempt=1))
    lost = [line for line in lines if line.record.stream == "g"]
    assert len(lost) == 1
    assert before - len(lines) + 1 == read_gap(lost[0].record.text).lines


def test_replicas_are_merged_by_time_in_a_whole_log(clean_database: Engine, cluster: FakeLogCluster) -> None:
    with unit_of_work() as session:
        run = make_logged_run(session, replicas=2)
    cluster.files[run.public_id, 1, 0] = bytearray(b"10 o zero\n30 o two\n")
    cluster.files[run.public_id, 1, 1] = bytearray(b"20 o one\n30 o three\n")
    ship_all(cluster)
    assert texts(logs.read_all(run.id)) == ["zero", "one", "two", "three"]


@pytest.mark.parametrize("written", ["", "x", "1.2.3", "-1", "1.", ".5", "٣", "9" * 40])
def test_a_place_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        Place.read(written, 1, "/query/after")


def test_places_are_read() -> None:
    assert Place.read("7", 2, "") == Place(2, 7)
    assert Place.read("3.7", 2, "") == Place(3, 7)
    assert str(Place(3, 7)) == "3.7"


def test_unknown_runs_have_no_log() -> None:
    assert logs.read_facts(uuid.uuid4()).lines == 0
