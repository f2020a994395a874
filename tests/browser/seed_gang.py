"""A run of two replicas that failed because of the second one, with the log of each."""

import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.domain.loglines import Record, encode
from app.models import LogChunk, Project, Replica, Run, User
from tests import factories
from tests.browser.seed import Seed

LOGS = (
    ["epoch 1 loss 0.7", "ConnectionError: my peer is gone"],
    ["epoch 1 loss 0.7", "ValueError: replica 1 has no data"],
)


def seed_gang(session: Session, made: Seed, **values: object) -> Run:
    """The run, in the seed's project "vision"."""
    project = session.query(Project).where(Project.name == "vision").one()
    alice = session.get(User, made.ids["alice"])
    assert alice is not None
    now = datetime.datetime.now(datetime.UTC)
    reason = {"exit_code": 3, "replica": 1, "replicas": 2}
    ended: dict[str, Any] = {
        "reason_code": "EXIT_CODE",
        "reason": reason,
        "exit_code": 3,
        "first_error": LOGS[1][1],
        "finished_at": now,
    }
    begun: dict[str, Any] = {"state": "failed", "started_at": now - datetime.timedelta(minutes=5)}
    asked = {"replicas": 2, "cpu_millis": 4000, "memory_bytes": 8 << 30, "name": "two-replicas"}
    run = factories.make_run(session, project, alice, **asked, **begun, **ended, attempt=1, **values)
    factories.make_attempt(session, run, logs_sealed_at=now, cause="failed", **begun, **ended)
    for index, lines in enumerate(LOGS):
        session.add(Replica(run_id=run.id, attempt=1, index=index, state="failed", exit_code=1 + 2 * index))
        at = int(now.timestamp() * 1000)
        data = b"".join(encode(Record(at, "e", line.encode())) for line in lines)
        row = {
            "run_id": run.id,
            "attempt": 1,
            "replica": index,
            "first_line": 1,
            "lines": len(lines),
            "bytes": len(data),
        }
        session.execute(
            insert(LogChunk).values(**row, gaps=0, end_offset=len(data), first_at=now, last_at=now, data=data)
        )
    return run
