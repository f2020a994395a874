"""From what happened to messages, and from messages to what became of them. Sends nothing itself.

Exactly one message is made for each subscription and event: a run's end is taken out of the outbox in the
transaction that makes its messages, and a unique key holds against whatever may happen twice.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.notifications import retry_after
from app.services.notification_targets import open_target
from app.services.notifications import secret_of
from app.settings import get_settings

LEASE_SECONDS = 120
_PORTION = 500
# A receiver that needs longer than this waits in the lane of the slow ones from then on.
SLOW_MILLISECONDS = 2000

# Those who may hear of run r through subscription s, now.
_LISTENS = """
   not s.muted and (s.project_id is null or s.project_id = r.project_id) and r.tags @> s.tags
   and (s.whose = 'all' or r.created_by = s.user_id)
   and (s.user_id is null or exists (
         select 1 from "user" u where u.id = s.user_id and u.disabled_at is null
            and (u.is_admin or exists (select 1 from membership b where b.user_id = u.id
                                                                    and b.project_id = r.project_id))))
   and not exists (select 1 from notification_mute q where q.run_id = r.id
                      and (q.user_id = s.user_id or (s.user_id is null and q.project_id = s.project_id)))
"""
_DATA = """
 jsonb_build_object('run', r.public_id, 'project', p.name, 'name', r.name, 'state', {state}, 'reason', r.reason_code),
 jsonb_build_object('code', r.reason_code, 'args', r.reason)
"""
_TELL_ENDED = text(f"""
with taken as (
  delete from notification_event where event_id in
    (select event_id from notification_event order by event_id limit :limit for update skip locked)
  returning event_id, run_id
), made as (
  insert into notification_message (notification_id, event_key, type, at, data, reason)
  select s.id, 'event:' || v.id, case v.new_state when 'failed' then 'run.failed' else 'run.ended' end, v.at,
         {_DATA.format(state="v.new_state")}
    from taken t join run_event v on v.id = t.event_id join run r on r.id = t.run_id
         join project p on p.id = r.project_id
         join notification s on {_LISTENS}
   where s.created_at <= v.at
     and ('run.ended' = any(s.events) or ('run.failed' = any(s.events) and v.new_state = 'failed'))
  on conflict (notification_id, event_key) do nothing
)
select count(*) from taken
""")  # noqa: S608 - constants only
_TELL_WAITING = text(f"""
insert into notification_message (notification_id, event_key, type, at, data, reason)
select s.id, 'waiting:' || r.public_id || ':' || r.attempt, 'run.waiting', now(), {_DATA.format(state="r.state")}
  from notification s
       join run r on r.state = 'queued' and r.desired = 'running'
            and r.queued_at <= now() - make_interval(secs => s.wait_seconds)
            and r.queued_at > s.created_at - make_interval(secs => s.wait_seconds)
            and {_LISTENS}
       join project p on p.id = r.project_id
 where 'run.waiting' = any(s.events)
   and not exists (select 1 from notification_message m where m.notification_id = s.id
                      and m.event_key = 'waiting:' || r.public_id || ':' || r.attempt)
 limit :limit
on conflict (notification_id, event_key) do nothing
returning 1
""")  # noqa: S608 - constants only
# The lease is the message's own due time: who dies while sending is followed by another when it has passed.
_CLAIM = text("""
with chosen as (
  select m.id from notification s cross join lateral
    (select id, due_at from notification_message
      where notification_id = s.id and state = 'pending' and due_at <= now() order by due_at limit :each) m
   where (s.troubled_at is not null) = :troubled and s.id <> all(cast(:busy as uuid[]))
   order by m.due_at, m.id limit :free
), taken as (
  update notification_message m set attempts = attempts + 1, lease_token = gen_random_uuid(),
         due_at = now() + make_interval(secs => :lease)
    from chosen where m.id = chosen.id and m.state = 'pending' and m.due_at <= now() returning m.*
)
select t.id, t.message_id, t.lease_token, t.type, t.at, t.data, t.reason, t.attempts, s.id as notification_id,
       s.channel, s.target, s.target_key_id, s.target_wrapped_key, s.target_ciphertext, s.language,
       s.secret_number, coalesce(s.old_secret_until > now(), false) as both_secrets,
       (s.user_id is null or exists (
         select 1 from "user" u where u.id = s.user_id and u.disabled_at is null
            and (t.type = 'notification.test' or u.is_admin
                 or exists (select 1 from membership b join project p on p.id = b.project_id
                             where b.user_id = u.id and p.name = t.data ->> 'project'))))
         and not exists (select 1 from notification_mute q join run r on r.id = q.run_id
                          where r.public_id = t.data ->> 'run'
                            and (q.user_id = s.user_id or (s.user_id is null and q.project_id = s.project_id)))
         as may_hear
  from taken t join notification s on s.id = t.notification_id
