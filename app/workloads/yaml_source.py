"""YAML that people write, read strictly: bounded before and while it is parsed, with the place of every value.

YAML 1.2, without what a definition has no need of and what makes small files enormous or ambiguous: aliases, tags,
repeated keys, keys that are no text. The text itself is kept elsewhere; here it is only looked at. The parser is
loaded with the first text: the web process can do without it for long.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.errors import N_, FieldError
from app.workloads.findings import escaped

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

MAX_BYTES = 128 * 1024
MAX_DEPTH = 20
MAX_NODES = 4_000
_MAX_DIGITS = 30

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_DEEP = re.compile(rf"(?:[\[{{]\s*){{{MAX_DEPTH + 1}}}|(?:- ){{{MAX_DEPTH + 1}}}")
_BARE_PLACEHOLDER = re.compile(r"[\[{,]\s*(?:-\s*)?\$\{\{")


class SourceError(Exception):
    """The text is no YAML that is taken here; `errors` say where and why."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)


@dataclass
class Node:
    """A value and where it stands: characters from `start` to `end`, `line` from 1 (of its key, if it has one).

    `is_flow`: written on the line ("[1, 2]", "x"), not as an indented block. `entries` are those of a mapping or,
    with an empty key, of a sequence; `key_start` and `key_end` enclose the key.
    """

    value: Any
    start: int
    end: int
    line: int
    is_flow: bool = True
    entries: dict[str, "Node"] = field(default_factory=dict)
    items: list["Node"] = field(default_factory=list)
    key_start: int = -1
    key_end: int = -1


@dataclass(frozen=True)
class Source:
    """A document: its text as it was written, its value, and the line of each value by JSON pointer."""

    text: str
    value: dict[str, Any]
    root: Node
    lines: dict[str, int]

    def line_of(self, pointer: str) -> int | None:
        """The line of a value; of what holds it where it is not there."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer)


def read_bytes(body: bytes) -> Source:
    """As `read`, of bytes in UTF-8."""
    try:
        return read(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise SourceError(FieldError("", N_("is not UTF-8 text"), line=line)) from None


def read(text: str) -> Source:
    """The mapping that `text` holds. Raises SourceError, with the line of each mistake."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SourceError(FieldError("", N_("is larger than {most} KiB"), slots={"most": MAX_BYTES // 1024}))
    if found := _NO_TEXT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        message = N_("has the control character {code}, which is no text")
        raise SourceError(FieldError("", message, line=line, slots={"code": f"U+{ord(found[0]):04X}"}))
    if found := _DEEP.search(text):
        raise _too_deep(text.count("\n", 0, found.start()) + 1)
    try:
        root = _Builder(text).build()
    except MarkedYAMLError as error:
        raise SourceError(_grammar(text, error)) from None
    except (YAMLError, ValueError, RecursionError):
        raise SourceError(FieldError("", N_("is not YAML"))) from None
    if root is None:
        raise SourceError(FieldError("", N_("is empty"), line=1))
    if not isinstance(root.value, dict):
        raise SourceError(FieldError("", N_("must be a mapping: lines such as `name: train`"), line=root.line))
    return Source(text, root.value, root, dict(_lines(root, "")))


def _too_deep(line: int) -> SourceError:
    return SourceError(FieldError("", N_("is nested deeper than {most}"), line=line, slots={"most": MAX_DEPTH}))


def _grammar(text: str, error: "MarkedYAMLError") -> FieldError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    rows = text.split("\n")
    row = rows[line - 1] if line and line <= len(rows) else ""
    if _BARE_PLACEHOLDER.search(row):
        return FieldError("", N_("a placeholder inside of brackets must stand in quotes"), line=line)
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return FieldError("", N_("is indented with a tab; YAML takes blanks only"), line=line)
    return FieldError("", N_("is not YAML: {why}"), line=line, slots={"why": str(error.problem or error.context)[:200]})


