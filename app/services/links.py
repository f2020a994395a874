"""Secrets that work once: the first admin's link, invitations, links that sign in, and terminals.

Stored as SHA-256. Using one is a single UPDATE of a row that is still unused, so of two that try, one wins.
"""

import datetime
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.errors import N_, NotFound
from app.models import OneTimeLink
from app.services.identity import token_hash
from app.settings import get_settings

SETUP, INVITATION, SIGN_IN, TERMINAL = "setup", "invitation", "sign_in", "terminal"
LIFETIMES = {
    SETUP: datetime.timedelta(hours=24),
    INVITATION: datetime.timedelta(days=7),
    SIGN_IN: datetime.timedelta(minutes=15),
    TERMINAL: datetime.timedelta(minutes=10),
}


class LinkNotValid(NotFound):
    """Unknown, used before, or too old: which one is not told."""

    code = "LINK_NOT_VALID"
    title = N_("This link does not work (any more)")
    detail = N_("It was used before, has expired, or was not copied completely.")
    hint = N_("Ask for a new one. On the machine itself, `berth up` and `berth admin reset-password` make one.")


@dataclass(frozen=True)
class Link:
    """What a link is for."""

    id: uuid.UUID
    kind: str
    user_id: uuid.UUID | None


def create(session: Session, kind: str, **values: Any) -> str:
    """Makes a link and returns its key, which is shown once."""
    key = secrets.token_urlsafe(32)
    session.execute(
        insert(OneTimeLink).values(
            kind=kind, token_hash=token_hash(key), expires_at=func.now() + LIFETIMES[kind], **values
        )
    )
    return key


def find(session: Session, key: str) -> Link | None:
    """The link if it can still be used, without using it: to know which page to show."""
    row = session.execute(select(OneTimeLink.id, OneTimeLink.kind, OneTimeLink.user_id).where(*_usable(key))).first()
    return Link(*row) if row else None


def redeem(session: Session, kind: str, key: str) -> Link:
    """Uses the link up. Raises LinkNotValid."""
    row = session.execute(
        update(OneTimeLink)
        .where(*_usable(key), OneTimeLink.kind == kind)
        .values(used_at=func.now())
        .returning(OneTimeLink.id, OneTimeLink.kind, OneTimeLink.user_id)
    ).first()
    if row is None:
        raise LinkNotValid
    return Link(*row)


def withdraw(session: Session, user_id: uuid.UUID) -> None:
    """Makes all unused links of a user useless."""
    session.execute(
        update(OneTimeLink)
        .where(OneTimeLink.user_id == user_id, OneTimeLink.used_at.is_(None))
        .values(used_at=func.now())
    )


def url_of(kind: str, key: str) -> str:
    """Where to open a key in a browser."""
    path = {SETUP: "/setup?k=", INVITATION: "/invitation?k=", SIGN_IN: "/?k="}[kind]
    return f"{get_settings().console_url}{path}{key}"


def _usable(key: str) -> list[Any]:
    return [
        OneTimeLink.token_hash == token_hash(key[:200]),
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > func.now(),
    ]
