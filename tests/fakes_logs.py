"""A cluster of which only the logs exist, for tests of what ships and reads them."""

from typing import Any

from sqlalchemy.orm import Session

from app.clusters.base import ClusterUnavailable, LogPiece
from app.domain.loglines import Record, encode
from app.models import Cluster, Pool, Run
from tests.factories import make_attempt, make_project, make_run, make_user


def make_logged_run(session: Session, **values: Any) -> Run:
    """A run with one attempt, on the cluster "local" that FakeLogCluster stands for."""
    if session.get(Pool, "local") is None:
        cluster = Cluster(name="local", kind="local")
        session.add(cluster)
        session.flush()
        session.add(Pool(name="local", cluster_id=cluster.id, cpu_millis=8000, memory_bytes=16 << 30, gpus=0))
        session.flush()
    project, user = values.pop("project", None), values.pop("user", None)
    user = user or make_user(session)
    run = make_run(session, project or make_project(session), user, **{"state": "running"} | values)
    make_attempt(session, run, state="running")
    return run


class FakeLogCluster:
    """Log files in memory, read as a cluster would give them: whole records only."""

    name = "local"

    def __init__(self) -> None:
        self.files: dict[tuple[str, int, int], bytearray] = {}
        self.is_down = False
        self.reads = 0

    def write(self, run_id: str, attempt: int, *lines: str | bytes, replica: int = 0, stream: str = "o") -> None:
        """Appends lines, a millisecond apart."""
        file = self.files.setdefault((run_id, attempt, replica), bytearray())
        for line in lines:
            text = line.encode() if isinstance(line, str) else line
            file += encode(Record(1_763_800_000_000 + len(file), stream, text))

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        self.reads += 1
        if self.is_down:
            raise ClusterUnavailable("unplugged")
        file = bytes(self.files.get((run_id, attempt, replica), b""))
        piece = file[offset : offset + limit]
        if len(piece) == limit:
            piece = piece[: piece.rfind(b"\n") + 1]
        return LogPiece(piece, offset + len(piece))
