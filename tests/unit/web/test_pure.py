"""Formats, log lines, addresses, vendored files: whatever of the pages needs no database."""

import datetime
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from app.domain.loglines import Record
from app.domain.reasons import EVENTS, REASONS
from app.domain.states import RunState
from app.web import assets, formats, keys, loglines, metrics_view, reasons, statuses
from app.web.deps import safe_next
from app.web.run_phases import View, build_phases
from app.web.templating import prose, with_markup

UTC = datetime.UTC
NOW = datetime.datetime(2026, 11, 22, 14, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (None, "–", "–"),
        (-3, "0s", "0秒"),
        (59.9, "59s", "59秒"),
        (252, "4m 12s", "4分12秒"),
        (2460, "41m", "41分"),
        (6420, "1h 47m", "1时47分"),
        (86400 * 2 + 3600 * 3, "2d 3h", "2天3时"),
    ],
)
def test_spans(seconds: float | None, english: str, chinese: str) -> None:
    assert formats.span(seconds) == english
    assert formats.span(seconds, "zh_CN") == chinese


def test_times_in_full() -> None:
    assert formats.full(NOW, UTC) == "2026-11-22 14:02:05Z"
    assert formats.full(NOW, formats.zone_of("Asia/Shanghai")) == "2026-11-22 22:02:05+08:00"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1_023_693, "0.976 MiB"),
        (102_550_000, "97.8 MiB"),
        (2**40, "1 TiB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert formats.size(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "NaN"),
        (float("-inf"), "−∞"),
        (31.0, "31"),
        (0.71836, "0.71836"),
        (1e-9, "1e-09"),
        (99999.7, "100,000"),
    ],
)
def test_figures(value: float | None, text: str) -> None:
    assert formats.figure(value) == text


def test_moments_are_in_the_readers_zone() -> None:
    shanghai = formats.zone_of("Asia/Shanghai")
    assert formats.moment(NOW, NOW, shanghai) == "22:02"
    assert formats.moment(NOW - datetime.timedelta(days=3), NOW, UTC) == "11-19 14:02"
    assert formats.moment(NOW - datetime.timedelta(days=400), NOW, UTC) == "2025-10-18"
    for nonsense in (None, "", "../../etc/passwd", "x" * 500, "Mars/Olympus", "\0"):
        assert formats.zone_of(nonsense) == UTC


def test_colours_become_classes_and_text_stays_text() -> None:
    made = loglines.markup("\x1b[1;31m<b>\x1b[0m & \x1b[38;5;208morange\x1b[39m end")
    assert made == '<span class="an-1 an-r">&lt;b&gt;</span> &amp; <span class="an-r">orange</span> end'


@pytest.mark.parametrize("text", ["\x1b[38;5m", "\x1b[38;2;1m", "\x1b[;;;m", "\x1b[999;38m", "\x1b[38;5;999mx"])
def test_broken_colours_do_no_harm(text: str) -> None:
    assert "\x1b" not in loglines.markup(text)


def test_long_lines_are_cut_with_a_word_about_it() -> None:
    made = loglines.markup("x" * (loglines.LONGEST + 10))
    assert made.endswith('<i class="cut">10 more characters are in the download</i>')


@pytest.mark.parametrize(
    ("record", "kind", "text"),
    [
        (Record(0, "e", b"Traceback (most recent call last):"), " e", "Traceback"),
        (Record(0, "e", b"  5%|#####     | it/s"), "", "5%"),
        (Record(0, "o", b"10%\r50%\r100%"), "", "100%"),
        (Record(0, "o", "\u202eevil".encode()), "", "&lt;U+202E&gt;evil"),
        (Record(0, "b", b"the process was asked to end"), " b", "asked"),
        (Record(0, "g", b"120 4096 too long"), " gap", "120 lines (4096 bytes) are missing here: too long"),
        (Record(0, "g", b"0 0 its pod is gone"), " gap", "a part is missing here: its pod is gone"),
        (Record(0, "o", b"\xff\x00\x07"), "", "\u2407"),
    ],
)
def test_lines(record: Record, kind: str, text: str) -> None:
    made = loglines.view(7, record, "en", UTC)
    assert made.kind == kind
    assert text in made.markup
    assert made.gutter == "      7"


def test_the_gutter_has_one_width() -> None:
    at = int(NOW.timestamp() * 1000)
    assert loglines.gutter(18235, at, UTC) == " 18,235  14:02:05.000"
    assert len(loglines.gutter(1_000_000, at, UTC)) == len(loglines.gutter(1, at, UTC)) == 21


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https:evil", "/\t/evil", "/\n/evil", "javascript:alert(1)", "", None, "x",
     "/" + "a" * 3000, "\\/evil", "/%5c\\evil"],
)  # fmt: skip
def test_a_next_address_stays_here(path: str | None) -> None:
    assert safe_next(path) == "/"


@pytest.mark.parametrize("path", ["/", "/projects/vision/runs?q=a:b", "/%09/evil", "/%2f%2fevil", "/@evil"])
def test_a_next_address_on_this_site_is_kept(path: str) -> None:
    assert safe_next(path) == path


def test_code_spans_and_markup_in_slots_are_escaped() -> None:
    assert prose("run `berth <x>` now") == "run <code>berth &lt;x&gt;</code> now"
    assert prose("an odd ` tick") == "an odd ` tick"
    assert with_markup("en", "{user} & {time}", user="<b>", time=prose("`x`")) == "&lt;b&gt; &amp; <code>x</code>"


