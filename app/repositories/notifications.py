"""Reading notifications: subscriptions of one owner, and what became of their messages."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Owner:
    """Whose subscriptions: exactly one of both is set."""

    user_id: uuid.UUID | None = None
    project_id: uuid.UUID | None = None

    @property
    def condition(self) -> str:
        """What finds the owner's subscriptions `n`, by an index."""
        return "n.user_id = :owner" if self.user_id is not None else "n.project_id = :owner and n.user_id is null"

    @property
    def id(self) -> uuid.UUID:
        found = self.user_id or self.project_id
        assert found is not None
        return found


_COLUMNS = """
n.id, n.name, n.channel, n.target, n.events, n.wait_seconds, n.whose, p.name as project, n.tags, n.language, n.muted,
n.old_secret_until, n.created_at
"""
_FROM = "from notification n left join project p on p.id = n.project_id"
_DELIVERIES = """
select m.id as position, m.message_id as id, m.type, m.data ->> 'run' as run, m.state, m.at,
       case when m.state = 'pending' then m.due_at end as next_attempt_at,
       coalesce((select json_agg(json_build_object(
                          'at', to_char(a.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'ok', a.ok,
                          'status', a.status, 'error', a.error, 'milliseconds', a.milliseconds, 'answer', a.answer
                        ) order by a.id)
                   from notification_attempt a where a.message_id = m.id), '[]') as attempts
  from notification_message m
 where m.notification_id = :notification_id and m.id < :after
 order by m.id desc limit :limit
"""


def list_notifications(session: Session, owner: Owner, after: uuid.UUID | None, limit: int) -> list[dict[str, Any]]:
    """The owner's subscriptions, oldest first, the next `limit` after an id."""
    statement = f"select {_COLUMNS} {_FROM} where {owner.condition} and n.id > :after order by n.id limit :limit"
    values = {"owner": owner.id, "after": after or uuid.UUID(int=0), "limit": limit}
    return [dict(row._mapping) for row in session.execute(text(statement), values)]


def find_notification(session: Session, owner: Owner, notification_id: uuid.UUID) -> dict[str, Any] | None:
    """One of the owner's subscriptions, or None."""
    statement = f"select {_COLUMNS} {_FROM} where {owner.condition} and n.id = :id"
    row = session.execute(text(statement), {"owner": owner.id, "id": notification_id}).one_or_none()
    return dict(row._mapping) if row is not None else None


def find_mutes(session: Session, run_id: uuid.UUID, user_id: uuid.UUID | None) -> tuple[bool, bool]:
    """Whether a run is muted for a user, and whether it is for its project."""
    statement = (
        "select coalesce(bool_or(user_id = cast(:user as uuid)), false),"
        " coalesce(bool_or(project_id is not null), false)"
        " from notification_mute where run_id = :run and (user_id = cast(:user as uuid) or project_id is not null)"
    )
    row = session.execute(text(statement), {"run": run_id, "user": user_id}).one()
    return bool(row[0]), bool(row[1])


def list_deliveries(
    session: Session, notification_id: uuid.UUID, after: int | None, limit: int
) -> list[dict[str, Any]]:
    """Messages of a subscription that the caller found to be its own, newest first, each with its attempts."""
    values = {"notification_id": notification_id, "after": after or 2**62, "limit": limit}
    found = [dict(row._mapping) for row in session.execute(text(_DELIVERIES), values)]
    for attempt in (one for row in found for one in row["attempts"]):
        attempt["at"] = datetime.datetime.fromisoformat(attempt["at"])  # JSON of Postgres has times as texts
    return found
