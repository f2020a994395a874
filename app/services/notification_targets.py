"""Addresses of chat services: whoever has one can write there, so they are kept as secrets of projects are."""

import uuid
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain import chat, egress
from app.domain.chat import BadChat, Chat
from app.errors import N_, FieldError
from app.services import audit
from app.services.sealing import CannotOpen, KeyRing, Sealed
from app.settings import get_settings

_BATCH = 100
_STALE = text("""
select id, name, target_key_id, target_wrapped_key, target_ciphertext from notification
 where target_key_id <> :newest and (cast(:after as uuid) is null or id > :after) order by id limit :limit for update
""")
_STORE = text("""
update notification set target_key_id = :target_key_id, target_wrapped_key = :target_wrapped_key,
       target_ciphertext = :target_ciphertext where id = :id
""")


class Resealed(NamedTuple):
    """How many addresses one step moved to the newest key, whose no known key opens, and the last row; None at the
    end."""

    done: int
    lost: list[str]
    last: uuid.UUID | None


def check(address: str, errors: list[FieldError]) -> Chat | None:
    """The address taken apart; what is wrong with it is added to `errors`, and nothing of the address itself."""
    try:
        found = chat.parse(address)
    except BadChat as error:
        errors.append(FieldError("/target", str(error), slots=dict(error.slots)))
        return None
    literal = egress.literal(found.host) if found.host else None
    if literal is not None and not egress.may_connect(literal, egress.networks(get_settings().notifications.networks)):
        errors.append(FieldError("/target", N_("leads into a network that Berth does not send to")))
        return None
    return found


def seal(notification_id: uuid.UUID, address: str) -> dict[str, Any]:
    """The columns of an encrypted address."""
    return _columns(_ring().seal(address, _context(notification_id)))


def open_target(row: Any, notification_id: uuid.UUID) -> str | None:
    """The address in a row's columns; None when no known key opens it."""
    try:
        return _ring().open(_of(row), _context(notification_id))
    except CannotOpen:
        return None


def reseal(session: Session, after: uuid.UUID | None = None) -> Resealed:
    """Puts addresses that an older key holds under the newest one, up to a hundred from behind the row `after` on."""
    ring = _ring()
    done, lost, last = 0, [], None
    for row in session.execute(_STALE, {"newest": ring.newest, "after": after, "limit": _BATCH}).all():
        last = row.id
        try:
            sealed = ring.seal(ring.open(_of(row), _context(row.id)), _context(row.id))
        except CannotOpen:
            lost.append(row.name)
            continue
        session.execute(_STORE, _columns(sealed) | {"id": row.id})
        done += 1
    if done:
        audit.record(session, None, "notification.reencrypt", "key", ring.newest, after={"addresses": done})
    return Resealed(done, lost, last)


def _columns(sealed: Sealed) -> dict[str, Any]:
    return {f"target_{name}": value for name, value in sealed._asdict().items()}


def _of(row: Any) -> Sealed:
    return Sealed(row.target_key_id or "", row.target_wrapped_key or b"", row.target_ciphertext or b"")


def _context(notification_id: uuid.UUID) -> str:
    return f"notification/{notification_id}"


def _ring() -> KeyRing:
    return KeyRing(get_settings().load_encryption_keys())
