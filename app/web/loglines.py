"""A log's lines as markup: colours of terminals become classes, errors are marked, gaps are told.

static/run.js does the same for lines that arrive later; tests/browser compares the two line by line.
"""

import datetime
import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from app.domain.loglines import Record, read_gap, shown
from app.i18n import translate, translate_plural

BLOCK = 500  # lines in one <pre>; the script fetches by the same blocks
LONGEST = 16 << 10  # characters shown of one line; the rest is in the download


_SGR = re.compile(r"\x1b\[([0-9;:]{0,64})m")
_ERROR = re.compile(
    r"Traceback \(most recent call last\)|^[\w.]*(?:Error|Exception)\b|\b(?:ERROR|CRITICAL|FATAL)\b"
    r"|^(?:error|fatal|panic|Error): |Segmentation fault|^Killed\b"
)
_COLOURS = "drgybmcd"
_STYLES = {1: "an-1", 2: "an-2", 3: "an-3", 4: "an-4"}
_ENDS = {22: ("an-1", "an-2"), 23: ("an-3",), 24: ("an-4",)}


@dataclass(frozen=True)
class LineView:
    """One line as the page shows it. `kind` is the class that follows "l"."""

    number: int
    at_ms: int
    gutter: str
    kind: str
    markup: Markup


def view(number: int, record: Record, language: str, zone: datetime.tzinfo) -> LineView:
    """A line with its gutter: number and time of day."""
    if record.stream == "g":
        gap = read_gap(record.text)
        why = shown(gap.why.encode())
        if gap.lines:
            told = translate_plural(
                language,
                "{lines} line ({bytes} bytes) is missing here: {why}",
                "{lines} lines ({bytes} bytes) are missing here: {why}",
                gap.lines,
                lines=gap.lines,
                bytes=gap.bytes,
                why=why,
            )
        else:  # how much it was is not always known
            told = translate(language, "a part is missing here: {why}", why=why)
        return LineView(number, record.at_ms, gutter(number, record.at_ms, zone), " gap", escape(told))
    text = shown(record.text, colour=True)
    kind = " b" if record.stream == "b" else " e" if _ERROR.search(_SGR.sub("", text[:2000])) else ""
    return LineView(number, record.at_ms, gutter(number, record.at_ms, zone), kind, markup(text, language))


def gutter(number: int, at_ms: int, zone: datetime.tzinfo) -> str:
    """Number and time, padded: the font is of one width."""
    shown_number = f"{number:,}" if number < 1_000_000 else str(number)
    if not at_ms:
        return shown_number.rjust(7)
    at = datetime.datetime.fromtimestamp(at_ms / 1000, zone)
    return f"{shown_number:>7}  {at:%H:%M:%S}.{at_ms % 1000:03d}"


def markup(text: str, language: str = "en") -> Markup:
    """Text with its terminal colours as classes; everything else is escaped."""
    more = len(text) - LONGEST
    if more > 0:
        text = text[:LONGEST]
    made = _coloured(text) if "\x1b" in text else escape(text)
    if more > 0:
        told = translate_plural(
            language,
            "{number} more character is in the download",
            "{number} more characters are in the download",
            more,
        )
        made += Markup(' <i class="cut">{}</i>').format(told)
    return made


def _coloured(text: str) -> Markup:
    parts: list[Markup] = []
    classes: dict[str, None] = {}
    position = 0
    for match in _SGR.finditer(text):
        parts.append(_piece(text[position : match.start()], classes))
        _apply(match[1], classes)
        position = match.end()
    parts.append(_piece(text[position:], classes))
    return Markup("").join(parts)


def _piece(text: str, classes: dict[str, None]) -> Markup:
    if not text or not classes:
        return escape(text)
    return Markup('<span class="{}">{}</span>').format(" ".join(classes), text)


def _apply(parameters: str, classes: dict[str, None]) -> None:
    """One SGR sequence (ECMA-48 8.3.117), with the 256 and true colours brought down to eight."""
    numbers = [int(part) if part else 0 for part in re.split("[;:]", parameters)]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            classes.clear()
        elif number in _STYLES:
            classes[_STYLES[number]] = None
        elif number in _ENDS:
            for name in _ENDS[number]:
                classes.pop(name, None)
        elif number in (38, 48):
            colour = _extended(numbers)
            if number == 38:
                _colour(classes, colour)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            _colour(classes, "d" if number == 90 else "" if number in (37, 97) else _COLOURS[number % 10])
        elif number == 39:
            _colour(classes, "")


def _colour(classes: dict[str, None], colour: str) -> None:
    for letter in "rgybmcd":
        classes.pop(f"an-{letter}", None)
    if colour:
        classes[f"an-{colour}"] = None


def _extended(numbers: list[int]) -> str:
    """The nearest of the eight for `38;5;n` or `38;2;r;g;b`; takes what it reads off the list."""
    form = numbers.pop(0) if numbers else 0
    if form == 2:
        rgb = [min(255, numbers.pop(0)) if numbers else 0 for _ in range(3)]
    elif form == 5:
        number = numbers.pop(0) if numbers else 0
        if number < 16:
            return "d" if number == 8 else "" if number in (7, 15) else _COLOURS[number % 8]
        if number > 231:
            return "d" if number < 248 else ""
        cube = number - 16
        rgb = [cube // 36 * 51, cube // 6 % 6 * 51, cube % 6 * 51]
    else:
        return ""
    high = max(rgb)
    if high - min(rgb) < 40:
        return "d" if high < 170 else ""
    red, green, blue = (part > high * 0.6 for part in rgb)
    return {
        (True, False, False): "r",
        (False, True, False): "g",
        (False, False, True): "b",
        (True, True, False): "y",
        (True, False, True): "m",
        (False, True, True): "c",
    }.get((red, green, blue), "")
