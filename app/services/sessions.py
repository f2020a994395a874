"""Browser sessions: cookies, CSRF, signing in and out. Used by the API's and the pages' transports alike."""

import datetime
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app import db, observability
from app.domain.access import Actor
from app.errors import N_, Forbidden, NotFound, Unauthenticated
from app.models import User, UserSession
from app.repositories.users import id_of_session
from app.services import audit, links, passwords, throttle
from app.services.identity import token_hash
from app.settings import get_settings

_CSRF_BYTES = 16

log = structlog.get_logger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSite(Forbidden):
    """A cookie that came with a request of another site's making, or without the page's own token."""

    code = "CSRF"
    title = N_("This request did not come from Berth's own pages")
    detail = N_("It carried your session, but not the proof that you meant it. Nothing was changed.")
    hint = N_("Reload the page and try again. Programs send a token instead: `berth login`.")


class WrongPassword(Unauthenticated):
    """No such name, no such password, or disabled: the answer and the time it takes are the same."""

    code = "WRONG_PASSWORD"
    title = N_("Name or password is wrong")
    detail = N_("There is no enabled user with this name and this password.")
    hint = N_("Check both. An administrator can give you a link to set a new password.")


@dataclass(frozen=True)
class SignedIn:
    """A new session: the cookie's value is here and nowhere else."""

    user_id: uuid.UUID
    name: str
    cookie: str


def log_in(name: str, password: str, *, address: str, agent: str, replaces: str | None = None) -> SignedIn:
    """Checks the password and opens a session. `replaces` is the cookie the browser had before: it ends.

    Opens its own units of work, so that no connection waits for the hash.
    Raises WrongPassword, or TooManyTries before anything is looked up.
    """
    throttle.check_sign_in(name, address)
    with db.read_session() as session:
        found = session.execute(
            select(User.id, User.name, User.password_hash).where(
                User.name == name.replace("\0", "/"), User.kind == "person", User.disabled_at.is_(None)
            )
        ).first()
    if not passwords.verify(password, found.password_hash if found else None) or found is None:
        observability.SIGN_INS.labels("refused").inc()
        log.warning("sign-in refused", address=address)
        raise WrongPassword
    with db.unit_of_work() as session:
        # Disabled, or given a new password, while the hash was computed: then this sign-in is too late.
        still = session.scalar(
            select(User.id)
            .where(User.id == found.id, User.disabled_at.is_(None), User.password_hash == found.password_hash)
            .with_for_update(key_share=True)
        )
        if still is None:
            raise WrongPassword
        if replaces is not None:
            session.execute(delete(UserSession).where(UserSession.token_hash == token_hash(replaces)))
        made = open_session(session, found.id, found.name, address=address, agent=agent)
    observability.SIGN_INS.labels("accepted").inc()
    return made


def sign_in_by_link(session: Session, key: str, *, address: str, agent: str) -> SignedIn:
    """Opens a session for the user of a sign-in link, once. Raises LinkNotValid."""
    link = links.redeem(session, links.SIGN_IN, key)
    name = session.scalar(select(User.name).where(User.id == link.user_id, User.disabled_at.is_(None)))
    if name is None or link.user_id is None:
        raise links.LinkNotValid
    return open_session(session, link.user_id, name, address=address, agent=agent)


def open_session(session: Session, user_id: uuid.UUID, name: str, *, address: str, agent: str) -> SignedIn:
    """A new session with a new cookie, recorded in the audit log. Whoever calls has checked the credentials."""
    cookie = secrets.token_urlsafe(32)
    session.execute(
        insert(UserSession).values(
            token_hash=token_hash(cookie),
            user_id=user_id,
            address=address,
            agent=agent[:200],
            expires_at=func.now() + datetime.timedelta(hours=get_settings().web.session_hours),
        )
    )
    session.execute(delete(UserSession).where(UserSession.user_id == user_id, UserSession.expires_at < func.now()))
    audit.record(session, Actor(user_id, name, address=address), "session.create", "user", name)
    return SignedIn(user_id, name, cookie)


def log_out(session: Session, actor: Actor) -> None:
    """Ends the session that the actor came with."""
    if actor.session_hash is not None:
        session.execute(delete(UserSession).where(UserSession.token_hash == actor.session_hash))
        audit.record(session, actor, "session.delete", "user", actor.name)


