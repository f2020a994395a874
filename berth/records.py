"""What runs leave behind, and all other objects of the API, as typed objects: made as those of berth/results.py.

Apart from them, because making these classes takes time that a command which only lists runs does not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth.results import known

if TYPE_CHECKING:
    from berth.outputs import Outputs


@dataclass(frozen=True)
class Metric:
    """One series in short. `last`, `min` and `max` may be NaN or infinite.

    `better` is "lower" for loss, error and perplexity and "higher" for all else, as the console marks the best of runs.
    """

    last: float = float("nan")
    min: float = float("nan")
    max: float = float("nan")
    step: int | None = None
    better: str = ""

    @property
    def best(self) -> float:
        """The least or the greatest value that it ever had, whichever is better; NaN where neither is known."""
        return {"lower": self.min, "higher": self.max}.get(self.better, float("nan"))


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
    better: str = ""

    @property
    def summary(self) -> Metric:
        """The series in short."""
        if not self.last:
            return Metric(better=self.better)
        finite = [value for value in self.min if value == value], [value for value in self.max if value == value]
        lowest, highest = (finite[0] or self.min), (finite[1] or self.max)
        step = self.steps[-1] if self.steps else None
        return Metric(self.last[-1], min(lowest), max(highest), step, self.better)


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
class Artifact(OutputFile):
    """A file that a run left, as `run.artifacts` has it; its methods ask the server and raise BerthError."""

    run_id: str = ""
    home: "Outputs | None" = field(default=None, repr=False, compare=False)

    def download(self, to: str | Path = ".") -> Path:
        """Writes it below `to`, under its path, and returns where; checked, and continued, as `Outputs.get` does it."""
        return self._home.get(self.run_id, self.path, to)[0]

    def read_bytes(self) -> bytes:
        """Its content, checked against its digest. All of it is in memory: for a large one there is `download`."""
        return self._home.read(self.run_id, self.path)

    def read_text(self) -> str:
        """Its content as UTF-8. Raises UnicodeDecodeError where it is none."""
        return self.read_bytes().decode()

    @property
    def _home(self) -> "Outputs":
        if self.home is None:
            raise RuntimeError("this artifact does not come from a client")
        return self.home


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
        better=data.get("better") or "",
    )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float("nan") if value is None else float(value) for value in values or ())


def read_output(data: Mapping[str, Any]) -> OutputFile:
    return OutputFile(**known(OutputFile, {**data, "is_removed": bool(data.get("removed_at"))}))


def read_event(data: Mapping[str, Any]) -> Event:
    return Event(**known(Event, data))
