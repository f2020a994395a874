"""Run capsules: what a run really was, in a form that can be hashed, repeated and compared. Pure.

The manifest is the complete plan of a run, with every default written out. It is canonical JSON, close to RFC 8785:
members by their UTF-16 code units, no spaces, no escapes but the needed ones. Unlike there, 1 and 1.0 stay different,
because a program that gets them as text is told different things.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = 1
# How a run is called and found says nothing about what it does.
LABELS = ("name", "tags", "experiment", "kind")
MOST_PACKAGES = 5000
_SCALARS = (str, int, float)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,127})")
_SHORT = re.compile(r"[\x20-\x7e]{1,100}")
_PATH = re.compile(r"/[^\x00-\x1f\x7f\ud800-\udfff]{0,1023}")
_SEPARATORS = re.compile(r"[-_.]+")


def canonical(value: Any) -> str:
    """The one text of a JSON value. Raises ValueError for what JSON cannot hold: NaN, or half a surrogate pair."""
    text = json.dumps(_sorted(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()
    return text


def _sorted(value: Any) -> Any:
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("the names of an object must be texts")
        # Only beyond the basic plane do UTF-16 code units stand in another order than characters.
        names = sorted(value) if "".join(value).isascii() else sorted(value, key=lambda name: name.encode("utf-16-be"))
        return {name: _sorted(value[name]) for name in names}
    return [_sorted(inside) for inside in value] if isinstance(value, list | tuple) else value


def digest_of(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_manifest(spec: Mapping[str, Any], kind: str, definition: tuple[str, int] | None) -> str:
    """The manifest of a complete spec (all defaults written out). `definition`: its name and which version.

    Secrets stand in a spec by their names only, so they do here.
    """
    named = {"name": definition[0], "version": definition[1]} if definition else None
    what = {name: value for name, value in spec.items() if name not in LABELS}
    return canonical({"definition": named, "format": FORMAT, "kind": kind, "spec": what})


def spec_of(manifest: str, labels: Mapping[str, Any]) -> dict[str, Any]:
    """The complete spec that a manifest was made of, with the labels of its run."""
    read = json.loads(manifest)
    return {**read["spec"], **{name: labels[name] for name in LABELS if name in labels}, "kind": read["kind"]}


def is_covered(manifest: str, spec: Mapping[str, Any]) -> bool:
    """Whether a complete spec says of everything in the manifest just what the manifest says.

    The spec may have fields that came later; of those the manifest knows nothing.
    """
    wanted = json.loads(manifest)["spec"]
    return all(name in spec and canonical(spec[name]) == canonical(value) for name, value in wanted.items())


@dataclass(frozen=True)
class Environment:
    """What a program ran in: the interpreter, its exact version, and what is installed for it, by name.

    `note` says why something of it is not known.
    """

    interpreter: str = ""
    version: str = ""
    packages: tuple[tuple[str, str], ...] = ()
    note: str = ""

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        found: dict[str, Any] = {"interpreter": self.interpreter, "version": self.version}
        return found | {"packages": dict(self.packages), "note": self.note}


def read_environment(document: Any) -> Environment:
    """What somebody's interpreter said of itself. Never raises: what has not the form of such a thing is left out."""
    told = document if isinstance(document, Mapping) else {}
    given = told.get("packages")
    packages = {
        normal(name): version
        for name, version in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(name, str) and _NAME.fullmatch(name) and isinstance(version, str) and _SHORT.fullmatch(version)
    }
    kept = tuple(sorted(packages.items())[:MOST_PACKAGES])
    return Environment(_as(_PATH, told.get("interpreter")), _as(_SHORT, told.get("version")), kept, _note(told))


def normal(name: str) -> str:
    """A package's name as PEP 503 has it."""
    return _SEPARATORS.sub("-", name).lower()


def _note(told: Mapping[str, Any]) -> str:
    note = told.get("note")
    return "".join(sign for sign in note if sign.isprintable())[:300] if isinstance(note, str) else ""


def _as(form: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def read_platform(document: Any) -> dict[str, str]:
    """Which Berth, operating system and machine: short printable texts, and nothing else."""
    told = document if isinstance(document, Mapping) else {}
    return {name: text for name in ("berth", "os", "machine") if (text := _as(_SHORT, told.get(name)))}


@dataclass(frozen=True)
class PackageChange:
    """A package that is not the same in two environments; None where it is not installed."""

    name: str
    before: str | None
    after: str | None


def package_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[PackageChange]:
    """Those that differ: other versions first, then what came, then what went; each by name."""
    names = sorted(before.keys() | after.keys())
    found = [PackageChange(one, before.get(one), after.get(one)) for one in names if before.get(one) != after.get(one)]
    return sorted(found, key=lambda one: (one.before is None or one.after is None, one.after is None))


@dataclass(frozen=True)
class FileChange:
    """A file that is not the same in two snapshots. `kind`: changed, added or removed."""

    path: str
    kind: str


def file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[FileChange]:
    """Which files of two snapshots differ, each given as path -> what tells its content from others."""
    found = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            kind = "added" if path not in before else "removed" if path not in after else "changed"
            found.append(FileChange(path, kind))
    return found
