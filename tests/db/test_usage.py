"""Use of the machine from a cluster's files into rows: exact, whoever reads, however often and wherever it dies."""

import random
import threading
import uuid

import pytest
from sqlalchemy import Engine, text

from app.clusters.base import ClusterUnavailable, LogPiece
from app.db import read_session, unit_of_work
from app.domain.usage import Lines, Slice, unpack
from app.models import Run
from app.repositories import usage
from app.workers.usage import ship_rest, ship_usage
from tests.factories import make_attempt
from tests.fakes_logs import make_logged_run

HEADER = b'{"version": 1, "gpu": ""}\n'


class FakeMeter:
    """Usage files in memory, read as a cluster would give them: whole lines only."""

    name = "local"

    def __init__(self) -> None:
        self.files: dict[tuple[str, int, int], bytes] = {}
        self.is_down = False

    def measure(self, run: Run, number: int, attempt: int = 1) -> None:
        file = self.files.get((run.public_id, attempt, 0), HEADER)
        first = file.count(b"\n") - 1
        for place in range(first, first + number):
            file += b"%d 2000 1000 1 2 %d 5 9 1 1 - - - -\n" % (1_795_325_000_000 + 2000 * (place + 1), place)
        self.files[run.public_id, attempt, 0] = file

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        if self.is_down:
            raise ClusterUnavailable("unplugged")
        piece = self.files.get((run_id, attempt, replica), b"")[offset : offset + min(limit, 500)]
        piece = piece[: piece.rfind(b"\n") + 1]
        return LogPiece(piece, offset + len(piece))


@pytest.fixture
def run(clean_database: Engine) -> Run:
    with unit_of_work() as session:
        return make_logged_run(session)


@pytest.fixture
def meter() -> FakeMeter:
    return FakeMeter()


def stored(run: Run, attempt: int = 1) -> list[Slice]:
    with read_session() as session:
        row = usage.find_usage(session, run.id, attempt)
    return unpack(row.slices) if row else []


def forget_when(run: Run) -> None:
    """As if the row had been written long ago, so that the next look reads again."""
    with unit_of_work() as session:
        session.execute(
            text("update usage set updated_at = now() - interval '1 hour' where run_id = :id"), {"id": run.id}
        )


def test_each_line_counts_once_with_two_readers_and_outages(run: Run, meter: FakeMeter) -> None:
    rng = random.Random(7)
    for _ in range(30):
        meter.measure(run, rng.randint(0, 6))
        meter.is_down = rng.random() < 0.2
        readers = [threading.Thread(target=ship_usage, args=(meter,)) for _ in range(rng.randint(1, 3))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        forget_when(run)
    meter.is_down = False
    ship_rest(meter, run.id, 1)
    count = meter.files[run.public_id, 1, 0].count(b"\n") - 1
    assert [one.memory_mean for one in stored(run)] == list(range(count))
    ship_rest(meter, run.id, 1)
    assert sum(one.cpu_us for one in stored(run)) == 1000 * count


def test_a_reader_that_died_after_storing_is_not_doubled(run: Run, meter: FakeMeter) -> None:
    meter.measure(run, 5)
    with unit_of_work() as session:
        [late] = usage.list_sources(session, "local")
    ship_rest(meter, run.id, 1)
    piece = meter.read_usage(run.public_id, 1, 0, late.offset, 1 << 20)
    with unit_of_work() as session:
        assert not usage.add_lines(session, late, Lines(stored(run), ""), piece.end_offset)
    assert len(stored(run)) == 5


def test_what_is_shown_of_a_run_is_the_same(run: Run, meter: FakeMeter) -> None:
    with unit_of_work() as session:
        session.execute(
            text("insert into replica (run_id, attempt, index, state, usage) values (:id, 1, 0, 'running', '{}')"),
            {"id": run.id},
        )
    meter.measure(run, 5)
    ship_usage(meter)
    with read_session() as session:
        told = session.scalar(text("select usage from replica where run_id = :id"), {"id": run.id})
    assert told == {"cpu_seconds": 0.005, "max_rss_bytes": 9}


def test_later_it_is_read_every_ten_seconds_only(run: Run, meter: FakeMeter) -> None:
    with unit_of_work() as session:
        session.execute(text("update run set started_at = now() - interval '5 minutes' where id = :id"), {"id": run.id})
    meter.measure(run, 2)
    ship_usage(meter)
    meter.measure(run, 2)
    ship_usage(meter)
    assert len(stored(run)) == 2
    forget_when(run)
    ship_usage(meter)
    assert len(stored(run)) == 4


def test_attempts_are_apart_and_go_with_the_run(run: Run, meter: FakeMeter) -> None:
    with unit_of_work() as session:
        make_attempt(session, run, 2)
    meter.measure(run, 3)
    meter.measure(run, 4, attempt=2)
    ship_rest(meter, run.id, 1)
    ship_rest(meter, run.id, 2)
    assert (len(stored(run)), len(stored(run, 2))) == (3, 4)
    with unit_of_work() as session:
        session.execute(text("delete from run where id = :id"), {"id": run.id})
    assert stored(run) == []


def test_a_run_that_is_gone_stops_nobody(clean_database: Engine, meter: FakeMeter) -> None:
    ship_rest(meter, uuid.uuid4(), 1)
    ship_usage(meter)
