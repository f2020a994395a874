"""What tests share: a real Postgres (and Redis), a schema made by the migrations, sessions, and strictness in CI.

`BERTH_TEST_DATABASE_URL` and `BERTH_TEST_REDIS_URL` name servers to use; without them the embedded ones are
started. Each pytest-xdist worker has a database of its own on the shared server.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app import db, schema
from app.models import Base
from app.settings import get_settings
from app.trial.embedded import embedded

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("berth", deadline=None)
hypothesis.settings.load_profile("berth")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A BERTH_HOME of this test process, short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="berth-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_url(home: Path) -> Iterator[str]:
    """A Postgres server's URL: the one named by the environment, else an embedded one of this process."""
    named = os.environ.get("BERTH_TEST_DATABASE_URL")
    if named:
        yield named
        return
    with embedded(home) as servers:
        with psycopg.connect(servers.database_url, autocommit=True) as connection:
            # What these tests lose when the machine crashes is nothing; the fault experiments have own servers.
            connection.execute("alter system set fsync = off")
            connection.execute("alter system set full_page_writes = off")
            connection.execute("select pg_reload_conf()")
        yield servers.database_url


@pytest.fixture(scope="session")
def database_url(server_url: str, worker_id: str, home: Path) -> Iterator[str]:
    """A database with the whole schema, made by the migrations; the process's settings point at it."""
    name = f"berth_test_{worker_id}_{os.getpid()}"
    admin = create_engine(_psycopg(server_url), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'create database "{name}"'))
    url = make_url(_psycopg(server_url)).set(database=name).render_as_string(hide_password=False)
    os.environ["BERTH_DATABASE__URL"] = url.replace("postgresql+psycopg://", "postgresql://")
    os.environ["BERTH_HOME"] = str(home)
    get_settings.cache_clear()
    db.engine.cache_clear()
    schema.upgrade(db.engine())
    yield os.environ["BERTH_DATABASE__URL"]
    db.engine().dispose()
    with admin.connect() as connection:
        connection.execute(text(f'drop database "{name}" with (force)'))
    admin.dispose()


@pytest.fixture(scope="session")
def engine(database_url: str) -> Engine:
    """The engine of the code under test, on the test database."""
    return db.engine()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose work, commits included, is undone after the test."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(bind=connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as made:
            yield made
        outer.rollback()


@pytest.fixture
def clean_database(engine: Engine) -> Iterator[Engine]:
    """For tests that really commit: every table is emptied afterwards."""
    yield engine
    empty(engine)


def empty(engine: Engine) -> None:
    """Takes every row out of every table: by delete in a tenth of the time that truncate takes for small tables."""
    deletes = "; ".join(f'delete from "{table.name}"' for table in reversed(Base.metadata.sorted_tables))
    with engine.begin() as connection:
        connection.execute(text(f"set local session_replication_role = replica; {deletes}"))


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """Which pytest-xdist worker this is, or "main"."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skipped test is a failure: what CI does not run, nobody runs."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much tests/api/test_fuzz.py has sent, of all processes together."""
    passed = terminalreporter.stats.get("passed", [])
    counts = [value for report in passed for name, value in report.user_properties if name == "fuzz"]
    if counts:
        cases, requests = (sum(column) for column in zip(*counts, strict=True))
        seed = os.environ.get("BERTH_FUZZ_SEED", "1")
        terminalreporter.write_line(f"fuzz: {cases} cases in {requests} requests, BERTH_FUZZ_SEED={seed}")


def _psycopg(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
