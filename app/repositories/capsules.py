"""Reading run capsules. Callers have found the run, or its project, as its readers may."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.db import driver


class ManifestRow(NamedTuple):
    """A run's manifest as canonical JSON, and its SHA-256."""

    manifest: str
    digest: str


class AttemptRow(NamedTuple):
    """What an attempt ran in; None where that is not recorded."""

    number: int
    started_at: datetime.datetime | None
    platform: dict[str, Any] | None
    digest: str | None
    document: dict[str, Any] | None
    image: str | None = None


class SnapshotRow(NamedTuple):
    """A snapshot that a run names, where it is still kept."""

    digest: str
    bytes: int
    files: int


class CapsuleRow(NamedTuple):
    """All that is recorded of one run."""

    manifest: ManifestRow | None
    attempts: list[AttemptRow]
    snapshot: SnapshotRow | None

    @property
    def newest(self) -> AttemptRow | None:
        """The last attempt of which something is known."""
        known = [one for one in self.attempts if one.document is not None or one.platform or one.image]
        return known[-1] if known else None


def find_manifest(session: Session, run_id: uuid.UUID) -> ManifestRow | None:
    """A run's manifest; None for a run that is older than capsules."""
    row = driver(session).execute("select manifest, digest from capsule where run_id = %s", [run_id]).fetchone()
    return ManifestRow(*row) if row else None


def find_source_text(session: Session, run_id: uuid.UUID) -> str | None:
    """The YAML that a run was submitted as; None for one that was submitted otherwise.

    The spec may say more: what stood on a command line was put over it. See `workloads/run_text.py:brought_to`.
    """
    row = driver(session).execute("select source_text from capsule where run_id = %s", [run_id]).fetchone()
    return row[0] if row else None


_ATTEMPTS = """
  select a.run_id, a.number, a.started_at, a.platform, a.environment, e.document, a.image
    from attempt a
    join run r on r.id = a.run_id
    left join environment e on e.project_id = r.project_id and e.digest = a.environment
   where a.run_id = any(%s) order by a.run_id, a.number
"""
_IMAGE = """
  select image from (
    select image, number from attempt where run_id = %(id)s union all select image, 0 from run where id = %(id)s
  ) told where image like '%%@%%' order by number limit 1
"""
_SNAPSHOTS = """
  select r.id, s.digest, s.bytes, s.files from run r
    join snapshot s on s.project_id = r.project_id and s.digest = r.spec->>'snapshot'
   where r.id = any(%s)
"""


# As far back as one looks: an interpreter that none of these used is not known of.
_LATEST = """
  select e.document from (
    select id from run where project_id = %(project)s and not archived and pool = %(pool)s order by id desc limit 200
  ) r join attempt a on a.run_id = r.id
    join environment e on e.project_id = %(project)s and e.digest = a.environment
   where e.document->>'interpreter' = %(interpreter)s order by a.started_at desc nulls last, r.id desc limit 1
"""


def find_latest_environment(
    session: Session, project_id: uuid.UUID, pool: str, interpreter: str
) -> dict[str, Any] | None:
    """What was told last of an interpreter by the newest runs of a project in a pool; None where nothing was."""
    values = {"project": project_id, "pool": pool, "interpreter": interpreter}
    row = driver(session).execute(_LATEST, values).fetchone()
    return row[0] if row else None


def find_image(session: Session, run_id: uuid.UUID) -> str | None:
    """The image, by digest, that a run ran in or is to run in; None where no cluster has told of one."""
    row = driver(session).execute(_IMAGE, {"id": run_id}).fetchone()
    return row[0] if row else None


def get_capsules(session: Session, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, CapsuleRow]:
    """The capsules of runs by their keys; every run that was named has one."""
    keys = list(run_ids)
    connection = driver(session)
    kept = connection.execute("select run_id, manifest, digest from capsule where run_id = any(%s)", [keys]).fetchall()
    manifests = {key: ManifestRow(*rest) for key, *rest in kept}
    attempts: dict[uuid.UUID, list[AttemptRow]] = {}
    for key, *rest in connection.execute(_ATTEMPTS, [keys]).fetchall():
        attempts.setdefault(key, []).append(AttemptRow(*rest))
    snapshots = {key: SnapshotRow(*rest) for key, *rest in connection.execute(_SNAPSHOTS, [keys]).fetchall()}
    return {key: CapsuleRow(manifests.get(key), attempts.get(key, []), snapshots.get(key)) for key in keys}
