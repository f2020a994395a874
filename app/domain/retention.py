"""Which runs' outputs a project's rules keep. Pure."""

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

MAX_DAYS = 36_500
MAX_RUNS = 100_000
MAX_TAGS = 50
MAX_EXPERIMENTS = 50
MAX_NOTICE_HOURS = 24 * 30


@dataclass(frozen=True)
class Rules:
    """Outputs stay for `keep_days` after their run ended; those of the newest `keep_last` runs, of runs with one of
    `keep_tags` and of runs of one of `keep_experiments` stay as long. None of the first two: everything stays.
    """

    keep_days: int | None = None
    keep_last: int | None = None
    keep_tags: tuple[str, ...] = ()
    keep_experiments: tuple[str, ...] = ()

    @property
    def removes(self) -> bool:
        """Whether there is anything that they do not keep."""
        return self.keep_days is not None or self.keep_last is not None

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the record of what was removed by them."""
        return {
            "keep_days": self.keep_days,
            "keep_last": self.keep_last,
            "keep_tags": list(self.keep_tags),
            "keep_experiments": list(self.keep_experiments),
        }

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Rules":
        """From such JSON, also from that of before there were all of these rules."""
        tags, experiments = given.get("keep_tags") or (), given.get("keep_experiments") or ()
        return cls(given.get("keep_days"), given.get("keep_last"), tuple(tags), tuple(experiments))


@dataclass(frozen=True)
class Candidate:
    """A run as the rules look at it. `place` is 1 for the project's newest."""

    finished_at: datetime.datetime | None
    tags: Collection[str]
    place: int
    experiment: str | None = None


def is_kept(rules: Rules, run: Candidate, now: datetime.datetime) -> bool:
    """Whether the run's outputs stay. The repository's query says the same of all runs at once."""
    if not rules.removes or run.finished_at is None or set(run.tags) & set(rules.keep_tags):
        return True
    if run.experiment is not None and run.experiment in rules.keep_experiments:
        return True
    if rules.keep_last is not None and run.place <= rules.keep_last:
        return True
    return rules.keep_days is not None and run.finished_at >= now - datetime.timedelta(days=rules.keep_days)
