"""What the page that compares runs shows, made from a comparison. No I/O."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from app.domain.comparing import FEWEST, PACKAGE, TITLES, Direction, Line, best, direction_of
from app.domain.states import TERMINAL
from app.services.comparing import Comparison, summary
from app.web import formats, statuses
from app.web.run_phases import View

CHARTS = 48
DASHES = ("", "8 4", "2 3", "8 3 2 3")  # as in static/compare.js
COLOURS = 6
FOLDED = 8  # rows of a part that are shown of one with more than LONG, until it is asked for
LONG = 12


@dataclass(frozen=True)
class Column:
    """A run: how its line is drawn, and the address of the page without it (none where two are left). `name` has the
    id with it where another of the runs has the same one."""

    id: str  # empty where the name has it
    name: str
    url: str
    status: Markup
    colour: str
    dash: str
    experiment: str
    created: str
    without_url: str


@dataclass(frozen=True)
class Cell:
    """A value. `is_odd` marks one that differs from the first run's."""

    text: str
    is_odd: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a table of differences."""

    name: str
    cells: list[Cell]


@dataclass(frozen=True)
class PartRows:
    """What is shown of parameters, code and so on."""

    key: str
    title: str
    different: list[Row]
    equal: list[Row]
    count: int  # of what is different, shown or not
    turn_url: str = ""  # all of it, or its first rows again; "" for one that is short
    is_folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A metric in one run."""

    last: str
    span: str
    is_best: bool


@dataclass(frozen=True)
class MetricRow:
    """A metric in all runs. `turn_url` says the other direction is the better one."""

    name: str
    better: str
    turn_url: str
    figures: list[Figure]
    sentence: str
    is_lower: bool


@dataclass
class ComparePage:
    """What the page shows."""

    summary: str
    columns: list[Column]
    parts: list[PartRows]
    metrics: list[MetricRow]
    charts: list[MetricRow]
    chart_runs: str
    list_url: str
    smoothing: str = "0.60"
    axis: str = "step"
    zoom: str = ""
    is_live: bool = False
    more_charts: int = 0
    different: int = 0
    equal: int = 0
    all_url: str = ""  # with nothing folded; "" where nothing is


def build(view: View, found: Comparison, url: str, list_url: str, asked: Mapping[str, str]) -> ComparePage:
    """The page; `asked` are the parts of its address: lower, higher, smooth, x, zoom, all."""
    lower, higher = _names(asked.get("lower")), _names(asked.get("higher"))
    ids = [row.public_id for row in found.runs]
    kept = {name: value for name, value in asked.items() if value}
    named = Counter(row.name for row in found.runs)
    columns = [
        _column(view, row, place, ids, url, kept, has_namesake=named[row.name] > 1)
        for place, row in enumerate(found.runs)
    ]
    here = f"{url}?runs={','.join(ids)}"
    parts = _parts(view, found, here, kept)
    names = found.metric_names
    metrics = [_metric(view, found, name, lower, higher, here, kept) for name in names]
    return ComparePage(
        summary=summary(found, view.language),
        columns=columns,
        parts=parts,
        metrics=metrics,
        charts=metrics[:CHARTS],
        more_charts=max(0, len(metrics) - CHARTS),
        chart_runs=json.dumps([{"id": key, "place": place} for place, key in enumerate(ids)]),
        list_url=list_url,
        smoothing=_smoothing(asked.get("smooth", "")),
        axis="time" if asked.get("x") == "time" else "step",
        zoom=asked.get("zoom", ""),
        is_live=any(row.state not in TERMINAL for row in found.runs),
        different=sum(part.count for part in parts),
        equal=sum(len(part.equal) for part in parts),
        all_url=_unfolded(here, kept, [part.key for part in parts if part.turn_url])
        if any(part.is_folded for part in parts)
        else "",
    )