class _Builder:
    """Makes nodes of the parser's events in one pass, so that the limits hold while it is read."""

    def __init__(self, text: str) -> None:
        from ruamel.yaml import YAML
        from ruamel.yaml.nodes import ScalarNode

        reader = YAML(typ="safe", pure=True)
        self._scalar_kind = ScalarNode
        self._events: Iterator[Any] = iter(reader.parse(text))
        self._reader = reader
        self._count = 0
        self._errors: list[FieldError] = []

    def build(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            kind = type(event).__name__
            if kind in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent", "CommentEvent"):
                continue
            if kind == "DocumentStartEvent":
                if root is not None:
                    raise SourceError(
                        FieldError("", N_("holds more than one document"), line=event.start_mark.line + 1)
                    )
                if event.version is not None:
                    line = event.start_mark.line + 1
                    raise SourceError(FieldError("", N_("has a %YAML line; leave it out: this is YAML 1.2"), line=line))
                continue
            root = self._node(event, "", 0)
        if self._errors:
            raise SourceError(*self._errors[:50])
        return root

    def _node(self, event: Any, pointer: str, depth: int) -> Node:
        kind, line = type(event).__name__, event.start_mark.line + 1
        self._count += 1
        if self._count > MAX_NODES:
            raise SourceError(FieldError("", N_("has more than {most} values"), line=line, slots={"most": MAX_NODES}))
        if depth > MAX_DEPTH:
            raise _too_deep(line)
        if kind == "AliasEvent":
            raise SourceError(FieldError(pointer, N_("is an alias (*name), which is not taken here"), line=line))
        if getattr(event, "tag", None) is not None:
            raise SourceError(FieldError(pointer, N_("has a tag (!name), which is not taken here"), line=line))
        if kind == "ScalarEvent":
            return self._scalar(event, pointer)
        if kind == "SequenceStartEvent":
            return self._sequence(event, pointer, depth)
        return self._mapping(event, pointer, depth)

    def _scalar(self, event: Any, pointer: str) -> Node:
        tag = str(self._reader.resolver.resolve(self._scalar_kind, event.value, event.implicit)).rpartition(":")[2]
        line = event.start_mark.line + 1
        try:
            value = _value(tag, event.value)
        except ValueError:
            self._errors.append(FieldError(pointer, N_("is a number that is not finite or too long"), line=line))
            value = 0
        is_flow = event.style not in ("|", ">")
        return Node(value, event.start_mark.index, event.end_mark.index, line, is_flow)

    def _sequence(self, event: Any, pointer: str, depth: int) -> Node:
        made = Node([], event.start_mark.index, 0, event.start_mark.line + 1, bool(event.flow_style))
        for inner in self._events:
            if type(inner).__name__ == "SequenceEndEvent":
                return _closed(made, inner)
            found = self._node(inner, f"{pointer}/{len(made.items)}", depth + 1)
            made.items.append(found)
            made.value.append(found.value)
        raise ValueError("the parser ends what it begins")

    def _mapping(self, event: Any, pointer: str, depth: int) -> Node:
        made = Node({}, event.start_mark.index, 0, event.start_mark.line + 1, bool(event.flow_style))
        for key in self._events:
            if type(key).__name__ == "MappingEndEvent":
                return _closed(made, key)
            line = key.start_mark.line + 1
            named = self._node(key, pointer, depth + 1)
            name = named.value
            value = self._node(next(self._events), f"{pointer}/{escaped(str(name)[:200])}", depth + 1)
            if not isinstance(name, str):
                written = str(name)[:40]
                message = N_("has the key {name}, which is no text; write it in quotes")
                self._errors.append(FieldError(pointer, message, line=line, slots={"name": written}))
            elif name in made.entries:
                message = N_("stands twice; it stands on line {line} already")
                first = made.entries[name].line
                inside = f"{pointer}/{escaped(name[:200])}"
                self._errors.append(FieldError(inside, message, line=line, slots={"line": first}))
            else:
                value.line, value.key_start, value.key_end = line, named.start, named.end
                made.entries[name], made.value[name] = value, value.value
        raise ValueError("the parser ends what it begins")


def _closed(made: Node, event: Any) -> Node:
    """The end of a block is where its last value ends: the parser's lies behind the comments that follow."""
    inside: Iterable[Node] = made.items or made.entries.values()
    made.end = event.end_mark.index if made.is_flow else max((one.end for one in inside), default=made.start)
    return made


def _value(tag: str, text: str) -> Any:
    """A scalar as YAML 1.2 means it; times are texts. Raises ValueError for numbers that JSON has not."""
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag in ("int", "float"):
        plain = text.replace("_", "")
        if len(plain) > _MAX_DIGITS:
            raise ValueError
        if tag == "int":
            is_based = plain.lstrip("+-")[:2].lower() in ("0x", "0o", "0b")
            return int(plain, 0) if is_based else int(plain)
        number = float(plain.replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(number):
            raise ValueError
        return number
    return text


def _lines(node: Node, pointer: str) -> Iterator[tuple[str, int]]:
    yield pointer, node.line
    for name, inside in node.entries.items():
        yield from _lines(inside, f"{pointer}/{escaped(name)}")
    for number, inside in enumerate(node.items):
        yield from _lines(inside, f"{pointer}/{number}")
