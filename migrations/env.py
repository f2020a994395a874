"""Alembic's entry. The connection comes from app/schema.py, or from the settings when `alembic` is run by hand."""

from alembic import context
from sqlalchemy import Connection, create_engine

from app.models import Base
from app.settings import get_settings


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(get_settings().database_url).connect() as own:
        run(own)
