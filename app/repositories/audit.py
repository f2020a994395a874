"""Reading the audit log, newest first: all of it for platform admins, a project's for its owners."""

import datetime
import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import AuditEntry, Project, User


def list_entries(
    session: Session,
    *,
    project_id: uuid.UUID | None,
    actor: str | None,
    object_type: str | None,
    object_id: str | None,
    after: int | None,
    limit: int,
    verb: str | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
) -> list[dict[str, Any]]:
    """Entries with the filters given, the next `limit` below an id. `project_id` None is every project.

    `since` is included and `until` is not.
    """
    conditions = _between(session, since, until)
    if verb is not None:
        conditions.append(AuditEntry.verb == verb)
    if project_id is not None:
        conditions.append(AuditEntry.project_id == project_id)
    if actor is not None:
        # By id, for which there is an index; an actor's name is that of a user, who is never deleted.
        ids = session.scalars(select(User.id).where(User.name == actor)).all()
        conditions.append(AuditEntry.actor_id == ids[0] if len(ids) == 1 else AuditEntry.actor_id.in_(ids))
    if object_type is not None:
        conditions.append(AuditEntry.object_type == object_type)
    if object_id is not None:
        conditions.append(AuditEntry.object_id == object_id)
    if after is not None:
        conditions.append(AuditEntry.id < after)
    # The keys first, from an index alone: asked for whole rows Postgres likes to read the newest of everybody.
    keys = select(AuditEntry.id).where(*conditions).order_by(AuditEntry.id.desc()).limit(limit).subquery()
    statement = (
        select(
            AuditEntry.id,
            AuditEntry.at,
            AuditEntry.actor_name.label("actor"),
            AuditEntry.verb,
            AuditEntry.object_type,
            AuditEntry.object_id,
            Project.name.label("project"),
            AuditEntry.before,
            AuditEntry.after,
            AuditEntry.address,
            AuditEntry.request_id,
        )
        .join(keys, keys.c.id == AuditEntry.id)
        .outerjoin(Project, (Project.id == AuditEntry.project_id) & Project.deleted_at.is_(None))
        .order_by(AuditEntry.id.desc())
    )
    return [dict(row._mapping) for row in session.execute(statement)]


# No transaction of ours is open for longer (see app/db.py), so an entry's key is made within this time of its `at`.
_LONGEST = datetime.timedelta(minutes=10)


def _between(session: Session, since: datetime.datetime | None, until: datetime.datetime | None) -> list[Any]:
    """Conditions on the time, and on the keys that are possible then: the list is in the order of its keys, and
    without a bound on them it would read all entries that are newer than the time asked for."""
    found: list[Any] = []
    if since is not None:
        found.append(AuditEntry.at >= since)
        before = select(AuditEntry.id).where(AuditEntry.at < since - _LONGEST).order_by(AuditEntry.at.desc()).limit(1)
        if (key := session.scalar(before)) is not None:
            found.append(AuditEntry.id > key)
    if until is not None:
        found.append(AuditEntry.at < until)
        behind = select(AuditEntry.id).where(AuditEntry.at > until + _LONGEST).order_by(AuditEntry.at).limit(1)
        if (key := session.scalar(behind)) is not None:
            found.append(AuditEntry.id < key)
    return found
