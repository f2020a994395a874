"""What the demo shows: a table of its runs, their metrics, and the end of a log."""

from collections.abc import Iterable, Sequence
from typing import Any

import berth


class DemoFailedError(Exception):
    """Something did not happen as it should; the message says what."""


def show_runs(runs: Iterable[Any]) -> None:
    """State, exit code, cause and duration of each run, as the API tells them."""
    rows = [("RUN", "WHAT", "STATE", "EXIT", "TOOK", "BEST ACCURACY", "CAUSE")]
    for one in runs:
        run = one.run
        accuracy = run.metrics.get("val/accuracy")
        cause = run.first_error or run.why or ""
        rows.append(
            (
                run.id,
                one.purpose,
                run.state,
                "-" if run.exit_code is None else str(run.exit_code),
                "-" if run.ran_seconds is None else f"{run.ran_seconds:.1f} s",
                "-" if accuracy is None else f"{accuracy.max:.4f}",
                (cause if run.state != "succeeded" else "")[:70],
            )
        )
    print()
    show_table(rows)


def show_metrics(client: berth.Client, training: Iterable[Any], names: Sequence[str]) -> None:
    """First, middle and last epoch of each series."""
    rows = [("METRIC", "RUN", "EPOCH 1", "HALF WAY", "LAST")]
    for name in names:
        for one in training:
            series = client.runs.metrics(one.id, keys=[name]).get(name)
            if series is not None:
                picked = (series.last[0], series.last[len(series.last) // 2 - 1], series.last[-1])
                rows.append((name, one.purpose, *(f"{value:.4f}" for value in picked)))
    print()
    show_table(rows)


def show_log(client: berth.Client, run_id: str, lines: int = 5) -> None:
    print(f"\nThe last lines of {run_id}")
    for line in client.runs.logs(run_id, tail=lines):
        print(f"  {line.text}")


def show_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
