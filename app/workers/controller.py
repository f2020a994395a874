"""The controller: one process of leased loops. `python -m app.workers.controller [loop ...]` runs all or some.

The loops of clusters that an administrator added (cluster_loops.py) run where all do.
"""

import signal
import sys
import threading
from collections.abc import Callable

import structlog

from app.observability import configure_logging
from app.queue import ADMISSION, CLUSTER, DUE, NOTIFICATION
from app.settings import get_settings
from app.workers import admission, logs, retention, usage
from app.workers.cluster_looks import Looker
from app.workers.cluster_loops import ClusterLoops
from app.workers.clusters import local_cluster
from app.workers.dispatch import Dispatcher
from app.workers.housekeeping import tidy
from app.workers.loops import Listener, Loop
from app.workers.notifications import Notifier
from app.workers.watch import Watcher

log = structlog.get_logger(__name__)


def make_loops(stopping: threading.Event) -> dict[str, Loop]:
    """All loops of this installation by name."""
    sweep = get_settings().convergence.sweep_seconds
    made = {
        "dispatch": Loop("dispatch", Dispatcher().work, Listener(DUE, stopping).wait, sweep, stopping),
        "admission": Loop("admission", admission.work, Listener(ADMISSION, stopping).wait, sweep, stopping),
        "notifications": Loop(
            "notifications", Notifier().work, Listener(NOTIFICATION, stopping).wait, min(sweep, 2.0), stopping
        ),
        "clusters": Loop("clusters", Looker().work, Listener(CLUSTER, stopping).wait, sweep, stopping),
        "housekeeping": Loop("housekeeping", tidy, _sleep(stopping), 60.0, stopping),
        "retention": Loop("retention", retention.work, _sleep(stopping), 30.0, stopping),
    }
    if get_settings().local.enabled:
        watcher = Watcher(local_cluster())
        made["watch:local"] = Loop("watch:local", watcher.work, watcher.wait, 1.0, stopping)
        made["logs:local"] = Loop(
            "logs:local", lambda _: logs.ship_logs(local_cluster()), _sleep(stopping), 0.3, stopping
        )
        made["usage:local"] = Loop(
            "usage:local", lambda _: usage.ship_usage(local_cluster()), _sleep(stopping), 2.0, stopping
        )
    return made


def _sleep(stopping: threading.Event) -> Callable[[float], None]:
    return lambda seconds: (stopping.wait(seconds), None)[1]


def main(names: list[str]) -> int:
    """Runs until SIGTERM or SIGINT; the exit status of the process."""
    configure_logging("controller")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    loops = make_loops(stopping)
    unknown = set(names) - set(loops)
    if unknown:
        print(f"no such loop: {', '.join(sorted(unknown))}; there are {', '.join(loops)}", file=sys.stderr)
        return 2
    threads = [
        threading.Thread(target=loop.run, name=name) for name, loop in loops.items() if not names or name in names
    ]
    if not names:
        sweep = get_settings().convergence.sweep_seconds
        of_clusters = ClusterLoops(Listener(CLUSTER, stopping).wait, sweep, stopping)
        threads.append(threading.Thread(target=of_clusters.run, name="loops of clusters"))
    for thread in threads:
        thread.start()
    log.info("controller runs", loops=[thread.name for thread in threads])
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
