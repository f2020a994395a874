"""Charts of the overview: which series share one, what their legend says, and the sentence that stands for the picture.

The metrics' own page has a chart for each series: metrics_view.py.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.web import formats
from app.web.metrics_view import sentence
from app.web.run_phases import View
from app.web.run_view import RunPage

COLOURS = 6
_CHARTS = 4


@dataclass(frozen=True)
class ChartLine:
    """One series in a legend."""

    name: str
    label: str
    last: str
    colour: str


@dataclass(frozen=True)
class Chart:
    """One picture. `names` is JSON for the script."""

    title: str
    lines: list[ChartLine]
    names: str
    sentence: str


@dataclass(frozen=True)
class MetricRow:
    """One series in the table."""

    name: str
    last: str
    low: str
    high: str
    step: str


def add(view: View, page: RunPage, series: Sequence[Any], pins: Sequence[str]) -> None:
    """Puts charts of `series` on the page, those with a pinned one first: `train/loss` and `val/loss` share "loss"."""
    groups: dict[str, list[Any]] = {}
    for one in series:
        groups.setdefault(one.name.rpartition("/")[2], []).append(one)
    order = {name.rpartition("/")[2]: place for place, name in reversed([*enumerate(pins)])}
    shown = sorted(groups.items(), key=lambda group: order.get(group[0], len(order)))[:_CHARTS]
    page.charts = [_chart(view, title, found) for title, found in shown]
    page.metric_rows = [
        MetricRow(
            one.name,
            formats.figure(one.last_value),
            formats.figure(one.min_value),
            formats.figure(one.max_value),
            "–" if one.last_step is None else formats.grouped(one.last_step),
        )
        for _, found in shown
        for one in found[:COLOURS]
    ]
    page.series_count = len(series)


def _chart(view: View, title: str, series: list[Any]) -> Chart:
    lines = []
    for number, one in enumerate(series[:COLOURS], 1):
        label = one.name.rpartition("/")[0] if len(series) > 1 else ""
        lines.append(ChartLine(one.name, label, formats.figure(one.last_value), f"k{number}"))
    said = "; ".join(sentence(view, one) for one in series[:COLOURS])
    return Chart(title, lines, json.dumps([line.name for line in lines]), said)
