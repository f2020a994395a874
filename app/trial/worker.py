"""Runs the Celery worker with everything imported before it forks, so that its processes share that memory.

`python -m app.trial.worker <processes>`; started by app/trial/supervisor.py alone. Elsewhere
`celery -A app.queue worker` does the same and uses about 15 MiB more per process.
"""

import gc
import importlib
import sys

from app.queue import celery

# What a task or a forked process would import later, each for itself.
PRELOADED = (
    "app.workers.runs",
    "celery.app.trace",
    "celery.concurrency.prefork",
    "kombu.transport.redis",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
)


def main(processes: int) -> None:
    """Works until SIGTERM, then finishes the tasks at hand."""
    for module in PRELOADED:
        importlib.import_module(module)
    # The collector writes to every object it looks at, which would copy the shared pages.
    gc.collect()
    gc.freeze()
    options = ["--pool", "prefork", "--concurrency", str(processes), "--loglevel", "warning"]
    celery.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
