"""Credentials of clusters: whoever has them can do there what Berth can, so they are kept as project secrets are.

A kubeconfig leaves this module for the controller alone, which connects with it; no page and no answer has it.
"""

import uuid
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.models import Cluster
from app.services import audit
from app.services.sealing import CannotOpen, KeyRing, Sealed
from app.settings import get_settings

_BATCH = 100
_STALE = text("""
select id, name, key_id, wrapped_key, ciphertext from cluster
 where key_id <> :newest and (cast(:after as uuid) is null or id > :after) order by id limit :limit for update
""")
_STORE = text("""
update cluster set key_id = :key_id, wrapped_key = :wrapped_key, ciphertext = :ciphertext where id = :id
""")


class Resealed(NamedTuple):
    """How many kubeconfigs one step moved to the newest key, whose no known key opens, and the last row; None at the
    end."""

    done: int
    lost: list[str]
    last: uuid.UUID | None


def seal(cluster_id: uuid.UUID, kubeconfig: str) -> dict[str, Any]:
    """The columns of an encrypted kubeconfig."""
    return _ring().seal(kubeconfig, _context(cluster_id))._asdict()


def open_kubeconfig(session: Session, cluster_id: uuid.UUID) -> tuple[str | None, int]:
    """The kubeconfig, None for the cluster that Berth runs in, and the number of its change, by which whoever holds a
    connection knows that it is out of date. Raises CannotOpen, also for a cluster that is gone."""
    row = session.execute(
        select(Cluster.key_id, Cluster.wrapped_key, Cluster.ciphertext, Cluster.credentials_version).where(
            Cluster.id == cluster_id
        )
    ).one_or_none()
    if row is None:
        raise CannotOpen("the cluster was removed")
    if row.key_id is None:
        return None, row.credentials_version
    return _ring().open(_of(row), _context(cluster_id)), row.credentials_version


def reseal(session: Session, after: uuid.UUID | None = None) -> Resealed:
    """Puts what an older key holds under the newest one, up to a hundred from behind the row `after` on. The
    credentials themselves stay, and so does the number of their change."""
    ring = _ring()
    done, lost, last = 0, [], None
    for row in session.execute(_STALE, {"newest": ring.newest, "after": after, "limit": _BATCH}).all():
        last = row.id
        try:
            sealed = ring.seal(ring.open(_of(row), _context(row.id)), _context(row.id))
        except CannotOpen:
            lost.append(row.name)
            continue
        session.execute(_STORE, sealed._asdict() | {"id": row.id})
        done += 1
    if done:
        audit.record(session, None, "cluster.reencrypt", "key", ring.newest, after={"clusters": done})
    return Resealed(done, lost, last)


def _of(row: Any) -> Sealed:
    return Sealed(row.key_id or "", row.wrapped_key or b"", row.ciphertext or b"")


def _context(cluster_id: uuid.UUID) -> str:
    return f"cluster/{cluster_id}"


def _ring() -> KeyRing:
    return KeyRing(get_settings().load_encryption_keys())
