"""Stand-ins with behaviour, for tests that need no real cluster."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.clusters.base import NO_SECRETS, Capacity, LogPiece, ObjectStatus, OutputFile, ReplicaStatus, SecretValues
from app.workloads.plans import RunPlan


class FakeCluster:
    """A cluster in memory that keeps the contract: one object for each run and attempt, tombstones for stops.

    Tests decide when a program ends by `end`. `calls` counts what was asked of it.
    """

    name = "local"

    def __init__(self, capacity: Capacity | None = None) -> None:
        self.size = capacity or Capacity(4000, 8 << 30, 0)
        self.objects: dict[tuple[str, int], ObjectStatus] = {}
        self.plans: dict[tuple[str, int], RunPlan] = {}
        self.environments: dict[tuple[str, int], dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()

    def facts(self) -> dict[str, Any]:
        return {"isolation": "none"}

    def capacity(self) -> Capacity:
        return self.size

    def start(self, plan: RunPlan, secrets: SecretValues = NO_SECRETS) -> dict[str, Any]:
        self.calls["start"] += 1
        key = (plan.run_id, plan.attempt)
        self.plans.setdefault(key, plan)
        running = ReplicaStatus(0, "running", started_at=time.time())
        self.objects.setdefault(key, ObjectStatus(*key, [running], gone=False))
        return {"name": f"{plan.run_id}-{plan.attempt}"}

    def stop(self, run_id: str, attempt: int, grace_seconds: int, project_id: str = "") -> None:
        self.calls["stop"] += 1
        found = self.objects.get((run_id, attempt))
        if found is None or not found.gone:
            self.end(run_id, attempt, cause="stopped")

    def end(self, run_id: str, attempt: int, *, cause: str | None = None, exit_code: int | None = 0) -> None:
        """The program ends now."""
        now = time.time()
        replica = ReplicaStatus(0, "ended", exit_code, cause, first_error="boom" if cause else None, finished_at=now)
        described = (run_id, attempt) in self.environments
        self.objects[run_id, attempt] = ObjectStatus(run_id, attempt, [replica], gone=True, described=described)

    def lose(self, run_id: str, attempt: int) -> None:
        """The process vanishes without an exit code."""
        self.objects[run_id, attempt] = ObjectStatus(
            run_id, attempt, [ReplicaStatus(0, "lost", cause="lost")], gone=True
        )

    def refresh(self) -> None:
        """Nothing: each list is read anew."""

    def statuses(self) -> list[ObjectStatus]:
        return list(self.objects.values())

    def wait_for_change(self, timeout: float) -> None:
        time.sleep(min(timeout, 0.01))

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        return LogPiece(b"", offset)

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        return LogPiece(b"", offset)

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile]:
        return iter(())

    def describe(self, run_id: str, attempt: int, told: dict[str, Any]) -> None:
        """Its interpreter has answered."""
        self.environments[run_id, attempt] = told
        self.objects[run_id, attempt] = replace(self.objects[run_id, attempt], described=True)

    def environment(self, run_id: str, attempt: int) -> dict[str, Any] | None:
        self.calls["environment"] += 1
        return self.environments.get((run_id, attempt))

    def clean_up(self, run_id: str, attempt: int, *, last: bool) -> None:
        self.calls["clean_up"] += 1
        self.objects.pop((run_id, attempt), None)
