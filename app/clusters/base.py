"""What a cluster must do. Clusters alone have side effects outside Postgres and the object store.

Every call may be repeated: `start` never makes a second live object for the same run and attempt, and
`stop` of something that is gone is not an error. Temporary trouble is `ClusterUnavailable` (the caller
tries again and the run keeps its state), a refusal for good is `ClusterRejected` (the attempt fails).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable

from app.workloads.plans import RunPlan


class ClusterUnavailable(Exception):
    """The cluster does not answer; try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClusterRejected(Exception):
    """The cluster says no and will say so again. The message is shown to the user."""


@dataclass(frozen=True)
class Capacity:
    """What a pool has in all, for runs: thousandths of a core, bytes, whole GPUs."""

    cpu_millis: int
    memory_bytes: int
    gpus: int


class SecretValues:
    """The values for one start, by the secret's name; `missing` says why one cannot be had.

    No part of the plan. Nothing shows, copies into a dictionary or pickles it, so that no value ends up in a log
    line, an error or a message by accident.
    """

    __slots__ = ("_values", "missing")

    def __init__(self, values: Mapping[str, str] | None = None, missing: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self.missing = dict(missing or {})

    def reveal(self) -> dict[str, str]:
        """The values themselves, for the cluster that hands them to the program."""
        return dict(self._values)

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(sorted(self._values))})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("values of secrets are not serialised")


NO_SECRETS = SecretValues()


@dataclass(frozen=True)
class ReplicaStatus:
    """What one process looks like now. `phase`: starting, running, ended or lost.

    Times are seconds since the epoch. `cause` is a value of domain/states.py:Cause when it ended other
    than well. `usage`: cpu_seconds, max_rss_bytes where they are known. `finding`: why it does not start or how it
    ended, as clusters/pod_findings.py has it ({"code": ..., its evidence}), where the cluster knows more than `cause`.
    `failed_at`: when it told the error that ended it, where that is known and matters (domain/gangs.py).
    `pod`: the name of the pod that it is, on Kubernetes while it runs.
    """

    index: int
    phase: str
    exit_code: int | None = None
    cause: str | None = None
    message: str = ""
    first_error: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    usage: dict[str, float] = field(default_factory=dict)
    finding: dict[str, Any] | None = None
    failed_at: float | None = None
    pod: str | None = None


@dataclass(frozen=True)
class ObjectStatus:
    """The state of one (run, attempt) in a cluster. `gone` means that nothing of it is alive any more, `described`
    that `environment` says what it runs in. `image` is the container image that it got, see domain/images.py."""

    run_id: str
    attempt: int
    replicas: list[ReplicaStatus]
    gone: bool
    described: bool = False
    image: str | None = None


@dataclass(frozen=True)
class OutputFile:
    """A file that the attempt left in its output folder: its path below it (posix) and where to read it."""

    path: str
    source: Path
    size: int


@dataclass(frozen=True)
class LogPiece:
    """Bytes of a replica's log from `offset` on: whole records only, in the format of stores/logs.py.

    Reading goes on at `end_offset`. What the number means is the cluster's own: a place in a file, or a time.
    """

    data: bytes
    end_offset: int


class Cluster(Protocol):
    """A place that runs runs."""

    name: str

    def start(self, plan: RunPlan, secrets: SecretValues = NO_SECRETS) -> dict[str, Any]:
        """Starts the attempt, or adopts it where it was started before; returns an opaque handle.

        `secrets` are the values that the plan names. They are needed, and looked at, only where the program
        has not begun, and nothing of them is left when it has ended.

        Raises ClusterRejected when it can never start, such as one that was removed before; ClusterUnavailable when
        it should be tried again, and for an object by that name with another spec, which may be alive.
        """

    def stop(self, run_id: str, attempt: int, grace_seconds: int, project_id: str = "") -> None:
        """Asks the attempt to end: a signal, and after the grace the end of everything it started.

        Returns at once, and may be asked again until the attempt is gone. An attempt of the project that was never
        started can never be started afterwards.
        """

    def refresh(self) -> None:
        """Makes the next `statuses` tell of no earlier time than this call. Raises ClusterUnavailable."""

    def statuses(self) -> list[ObjectStatus]:
        """All objects that are ours and have not been cleaned up, as of a moment ago; after `refresh` as of then."""

    def wait_for_change(self, timeout: float) -> None:
        """Returns when something may have changed, or after `timeout` seconds. A hint only."""

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        """The next whole log records from `offset` on (0: the first); empty when there is nothing new, and where the
        attempt is gone only when all of it was read. Raises ClusterUnavailable where that cannot be told now."""

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        """The next whole lines of what the replica used, from `offset` on, in the format of domain/usage.py; empty
        when there is nothing new, and where this cluster measures nothing."""

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile] | None:
        """The regular files in the attempt's output folder; links and special files are left out. None where the
        attempt itself sends what it leaves to Berth."""

    def environment(self, run_id: str, attempt: int) -> dict[str, Any] | None:
        """What the attempt's program runs in, as its interpreter said, and the `platform`; None while nobody knows.

        Nothing of it is to be taken on trust: domain/capsule.py reads it.
        """

    def clean_up(self, run_id: str, attempt: int, *, last: bool) -> None:
        """Removes what the attempt left, after its logs and outputs are stored. `last`: the run's
        checkpoint folder goes too."""


@runtime_checkable
class Machine(Cluster, Protocol):
    """One that tells of itself. Of others the loop "clusters" finds out how large they are."""

    def facts(self) -> dict[str, Any]:
        """What is true of it now, for pages and `berth doctor` (isolation, limits in force, host)."""

    def capacity(self) -> Capacity:
        """What is there for runs in all. Raises ClusterUnavailable."""