def _parts(view: View, found: Comparison, here: str, kept: Mapping[str, str]) -> list[PartRows]:
    """What differs by part, long ones cut short but for those that the address names (`all`)."""
    long = [part.key for part in found.parts if len(part.different) > LONG]
    whole = [key for key in _names(kept.get("all")) if key in long]
    made = []
    for part in found.parts:
        is_folded = part.key in long and part.key not in whole
        shown = part.different[:FOLDED] if is_folded else part.different
        rows, equal = [_row(line) for line in shown], [_row(line) for line in part.equal]
        one = PartRows(part.key, view.say(TITLES[part.key]), rows, equal, len(part.different), is_folded=is_folded)
        if part.key in long:
            others = [key for key in whole if key != part.key]
            turned = _unfolded(here, kept, [*others, part.key] if is_folded else others)
            one = replace(one, turn_url=f"{turned}#part-{part.key}")
        made.append(one)
    return made


def _unfolded(here: str, kept: Mapping[str, str], keys: list[str]) -> str:
    """The address of the page with these parts shown whole."""
    given = {name: value for name, value in kept.items() if name != "all"} | ({"all": ",".join(keys)} if keys else {})
    return f"{here}&{urlencode(given)}" if given else here


def _names(text: str | None) -> list[str]:
    return [name for name in (text or "").split(",") if name]


def _smoothing(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        value = 0.6
    return f"{min(0.99, max(0.0, value)) if value == value else 0.6:.2f}"


def _column(
    view: View, row: Any, place: int, ids: list[str], url: str, kept: Mapping[str, str], *, has_namesake: bool
) -> Column:
    others = [key for key in ids if key != row.public_id]
    return Column(
        id="" if has_namesake else row.public_id,
        name=f"{row.name} {row.public_id}" if has_namesake else row.name,
        url=f"/projects/{row.project}/runs/{row.public_id}",
        status=statuses.chip(view.language, row.state),
        colour=f"k{place % COLOURS + 1}",
        dash=DASHES[place // COLOURS % len(DASHES)],
        experiment=row.experiment or "",
        created=formats.moment(row.created_at, view.now, view.zone),
        without_url=_url(url, runs=",".join(others), **kept) if len(others) >= FEWEST else "",
    )


def _row(line: Line) -> Row:
    first = line.values[0]
    return Row(
        line.name.removeprefix(PACKAGE),
        [Cell("–" if value is None else value, value != first) for value in line.values],
    )


def _metric(
    view: View,
    found: Comparison,
    name: str,
    lower: Collection[str],
    higher: Collection[str],
    url: str,
    kept: Mapping[str, str],
) -> MetricRow:
    series = [runs.get(name) for runs in found.metrics]
    direction = direction_of(name, lower, higher)
    is_lower = direction == Direction.LOWER
    winners = best([one.last_value if one else None for one in series], direction)
    figures = [
        Figure(
            formats.figure(one.last_value) if one else "–",
            f"{formats.figure(one.min_value)} … {formats.figure(one.max_value)}" if one else "",
            place in winners,
        )
        for place, one in enumerate(series)
    ]
    turned_lower = [one for one in lower if one != name] + ([] if is_lower else [name])
    turned_higher = [one for one in higher if one != name] + ([name] if is_lower else [])
    more = {key: value for key, value in kept.items() if key not in ("lower", "higher")}
    query = {"lower": ",".join(turned_lower), "higher": ",".join(turned_higher), **more}
    given = {key: value for key, value in query.items() if value}
    spoken = "; ".join(
        f"{row.name}: {figure.last}" for row, figure in zip(found.runs, figures, strict=True) if figure.last != "–"
    )
    return MetricRow(
        name=name,
        better=view.say("lower is better") if is_lower else view.say("higher is better"),
        turn_url=f"{url}&{urlencode(given)}#figures",
        figures=figures,
        sentence=f"{name}: {spoken}",
        is_lower=is_lower,
    )


def _url(path: str, runs: str, **query: str) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{path}?runs={runs}" + (f"&{urlencode(given)}" if given else "")
