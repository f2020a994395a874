"""Texts of other people on a terminal: nothing in them may steer it."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SPACE = re.compile(r"[\t\n]")
# Colours are kept, everything else that begins with an escape is not: it could rewrite the screen or the title.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def plain(text: str, keep_lines: bool = False) -> str:
    """Without control characters; tabs and ends of lines become blanks, unless `keep_lines`."""
    text = _CONTROL.sub("", _ESCAPE.sub("", text))
    return text if keep_lines else _SPACE.sub(" ", text)


def coloured(text: str) -> str:
    """A program's own line: its colours stay, and end with the line."""
    parts: list[str] = []
    end = 0
    for match in _ESCAPE.finditer(text):
        parts.append(_CONTROL.sub("", text[end : match.start()]))
        if _COLOUR.fullmatch(match[0]):
            parts.append(match[0])
        end = match.end()
    parts.append(_CONTROL.sub("", text[end:]))
    line = "".join(parts)
    return line + "\x1b[0m" if "\x1b" in line else line


def width(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0
        if unicodedata.combining(char) or unicodedata.category(char) == "Cf"
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def cut(text: str, columns: int) -> str:
    """At most so many columns, with "…" where something is missing."""
    if width(text) <= columns:
        return text
    kept = text[: max(columns, 1)]
    while kept and width(kept) > columns - 1:
        kept = kept[:-1]
    return kept + "…"
