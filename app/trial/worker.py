"""Runs the Celery worker of a trial: one process with threads, which on one machine needs half the memory.

`python -m app.trial.worker <threads>`; started by app/trial/supervisor.py alone. Elsewhere
`celery -A app.workers.broker worker` forks a process for each task at hand and can end one that hangs.
"""

import sys

from app.workers.broker import celery


def main(threads: int) -> None:
    """Works until SIGTERM, then finishes the tasks at hand."""
    options = ["--pool", "threads", "--concurrency", str(threads), "--loglevel", "warning"]
    celery.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
