"""`make schema`: whether the migrations, run on an empty Postgres, make exactly the tables of app/models."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.util.exc import CommandError
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from app import schema
from app.trial.postgres import Postgres


def main() -> int:
    """0 when they agree; otherwise 1, and what differs is printed."""
    with tempfile.TemporaryDirectory(prefix="berth-") as folder:
        postgres = Postgres(Path(folder), Path(folder) / "postgres.log", "schema-check")
        postgres.start_or_join()
        try:
            engine = create_engine(
                postgres.url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool
            )
            schema.upgrade(engine)
            with engine.connect() as connection:
                config = schema.config()
                config.attributes["connection"] = connection
                command.check(config)
        except CommandError as error:
            print(f"app/models and migrations/ differ: {error}", file=sys.stderr)
            return 1
        finally:
            postgres.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
