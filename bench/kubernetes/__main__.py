"""`python -m bench.kubernetes`: measures, prints goals and figures, and writes docs/benchmarks-kubernetes.md.

Ended half-way it leaves nothing that the next one does not remove. A cluster that is up already is not used.
"""

import argparse
import datetime
import os
import signal
import sys
import time
from pathlib import Path

from bench.kubernetes import latency, many, report, resync
from bench.kubernetes.site import site
from deploy.testcluster.cluster import Cluster, cannot

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks-kubernetes.md"
_NODES = 6  # simulated ones beyond the two that are there: together they take 880 pods


def main(arguments: list[str] | None = None) -> int:
    """0 when all goals are met, 1 when some are missed, 2 where there can be no cluster."""
    options = _options(arguments)
    if reason := cannot():
        print(reason, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is taken down then, too
    cluster = Cluster(options.number)
    _say("starting a Kubernetes")
    cluster.up()
    try:
        page, found = measure(cluster, options)
    finally:
        cluster.down()
    print(page)
    if options.write:
        DOCUMENT.write_text(page)
        _say(f"wrote {DOCUMENT}")
    return 0 if all(is_met for *_, is_met in found) else 1


def measure(cluster: Cluster, options: argparse.Namespace) -> tuple[str, list[tuple[str, str, str, bool]]]:
    """(the page, the goals) of a cluster that is up."""
    with site(cluster) as made:
        _say(f"{options.endings} endings in real pods")
        endings = latency.measure_endings(made, options.endings)
        _say(f"{endings}")
        made.use_simulated_nodes(_NODES if options.runs > 200 else 0)
        _say(f"{options.submissions} submissions, one by one")
        submissions = latency.measure_submissions(made, options.submissions)
        _say(f"{submissions}")
        _say(f"{options.runs:,} runs through one worker")
        lot = many.measure(made, options.runs, _say)
    _say(f"{lot}")
    _say(f"{options.objects:,} objects to list")
    with resync.objects(cluster.places.kubeconfig, options.objects):
        listed = resync.measure(cluster.places.kubeconfig)
    found = list(report.goals(submissions, lot))
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return report.document(when, found, submissions, endings, lot, listed), found


def options_of(*, quick: bool = False) -> argparse.Namespace:
    """What is measured by default, or a look at everything in seconds."""
    return _options(["--quick"] if quick else [])


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.kubernetes", description="Berth on Kubernetes, measured.")
    parser.add_argument("--quick", action="store_true", help="a look: a few of everything, nothing written")
    parser.add_argument("--submissions", type=int, default=25)
    parser.add_argument("--endings", type=int, default=12)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--objects", type=int, default=5_000)
    number = int(os.environ.get("BERTH_TESTCLUSTER_FIRST", "1"))
    parser.add_argument("--number", type=int, default=number, help="of the test cluster")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave the page as it is")
    options = parser.parse_args(arguments)
    if options.quick:
        options.submissions, options.endings, options.runs, options.objects, options.write = 3, 1, 8, 40, False
    return options


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
