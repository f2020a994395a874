"""Runs as the API answers them, as typed objects; what they leave behind is in berth/records.py.

Made leniently: a field that is missing has its default, one that is unknown is kept in `raw`, so that a
client and a server of different ages understand each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from berth.records import Artifact, LogLine, Metric, OutputFile
    from berth.runs import Runs

SUCCEEDED, FAILED, STOPPED = "succeeded", "failed", "stopped"
_SHOWN = 5
_NOT_LOOKED_AT = "JUST_SUBMITTED"
TERMINAL = frozenset({SUCCEEDED, FAILED, STOPPED})


@dataclass(frozen=True)
class Reason:
    """Why a run waits or why it ended: a stable code, its sentence, and the figures in it."""

    code: str = ""
    text: str = ""
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Replica:
    """One process of an attempt."""

    index: int = 0
    state: str = ""
    exit_code: int | None = None
    usage: dict[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """How a run's start stands, in the words of `Runs.plan`: `start` is "now" once it has its room, "later" while
    `reason` says why not, with its `place` in line where that is known, and "unknown" until it was looked at."""

    start: str = "unknown"
    place: int | None = None
    reason: Reason | None = None

    def __str__(self) -> str:
        return self.start


@dataclass(frozen=True)
class Attempt:
    """One try of a run."""

    number: int = 1
    state: str = ""
    cause: str | None = None
    reason: Reason | None = None
    exit_code: int | None = None
    first_error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    replicas: Sequence[Replica] = ()


@dataclass(frozen=True)
class RunData:
    """A run as it was when it was read.

    `memory` and `cpu` are as in the spec ("1Gi", "500m"); times are aware datetimes; `waited_seconds` and
    `ran_seconds` are up to the moment of reading.
    """

    id: str = ""
    project: str = ""
    name: str = ""
    kind: str = "job"
    state: str = ""
    desired: str = ""
    tags: Sequence[str] = ()
    experiment: str | None = None
    archived: bool = False
    created_by: str = ""
    priority: Any = None
    pool: str = ""
    cpu: str = ""
    memory: str = ""
    gpus: int = 0
    replicas: int = 1
    attempt: int = 1
    reason: Reason | None = None
    exit_code: int | None = None
    first_error: str | None = None
    progress: dict[str, int] | None = None
    created_at: datetime | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    waited_seconds: float | None = None
    ran_seconds: float | None = None
    parent: str | None = None
    debug_of: str | None = None
    exec_commands: Sequence[str] = ()
    url: str = ""
    version: int = 0
    spec: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    place: int | None = None
    attempts: Sequence[Attempt] = ()
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    runs: Any = field(default=None, repr=False, compare=False)

    @property
    def is_finished(self) -> bool:
        return self.state in TERMINAL

    @property
    def why(self) -> str:
        """Why it waits or ended, in a sentence; empty where there is nothing to say."""
        return self.reason.text if self.reason else ""

    @property
    def plan(self) -> Plan:
        """When it starts, as known when it was read; nothing is asked of the server."""
        if self.state != "queued":
            return Plan("now")
        if self.reason is None or self.reason.code == _NOT_LOOKED_AT:
            return Plan("unknown", self.place, self.reason)
        return Plan("later", self.place, self.reason)


class Run(RunData):
    """A run as it was when it was read. `refresh()` reads it again; the methods ask the server."""

    # No dataclass of its own: making one of so many fields takes 2 ms of each command.
    if TYPE_CHECKING:
        runs: Runs | None

    @cached_property
    def metrics(self) -> "dict[str, Metric]":
        """Every series in short, asked for once."""
        found = self._home.metrics(self.id, buckets=1)
        return Named(f"{self.id} has no metric", {name: series.summary for name, series in found.items()})

    @cached_property
    def artifacts(self) -> "dict[str, Artifact]":
        """The files that it left, by path, asked for once: `run.artifacts["model.pt"].download()`."""
        return self._home.artifacts(self.id)

    @property
    def _home(self) -> "Runs":
        if self.runs is None:
            raise RuntimeError("this run does not come from a client")
        return self.runs

    def refresh(self) -> "Run":
        return self._home.get(self.id)

    def stop(self) -> "Run":
        return self._home.stop(self.id)

    def rerun(self, exact: bool = False) -> "Run":
        return self._home.rerun(self.id, exact=exact)

    def debug(self, ttl: str = "1h") -> "Run":
        return self._home.debug(self.id, ttl)

    def capsule(self) -> dict[str, Any]:
        """What it really was: manifest, code, packages and machine."""
        return self._home.capsule(self.id)

    def clone(self, changes: Mapping[str, Any]) -> "Run":
        return self._home.clone(self.id, changes)

    def wait(self, timeout: float | str | None = None, raise_on_failure: bool = False) -> "Run":
        return self._home.wait(self.id, timeout=timeout, raise_on_failure=raise_on_failure)

    def logs(self, follow: bool = False, **options: Any) -> "Iterator[LogLine]":
        return self._home.logs(self.id, follow=follow, **options)

    def usage(self, attempt: int | None = None, buckets: int | None = None) -> dict[str, Any]:
        """As `Runs.usage`: what it used against what it asked for."""
        return self._home.usage(self.id, attempt=attempt, buckets=buckets)

    def outputs(self) -> "Iterator[OutputFile]":
        return self._home.outputs(self.id)

    def download(self, path: str | None = None, to: "str | Path" = ".") -> "Sequence[Path]":
        return self._home.download(self.id, path, to=to)


V = TypeVar("V")


class Named(dict[str, V]):
    """A dict whose KeyError says what it lacks, `what`, and which names it has, those that are alike first."""

    def __init__(self, what: str, values: Mapping[str, V]) -> None:
        super().__init__(values)
        self._what = what

    def __missing__(self, name: object) -> V:
        raise Missing(f"{self._what} {name!r}: {self._known(str(name))}")

    def _known(self, name: str) -> str:
        from difflib import get_close_matches  # 5 ms that only a mistake needs

        if not self:
            return "there are none"
        # What is below a folder is near to its name, too.
        near = [one for one in self if one.startswith(f"{name.rstrip('/')}/")] or get_close_matches(name, self)
        known = near or list(self)
        told = ", ".join(map(repr, known[:_SHOWN])) + (
            f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        )
        return f"did you mean {told}?" if near else f"there are {told}" if len(known) > 1 else f"there is {told}"


class Missing(KeyError):
    """A KeyError with a sentence, which is shown as it is and not as a quoted key."""

    def __str__(self) -> str:
        return str(self.args[0])


def read_run(data: Mapping[str, Any], runs: "Runs | None" = None) -> Run:
    """A Run from the API's object."""
    values = known(Run, data)
    values["reason"] = read_reason(data.get("reason"))
    values["attempts"] = tuple(read_attempt(value) for value in data.get("attempts") or ())
    values["tags"] = tuple(data.get("tags") or ())
    return Run(**{**values, "raw": dict(data), "runs": runs})


def read_attempt(data: Mapping[str, Any]) -> Attempt:
    values = known(Attempt, data)
    values["reason"] = read_reason(data.get("reason"))
    values["replicas"] = tuple(Replica(**known(Replica, value)) for value in data.get("replicas") or ())
    return Attempt(**values)


def read_reason(data: Any) -> Reason | None:
    return Reason(**known(Reason, data)) if isinstance(data, Mapping) else None


def read_time(value: Any) -> datetime | None:
    """An aware datetime from RFC 3339, None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def known(cls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Of the API's object what a class has fields for, times as datetimes."""
    # A null takes the default, so that a text stays a text.
    names = cls.__dataclass_fields__
    return {
        name: read_time(value) if name.endswith("_at") or name == "at" else value
        for name, value in data.items()
        if name in names and value is not None and name not in ("raw", "runs")
    }
