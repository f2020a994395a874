"""Signing a terminal in through the browser: the device flow of RFC 8628, with one-time links as its store.

The terminal holds the device code and asks again and again; a person who is signed in compares the user
code and says yes. The token is made when the terminal asks next, and shown to it alone.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from app.domain.access import Actor, Scope
from app.domain.names import ALPHABET
from app.errors import Forbidden
from app.models import OneTimeLink, User
from app.services import audit, links, throttle, tokens
from app.services.identity import token_hash
from app.settings import get_settings

INTERVAL_SECONDS = 2
TOKEN_LIFETIME = "90d"


@dataclass(frozen=True)
class TerminalLogin:
    """What a terminal is told: the code it keeps, the one it shows, and where to take that."""

    device_code: str
    user_code: str
    url: str
    interval: int
    expires_in: int


@dataclass(frozen=True)
class TerminalToken:
    """The end of a terminal login."""

    token: str
    user: str


def start(session: Session, *, address: str, name: str = "terminal") -> TerminalLogin:
    """Begins a terminal login. `name` will be the token's. Raises TooMany for one address."""
    throttle.check("terminal-start", address, 20)
    letters = "".join(secrets.choice(ALPHABET) for _ in range(8)).upper()
    user_code = f"{letters[:4]}-{letters[4:]}"
    device_code = links.create(session, links.TERMINAL, user_code=user_code, name=name)
    lifetime = int(links.LIFETIMES[links.TERMINAL].total_seconds())
    url = f"{get_settings().console_url}/terminal?code={user_code}"
    return TerminalLogin(device_code, user_code, url, INTERVAL_SECONDS, lifetime)


def poll(session: Session, device_code: str, *, address: str) -> TerminalToken | None:
    """None while nobody has approved it; then, once, a token. Raises LinkNotValid, TooMany when asked too often."""
    # A little more than one each interval: clocks and networks are not exact.
    throttle.check("terminal-poll", device_code, 60 // INTERVAL_SECONDS + 10)
    throttle.check("terminal-polls", address, 600)
    row = session.execute(
        select(OneTimeLink.id, OneTimeLink.name, OneTimeLink.approved_by, User.name.label("user"))
        .outerjoin(User, (User.id == OneTimeLink.approved_by) & User.disabled_at.is_(None))
        .where(
            OneTimeLink.token_hash == token_hash(device_code[:200]),
            OneTimeLink.kind == links.TERMINAL,
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > func.now(),
        )
    ).first()
    if row is None:
        raise links.LinkNotValid
    if row.approved_by is None:
        return None
    if row.user is None:
        raise links.LinkNotValid
    links.redeem(session, links.TERMINAL, device_code)
    actor = Actor(row.approved_by, row.user, address=address)
    made = tokens.create_own(session, actor, row.name, "admin", expires_in=TOKEN_LIFETIME)
    return TerminalToken(made.token, row.user)


def find(session: Session, actor: Actor, user_code: str) -> str | None:
    """The name of the terminal that waits under this code, for the page that asks; None for none."""
    throttle.check("terminal-code", str(actor.user_id), 20)
    name: str | None = session.scalar(
        select(OneTimeLink.name).where(*_waiting(user_code), OneTimeLink.approved_by.is_(None))
    )
    return name


def decide(session: Session, actor: Actor, user_code: str, *, approve: bool) -> None:
    """A person's yes or no. Raises LinkNotValid, and Forbidden for anybody but a person with all rights."""
    throttle.check("terminal-code", str(actor.user_id), 20)
    if actor.is_service_account or actor.scope != Scope.ADMIN or actor.only_project is not None:
        raise Forbidden
    values = {"approved_by": actor.user_id} if approve else {"used_at": func.now()}
    name = session.scalar(
        update(OneTimeLink)
        .where(*_waiting(user_code), OneTimeLink.approved_by.is_(None))
        .values(**values)
        .returning(OneTimeLink.name)
    )
    if name is None:
        raise links.LinkNotValid
    verb = "terminal.approve" if approve else "terminal.refuse"
    audit.record(session, actor, verb, "user", actor.name, after={"terminal": name})


def _waiting(user_code: str) -> list[ColumnElement[bool]]:
    return [
        OneTimeLink.user_code == user_code.strip().upper()[:20],
        OneTimeLink.kind == links.TERMINAL,
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > func.now(),
    ]
