"""What a test of a cluster works with: a cluster, snapshots to run, plans, and patience."""

import gzip
import hashlib
import io
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from app.clusters.base import Cluster, ObjectStatus, ReplicaStatus
from app.clusters.local import LocalCluster
from app.settings import LimitSettings, LocalSettings
from app.workloads.plans import RunPlan

PROJECT = "0198c0de-0000-7000-8000-000000000001"
MIB = 1 << 20
T = TypeVar("T")


def make_archive(files: dict[str, str | bytes]) -> bytes:
    """A snapshot as the client makes it: the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


@dataclass
class World:
    """One home with clusters over it; `settings` are those of a new cluster."""

    home: Path
    settings: LocalSettings = field(default_factory=LocalSettings)
    archives: dict[str, bytes] = field(default_factory=dict)
    made: list[LocalCluster] = field(default_factory=list)
    count: int = 0

    def new_cluster(self) -> LocalCluster:
        """As after a restart of Berth."""
        cluster = LocalCluster(self.home, self.settings, LimitSettings(), self.fetch)
        self.made.append(cluster)
        return cluster

    @property
    def cluster(self) -> LocalCluster:
        return self.made[-1] if self.made else self.new_cluster()

    @property
    def mark(self) -> str:
        """What this home's control groups have in their names."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:8]

    def fetch(self, project: str, digest: str) -> Iterator[bytes]:
        if digest not in self.archives:
            raise FileNotFoundError(digest)
        yield self.archives[digest]

    def upload(self, files: dict[str, str | bytes]) -> str:
        data = make_archive(files)
        digest = hashlib.sha256(data).hexdigest()
        self.archives[digest] = data
        return digest

    def plan(self, program: str = "", **changes: Any) -> RunPlan:
        """A plan for a Python program, of a run of its own unless named."""
        self.count += 1
        run_id = changes.setdefault("run_id", f"r-{self.mark}{self.count:04}")
        attempt = changes.setdefault("attempt", 1)
        env = {"BERTH_RUN_ID": run_id, "BERTH_ATTEMPT": str(attempt), "BERTH_TOKEN": "secret-of-the-run"}
        plan: dict[str, Any] = {
            "replicas": 1,
            "command": ["python", "main.py"],
            "snapshot_digest": self.upload({"main.py": program}) if program else None,
            "project_id": PROJECT,
            "python": sys.executable,
            "requirements": None,
            "cpu_millis": 1000,
            "memory_bytes": 256 * MIB,
            "timeout_seconds": None,
            "grace_seconds": 5,
            "log_bytes": 8 * MIB,
        }
        env |= changes.pop("env", {})
        return RunPlan(**(plan | {"env": env} | changes))

    def folder(self, plan: RunPlan) -> Path:
        return self.home / "local" / "runs" / plan.run_id / str(plan.attempt)

    def status(self, plan: RunPlan, cluster: Cluster | None = None) -> ObjectStatus | None:
        found = [
            status
            for status in (cluster or self.cluster).statuses()
            if (status.run_id, status.attempt) == (plan.run_id, plan.attempt)
        ]
        assert len(found) < 2
        return found[0] if found else None

    def run(self, plan: RunPlan) -> ReplicaStatus:
        """Starts it and waits for its end."""
        self.cluster.start(plan)
        return self.wait_end(plan)

    def wait_end(self, plan: RunPlan, cluster: Cluster | None = None) -> ReplicaStatus:
        def ended() -> ReplicaStatus | None:
            status = self.status(plan, cluster)
            return status.replicas[0] if status and status.gone else None

        return wait_for(ended)

    def wait_line(self, plan: RunPlan, text: str) -> str:
        """The first line of the log that has this text."""
        return wait_for(lambda: next((line for _, line in self.log(plan) if text in line), None))

    def log(self, plan: RunPlan) -> list[tuple[str, str]]:
        """(stream, text) of all records so far, read in small pieces."""
        records, offset = [], 0
        while piece := self.cluster.read_log(plan.run_id, plan.attempt, 0, offset, 1 << 20):
            if not piece.data:
                break
            offset = piece.end_offset
            records += [line.split(b" ", 2) for line in piece.data.removesuffix(b"\n").split(b"\n")]
        return [(stream.decode(), text.decode(errors="replace")) for _, stream, text in records]

    def text(self, plan: RunPlan) -> str:
        return "\n".join(line for _, line in self.log(plan))


def wait_for(look: Callable[[], T | None], seconds: float = 60.0) -> T:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := look()) is not None and found is not False:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_of(marker: str) -> dict[int, str]:
    """Live processes whose environment or command line has this text (the home's path, say)."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and is_alive(int(folder.name)):
            try:
                words = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words:
                found[int(folder.name)] = words[-200:].decode(errors="replace").replace("\0", " ")
    return found
