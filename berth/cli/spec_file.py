"""A spec in a file: TOML, JSON or YAML, read strictly, with the line of each field for what is said about it."""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from berth.errors import BerthError, InvalidInput

_MAX_TEXT = 1 << 20
_MAX_KEPT = 128 * 1024  # bytes
_MAX_DEPTH = 64
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]|[^\s{}\[\],:"]+|\n', re.DOTALL)
_TOML_TABLE = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_TOML_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)

Event = tuple[str, str, int]
"""("{", "[", "}" or "value"; the text of a scalar; its line)"""


class SpecFile:
    """The spec of one file. Raises InvalidInput with the reason, and the line where the format tells it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._format = Path(name).suffix.lower()
        text = _read_text(name)
        self._lines: dict[str, int] = {}
        try:
            document = self._load(text)
        except RecursionError:
            raise InvalidInput(f"{name} is nested too deeply") from None
        except ValueError as error:
            known = self._format in (".toml", ".json", ".yaml", ".yml")
            hint = "" if known else "Without the ending .toml or .yaml it is read as JSON."
            raise InvalidInput(f"{name} cannot be understood: {error}", hint=hint) from None
        if not isinstance(document, dict):
            raise InvalidInput(f"{name} is no spec: it must have keys, such as name and command")
        is_wrapped = set(document) == {"spec"} and isinstance(document["spec"], dict)
        self.spec: dict[str, Any] = document["spec"] if is_wrapped else document
        self._root = "/spec" if is_wrapped else ""
        is_kept = self._format in (".yaml", ".yml") and not is_wrapped and len(text.encode()) <= _MAX_KEPT
        self.source_text = text if is_kept else None  # what a server keeps of it
        self._said = json.loads(json.dumps(self.spec))  # as the file has it: flags change the spec

    def point(self, problem: BerthError, spec: dict[str, Any]) -> None:
        """Adds the line to each of the problem's fields whose value in `spec` is still the file's."""
        for field in problem.errors:
            inside = str(field.get("pointer") or "").removeprefix("/spec")
            line = self._lines.get(self._root + inside)
            if line and _at(spec, inside) == _at(self._said, inside):
                field["line"] = line

    def _load(self, text: str) -> Any:
        if len(text) > _MAX_TEXT:
            raise ValueError("it is larger than 1 MiB")
        events: Iterable[Event] = ()
        if self._format in (".yaml", ".yml"):
            document, events = _load_yaml(text)
        elif self._format == ".toml":
            import tomllib

            document = tomllib.loads(text)
            self._lines = _toml_lines(text)
        else:
            document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
            events = _json_events(text)
        self._lines |= dict(_locate(events))
        for pointer, message in _unfit(document, ""):
            line = f" (line {self._lines[pointer]})" if pointer in self._lines else ""
            raise ValueError(f"{pointer.lstrip('/') or 'it'}{line} {message}")
        return document


def _read_text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} cannot be read: it is not UTF-8") from None
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror or error}") from None


def _load_yaml(text: str) -> tuple[Any, list[Event]]:
    """Aliases are refused: one can make a small file enormous, and a spec has no need of it."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ImportError:
        raise InvalidInput(
            "reading YAML needs a YAML reader, and none is installed",
            hint="pip install ruamel.yaml; or write the spec in TOML or JSON, which need nothing.",
        ) from None
    try:
        events = list(_yaml_events(YAML(typ="safe", pure=True).parse(text)))
        return YAML(typ="safe", pure=True).load(text), events
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from None
    except YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def _yaml_events(parsed: Iterable[Any]) -> Iterator[Event]:
    depth = 0
    for event in parsed:
        kind, line = type(event).__name__, event.start_mark.line + 1
        if kind == "AliasEvent":
            raise ValueError(f"line {line}: aliases (*name) are not taken here")
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            depth += 1
            if depth > _MAX_DEPTH:
                raise ValueError(f"line {line}: it is nested deeper than {_MAX_DEPTH}")
            yield ("{" if kind.startswith("M") else "[", "", line)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            depth -= 1
            yield ("}", "", line)
        elif kind == "ScalarEvent":
            yield ("value", event.value, line)


def _json_events(text: str) -> Iterator[Event]:
    """Of a text that is known to be JSON."""
    line = 1
    for match in _JSON_TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token in "{[":
            yield (token, "", line)
        elif token in "}]":
            yield ("}", "", line)
        else:
            yield ("value", json.loads(token) if token.startswith('"') else token, line)


def _locate(events: Iterable[Event]) -> Iterator[tuple[str, int]]:
    """(JSON pointer, line) of each value; that of a mapping's entry is the line of its key."""
    stack: list[list[Any]] = []  # [pointer, number of the next item or None for a mapping, the key that waits]
    for kind, text, line in events:
        if kind == "}":
            stack.pop()
            continue
        inside, at = "", line
        if stack:
            above = stack[-1]
            if above[1] is None and above[2] is None:
                if kind != "value":
                    return  # a key that is no text, which is refused
                above[2] = (text, line)
                continue
            if above[1] is None:
                name, at = above[2]
                above[2] = None
            else:
                name = str(above[1])
                above[1] += 1
            inside = f"{above[0]}/{_escaped(name)}"
        yield inside, at
        if kind != "value":
            stack.append([inside, 0 if kind == "[" else None, None])


def _toml_lines(text: str) -> dict[str, int]:
    """tomllib tells no places. Keys inside of inline tables have the line of the table."""
    lines: dict[str, int] = {}
    table, quotes = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if quotes:
            quotes = "" if quotes in line else quotes
        elif found := _TOML_TABLE.match(line):
            table = _toml_pointer(found[1])
            lines[table] = number
        elif found := _TOML_KEY.match(line):
            lines[table + _toml_pointer(found[1])] = number
            opened = re.search("\"\"\"|'''", line)
            if opened and line.count(opened[0]) % 2:
                quotes = opened[0]
    return lines


def _toml_pointer(dotted: str) -> str:
    parts = re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)
    return "".join(f"/{_escaped(part.strip(chr(34) + chr(39)))}" for part in parts)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!r} stands twice in the same object")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _unfit(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """What no JSON has, and so cannot be sent: (pointer, what is wrong)."""
    if pointer.count("/") > _MAX_DEPTH:
        yield pointer, f"is nested deeper than {_MAX_DEPTH}"
    elif isinstance(value, dict):
        for key, inside in value.items():
            if not isinstance(key, str):
                yield pointer, f"has the key {str(key)[:40]!r}, which is no text; write it in quotes"
                return
            yield from _unfit(inside, f"{pointer}/{_escaped(key)}")
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            yield from _unfit(inside, f"{pointer}/{number}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield pointer, "is not a finite number"
    elif isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        yield pointer, "has half of a surrogate pair, which is no character"
    elif value is not None and not isinstance(value, str | int | float):
        yield pointer, f"is a {type(value).__name__}, which JSON has not; write it in quotes"


def _at(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
