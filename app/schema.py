"""The schema's version: bring a database to the newest, and tell whether it is there."""

from functools import lru_cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

# Any two numbers do, as long as they are always the same two: whoever migrates holds this lock.
_LOCK = (0x6265, 0x7274)


def config() -> Config:
    """Alembic's configuration, the same from a checkout and from an installed wheel."""
    made = Config()
    made.set_main_option("script_location", "migrations:")
    return made


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrates to `revision`. Several processes may call it at once: one works, the others wait for it.

    A statement that cannot get its table lock within 2 s fails rather than make writers queue behind it.
    """
    with engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(:a, :b)"), {"a": _LOCK[0], "b": _LOCK[1]})
        connection.execute(text("set lock_timeout = '2s'"))
        connection.execute(text("set statement_timeout = 0"))
        connection.commit()
        made = config()
        made.attributes["connection"] = connection
        command.upgrade(made, revision)
        connection.execute(text("select pg_advisory_unlock(:a, :b)"), {"a": _LOCK[0], "b": _LOCK[1]})
        connection.commit()


@lru_cache
def head() -> str:
    """The newest revision that this code knows."""
    found = ScriptDirectory.from_config(config()).get_current_head()
    assert found is not None, "there are no migrations"
    return found


def current(connection: Connection) -> str | None:
    """The revision of a database, or None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()
