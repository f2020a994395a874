"""Which namespace a project has in a cluster, and by which id this installation knows its own there."""

import secrets
import uuid
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

_INSTALL = text("select id from installation")
_MAKE_INSTALL = text("insert into installation default values on conflict do nothing")
_FIND = text("select name from project_namespace where project_id = :project_id and cluster_id = :cluster_id")
_MAKE = text("""
insert into project_namespace (project_id, cluster_id, name) values (:project_id, :cluster_id, :name)
on conflict (project_id, cluster_id) do nothing
""")
_APPLIED = text("""
select project_id, name, fingerprint from project_namespace
 where cluster_id = :cluster_id and fingerprint is not null and deleting_at is null order by name
""")
_FINGERPRINT = text("""
select fingerprint from project_namespace where project_id = :project_id and cluster_id = :cluster_id
""")
_RECORD_APPLIED = text("""
update project_namespace set fingerprint = :fingerprint, applied_at = now()
 where project_id = :project_id and cluster_id = :cluster_id
""")
_DELETE = text("""
update project_namespace set deleting_at = now() where project_id = :project_id and deleting_at is null
""")
_DELETING = text("""
select name from project_namespace where cluster_id = :cluster_id and deleting_at is not null and gone_at is null
 order by deleting_at, name limit 50
""")
_GONE = text("update project_namespace set gone_at = now() where name = :name")


def install_id(session: Session) -> str:
    """The id of this installation; made when it is first asked for, and the same for ever."""
    found = session.scalar(_INSTALL)
    if found is None:
        session.execute(_MAKE_INSTALL)
        found = session.scalar(_INSTALL)
    return str(found)


def namespace_of(session: Session, project_id: uuid.UUID, cluster_id: uuid.UUID, prefix: str) -> str:
    """The project's namespace there; a name for one is chosen when it is first asked for, and stays.

    The name has at most 42 characters: the prefix, the end of the project's id, and a random end, so that it is never
    that of a namespace which was there before. Raises IntegrityError where the project or the cluster is gone.
    """
    where = {"project_id": project_id, "cluster_id": cluster_id}
    found: str | None = session.scalar(_FIND, where)
    if found is None:
        session.execute(_MAKE, where | {"name": f"{prefix}-{project_id.hex[-12:]}-{secrets.token_hex(4)}"})
        found = session.scalar(_FIND, where)
    assert found is not None, "it was made"
    return found


class Applied(NamedTuple):
    """A namespace that Berth has made, and the fingerprint of what it wanted of it then."""

    project_id: uuid.UUID
    name: str
    fingerprint: str


def list_applied(session: Session, cluster_id: uuid.UUID) -> list[Applied]:
    """Those of a cluster that are to be as Berth applied them. Some hundred bytes each: all of them fit."""
    return [Applied(*row) for row in session.execute(_APPLIED, {"cluster_id": cluster_id})]


def find_fingerprint(session: Session, project_id: uuid.UUID, cluster_id: uuid.UUID) -> str | None:
    """Of what was applied last; None where nothing was."""
    found: str | None = session.scalar(_FINGERPRINT, {"project_id": project_id, "cluster_id": cluster_id})
    return found


def record_applied(session: Session, project_id: uuid.UUID, cluster_id: uuid.UUID, fingerprint: str) -> None:
    """It is as Berth wants it, by this fingerprint."""
    values = {"project_id": project_id, "cluster_id": cluster_id, "fingerprint": fingerprint}
    session.execute(_RECORD_APPLIED, values)


def begin_deletion(session: Session, project_id: uuid.UUID) -> None:
    """The namespaces of a project are to go, in all clusters. Their rows stay, so that no name is used again."""
    session.execute(_DELETE, {"project_id": project_id})


def list_deleting(session: Session, cluster_id: uuid.UUID) -> list[str]:
    """The names of those that are to go from a cluster and are not known to be gone, the oldest first; some."""
    return list(session.scalars(_DELETING, {"cluster_id": cluster_id}))


def record_gone(session: Session, name: str) -> None:
    """It is no longer there."""
    session.execute(_GONE, {"name": name})
