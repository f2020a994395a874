"""What differs between an object as Berth applies it and as it is found: pure.

Fields that Berth does not apply belong to others and are left alone, but for those of a `spec`: one more entry there
may close or open what Berth's own say.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.workloads.pods import Manifest

_LONGEST = 300
_MOST = 20  # of one object
_HIDDEN = "•••"
_COMPARED = ("spec", "rules", "roleRef", "subjects", "type", "data", "automountServiceAccountToken", "imagePullSecrets")
_WHOLE = ("spec",)  # where what is there besides counts, too


@dataclass(frozen=True)
class Difference:
    """One field of one object, such as `NetworkPolicy berth`. `was` and `should` are JSON, "" for nothing; without a
    path it is the object that was not there. Values of secrets are never in it."""

    object: str
    path: tuple[str | int, ...]
    was: str
    should: str

    @property
    def field(self) -> str:
        """The path as it is written: `spec.egress[0].ports`."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")


def find_differences(wanted: Manifest, found: Manifest | None) -> list[Difference]:
    """What is not as Berth wants it; empty where all is well. `found` is None where there is no such object."""
    name = f"{wanted['kind']} {wanted['metadata']['name']}"
    if found is None:
        return [Difference(name, (), "", "")]
    is_secret = wanted["kind"] == "Secret"
    made: list[Difference] = []
    for path, was, should in _walk(wanted, found):
        if is_secret and path[0] == "data":
            made.append(Difference(name, path, _HIDDEN if was is not None else "", _HIDDEN))
        else:
            made.append(Difference(name, path, _text(was), _text(should)))
        if len(made) == _MOST:
            break
    return made


def removal_of(differences: list[Difference]) -> Manifest:
    """The merge patch that takes away what is there besides; empty where there is none. Entries of lists are not in
    it: a list is applied as a whole."""
    patch: Manifest = {}
    for one in differences:
        if one.should or not one.path or any(isinstance(part, int) for part in one.path):
            continue
        at = patch
        for part in one.path[:-1]:
            at = at.setdefault(str(part), {})
        at[str(one.path[-1])] = None
    return patch


def _walk(wanted: Manifest, found: Manifest) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    labels = found.get("metadata", {}).get("labels")
    yield from _compare(("metadata", "labels"), labels, wanted["metadata"]["labels"], is_whole=False)
    for key in _COMPARED:
        if key in wanted:
            yield from _compare((key,), found.get(key), wanted[key], is_whole=key in _WHOLE)


def _compare(
    path: tuple[str | int, ...], was: Any, should: Any, *, is_whole: bool
) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    if _is_nothing(was) and _is_nothing(should):
        return
    if isinstance(was, dict) and isinstance(should, dict):
        for key in sorted(should):
            yield from _compare((*path, key), was.get(key), should[key], is_whole=is_whole)
        for key in sorted(was.keys() - should.keys()) if is_whole else ():
            if not _is_nothing(was[key]):
                yield (*path, key), was[key], None
    elif isinstance(was, list) and isinstance(should, list) and len(was) == len(should):
        for number, (one, other) in enumerate(zip(was, should, strict=True)):
            yield from _compare((*path, number), one, other, is_whole=True)
    elif was != should:
        yield path, was, should


def _is_nothing(value: Any) -> bool:
    """The API server leaves out what is empty. False and 0 are values."""
    return value is None or value in ({}, [])


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
