"""`python -m bench`: measures, prints goals and figures, and writes docs/benchmarks.md."""

import argparse
import datetime
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import installation, postgres, report, rounds, servers
from bench.cases import cases

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SIZES = (10_000, 100_000, 1_000_000)


def main(arguments: list[str] | None = None) -> int:
    """0 when all goals are met, 1 when some are missed or the table is void."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended then, too
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        folder.chmod(0o755)  # Postgres may run as another user
        found = None
        if options.starts:
            _say("starting a whole Berth")
            found = installation.measure(folder, options.starts)
        server = stack.enter_context(postgres.server(folder))
        targets = [stack.enter_context(servers.floor_server(server, folder))]
        for size in options.sizes:
            _say(f"filling a database with {size:,} runs")
            targets.append(stack.enter_context(servers.berth_server(server, folder, size)))
        chosen = [case for case in cases() if not options.cases or case.name in options.cases]
        results = rounds.measure(targets, chosen, server.pid, rounds=options.rounds, share=options.share, say=_say)
    table = list(report.rows(results, chosen, found))
    print(report.terminal(table))
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    if options.write:
        DOCUMENT.write_text(report.document(table, results, chosen, server.version, when, os.getloadavg()))
        _say(f"wrote {DOCUMENT}")
    void = report.is_void(results, chosen)
    if void:
        _say(f"void: the floor of {', '.join(void)} cost more than {report.REFERENCE_LIMIT} x the reference")
    return 1 if void or any(row.is_met is False for row in table) else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Berth's cost beside the least possible.")
    parser.add_argument(
        "--quick", action="store_true", help="a look: 10,000 runs, little of everything, nothing written"
    )
    parser.add_argument("--sizes", type=_numbers, default=SIZES, help="runs stored, by commas")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--share", type=float, default=1.0, help="of each case's requests in a round")
    parser.add_argument(
        "--starts", type=int, default=40, help="runs to start for the time that it takes; 0 leaves it out"
    )
    parser.add_argument(
        "--cases", type=lambda text: text.split(","), help="only these: submit,get,page,deep,html,points"
    )
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args(arguments)
    if options.quick:
        options.sizes, options.rounds, options.share, options.starts, options.write = (10_000,), 1, 0.05, 0, False
    return options


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
