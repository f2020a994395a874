"""A cluster that an administrator removed: nothing of it can be asked any more, and nothing is awaited of it."""

from collections.abc import Iterator
from typing import Any

from app.clusters.base import NO_SECRETS, ClusterRejected, LogPiece, ObjectStatus, OutputFile, SecretValues
from app.workloads.plans import RunPlan


class RemovedCluster:
    """What is left to do there counts as done. See app/clusters/base.py for the methods."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, plan: RunPlan, secrets: SecretValues = NO_SECRETS) -> dict[str, Any]:  # noqa: ARG002
        raise ClusterRejected(f"the cluster of pool {self.name} was removed")

    def stop(self, run_id: str, attempt: int, grace_seconds: int, project_id: str = "") -> None:
        """It was empty when it was removed."""

    def refresh(self) -> None:
        """Nothing is there."""

    def statuses(self) -> list[ObjectStatus]:
        return []

    def wait_for_change(self, timeout: float) -> None:
        """Nothing changes there."""

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:  # noqa: ARG002
        return LogPiece(b"", offset)

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:  # noqa: ARG002
        return LogPiece(b"", offset)

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile] | None:  # noqa: ARG002
        return None

    def environment(self, run_id: str, attempt: int) -> dict[str, Any] | None:  # noqa: ARG002
        return None

    def clean_up(self, run_id: str, attempt: int, *, last: bool) -> None:
        """What was there is the administrators' now."""
