"""One process of an installation: `python -m app.server web|worker|controller|admission|migrate|link`.

What a container runs (deploy/Dockerfile). `berth up` starts its processes itself, on a socket that outlives them.
"""

import argparse
import sys
import time

from pydantic import ValidationError

from app.observability import configure_logging
from app.settings import describe, get_settings


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM, or until it is done; the exit status of the process."""
    parser = argparse.ArgumentParser(prog="python -m app.server", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("web", help="REST API and console, on BERTH_WEB__HOST and BERTH_WEB__PORT")
    worker = commands.add_parser("worker", help="takes runs one step on")
    worker.add_argument("--concurrency", type=int, default=4, help="runs at once, each in a process (4)")
    commands.add_parser("controller", help="all loops")
    commands.add_parser("admission", help="the admission loop alone, beside controllers")
    migrate = commands.add_parser("migrate", help="brings the database's schema to this version")
    migrate.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="for Postgres to answer (0)")
    commands.add_parser("link", help="prints a link that signs in once, and at first makes the administrator")
    options = parser.parse_args(arguments)
    try:
        get_settings()
    except ValidationError as error:
        print(f"Berth cannot start: {describe(error)}", file=sys.stderr)
        return 1
    if options.command == "web":
        return _web()
    if options.command == "worker":
        return _worker(options.concurrency)
    if options.command == "migrate":
        return _migrate(options.wait)
    if options.command == "link":
        return _link()
    from app.workers import controller

    return controller.main(["admission"] if options.command == "admission" else [])


def _web() -> int:
    import uvicorn

    configure_logging("web")
    settings = get_settings().web
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    return 0


def _worker(concurrency: int) -> int:
    from app.workers.broker import celery

    options = ["--concurrency", str(concurrency), "--loglevel", "warning"]
    celery.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])
    return 0


def _migrate(patience: float) -> int:
    from sqlalchemy.exc import OperationalError

    from app import schema
    from app.db import engine

    configure_logging("migrate")
    deadline = time.monotonic() + patience
    while True:
        try:
            with engine().connect() as connection:
                before = schema.current(connection)
            break
        except OperationalError as error:
            if time.monotonic() > deadline:
                print(f"Postgres does not answer: {error.orig}", file=sys.stderr)
                return 1
            time.sleep(1)
    if before != schema.head():
        schema.upgrade(engine())
    print(f"the schema was at {before or 'nothing'} and is at {schema.head()}", flush=True)
    return 0


def _link() -> int:
    from app.db import unit_of_work
    from app.services.users import create_sign_in_link

    with unit_of_work() as session:
        key = create_sign_in_link(session)
    print(f"{get_settings().console_url}/?k={key}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
