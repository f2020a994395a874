"""What a cluster is told to run: all that one attempt needs, as pure data. Made by services/convergence.py."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SecretRef:
    """A secret by name, and the environment variable or the file in $BERTH_SECRETS that gets its value."""

    name: str
    env: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class VolumeRef:
    """A volume claim of the project's namespace, by name, and the folder at which the program finds it."""

    claim: str
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class RunPlan:
    """One attempt. The local cluster writes it to disk as JSON, so it holds plain values only.

    `command` runs in the unpacked snapshot. `python` (this machine's) and `requirements` (a file of the snapshot to
    make a virtual environment from) exclude each other. CPU, memory and GPUs are those of one replica.
    """

    run_id: str  # public id
    attempt: int
    project_id: str
    replicas: int
    command: list[str]
    env: dict[str, str]
    snapshot_digest: str | None
    python: str | None
    requirements: str | None
    cpu_millis: int
    memory_bytes: int
    timeout_seconds: int | None
    grace_seconds: int
    log_bytes: int
    image: str | None = None
    gpus: int = 0
    shared_memory_bytes: int | None = None
    secrets: list[SecretRef] = field(default_factory=list)
    volumes: list[VolumeRef] = field(default_factory=list)


def what_runs(plan: dict[str, Any]) -> dict[str, Any]:
    """What the run itself asked for, of a plan as a dictionary: without what Berth's settings and version add.

    Two plans are of the same attempt when these are equal. A plan that an earlier version wrote lacks newer fields.
    """
    env = {key: value for key, value in plan.get("env", {}).items() if not key.startswith("BERTH_")}
    newer: dict[str, Any] = {"image": None, "gpus": 0, "shared_memory_bytes": None, "secrets": []}
    asked = newer | plan | {"env": env, "log_bytes": None}
    asked.pop("snapshot_project", None)
    asked.pop("project_id", None)
    if not asked.get("volumes"):  # what was started before there were any stays the same
        asked.pop("volumes", None)
    return asked
