"""Charts: which series share one, what their legend says, and the sentence that stands for the picture."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.web import formats
from app.web.run_view import RunPage

COLOURS = 6
_CHARTS = 24  # drawn; the table has all of them


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


def add(page: RunPage, series: Sequence[Any]) -> None:
    """Puts the charts of `series` on the page: `train/loss` and `val/loss` share the chart "loss"."""
    groups: dict[str, list[Any]] = {}
    for one in series:
        groups.setdefault(one.name.rpartition("/")[2], []).append(one)
    page.charts = [_chart(title, found) for title, found in list(groups.items())[:_CHARTS]]
    page.metric_rows = [
        MetricRow(
            one.name,
            formats.figure(one.last_value),
            formats.figure(one.min_value),
            formats.figure(one.max_value),
            "–" if one.last_step is None else formats.grouped(one.last_step),
        )
        for one in series
    ]
    page.series_count = len(series)


def _chart(title: str, series: list[Any]) -> Chart:
    lines = []
    for number, one in enumerate(series[:COLOURS], 1):
        label = one.name.rpartition("/")[0] if len(series) > 1 else ""
        lines.append(ChartLine(one.name, label, formats.figure(one.last_value), f"k{number}"))
    sentence = "; ".join(_spoken(one) for one in series[:COLOURS])
    return Chart(title, lines, json.dumps([line.name for line in lines]), sentence)


def _spoken(series: Any) -> str:
    last, low, high = map(formats.figure, (series.last_value, series.min_value, series.max_value))
    return f"{series.name}: {last} ({low}–{high})"
