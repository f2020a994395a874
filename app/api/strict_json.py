"""Reading JSON from strangers: bounded before it is parsed, and without anything that only Python accepts.

RFC 8259 says that names should be unique and that numbers beyond a double are not portable; the parser of
the standard library takes duplicates, NaN, Infinity, lone surrogates and any depth up to its own stack.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from app.errors import N_, AppError, FieldError, Invalid
from app.workloads.findings import escaped

MAX_DEPTH = 64
MAX_KEYS = 20_000
MAX_DIGITS = 400

_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_CONSTANT = re.compile(rb"NaN|Infinity")
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


class MalformedJson(AppError):
    """Not JSON at all."""

    status = 400
    code = "MALFORMED_JSON"
    title = N_("The body is not JSON")
    detail = N_("Line {line}, column {column}: {reason}. Nothing was changed.")
    hint = N_("Send one JSON document as RFC 8259 defines it, in UTF-8.")


class TooComplex(Invalid):
    """JSON, but deeper or with more keys or digits than anything here needs."""

    code = "TOO_COMPLEX"
    title = N_("The body is too complex")
    detail = N_("It is nested deeper than {depth}, or has more than {keys} keys or a number with over {digits} digits.")
    hint = N_("Send less, or split it into several requests.")


def parse(body: bytes) -> Any:
    """The document in `body`. Raises MalformedJson, TooComplex, or Invalid with pointers."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        _malformed(body, error.start, "this is not UTF-8")
    reader = _Reader()
    try:
        document = reader.decoder(bounded=_LONG_NUMBER.search(body) is not None).decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(line=error.lineno, column=error.colno, reason=error.msg) from None
    except RecursionError:
        raise TooComplex(depth=MAX_DEPTH, keys=MAX_KEYS, digits=MAX_DIGITS) from None
    except _ConstantFound:
        found = _CONSTANT.search(_STRING.sub(lambda match: b" " * len(match[0]), body))
        _malformed(body, found.start() if found else 0, "NaN and Infinity are not JSON numbers")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(document):
        raise TooComplex(depth=MAX_DEPTH, keys=MAX_KEYS, digits=MAX_DIGITS)
    problems = _repeated_names(document) if reader.has_repeated else []
    if b"\\u" in body:
        problems += _no_characters(document)
    if problems:
        raise Invalid(problems[:50])
    return document


class _Reader:
    """What one document is read with: counts its names and marks the objects in which one stands twice."""

    def __init__(self) -> None:
        self.names = 0
        self.has_repeated = False

    def decoder(self, *, bounded: bool) -> json.JSONDecoder:
        """`bounded`: look at the length of every number, which costs; asked for when there is a long one."""
        if not bounded:
            return json.JSONDecoder(object_pairs_hook=self.read_object, parse_constant=_refuse_constant)
        return json.JSONDecoder(
            object_pairs_hook=self.read_object,
            parse_constant=_refuse_constant,
            parse_int=lambda digits: int(_bounded(digits)),
            parse_float=lambda digits: float(_bounded(digits)),
        )

    def read_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.names += len(pairs)
        if self.names > MAX_KEYS:
            raise TooComplex(depth=MAX_DEPTH, keys=MAX_KEYS, digits=MAX_DIGITS)
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.has_repeated = True
        seen: set[str] = set()
        marked = _Repeated(found)
        for name, _ in pairs:
            if name in seen:
                marked.name = name
            seen.add(name)
        return marked


class _Repeated(dict[str, Any]):
    """An object in which a name stood twice."""

    name: str


class _ConstantFound(Exception):
    """NaN, Infinity or -Infinity."""


def _refuse_constant(_: str) -> NoReturn:
    raise _ConstantFound


def _bounded(digits: str) -> str:
    if len(digits) > MAX_DIGITS:
        raise TooComplex(depth=MAX_DEPTH, keys=MAX_KEYS, digits=MAX_DIGITS)
    return digits


def _is_deep(document: Any) -> bool:
    level: list[Any] = [document] if isinstance(document, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value if type(value) is list else value.values())
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _repeated_names(document: Any) -> list[FieldError]:
    return [
        FieldError(f"{pointer}/{escaped(value.name)}", N_("stands twice in the same object"))
        for pointer, value in _walk(document, "")
        if isinstance(value, _Repeated)
    ]


def _no_characters(document: Any) -> list[FieldError]:
    message = N_("contains NUL or half of a surrogate pair, which are no characters of a text")
    found = []
    for pointer, value in _walk(document, ""):
        if isinstance(value, str):
            if _NO_CHARACTER.search(value):
                found.append(FieldError(pointer, message))
        elif isinstance(value, dict) and any(_NO_CHARACTER.search(name) for name in value):
            found.append(FieldError(pointer, N_("has a name with NUL or half of a surrogate pair")))
    return found


def _walk(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    yield pointer, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{pointer}/{index}")


def _malformed(body: bytes, position: int, reason: str) -> NoReturn:
    before = body[:position]
    line = before.count(b"\n") + 1
    raise MalformedJson(line=line, column=position - (before.rfind(b"\n") + 1) + 1, reason=reason)
