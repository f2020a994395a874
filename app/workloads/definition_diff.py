"""What differs between two versions of a definition, value by value, for words, and line by line, as a patch."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import N_
from app.workloads.findings import escaped

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
SENTENCES = {
    ADDED: N_("{what} is new: {after}"),
    REMOVED: N_("{what} is gone; it was {before}"),
    CHANGED: N_("{what} was {before} and is {after}"),
}
NAMES = {
    "name": N_("the name"),
    "title": N_("the title"),
    "description": N_("the description"),
    "spec": N_("the spec"),
    "parameters": N_("the parameters"),
}
OF_PARAMETER = N_("parameter {name}")
OF_PARAMETER_FIELD = N_("{field} of parameter {name}")


@dataclass(frozen=True)
class Change:
    """One value. `path` are the names that lead to it; `before` and `after` are None where there is none."""

    path: tuple[str, ...]
    kind: str
    before: Any
    after: Any

    @property
    def pointer(self) -> str:
        return "".join(f"/{escaped(part)}" for part in self.path)

    @property
    def what(self) -> tuple[str, dict[str, str]]:
        """What changed, as a text to translate and its slots."""
        if self.path[0] == "parameters" and len(self.path) == 2:
            return OF_PARAMETER, {"name": self.path[1]}
        if self.path[0] == "parameters" and len(self.path) > 2:
            return OF_PARAMETER_FIELD, {"name": self.path[1], "field": ".".join(self.path[2:])}
        if len(self.path) == 1:
            return NAMES.get(self.path[0], self.path[0]), {}
        return ".".join(self.path[1:]), {}


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every value that differs, in the order of the newer document."""
    return list(_compare(before, after, ()))


def _compare(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*after, *(name for name in before if name not in after)]:
            place = (*path, name)
            if name not in before:
                yield Change(place, ADDED, None, after[name])
            elif name not in after:
                yield Change(place, REMOVED, before[name], None)
            else:
                yield from _compare(before[name], after[name], place)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Change(path, CHANGED, before, after)


def shown(value: Any) -> str:
    """A value in a sentence."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:119] + "…"


def unified(before: str, after: str, name: str, first: int, second: int) -> str:
    """The two texts as a unified diff with three lines of context; empty where they are the same."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name}@{first}", f"{name}@{second}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