@pytest.mark.parametrize("state", RunState)
def test_every_state_has_word_mark_and_icon(state: RunState) -> None:
    assert statuses.MARKS[state]
    chip = statuses.chip("en", state, extra="<34%>")
    assert statuses.WORDS[state] in chip
    assert "&lt;34%&gt;" in chip
    if "use href" in chip:
        name = re.search(r"#(\w+)", chip)
        assert name
        assert f'id="{name[1]}"' in assets.assets()["vendor/icons.svg"].plain.decode()


def test_icons_that_templates_name_are_in_the_sprite() -> None:
    sprite = set(re.findall(r'id="(\w+)"', assets.assets()["vendor/icons.svg"].plain.decode()))
    used: set[str] = set()
    for path in (assets.FOLDER.parent / "templates").rglob("*.html"):
        used |= set(re.findall(r'icon\("(\w+)"', path.read_text()))
    assert used - sprite == set()


@pytest.mark.parametrize("folder", ["app/static/vendor", "tests/browser/vendor"])
def test_vendored_files_are_those_recorded(folder: str) -> None:
    root = Path(__file__).parents[3] / folder
    recorded: dict[str, str] = {}
    for package in json.loads((root / "VERSIONS.json").read_text()):
        recorded |= package["sha256"]
    found = {path.name for path in root.iterdir()} - {"VERSIONS.json"}
    assert found == set(recorded), "deploy/vendor.py writes these; nothing is put here by hand"
    for name, digest in recorded.items():
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == digest, name


def test_own_scripts_and_styles_stay_small() -> None:
    packed = {name: len(asset.packed or asset.plain) for name, asset in assets.assets().items()}
    assert packed["app.js"] + packed["log.js"] - packed["vendor/htmx.min.js"] <= 13 * 1024
    assert packed["metrics.js"] + packed["charts.js"] <= 6.5 * 1024
    assert packed["newrun.css"] + packed["newrun.js"] <= 4 * 1024
    assert packed["app.css"] <= 11 * 1024
    assert packed["vendor/icons.svg"] <= 4 * 1024


def test_key_actions_are_known_to_the_scripts() -> None:
    source = "".join(
        assets.assets()[name].plain.decode() for name in ("app.js", "list.js", "log.js", "metrics.js", "newrun.js")
    )
    for _, group in keys.GROUPS.values():
        for key in group:
            tab = key.does.removeprefix("tab-")  # these are made of a list of names
            pattern = rf'"?\b{re.escape(key.does)}"?\s*[:=(]' if tab == key.does else f'"{tab}"'
            assert re.search(pattern, source), key.does


@pytest.mark.parametrize("groups", [("everywhere", "lists", "picks"), ("everywhere", "run", "charts", "log")])
def test_keys_that_work_on_one_page_are_different(groups: tuple[str, ...]) -> None:
    presses = [key.press for name in groups for key in keys.GROUPS[name][1]]
    assert len(presses) == len(set(presses))


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_has_its_words(code: str) -> None:
    for language in ("en", "zh_CN"):
        assert reasons.title(language, code)
        assert reasons.fix(language, code)
        assert reasons.sentence(language, code, {"holders": ["r-1", "r-2"], "asked": "1"})
    assert reasons.sentence("en", "FROM_THE_FUTURE", {}) == "FROM_THE_FUTURE"
    assert reasons.event("en", next(iter(EVENTS)), {"by": "bob", "reason": {"code": code, "args": {}}})


class Row:
    """A run with what the time line needs."""

    def __init__(self, **values: Any) -> None:
        self.state, self.attempt = "queued", 1
        self.attempts: list[dict[str, Any]] = []
        self.queued_at, self.started_at, self.finished_at = NOW, None, None
        self.progress_done = self.progress_total = None
        self.__dict__.update(values)


def minutes(number: float) -> datetime.datetime:
    return NOW - datetime.timedelta(minutes=number)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(queued_at=minutes(5)), ["Queued"]),
        (Row(state="starting", queued_at=minutes(5), attempts=[{"number": 1, "admitted_at": minutes(1).isoformat()}]),
         ["Queued", "Starting"]),
        (Row(state="running", queued_at=minutes(60), started_at=minutes(50), progress_done=1, progress_total=4,
             attempts=[{"number": 1, "admitted_at": minutes(51)}]), ["Queued", "Starting", "Running", "Left"]),
        (Row(state="failed", queued_at=minutes(60), started_at=minutes(50), finished_at=minutes(50),
             attempts=[{"number": 1, "admitted_at": minutes(51)}]), ["Queued", "Starting", "Ran, failed after"]),
        (Row(state="stopped", queued_at=minutes(60), finished_at=minutes(1)), ["Queued"]),
    ],
)  # fmt: skip
def test_the_time_line_fills_its_width(row: Row, words: list[str]) -> None:
    phases = build_phases(View("en", UTC, NOW), row)
    assert [phase.text for phase in phases] == words
    assert phases[-1].x + phases[-1].width == 1000
    assert all(phase.width >= 4 for phase in phases)
    if words[-1] == "Left":
        assert phases[-1].span == "about 2h 30m"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *(("10..30", "10..30"), ("-1.5..2", "-1.5..2"), ("30..10", ""), ("5..5", ""), ("1..2..3", ""), ("<b>..9", "")),
        *(("nan..1", ""), ("1e9..2e9", ""), ("..", ""), ("9" * 400 + "..1", ""), ("1..\u0663", "")),
    ],
)
def test_the_part_of_charts_that_an_address_asks_for(given: str, kept: str) -> None:
    asked = metrics_view.Asked.read({"zoom": given, "clip": "1"})
    assert asked.zoom == kept
    assert metrics_view.Asked.read(dict(parse_qsl(asked.query[1:]))) == asked
