"""API tokens: made by people for themselves and by owners for service accounts, shown once, revocable."""

import datetime
import uuid
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.domain.quantities import QuantityError, parse_duration
from app.errors import N_, Conflict, FieldError, Forbidden, Invalid, NotFound
from app.models import ApiToken, User
from app.services import audit, identity

MAX_PER_USER = 200


class TooManyTokens(Conflict):
    """A bound, so that a loop that makes tokens is noticed."""

    code = "TOO_MANY_TOKENS"
    title = N_("There are too many tokens")
    detail = N_("At most {limit} tokens may be valid at once.")
    hint = N_("Revoke those that are not used; the list shows when each was last used.")


@dataclass(frozen=True)
class NewToken:
    """A token that was just made; `token` is shown once."""

    id: uuid.UUID
    token: str
    hint: str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None


def create_own(
    session: Session,
    actor: Actor,
    name: str,
    scope: str,
    *,
    project_id: uuid.UUID | None = None,
    expires_in: str | None = None,
) -> NewToken:
    """A token for oneself. Raises Forbidden for a service account, whose tokens its project's owners make."""
    if actor.is_service_account:
        raise Forbidden
    return _create(session, actor, actor.user_id, identity.USER, name, scope, project_id, expires_in, actor.name, None)


def create_for_account(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    account_id: uuid.UUID,
    account: str,
    name: str,
    scope: str,
    expires_in: str | None = None,
) -> NewToken:
    """A token for a service account of the project."""
    kind = identity.SERVICE_ACCOUNT
    return _create(session, actor, account_id, kind, name, scope, project_id, expires_in, account, project_id)


def revoke(
    session: Session,
    actor: Actor,
    user_id: uuid.UUID,
    token_id: uuid.UUID,
    owner: str,
    project_id: uuid.UUID | None = None,
) -> None:
    """Ends a token of `user_id` at once. Raises NotFound for another's or one that is revoked already."""
    name = session.scalar(
        update(ApiToken)
        .where(ApiToken.id == token_id, ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiToken.name)
    )
    if name is None:
        raise NotFound
    audit.record(
        session, actor, "token.revoke", "token", str(token_id), project_id, before={"name": name, "user": owner}
    )


def revoke_in_project(session: Session, actor: Actor, project_id: uuid.UUID, token_id: uuid.UUID) -> None:
    """Ends a token that works in this project only, whosever it is. Raises NotFound."""
    row = session.execute(
        update(ApiToken)
        .where(
            ApiToken.id == token_id,
            ApiToken.user_id == User.id,
            (ApiToken.project_id == project_id) | (User.project_id == project_id),
            ApiToken.revoked_at.is_(None),
        )
        .values(revoked_at=func.now())
        .returning(ApiToken.name, User.name.label("owner"))
    ).first()
    if row is None:
        raise NotFound
    before = {"name": row.name, "user": row.owner}
    audit.record(session, actor, "token.revoke", "token", str(token_id), project_id, before=before)


def seconds_of(expires_in: str | None, pointer: str = "/expires_in") -> int | None:
    """A duration such as "30d" in seconds, None for no end. Raises Invalid."""
    if expires_in is None:
        return None
    try:
        seconds = parse_duration(expires_in)
    except QuantityError as error:
        raise Invalid([FieldError(pointer, str(error), fix=error.fix)]) from None
    if seconds < 60:
        raise Invalid([FieldError(pointer, N_("must be at least a minute"), fix="1m")])
    return seconds


def _create(
    session: Session,
    actor: Actor,
    user_id: uuid.UUID,
    kind: str,
    name: str,
    scope: str,
    only_project: uuid.UUID | None,
    expires_in: str | None,
    owner: str,
    project_id: uuid.UUID | None,
) -> NewToken:
    seconds = seconds_of(expires_in)
    # Under the owner's row: a user who is being disabled gets no token that outlives it, nor two a number too many.
    enabled = session.scalar(select(User.id).where(User.id == user_id, User.disabled_at.is_(None)).with_for_update())
    if enabled is None:
        raise NotFound
    valid = session.scalar(
        select(func.count())
        .select_from(ApiToken)
        .where(
            ApiToken.user_id == user_id,
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at.is_(None) | (ApiToken.expires_at > func.now()),
        )
    )
    if (valid or 0) >= MAX_PER_USER:
        raise TooManyTokens(limit=MAX_PER_USER)
    token, hashed, hint = identity.new_token(kind)
    row = session.execute(
        insert(ApiToken)
        .values(
            user_id=user_id,
            name=name,
            hint=hint,
            token_hash=hashed,
            scope=scope,
            project_id=only_project,
            expires_at=None if seconds is None else func.now() + datetime.timedelta(seconds=seconds),
        )
        .returning(ApiToken.id, ApiToken.created_at, ApiToken.expires_at)
    ).one()
    audit.record(
        session,
        actor,
        "token.create",
        "token",
        str(row.id),
        project_id,
        after={"name": name, "user": owner, "scope": scope, "hint": hint},
    )
    return NewToken(row.id, token, hint, row.created_at, row.expires_at)
