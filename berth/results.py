"""What the API answers, as typed objects.

Made leniently: a field that is missing has its default, one that is unknown is kept in `raw`, so that a
client and a server of different ages understand each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from berth.runs import Runs

SUCCEEDED, FAILED, STOPPED = "succeeded", "failed", "stopped"
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
class Metric:
    """One series in short. `last`, `min` and `max` may be NaN or infinite."""

    last: float = float("nan")
    min: float = float("nan")
    max: float = float("nan")
    step: int | None = None


@dataclass(frozen=True)
class Series:
    """A metric column by column. Where not `is_exact`, each place is a bucket: its last, least and greatest value."""

    name: str = ""
    points: int = 0
    is_exact: bool = True
    steps: Sequence[int] = ()
    at_ms: Sequence[int] = ()
    last: Sequence[float] = ()
    min: Sequence[float] = ()
    max: Sequence[float] = ()

    @property
    def summary(self) -> Metric:
        """The series in short."""
        if not self.last:
            return Metric()
        finite = [value for value in self.min if value == value], [value for value in self.max if value == value]
        lowest, highest = (finite[0] or self.min), (finite[1] or self.max)
        return Metric(self.last[-1], min(lowest), max(highest), self.steps[-1] if self.steps else None)


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
class LogLine:
    """One line: `stream` is stdout, stderr, berth (its own words) or gap.

    A gap stands for lines that were lost; `gap` has their `lines` and `bytes`, and `why`.
    """

    text: str = ""
    line: int = 0
    attempt: int = 1
    replica: int = 0
    stream: str = "stdout"
    at: datetime | None = None
    gap: dict[str, Any] | None = None


@dataclass(frozen=True)
class OutputFile:
    """A file that a run left in `$BERTH_OUTPUT`. `bytes` is its size."""

    path: str = ""
    bytes: int = 0
    sha256: str = ""
    attempt: int = 1
    created_at: datetime | None = None
    is_removed: bool = False  # by the project's rules; what it was stays known


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
    url: str = ""
    version: int = 0
    spec: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    place: int | None = None
    attempts: Sequence[Attempt] = ()
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

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


@dataclass(frozen=True)
class Run(RunData):
    """A run as it was when it was read. `refresh()` reads it again; the methods ask the server."""

    runs: "Runs | None" = field(default=None, repr=False, compare=False)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every series in short, asked for once."""
        return {name: series.summary for name, series in self._home.metrics(self.id, buckets=1).items()}

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

    def capsule(self) -> dict[str, Any]:
        """What it really was: manifest, code, packages and machine."""
        return self._home.capsule(self.id)

    def clone(self, changes: Mapping[str, Any]) -> "Run":
        return self._home.clone(self.id, changes)

    def wait(self, timeout: float | str | None = None, raise_on_failure: bool = False) -> "Run":
        return self._home.wait(self.id, timeout=timeout, raise_on_failure=raise_on_failure)

    def logs(self, follow: bool = False, **options: Any) -> Iterator[LogLine]:
        return self._home.logs(self.id, follow=follow, **options)

    def usage(self, attempt: int | None = None, buckets: int | None = None) -> dict[str, Any]:
        """As `Runs.usage`: what it used against what it asked for."""
        return self._home.usage(self.id, attempt=attempt, buckets=buckets)

    def outputs(self) -> Iterator[OutputFile]:
        return self._home.outputs(self.id)

    def download(self, path: str | None = None, to: "str | Path" = ".") -> "Sequence[Path]":
        return self._home.download(self.id, path, to=to)


@dataclass(frozen=True)
class Event:
    """One line of a run's history."""

    id: int = 0
    at: datetime | None = None
    code: str = ""
    text: str = ""
    attempt: int = 1
    old_state: str | None = None
    new_state: str | None = None
    actor: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """Any other object: a project, token, user, member, service account or audit row.

    The fields are attributes (`token.name`) and in `raw`.
    """

    raw: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["raw"][name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Page:
    """One page of a list, as it came. `next` is the cursor of the next one."""

    items: Sequence[dict[str, Any]] = ()
    next: str | None = None


def read_run(data: Mapping[str, Any], runs: "Runs | None" = None) -> Run:
    """A Run from the API's object."""
    values = _known(Run, data)
    values["reason"] = read_reason(data.get("reason"))
    values["attempts"] = tuple(read_attempt(value) for value in data.get("attempts") or ())
    values["tags"] = tuple(data.get("tags") or ())
    return Run(**{**values, "raw": dict(data), "runs": runs})


def read_attempt(data: Mapping[str, Any]) -> Attempt:
    values = _known(Attempt, data)
    values["reason"] = read_reason(data.get("reason"))
    values["replicas"] = tuple(Replica(**_known(Replica, value)) for value in data.get("replicas") or ())
    return Attempt(**values)


def read_reason(data: Any) -> Reason | None:
    return Reason(**_known(Reason, data)) if isinstance(data, Mapping) else None


def read_series(data: Mapping[str, Any]) -> Series:
    """A series from its columns; "nan", "inf" and "-inf" are numbers here."""
    last = _floats(data.get("last"))
    return Series(
        name=data.get("name", ""),
        points=data.get("points", len(last)),
        is_exact=data.get("is_exact", True),
        steps=tuple(data.get("step") or ()),
        at_ms=tuple(data.get("at_ms") or ()),
        last=last,
        min=_floats(data["min"]) if data.get("min") else last,
        max=_floats(data["max"]) if data.get("max") else last,
    )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float("nan") if value is None else float(value) for value in values or ())


def read_output(data: Mapping[str, Any]) -> OutputFile:
    return OutputFile(**_known(OutputFile, {**data, "is_removed": bool(data.get("removed_at"))}))


def read_event(data: Mapping[str, Any]) -> Event:
    return Event(**_known(Event, data))


def read_time(value: Any) -> datetime | None:
    """An aware datetime from RFC 3339, None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _known(cls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    # A null takes the default, so that a text stays a text.
    names = cls.__dataclass_fields__
    return {
        name: read_time(value) if name.endswith("_at") or name == "at" else value
        for name, value in data.items()
        if name in names and value is not None and name not in ("raw", "runs")
    }
