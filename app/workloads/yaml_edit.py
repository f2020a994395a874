"""Changing values inside of YAML that somebody wrote: every other byte, comments and order included, stays.

A value is replaced where it stands; the result is read again and must say exactly what was asked for.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import N_, BadValue
from app.workloads import yaml_source
from app.workloads.findings import escaped
from app.workloads.yaml_source import Node, SourceError

MOST = 100
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+=-]*(?: [A-Za-z0-9_./+=-]+)*")


class CannotEdit(BadValue):
    """The change cannot be made in place. `pointer` says which."""

    def __init__(self, pointer: str, message: str, **slots: Any) -> None:
        super().__init__(message, **slots)
        self.pointer = pointer


def merged(value: Any, patch: Any) -> Any:
    """What a JSON Merge Patch (RFC 7396) makes of a value: null takes a key out, objects are merged."""
    if not isinstance(patch, Mapping):
        return patch
    made = dict(value) if isinstance(value, Mapping) else {}
    for name, inside in patch.items():
        if inside is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), inside)
    return made


def patched(text: str, patch: Mapping[str, Any], *, blocks: bool = False) -> str:
    """`text` (a document that can be read) after a merge patch. Raises CannotEdit.

    With `blocks`, new values of several lines or entries are written below their key, as people do.
    """
    wanted = merged(yaml_source.read(text).value, patch)
    edits = _edits(yaml_source.read(text).value, patch, [])
    if len(edits) > MOST:
        raise CannotEdit("", N_("has more than {most} changes; send the YAML itself"), most=MOST)
    try:
        for path, value, is_gone in edits:
            text = _without(text, path) if is_gone else _with(text, path, value, blocks=blocks)
        is_right = yaml_source.read(text).value == wanted
    except SourceError:
        is_right = False
    if not is_right:
        pointer = "".join(f"/{escaped(part)}" for part in edits[-1][0]) if edits else ""
        raise CannotEdit(pointer, N_("cannot be changed in place; send the YAML itself"))
    return text


def round_trip(text: str, patch: Mapping[str, Any]) -> str:
    """As `patched`, for what cannot be changed in place: comments and order stay, blanks and quotes may not.

    Raises CannotEdit.
    """
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    try:
        wanted = merged(yaml_source.read(text).value, patch)
        document = editor.load(text)
        _apply(document, patch)
        stream = io.StringIO()
        editor.dump(document, stream)
        if yaml_source.read(stream.getvalue()).value == wanted:
            return stream.getvalue()
    except Exception as error:  # the library's own errors are of many classes
        raise CannotEdit("", N_("cannot be changed in place; send the YAML itself")) from error
    raise CannotEdit("", N_("cannot be changed in place; send the YAML itself"))


def _apply(document: Any, patch: Mapping[str, Any]) -> None:
    for name, inside in patch.items():
        if inside is None:
            document.pop(name, None)
        elif isinstance(inside, Mapping) and isinstance(document.get(name), Mapping):
            _apply(document[name], inside)
        else:
            document[name] = merged(None, inside)


def renamed(text: str, path: list[str], name: str) -> str:
    """`text` with the key at `path` called `name`; its value, place and notes stay. Raises CannotEdit."""
    try:
        node = _find(text, path)
        return _checked(text[: node.key_start] + flow(name) + text[node.key_end :])
    except (KeyError, SourceError):
        raise CannotEdit("".join(f"/{escaped(part)}" for part in path), N_("cannot be renamed")) from None


def _checked(text: str) -> str:
    yaml_source.read(text)
    return text


def _edits(value: Any, patch: Mapping[str, Any], path: list[str]) -> list[tuple[list[str], Any, bool]]:
    """(path, new value, whether it goes) of each place that changes."""
    made: list[tuple[list[str], Any, bool]] = []
    for name, inside in patch.items():
        there = isinstance(value, Mapping) and name in value
        place = [*path, name]
        if inside is None:
            if there:
                made.append((place, None, True))
        elif there and isinstance(inside, Mapping) and isinstance(value[name], Mapping):
            made += _edits(value[name], inside, place)
        else:
            new = merged(None, inside)
            if not there or value[name] != new or type(value[name]) is not type(new):
                made.append((place, new, False))
    return made


def _find(text: str, path: list[str]) -> Node:
    node = yaml_source.read(text).root
    for part in path:
        node = node.entries[part]
    return node


def _with(text: str, path: list[str], value: Any, *, blocks: bool = False) -> str:
    holder = _find(text, path[:-1])
    name = path[-1]
    for new in _written(text, holder, holder.entries.get(name), value) if blocks else ():
        if name in holder.entries:
            made = _replaced(text, holder.entries[name], new)
        else:
            made = _added(text, holder, f"{flow(name)}:{'' if new[0] in _NEWLINES else ' '}{new}")
        lost = _notes(text, holder.entries[name].value if name in holder.entries else "") - _notes(made, value)
        if _says(made, path, value) and (isinstance(value, list) or lost <= 0):
            return made
    if name in holder.entries:
        found = holder.entries[name]
        items = _with_items(text, found, value) if blocks and isinstance(value, list) else None
        if items is not None:
            return items
        return _replaced(text, found, flow(value))
    return _added(text, holder, f"{flow(name)}: {flow(value)}")


_NEWLINES = "\r\n"


def _notes(text: str, value: Any) -> int:
    """How many number signs stand outside of the value, which is where notes are."""
    return text.count("#") - (value.count("#") if isinstance(value, str) else 0)


def _says(text: str, path: list[str], value: Any) -> bool:
    try:
        return bool(_find(text, path).value == value)
    except (KeyError, SourceError):
        return False


def _with_items(text: str, node: Node, value: list[Any]) -> str | None:
    """A list of which single items, or values in them, differ, each changed where it stands; None where it cannot."""
    if len(node.items) != len(value):
        return None
    edits: list[tuple[Node, Any]] = []
    for one, new in zip(node.items, value, strict=True):
        if not one.entries:
            edits.append((one, new))
        elif isinstance(new, Mapping) and new.keys() == one.entries.keys():
            edits += [(one.entries[name], inside) for name, inside in new.items()]
        else:
            return None
    edits = [(place, new) for place, new in edits if place.value != new or type(place.value) is not type(new)]
    if any(place.entries or place.items or not place.is_flow or place.end <= place.start for place, _ in edits):
        return None
    for place, new in sorted(edits, key=lambda edit: edit[0].start, reverse=True):
        text = text[: place.start] + flow(new) + text[place.end :]
    return text


def _written(text: str, holder: Node, found: Node | None, value: Any) -> Iterator[str]:
    """Ways to write a value over several lines, the best first; they are tried until one reads as it should."""
    if holder.is_flow or not holder.entries:
        return
    newline = "\r\n" if "\r\n" in text else "\n"
    first = min(one.key_start for one in holder.entries.values())
    pad = newline + " " * (first - text.rfind("\n", 0, first) + 1)
    if isinstance(value, str) and "\n" in value and not value.startswith((" ", "\n")):
        ending = "" if value.endswith("\n") else "-"
        rows = value.removesuffix("\n").split("\n")
        yield f"|{ending}" + "".join(pad + row if row else newline for row in rows)
    elif isinstance(value, Mapping) and value and found is None:
        yield "".join(f"{pad}{flow(name)}: {flow(inside)}" for name, inside in value.items())
    elif isinstance(value, list) and value and found and not found.is_flow and len(found.items) != len(value):
        yield "".join(f"{pad}- {flow(inside)}" for inside in value)


def _replaced(text: str, node: Node, new: str) -> str:
    if node.is_flow and node.end > node.start and new[0] not in _NEWLINES:
        return text[: node.start] + new + text[node.end :]
    colon = text.index(":", node.key_end)
    between = text[colon + 1 : max(node.start, colon + 1)].rstrip()
    rest = text[node.end :]
    body = text[node.start : node.end]
    if body.endswith("\n"):  # a block of text takes the lines that follow it along
        rest = body[len(body.rstrip()) :] + rest
    gap = f" {between.strip()}" if between.strip() else ""
    blank = "" if new[0] in _NEWLINES else " "
    return f"{text[: colon + 1]}{blank}{new}{' ' + gap.strip() if gap else ''}{rest}"


def _added(text: str, holder: Node, entry: str) -> str:
    if holder.is_flow or not holder.entries:
        inside = text[holder.start : holder.end]
        if not inside.endswith("}"):  # an empty value: "env:"
            return text[: holder.start] + " {" + entry + "}" + text[holder.start :]
        comma = ", " if holder.entries else ""
        return text[: holder.end - 1].rstrip() + comma + entry + text[holder.end - 1 :]
    last = max(holder.entries.values(), key=lambda one: one.key_start)
    first = min(one.key_start for one in holder.entries.values())
    indent = text[text.rfind("\n", 0, first) + 1 : first]
    indent = "".join(" " if char != "\t" else char for char in indent)
    end = last.end
    if text[:end].endswith("\n"):
        end = len(text[:end].rstrip("\n"))
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    newline = "\r\n" if text[:line_end].endswith("\r") or "\r\n" in text else "\n"
    head = text[:line_end].removesuffix("\r")
    tail = text[len(head) :]
    return f"{head}{newline}{indent}{entry}{tail if tail else newline}"


def _without(text: str, path: list[str]) -> str:
    holder = _find(text, path[:-1])
    node = holder.entries[path[-1]]
    if holder.is_flow or len(holder.entries) == 1:
        left = {name: value for name, value in holder.value.items() if name != path[-1]}
        if len(path) == 1:
            raise CannotEdit(f"/{escaped(path[0])}", N_("cannot be changed in place; send the YAML itself"))
        return _replaced(text, holder, flow(left))
    start = text.rfind("\n", 0, node.key_start) + 1
    if text[start : node.key_start].strip():  # "- name: x": the first key shares its line
        raise CannotEdit("", N_("cannot be changed in place; send the YAML itself"))
    end = node.end
    if not text[:end].endswith("\n"):
        found = text.find("\n", end)
        end = len(text) if found < 0 else found + 1
    return text[:start] + text[end:]


def flow(value: Any) -> str:
    """A value on one line, in quotes where it would be read as something else."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and len(value) < 200 and yaml_source.read(f"x: {value}\n").value == {"x": value}:
            return value
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(name)}: {flow(inside)}" for name, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(inside) for inside in value) + "]"
    return json.dumps(value, allow_nan=False)
