"""The database: one engine for a process, one unit of work for a request or a task.

Only this module commits. Messages that follow a commit are sent by `unit_of_work` itself: SQLAlchemy's
`after_commit` event also fires when a savepoint is released.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout, _WaitTimeout
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from app.settings import get_settings

log = logging.getLogger(__name__)


# For short statements on solid state disks: an index is nearly always right, several processes for one never.
PLANNING = "-c random_page_cost=1.1 -c max_parallel_workers_per_gather=0 -c jit=off"


@lru_cache
def engine() -> Engine:
    """This process's engine and its pool. A forked child must call `forget_engine` first."""
    settings = get_settings()
    made = create_engine(
        settings.database_url,
        pool_size=settings.database.pool_size,
        max_overflow=0,
        pool_timeout=settings.database.pool_timeout,
        pool_use_lifo=True,
        pool_pre_ping=False,
        connect_args={
            "application_name": "berth",
            "connect_timeout": 5,
            # Others wait for what a paused process holds in an open transaction, such as a lead: 10 s at most.
            "options": (
                f"-c statement_timeout={settings.database.statement_timeout_ms}"
                " -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
            ),
        },
    )
    event.listen(made, "do_connect", _connect)
    return made


T = TypeVar("T")

# Seconds without a word after which a connection asks whether Postgres is there at all, what the question may take,
# and what it may take of a thread that has nothing else to do. A server that is only slow answers it, and the statement
# goes on until its own timeout there.
PATIENCE, QUESTION, WATCH = 4.0, 3, 30


class PostgresSilentError(psycopg.OperationalError):
    """Postgres says nothing, though its connections are open: it is frozen, or the machine that it is on."""


class Silence:
    """What this process knows of a Postgres that says nothing: one thread asks on, and all else fails at once.

    A queue before a few threads, each of which waits for some seconds, would wait for minutes.
    """

    def __init__(self) -> None:
        self.is_known = False
        self._beginning = threading.Lock()

    def begin(self) -> None:
        """Postgres was found to be silent."""
        with self._beginning:
            if not self.is_known:
                log.warning("Postgres does not answer")
                self.is_known = True
                threading.Thread(target=self._watch, name="postgres-silence", daemon=True).start()

    def _watch(self) -> None:
        while not _says_something(WATCH):
            pass
        log.warning("Postgres answers again")
        self.is_known = False


_silence = Silence()


class _Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for a Postgres which is gone without having closed it, such as a frozen one.

    Postgres itself keeps `statement_timeout`, and the timeouts of TCP are about kernels, which may be well.
    """

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """What `gen` returns when it has its answer. Raises PostgresSilentError; the connection is then closed."""
        while self.closed or not _silence.is_known:
            try:
                return super().wait(gen, interval, PATIENCE if timeout is None else timeout)
            except _WaitTimeout:
                if timeout is not None:
                    raise
            if not _silence.is_known and not _says_something(QUESTION):
                _silence.begin()
        self.close()  # what it was asked may be answered later, and not to who asks next
        raise PostgresSilentError("Postgres does not answer")


def _says_something(seconds: int) -> bool:
    """Whether a new connection is made, or refused, within that time."""
    url = get_settings().database_url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        psycopg.connect(url, application_name="berth asks", connect_timeout=seconds).close()
    except ConnectionTimeout:
        return False
    except psycopg.OperationalError as error:
        log.info("a slow Postgres said: %s", error)
    return True


def _connect(_dialect: Any, _record: Any, given: list[Any], named: dict[str, Any]) -> psycopg.Connection[Any]:
    """How the engine connects."""
    if _silence.is_known:
        raise PostgresSilentError("Postgres does not answer")
    try:
        return _Bounded.connect(*given, **named)
    except ConnectionTimeout:
        _silence.begin()
        raise


SessionFactory: sessionmaker[Session] = sessionmaker(expire_on_commit=False)


def forget_engine() -> None:
    """Drops the inherited engine without touching its connections, for a child after fork."""
    global _silence
    _silence = Silence()
    if engine.cache_info().currsize:
        engine().dispose(close=False)
        engine.cache_clear()


@contextmanager
def unit_of_work() -> Iterator[Session]:
    """A session whose work is committed when the block ends well, and rolled back otherwise."""
    with SessionFactory(bind=engine()) as session, session.begin():
        yield session
    _run(session.info.pop("after_commit", ()))


@contextmanager
def read_session() -> Iterator[Session]:
    """A session for reading: each statement sees what is committed, without BEGIN and COMMIT around it.

    That saves two round trips on every read. Nothing is written through it: see `statement_session`.
    """
    with engine().connect() as connection:
        own = _own(connection)
        own.autocommit = True  # SQLAlchemy's own way to the same takes three times as long
        try:
            with SessionFactory(bind=connection, info={_CURSOR: _cursor(connection)}) as session:
                yield session
        finally:
            if not own.closed:
                own.autocommit = False


@contextmanager
def statement_session() -> Iterator[Session]:
    """A session for a change that is one statement, which is committed when it has been executed.

    Half as dear as a unit of work, and as safe: what the change consists of stands in the statement.
    """
    with read_session() as session:
        yield session


def driver(session: Session) -> psycopg.Cursor[tuple[Any, ...]]:
    """A cursor of psycopg itself, in the session's transaction, for statements that run on every request.

    It is the connection's only one, so what it found is to be fetched before it executes the next.
    """
    found: psycopg.Cursor[tuple[Any, ...]] | None = session.info.get(_CURSOR)
    return _cursor(session.connection()) if found is None else found


_CURSOR = "berth cursor"


def _cursor(connection: Connection) -> psycopg.Cursor[tuple[Any, ...]]:
    kept = connection.info
    found: psycopg.Cursor[tuple[Any, ...]] | None = kept.get(_CURSOR)
    if found is None:
        found = kept[_CURSOR] = _own(connection).cursor()
    return found


def _own(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    found: Any = connection.connection.driver_connection
    return cast(psycopg.Connection[tuple[Any, ...]], found)


def is_committed_at_once(session: Session) -> bool:
    """Whether each statement of the session is committed when it has been executed."""
    return _CURSOR in session.info


def after_commit(session: Session, action: Callable[[], None]) -> None:
    """Runs `action` once the session's work is committed; its failure is logged, not raised.

    In a `statement_session` that is at once.
    """
    if is_committed_at_once(session):
        _run([action])
    else:
        session.info.setdefault("after_commit", []).append(action)


def _run(actions: Iterable[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:
            log.exception("an action after the commit failed")
