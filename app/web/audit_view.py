"""The audit log as pages and spreadsheets show it. Pure."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CSV_COLUMNS = (
    "at",
    "actor",
    "verb",
    "object_type",
    "object_id",
    "project",
    "before",
    "after",
    "address",
    "request_id",
)


@dataclass(frozen=True)
class Change:
    """One value: what it was and what it is; None where there was or is none."""

    name: str
    before: str | None
    after: str | None


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Change]:
    """What differs, by name; values that stayed the same are left out."""
    old, new = before or {}, after or {}
    return [
        Change(name, _shown(old, name), _shown(new, name))
        for name in dict.fromkeys([*old, *new])
        if name not in old or name not in new or old[name] != new[name]
    ]


def named(object_type: str, object_id: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What people call an object: a token by its name and its owner's, as the entry has them; others by their id."""
    values = {**(before or {}), **(after or {})}
    name, owner = values.get("name"), values.get("user")
    return f"{name} ({owner})" if object_type == "token" and name and owner else object_id


def _shown(values: Mapping[str, Any], name: str) -> str | None:
    if name not in values or values[name] is None:
        return None
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def csv_lines(rows: Iterable[Mapping[str, Any]], *, header: bool = False) -> str:
    """Rows as RFC 4180 lines; before and after as JSON."""
    made = io.StringIO()
    writer = csv.writer(made)
    if header:
        writer.writerow(CSV_COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in CSV_COLUMNS])
    return made.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return inert(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula: what begins like one, also after blanks, gets an apostrophe."""
    begins = text.lstrip(" \u00a0\u3000")[:1]
    return f"'{text}" if text[:1] in ("\t", "\r", "\n") or (begins in tuple("=+-@＝＋－＠") and begins) else text
