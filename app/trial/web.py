"""Runs the web process on a socket that the supervisor opened, so that a restart refuses no connection.

`python -m app.trial.web <file descriptor> <processes>`; started by app/trial/supervisor.py alone.
"""

import socket
import sys

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.observability import configure_logging


def main(descriptor: int, processes: int) -> None:
    """Serves until SIGTERM, then finishes what it has begun, for at most ten seconds."""
    configure_logging("web")
    listening = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        workers=processes,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    if processes > 1:
        Multiprocess(config, sockets=[listening]).run()
    else:
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
