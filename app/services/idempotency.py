"""A POST with an Idempotency-Key happens once; repeating it gives the first answer again for a day.

The row is written in the transaction of the change itself. A second request with the same key waits on the
first one's row and then reads its answer; if the first one is rolled back, the second does the work.
"""

import datetime
import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.errors import N_, Conflict, Invalid
from app.models import IdempotencyKey

KEPT = datetime.timedelta(hours=24)
_UNFINISHED = 0


class IdempotencyKeyReused(Invalid):
    """The same key with another body."""

    code = "IDEMPOTENCY_KEY_REUSED"
    title = N_("This Idempotency-Key was used for something else")
    detail = N_("You sent this key before, at this address, with another body. Nothing was changed.")
    hint = N_("Make a new key for each new request; reuse one only to repeat the very same request.")


class AnswerNotKept(Conflict):
    """The request was carried out, but its answer held a secret, which is never stored."""

    code = "ANSWER_NOT_KEPT"
    title = N_("This was done already")
    detail = N_("The first answer held a secret that is shown once and not kept.")
    hint = N_("If the first answer was lost, revoke what it made and make a new one.")


@dataclass(frozen=True)
class Claim:
    """One request that may be repeated. `route` is the method and the path."""

    user_id: uuid.UUID
    route: str
    key: str
    body_hash: bytes


@dataclass(frozen=True)
class Answer:
    """What was answered the first time."""

    status: int
    location: str | None
    body: dict[str, Any] | None


def claim_of(user_id: uuid.UUID, route: str, key: str, body: bytes) -> Claim:
    """The claim of a request with these bytes as its body."""
    return Claim(user_id, route, key, hashlib.sha256(body).digest())


def begin(session: Session, claim: Claim) -> Answer | None:
    """None: the key is ours, do the work and call `finish`. Otherwise the stored answer.

    Waits for a concurrent request with the same key. Raises IdempotencyKeyReused, AnswerNotKept.
    """
    values = {"user_id": claim.user_id, "route": claim.route, "key": claim.key}
    statement = (
        upsert(IdempotencyKey)
        .values(**values, body_hash=claim.body_hash, status=_UNFINISHED)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.status)
    )
    if session.execute(statement).first() is not None:
        return None
    return find(session, claim)


def find(session: Session, claim: Claim) -> Answer | None:
    """The stored answer to this claim, or None. Raises IdempotencyKeyReused, AnswerNotKept."""
    row = session.execute(
        select(IdempotencyKey.body_hash, IdempotencyKey.status, IdempotencyKey.location, IdempotencyKey.body).where(
            IdempotencyKey.user_id == claim.user_id,
            IdempotencyKey.route == claim.route,
            IdempotencyKey.key == claim.key,
        )
    ).first()
    if row is None:
        return None
    if row.body_hash != claim.body_hash:
        raise IdempotencyKeyReused
    if row.status == _UNFINISHED:
        raise AnswerNotKept
    return Answer(row.status, row.location, row.body)


def finish(session: Session, claim: Claim, answer: Answer) -> None:
    """Stores the answer beside the change. Not called for an answer with a secret: that key stays unanswerable."""
    session.execute(
        update(IdempotencyKey)
        .where(
            IdempotencyKey.user_id == claim.user_id,
            IdempotencyKey.route == claim.route,
            IdempotencyKey.key == claim.key,
        )
        .values(status=answer.status, location=answer.location, body=answer.body)
    )


def store(session: Session, claim: Claim, answer: Answer) -> None:
    """`begin` and `finish` in one, for a service that folds the claim into its own statement."""
    session.execute(
        insert(IdempotencyKey),
        {
            "user_id": claim.user_id,
            "route": claim.route,
            "key": claim.key,
            "body_hash": claim.body_hash,
            "status": answer.status,
            "location": answer.location,
            "body": answer.body,
        },
    )


def forget_old(session: Session) -> int:
    """Deletes answers older than a day, at most 10,000 a call; the number deleted. For a periodic loop."""
    old = (
        select(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < func.now() - KEPT)
        .limit(10_000)
        .subquery()
    )
    found = session.execute(
        delete(IdempotencyKey)
        .where(
            IdempotencyKey.user_id == old.c.user_id,
            IdempotencyKey.route == old.c.route,
            IdempotencyKey.key == old.c.key,
        )
        .returning(IdempotencyKey.key)
    )
    return len(found.all())
