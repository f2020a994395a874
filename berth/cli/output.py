"""What a command prints: data on stdout as JSON, a table or tab-separated; talk on stderr."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from berth.cli.text import cut, plain, width

if TYPE_CHECKING:
    from berth.cli.paths import JsonPath

_SGR = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "dim": "2", "bold": "1"}
STATES = {
    "queued": ("◌", "yellow"),
    "starting": ("◐", "cyan"),
    "running": ("●", "blue"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "stopped": ("■", "dim"),
}
_LEAST_FLEXIBLE = 12

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column. `show` is for people, `value` for programs (by default the same); `flexible` may be cut."""

    title: str
    show: Callable[[Item], Any]
    value: Callable[[Item], Any] | None = None
    style: Callable[[Item], str] | None = None
    is_number: bool = False
    is_flexible: bool = False


class Output:
    """`fields` are those of --json, None without it; `path` is that of --jq; `is_quiet` prints ids only."""

    def __init__(
        self, fields: tuple[str, ...] | None = None, is_quiet: bool = False, path: "JsonPath | None" = None
    ) -> None:
        self.fields = fields
        self.path = path
        self.is_quiet = is_quiet
        self.is_terminal = sys.stdout.isatty()
        self.has_colour = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.may_ask = sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def is_json(self) -> bool:
        return self.fields is not None

    def say(self, text: str) -> None:
        """Talk."""
        print(text, file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """A line of data."""
        print(text)

    def object(self, item: Item) -> None:
        """One JSON object with exactly the fields that were asked for."""
        self._print(self._chosen(item))

    def stream(self, item: Item) -> None:
        """One JSON object on a line of its own, at once."""
        self._print(self._chosen(item), is_line=True)
        sys.stdout.flush()

    def row(self, item: Item, columns: Sequence[Column], key: str = "id") -> None:
        """One of many that come in time: its id only, or tab-separated."""
        if self.is_quiet:
            print(plain(str(item.get(key, ""))))
        else:
            print("\t".join(_cell((column.value or column.show)(item)) for column in columns))

    def table(self, items: Iterable[Item], columns: Sequence[Column], empty: str = "", key: str = "id") -> None:
        """Many objects: as a JSON array, ids only, a table, or tab-separated lines as they come."""
        if self.is_json:
            self._print([self._chosen(item) for item in items])
        elif self.is_terminal and not self.is_quiet:
            rows = list(items)
            if rows:
                self._table(rows, columns)
            elif empty:
                self.say(empty)
        else:
            for item in items:
                self.row(item, columns, key)

    def facts(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names and values, one a line; those without a value are left out for people."""
        known = [(name, value) for name, value in pairs if self.is_terminal is False or value not in (None, "", [], {})]
        if not self.is_terminal:
            for name, value in known:
                print(f"{name.lower().replace(' ', '_')}\t{_cell(value)}")
            return
        wide = max((width(name) for name, _ in known), default=0)
        for name, value in known:
            print(f"{self.paint(name + ' ' * (wide - width(name)), 'dim')}  {plain(str(value), keep_lines=True)}")

    def paint(self, text: str, style: str) -> str:
        """Coloured where the terminal can, as it is elsewhere."""
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if self.has_colour and style in _SGR else text

    def state(self, state: str) -> str:
        """A state with its sign."""
        sign, style = STATES.get(state, ("?", ""))
        return self.paint(f"{sign} {plain(state)}", style)

    def confirm(self, question: str, is_yes: bool) -> bool:
        """Asks on a terminal; without one the command itself is the answer."""
        if is_yes or not self.may_ask:
            return True
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _chosen(self, item: Item) -> dict[str, Any]:
        return {name: item.get(name) for name in self.fields or ()}

    def _print(self, value: Any, *, is_line: bool = False) -> None:
        if self.path is not None:
            for line in self.path.lines(value):
                print(plain(line, keep_lines=True) if self.is_terminal else line)
            return
        print(json.dumps(value, ensure_ascii=False, indent=2 if self.is_terminal and not is_line else None))

    def _table(self, rows: Sequence[Item], columns: Sequence[Column]) -> None:
        cells = [[_cell(column.show(row)) for column in columns] for row in rows]
        widths = [
            max(width(column.title), *(width(line[index]) for line in cells)) for index, column in enumerate(columns)
        ]
        self._shrink(widths, columns)
        print(self.paint(_joined([c.title for c in columns], widths, columns), "dim"))
        for row, line in zip(rows, cells, strict=True):
            print(_joined(line, widths, columns, [self._painter(column, row) for column in columns]))

    def _painter(self, column: Column, row: Item) -> Callable[[str], str]:
        style = column.style(row) if column.style else ""
        return (lambda text: self.paint(text, style)) if style else str

    def _shrink(self, widths: list[int], columns: Sequence[Column]) -> None:
        room = shutil.get_terminal_size().columns - 2 * (len(columns) - 1)
        while sum(widths) > room:
            flexible = [i for i, column in enumerate(columns) if column.is_flexible and widths[i] > _LEAST_FLEXIBLE]
            if not flexible:
                return
            widest = max(flexible, key=lambda index: widths[index])
            widths[widest] -= 1


def _joined(
    cells: Sequence[str],
    widths: Sequence[int],
    columns: Sequence[Column],
    painters: Sequence[Callable[[str], str]] | None = None,
) -> str:
    parts = []
    for index, (text, wide, column) in enumerate(zip(cells, widths, columns, strict=True)):
        shown = cut(text, wide)
        blanks = " " * (wide - width(shown))
        painted = painters[index](shown) if painters else shown
        is_last = index == len(columns) - 1
        parts.append(blanks + painted if column.is_number else painted + ("" if is_last else blanks))
    return "  ".join(parts).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return plain(",".join(str(part) for part in value))
    if isinstance(value, dict):
        return plain(json.dumps(value, ensure_ascii=False))
    return plain(str(value))
