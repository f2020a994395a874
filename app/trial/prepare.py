"""The short-lived half of starting up: reads the settings, migrates, makes the sign-in link.

`python -m app.trial.prepare` prints one line of JSON with the settings, reads one with the addresses of
the servers, works, and prints one with the result. A process of its own, because what it imports would
otherwise stay in the supervisor's memory.
"""

import json
import os
import sys
from typing import Any

from pydantic import ValidationError

from app.home import generated_secret
from app.settings import describe, get_settings


def main() -> int:
    """0 when the database is ready. What went wrong is printed as {"error": …}."""
    try:
        settings = get_settings()
    except ValidationError as error:
        say({"error": describe(error)})
        return 1
    say(
        {
            "host": settings.web.host,
            "port": settings.web.port,
            "web_processes": settings.web.workers,
            "worker_threads": settings.convergence.worker_threads,
            "url_is_given": settings.web.url is not None,
            "url": settings.console_url,
        }
    )
    addresses = sys.stdin.readline()
    if not addresses.strip():
        return 1
    os.environ.update(json.loads(addresses))
    get_settings.cache_clear()
    try:
        say(prepare())
    except Exception as error:  # told to the supervisor, which shows it and stops
        say({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def prepare() -> dict[str, Any]:
    """Migrates, makes the secrets that several processes would otherwise race for, and makes the link."""
    from app import schema
    from app.db import engine, unit_of_work
    from app.services.users import create_sign_in_link

    settings = get_settings()
    if settings.secret_key is None:
        generated_secret(settings.home, "signing_key")
    with engine().connect() as connection:
        before = schema.current(connection)
    if before != schema.head():
        schema.upgrade(engine())
    with unit_of_work() as session:
        link = create_sign_in_link(session)
    return {"migrated": before != schema.head(), "link": link}


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
