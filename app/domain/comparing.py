"""Comparing runs: what differs between them, part by part, and which has the best value of a metric. Pure."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Facts:
    """What is known of a run: its complete spec and source, which version of which definition it was made of, and
    what it ran in. `packages` is None where that is not known."""

    spec: Mapping[str, Any]
    source: Mapping[str, Any]
    definition: str | None = None
    python_version: str | None = None
    packages: Mapping[str, str] | None = None
    platform: Mapping[str, str] = field(default_factory=dict)
    image_digest: str | None = None


TITLES = {
    "parameters": N_("Parameters"),
    "code": N_("Code"),
    "definition": N_("Definition"),
    "settings": N_("Other settings"),
    "environment": N_("What it ran in"),
    "resources": N_("Resources"),
    "platform": N_("Platform"),
}
PACKAGE = "package/"
"""Before the name of a line that is about an installed package."""
_MOST_PACKAGES = 200
_CODE = ("snapshot",)
_ENVIRONMENT = ("image", "python", "requirements")
_RESOURCES = ("cpu", "memory", "gpus", "replicas", "pool")
# How a run is named and found says nothing about what it does; the rest of a spec are its other settings.
_ELSEWHERE = {*_CODE, *_ENVIRONMENT, *_RESOURCES, "command", "script", "parameters", "env"}
_LABELS = {"name", "tags", "experiment"}


def compare(runs: Sequence[Facts]) -> list[Part]:
    """What differs between runs. Every part is there, also an empty one."""
    columns = [_facts(run) for run in runs]
    for column, packages in zip(columns, _packages(runs), strict=True):
        column["environment"] |= packages
    return [
        Part(key, title, tuple(sorted(_lines([column[key] for column in columns]), key=lambda line: not line.differs)))
        for key, title in TITLES.items()
    ]


def _facts(run: Facts) -> dict[str, dict[str, Any]]:
    spec = run.spec
    command = spec.get("command")
    code = {"command": " ".join(map(str, command)) if isinstance(command, list) else spec.get("script")}
    source = {name: value for name, value in run.source.items() if value != code["command"]}  # the entry says it again
    code |= {name: spec.get(name) for name in _CODE} | source
    environment = {name: spec.get(name) for name in _ENVIRONMENT}
    environment |= {f"${name}": value for name, value in (spec.get("env") or {}).items()}
    return {
        "parameters": dict(spec.get("parameters") or {}),
        "code": code,
        "definition": {"definition": run.definition},
        "settings": {name: spec[name] for name in spec if name not in _ELSEWHERE | _LABELS}
        | ({"secrets": _secrets(spec["secrets"])} if "secrets" in spec else {})
        | ({"volumes": _volumes(spec["volumes"])} if "volumes" in spec else {}),
        "environment": environment | {"python_version": run.python_version, "image_digest": run.image_digest},
        "resources": {name: spec.get(name) for name in _RESOURCES},
        "platform": dict(run.platform),
    }


def _secrets(uses: Any) -> Any:
    """Which secrets a program is given, as the command line names them; what has another form stays as it is."""
    if not isinstance(uses, list) or not uses or not all(isinstance(use, Mapping) for use in uses):
        return uses
    places = [f"${use['env']}" if use.get("env") else use.get("file") for use in uses]
    return ", ".join(f"{use.get('name')} ({place})" for use, place in zip(uses, places, strict=True))


def _volumes(uses: Any) -> Any:
    if not isinstance(uses, list) or not uses or not all(isinstance(use, Mapping) for use in uses):
        return uses
    return ", ".join(f"{use.get('claim')} ({use.get('path')}{', ro' if use.get('read_only') else ''})" for use in uses)


def _packages(runs: Sequence[Facts]) -> list[dict[str, str | None]]:
    """Of each run, the packages that are not the same in all of which they are known; hundreds are in most."""
    known = [run.packages for run in runs if run.packages is not None]
    names = sorted({name for packages in known for name in packages})
    odd = [name for name in names if len({packages.get(name) for packages in known}) > 1][:_MOST_PACKAGES]
    return [{f"{PACKAGE}{name}": (run.packages or {}).get(name) for name in odd} for run in runs]


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
