"""Migrating while others do: pods that start together each bring the database to its version or find it there."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app import schema
from app.settings import get_settings


def test_several_migrate_at_once(database_url: str) -> None:
    url = make_url(get_settings().database_url)
    name = f"{url.database}_together"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    engine = create_engine(url.set(database=name))
    with admin.connect() as connection:
        connection.execute(text(f'create database "{name}"'))
    try:
        with ThreadPoolExecutor(4) as together:
            list(together.map(schema.upgrade, [engine] * 4))
        with engine.connect() as connection:
            assert schema.current(connection) == schema.head()
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f'drop database "{name}" with (force)'))
        admin.dispose()
