"""The schema's version: bring a database to the newest, and tell whether it is there.

Alembic is imported where it works, not above: processes that only ask for the version would each hold 13 MiB of it.
"""

import importlib.resources
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

# Any two numbers do, as long as they are always the same two: whoever migrates holds this lock.
_LOCK = (0x6265, 0x7274)


def config() -> "Config":
    """Alembic's configuration, the same from a checkout and from an installed wheel."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", "migrations:")
    return made


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrates to `revision`. Several processes may call it at once: one works, the others wait for it.

    A statement that cannot get its table lock within 2 s fails rather than make writers queue behind it.
    """
    from alembic import command

    with engine.connect() as connection:
        # Whoever waits holds no snapshot meanwhile: building an index beside writers waits for all that do.
        while not connection.scalar(text("select pg_try_advisory_lock(:a, :b)"), {"a": _LOCK[0], "b": _LOCK[1]}):
            connection.rollback()
            time.sleep(0.2)
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
    """The newest revision that this code knows: the one that no other comes after."""
    texts = [
        path.read_text()
        for path in (importlib.resources.files("migrations") / "versions").iterdir()
        if path.name.endswith(".py")
    ]
    known = _named("revision", texts)
    left = known - _named("down_revision", texts)
    assert len(left) == 1, "the migrations are one line"
    return left.pop()


def _named(name: str, texts: list[str]) -> set[str]:
    return {found for one in texts for found in re.findall(rf"""^{name} = ["'](\w+)["']""", one, re.MULTILINE)}


def current(connection: Connection) -> str | None:
    """The revision of a database, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("select version_num from alembic_version")).scalar()
    return found