def end_all(session: Session, user_id: uuid.UUID, keep: bytes | None = None) -> None:
    """Ends every session of a user, except the one whose hash is `keep`."""
    statement = delete(UserSession).where(UserSession.user_id == user_id)
    if keep is not None:
        statement = statement.where(UserSession.token_hash != keep)
    session.execute(statement)


def end_one(session: Session, actor: Actor, session_id: str) -> None:
    """Ends one of the actor's own sessions by the id that lists show. Raises NotFound."""
    ended = session.scalar(
        delete(UserSession)
        .where(UserSession.user_id == actor.user_id, id_of_session() == session_id)
        .returning(UserSession.address)
    )
    if ended is None:
        raise NotFound
    audit.record(session, actor, "session.delete", "user", actor.name, before={"address": ended})


def end_others(session: Session, actor: Actor) -> None:
    """Ends all of the actor's own sessions but the one it came with."""
    end_all(session, actor.user_id, keep=actor.session_hash)
    audit.record(session, actor, "session.delete_others", "user", actor.name)


def cookie_name() -> str:
    """`__Host-` makes browsers refuse the cookie from a sibling host or over plain HTTP (RFC 6265bis, 4.1.3)."""
    return "__Host-berth" if get_settings().is_secure else "berth"


def set_cookie_header(token: str) -> str:
    """The Set-Cookie value for a session; an empty token removes the cookie."""
    settings = get_settings()
    age = settings.web.session_hours * 3600 if token else 0
    secure = "; Secure" if settings.is_secure else ""
    return f"{cookie_name()}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"


def read_cookie(header: str | None) -> str | None:
    """The session cookie's value in a Cookie header."""
    if not header:
        return None
    prefix = cookie_name() + "="
    for part in header.split(";"):
        part = part.strip()
        if part.startswith(prefix):
            return part[len(prefix) :] or None
    return None


def csrf_token(session_hash: bytes) -> str:
    """The token that forms and scripts of this session send with each unsafe request: another one each time.

    Pages are sent compressed, and a secret that stood in many of them could be guessed from their lengths (BREACH).
    """
    pad = secrets.token_bytes(_CSRF_BYTES)
    return (pad + _mixed(pad, _csrf_secret(session_hash))).hex()


def check_origin(method: str, headers: Mapping[str, str]) -> None:
    """Raises CrossSite unless the browser says that the request is of our own making.

    `headers` has lower-case names. Old browsers without Sec-Fetch-Site send Origin, which must then be ours.
    """
    site = headers.get("sec-fetch-site")
    safe = method in SAFE_METHODS
    if site is not None:
        if site == "same-origin" or (safe and site == "none"):
            return
        # A link from elsewhere to one of our pages: a navigation, which SameSite=Lax lets through on purpose.
        if safe and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document":
            return
        raise CrossSite
    origin = headers.get("origin")
    if origin is None and safe:
        return
    if origin != _own_origin(headers):
        raise CrossSite


def check_not_cross_site(headers: Mapping[str, str]) -> None:
    """For what needs no session, such as signing in: a browser must not do it for another site; programs may."""
    if "sec-fetch-site" in headers or "origin" in headers:
        check_origin("POST", headers)


def check_csrf(session_hash: bytes, sent: str | None) -> None:
    """Raises CrossSite unless `sent` (header X-CSRF-Token or form field csrf) is this session's token."""
    try:
        given = bytes.fromhex(sent or "")
    except ValueError:
        raise CrossSite from None
    secret = _mixed(given[:_CSRF_BYTES], given[_CSRF_BYTES:])
    if len(given) != 2 * _CSRF_BYTES or not hmac.compare_digest(secret, _csrf_secret(session_hash)):
        raise CrossSite


def _csrf_secret(session_hash: bytes) -> bytes:
    return hmac.digest(get_settings().signing_key, b"csrf\0" + session_hash, hashlib.sha256)[:_CSRF_BYTES]


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


def _own_origin(headers: Mapping[str, str]) -> str:
    """Our scheme, and the host that was asked, which the Host check has already found to be ours."""
    scheme = get_settings().console_url.partition("://")[0]
    return f"{scheme}://{headers.get('host', '')}"
