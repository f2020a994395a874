"""docs/benchmarks-ui.md: a table that is written anew, and below it what people wrote, which is kept."""

import importlib.metadata
import platform
import re
from collections.abc import Sequence

from bench import machine
from bench.report import Row
from bench.ui_site import Sizes

MARK = "<!-- Below this line everything is written by hand, and kept. -->"
_HAND = """
## What is missed, and why

Each miss is explained under its key, as `- key: why`.
"""


def document(
    found: Sequence[Row], old: str, *, sizes: Sizes, versions: str, when: str, load: float, repeats: int
) -> str:
    """The new text; of the old one, what stands below the mark stays as it is."""
    by_hand = old.partition(MARK)[2] or _HAND
    explained = set(re.findall(r"^- `([\w-]+)`", by_hand, re.M))
    missed = [row for row in found if row.is_met is False]
    lines = [
        "# Benchmarks of the pages",
        "",
        "Written by `make bench-ui`: Berth's pages in a headless Chromium, against a web process with a database",
        f"of its own: {sizes.runs:,} runs, 10,000 people and 1,000 projects, a log of {sizes.lines:,} lines and a run",
        f"with {sizes.metrics:,} metrics. Figures are medians of {repeats} where they are times of one page, the",
        "slowest where they are about things that happen. U1 to U16 are the goals' numbers in the design of the pages.",
        "",
        f"- {when}, {machine.describe()}; load at the end {load:.1f}",
        f"- Python {platform.python_version()}, {versions}, playwright {importlib.metadata.version('playwright')}",
        "",
        "| What | Goal | Measured | | Key |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {row.title} | {row.goal} | {row.figure} | {row.verdict} | `{row.key}` |" for row in found),
        "",
        f"{len(found) - len(missed)} of {len(found)} goals are met.",
        "",
    ]
    bare = [row.key for row in missed if row.key not in explained]
    if bare:
        lines += [f"Missed and not yet explained: {', '.join(f'`{key}`' for key in bare)}.", ""]
    return "\n".join(lines) + MARK + by_hand