""")
_RECORD = text("""
with ended as (
  update notification_message set state = :state, lease_token = null,
         due_at = case when cast(:again_in as float) is null then due_at
                       else now() + make_interval(secs => cast(:again_in as float)) end,
         ended_at = case when :state <> 'pending' then now() end
   where id = :id and lease_token = :token returning id, notification_id
), tried as (
  insert into notification_attempt (message_id, ok, status, error, milliseconds, answer)
  select id, :ok, :status, :error, :milliseconds, :answer from ended where :was_tried
), judged as (
  update notification n set troubled_at = case when :troubled then now() end
    from ended where n.id = ended.notification_id and :was_tried and (n.troubled_at is not null) <> :troubled
)
select pg_notify('berth_notification', '') from ended
""")
_FORGET = text("""
delete from notification_message where id in
  (select id from notification_message where created_at < now() - make_interval(days => :days) and state <> 'pending'
    order by created_at limit 1000)
""")


@dataclass(frozen=True)
class Message:
    """A message to send now. `secrets` are those to sign with; `may_hear` is False for one who lost the right to it.

    `target` of a chat is its address in clear, empty when no known key opens it.
    """

    id: int
    message_id: str
    token: uuid.UUID
    notification_id: uuid.UUID
    channel: str
    target: str = field(repr=False)
    language: str
    secrets: list[str] = field(repr=False)
    type: str
    at: Any
    data: dict[str, Any]
    reason: dict[str, Any] | None
    attempts: int
    may_hear: bool


@dataclass(frozen=True)
class Outcome:
    """How an attempt went: `status` of HTTP or SMTP, `error` a code of domain/notifications.py, `answer` inert text."""

    ok: bool
    status: int | None = None
    error: str | None = None
    milliseconds: int = 0
    answer: str = ""


def tell_ended(session: Session) -> bool:
    """Makes the messages of runs that ended; whether there may be more."""
    return int(session.scalar(_TELL_ENDED, {"limit": _PORTION}) or 0) == _PORTION


def tell_waiting(session: Session) -> bool:
    """Makes the messages of runs that wait too long, once for each attempt; whether there may be more."""
    return len(session.execute(_TELL_WAITING, {"limit": _PORTION}).all()) == _PORTION


def claim(session: Session, *, troubled: bool, free: int, each: int, busy: list[uuid.UUID]) -> list[Message]:
    """Takes up to `free` due messages, at most `each` of a subscription and none of the `busy` ones."""
    values = {"troubled": troubled, "free": free, "each": each, "busy": busy, "lease": LEASE_SECONDS}
    found = []
    for row in session.execute(_CLAIM, values):
        numbers = [row.secret_number, row.secret_number - 1] if row.both_secrets else [row.secret_number]
        found.append(
            Message(
                row.id,
                f"msg_{row.message_id.hex}",
                row.lease_token,
                row.notification_id,
                row.channel,
                row.target if row.channel != "chat" else open_target(row, row.notification_id) or "",
                row.language,
                [secret_of(row.notification_id, number) for number in numbers],
                row.type,
                row.at,
                row.data,
                row.reason,
                row.attempts,
                row.may_hear,
            )
        )
    return found


def record(session: Session, message: Message, outcome: Outcome, chance: float) -> None:
    """Keeps how an attempt went, and when the next one is. Thrown away if another has the message by now."""
    again_in = None if outcome.ok else retry_after(message.attempts, outcome.status, chance)
    state = "sent" if outcome.ok else "failed" if again_in is None else "pending"
    is_slow = outcome.milliseconds > SLOW_MILLISECONDS
    values = {
        "state": state,
        "again_in": again_in,
        "ok": outcome.ok,
        "status": outcome.status,
        "error": outcome.error,
        "milliseconds": outcome.milliseconds,
        "answer": outcome.answer,
        "troubled": is_slow or not outcome.ok,
        "was_tried": True,
    }
    session.execute(_RECORD, values | {"id": message.id, "token": message.token})


def cancel(session: Session, message: Message) -> None:
    """Ends a message whose receiver must not hear it any more."""
    values = {
        "state": "cancelled",
        "again_in": None,
        "ok": False,
        "status": None,
        "error": None,
        "milliseconds": 0,
        "answer": "",
        "troubled": False,
        "was_tried": False,
    }
    session.execute(_RECORD, values | {"id": message.id, "token": message.token})


def forget_old(session: Session) -> None:
    """Deletes messages that are done and older than the settings keep, a thousand at most."""
    session.execute(_FORGET, {"days": get_settings().notifications.keep_days})
