"""Comparing runs: what differs between them, part by part, and which has the best value of a metric. Pure."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.errors import N_

FEWEST, MOST = 2, 20

# Names of which less is better; of all others more is. A slash or an underscore ends a word.
_LESS = re.compile(r"(?:^|[/_.\s-])(?:loss|losses|error|errors|err|perplexity|ppl)(?:$|[/_.\s\d-])|loss$|error$", re.I)


class Direction(StrEnum):
    """Which value of a metric is the better one."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True)
class Line:
    """One thing that runs have: its value in each, as text; None where a run has none."""

    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Part:
    """Lines of one kind, those that differ first. `key` is stable, `title` for people."""

    key: str
    title: str
    lines: tuple[Line, ...]

    @property
    def different(self) -> list[Line]:
        return [line for line in self.lines if line.differs]

    @property
    def equal(self) -> list[Line]:
        return [line for line in self.lines if not line.differs]


TITLES = {
    "parameters": N_("Parameters"),
    "code": N_("Code"),
    "definition": N_("Definition"),
    "environment": N_("Environment"),
    "resources": N_("Resources"),
}
_CODE = ("snapshot",)
_ENVIRONMENT = ("image", "python", "requirements")
_RESOURCES = ("cpu", "memory", "gpus", "replicas", "pool")
# How a run is named and found says nothing about what it does; the rest of a spec is its definition.
_ELSEWHERE = {*_CODE, *_ENVIRONMENT, *_RESOURCES, "command", "script", "parameters", "env"}
_LABELS = {"name", "tags", "experiment"}


def compare(runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Part]:
    """What differs between runs, each given as (complete spec, source). Every part is there, also an empty one."""
    columns = [_facts(spec, source) for spec, source in runs]
    return [
        Part(key, title, tuple(sorted(_lines([column[key] for column in columns]), key=lambda line: not line.differs)))
        for key, title in TITLES.items()
    ]


def _facts(spec: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    command = spec.get("command")
    code = {"command": " ".join(map(str, command)) if isinstance(command, list) else spec.get("script")}
    code |= {name: spec.get(name) for name in _CODE} | dict(source)
    environment = {name: spec.get(name) for name in _ENVIRONMENT}
    environment |= {f"${name}": value for name, value in (spec.get("env") or {}).items()}
    return {
        "parameters": dict(spec.get("parameters") or {}),
        "code": code,
        "definition": {name: spec[name] for name in spec if name not in _ELSEWHERE | _LABELS},
        "environment": environment,
        "resources": {name: spec.get(name) for name in _RESOURCES},
    }


def _lines(columns: Sequence[Mapping[str, Any]]) -> Iterable[Line]:
    for name in dict.fromkeys(name for column in columns for name in column):
        values = tuple(_text(column.get(name)) for column in columns)
        if any(value is not None for value in values):
            yield Line(name, values)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def direction_of(name: str, lower: Iterable[str] = (), higher: Iterable[str] = ()) -> Direction:
    """Which way a metric is better: as the reader says, else by its name (loss, error, perplexity: less)."""
    if name in lower:
        return Direction.LOWER
    if name in higher:
        return Direction.HIGHER
    return Direction.LOWER if _LESS.search(name) else Direction.HIGHER


def best(values: Sequence[float | None], direction: Direction) -> set[int]:
    """The places of the best value; none where fewer than two have one or all are the same."""
    known = {place: value for place, value in enumerate(values) if value is not None and math.isfinite(value)}
    if len(known) < 2 or len(set(known.values())) == 1:
        return set()
    wanted = (min if direction == Direction.LOWER else max)(known.values())
    return {place for place, value in known.items() if value == wanted}
