"""All metrics of a run: which are shown, in which order and groups, and the addresses of what may be chosen. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote, urlencode

from app.errors import N_
from app.web import formats
from app.web.run_phases import View

PAGE = 48  # charts at once: whole rows of two, three or four
MOST_PINS = 12
AXES = ("step", "time", "relative")
PINS_COOKIE = "berth_pins"
_COOKIE_BYTES = 3000
_GROUPS_SHOWN = 24
_ZOOM = re.compile(r"(-?\d{1,16}(?:\.\d{1,6})?)\.\.(-?\d{1,16}(?:\.\d{1,6})?)", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """How the metrics are shown, as it stands in the address. `smooth` is empty where the reader's own holds.

    `zoom` is "<from>..<to>" in units of the axis: steps, seconds since the start, or seconds since 1970.
    """

    q: str = ""
    x: str = ""
    smooth: str = ""
    log: bool = False
    clip: bool = False
    zoom: str = ""
    is_table: bool = False
    after: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Asked":
        """From the parameters of an address, whatever they are."""
        text = {name: value.replace("\0", "") for name, value in given.items()}
        x = text.get("x", "")
        return cls(
            text.get("q", "").strip()[:200],
            x if x in AXES else "",
            _smoothing(text.get("smooth", "")),
            text.get("log") == "1",
            text.get("clip") == "1",
            read_zoom(text.get("zoom", "")),
            text.get("show") == "table",
            text.get("after", "")[:200],
        )

    @property
    def query(self) -> str:
        """The part of an address after its path, with its "?"; empty where nothing was chosen."""
        given = {
            "q": self.q,
            "x": self.x,
            "smooth": self.smooth,
            "log": "1" if self.log else "",
            "clip": "1" if self.clip else "",
            "zoom": self.zoom,
            "show": "table" if self.is_table else "",
            "after": self.after,
        }
        parts = urlencode({name: value for name, value in given.items() if value})
        return f"?{parts}" if parts else ""


@dataclass(frozen=True)
class MetricCard:
    """One series: what its card and its row in the table say. `heading` is there where a group begins."""

    name: str
    heading: str
    last: str
    low: str
    high: str
    step: str
    points: str
    sentence: str
    csv_url: str
    is_pinned: bool
    names: str


@dataclass(frozen=True)
class Group:
    """Metrics whose names begin alike."""

    text: str
    count: int
    url: str
    is_on: bool


@dataclass
class MetricsPage:
    """What the page shows."""

    url: str
    api_url: str
    asked: Asked
    is_live: bool
    start: float
    total: int
    cards: list[MetricCard] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    count: str = ""
    more_url: str = ""
    csv_url: str = ""
    charts_url: str = ""
    table_url: str = ""
    clear_url: str = ""


def build(
    view: View, row: Any, url: str, series: Sequence[Any], asked: Asked, pins: Sequence[str], *, is_live: bool
) -> MetricsPage:
    """The page: pinned metrics first, then the others by group and name; PAGE of them from `asked.after` on."""
    start = row.started_at or row.created_at
    page = MetricsPage(
        url,
        f"/api/v1/runs/{row.public_id}/metrics",
        asked,
        is_live,
        start.timestamp(),
        len(series),
        csv_url=f"{url}.csv",
    )
    found = [one for one in series if _matches(one.name, asked.q)]
    by_name = {one.name: one for one in found}
    first = [by_name[name] for name in pins if name in by_name]
    others = sorted((one for one in found if one.name not in pins), key=lambda one: _place(one.name))
    if asked.after:
        first, others = [], [one for one in others if _place(one.name) > _place(asked.after)]
    shown = others[:PAGE]
    before = group_of(asked.after) if asked.after else None
    page.cards = list(_cards(view, page, first, view.say(N_("Pinned")), None))
    page.cards += _cards(view, page, shown, None, before)
    if len(others) > PAGE:
        page.more_url = url + replace(asked, after=shown[-1].name).query
    page.count = view.say(
        N_("{shown} of {total}"), shown=formats.grouped(len(found)), total=formats.grouped(len(series))
    )
    page.charts_url = url + replace(asked, is_table=False).query
    page.table_url = url + replace(asked, is_table=True).query
    page.clear_url = url + replace(asked, q="", after="").query
    counts = Counter(group_of(one.name) for one in series)
    if len(counts) > 1:
        page.groups = [
            Group(f"{name}/", count, url + replace(asked, q=f"{name}/", after="").query, asked.q == f"{name}/")
            for name, count in sorted(counts.items())
            if name
        ][:_GROUPS_SHOWN]
    return page


def group_of(name: str) -> str:
    """What stands before the first slash; empty without one."""
    first, slash, _ = name.partition("/")
    return first if slash else ""


def sentence(view: View, series: Any) -> str:
    """A series in words, for those who do not see its chart."""
    if not series.points:
        return view.say(N_("{name}: no value yet"), name=series.name)
    return view.say(
        N_("{name}: {last} at step {step}, lowest {low}, highest {high}"),
        name=series.name,
        last=formats.figure(series.last_value),
        step="–" if series.last_step is None else formats.grouped(series.last_step),
        low=formats.figure(series.min_value),
        high=formats.figure(series.max_value),
    )


def read_pins(cookie: str) -> list[str]:
    """The names in the cookie, in the order in which they were pinned; none for what is no list of names."""
    try:
        found = json.loads(unquote(cookie)) if len(cookie) <= 3 * _COOKIE_BYTES else []
    except ValueError:
        return []
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return list(dict.fromkeys(names))[:MOST_PINS]


def turn_pin(cookie: str, name: str) -> str:
    """The cookie with `name` pinned, or no longer; the oldest go where there is no room."""
    pins = read_pins(cookie)
    pins = [one for one in pins if one != name] if name in pins else [*pins, name]
    pins = pins[-MOST_PINS:]
    while len(made := quote(json.dumps(pins, ensure_ascii=False, separators=(",", ":")))) > _COOKIE_BYTES:
        pins = pins[1:]
    return made


def _cards(
    view: View, page: MetricsPage, series: Sequence[Any], heading: str | None, before: str | None
) -> Iterator[MetricCard]:
    """`heading` is of all, or of each group without it; `before` is the group that the page before ended with."""
    for place, one in enumerate(series):
        group = group_of(one.name)
        if heading is not None:
            shown = heading if place == 0 else ""
        else:
            shown = "" if group == before else f"{group}/" if group else view.say(N_("Without a group"))
            before = group
        yield MetricCard(
            one.name,
            shown,
            formats.figure(one.last_value),
            formats.figure(one.min_value),
            formats.figure(one.max_value),
            "–" if one.last_step is None else formats.grouped(one.last_step),
            formats.grouped(one.points),
            sentence(view, one),
            f"{page.csv_url}?{urlencode({'name': one.name})}",
            heading is not None,
            json.dumps([one.name]),
        )


def _place(name: str) -> tuple[str, str]:
    return group_of(name), name


def _matches(name: str, q: str) -> bool:
    lower = name.lower()
    return all(word in lower for word in q.lower().split())


def read_zoom(text: str) -> str:
    """The two ends of what charts show, as "120..340" in the units of their axis; empty where they are not that."""
    found = _ZOOM.fullmatch(text)
    return text if found and float(found[1]) < float(found[2]) else ""


def _smoothing(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return ""
    return f"{number:.2f}" if 0 <= number <= 0.99 else ""
