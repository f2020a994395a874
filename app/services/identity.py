"""The one place that turns credentials into an Actor, for api, web and streams; each transport only reads its header.

Each resolution is one statement with explicit columns on the session's own connection: it runs on every
request. Expired, revoked and disabled are excluded in SQL, so that they end at once. What is asked of the one
object that the request is about may be read by the same statement (`repositories/beside.py`), from those that whoever
asks may see.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from app.db import driver
from app.domain.access import Action, Actor, Role, Scope, Verdict, can
from app.errors import N_, Forbidden, NotFound, Unauthenticated
from app.repositories.beside import NOTHING, Beside

USER, SERVICE_ACCOUNT, RUN = "u", "s", "r"
_PREFIX = "berth_"
_HINT_LENGTH = 12


class InvalidToken(Unauthenticated):
    """A bearer token that is unknown, expired, revoked, or whose owner is disabled: which one is not told."""

    code = "INVALID_TOKEN"
    title = N_("The token is not valid")
    detail = N_("It is unknown, has expired or was revoked, or its owner was disabled.")
    hint = N_("Run `berth login`, or make a new token.")


class TokenTooNarrow(Forbidden):
    """The person may, the token may not."""

    code = "TOKEN_TOO_NARROW"
    title = N_("The token may not do this")
    detail = N_("You may do this, but not with this token: its scope is {scope}, or it is for one project only.")
    hint = N_("Use a token with a wider scope, which you make under your account, or the browser itself.")


@dataclass(frozen=True)
class ProjectRef:
    """A project as the actor's memberships name it."""

    id: uuid.UUID
    name: str


@dataclass(frozen=True)
class Identity:
    """An actor, and the projects it is a member of by name, as one statement found them.

    `beside` are the columns of what was asked for in the same statement; None where it is not there to be seen.
    """

    actor: Actor
    projects: dict[str, ProjectRef] = field(default_factory=dict)
    beside: tuple[Any, ...] | None = None


def new_token(kind: str) -> tuple[str, bytes, str]:
    """A new secret of 256 random bits: (token, its SHA-256 to store, the hint to show in lists)."""
    token = f"{_PREFIX}{kind}_{secrets.token_urlsafe(32)}"
    return token, token_hash(token), token[:_HINT_LENGTH]


def token_hash(token: str) -> bytes:
    """What is stored of a secret. Plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def require(actor: Actor, action: Action, project_id: uuid.UUID | None = None, run: uuid.UUID | None = None) -> None:
    """Raises Forbidden (TokenTooNarrow where a wider token would do), or NotFound for what the actor may not even
    see, unless the table allows it."""
    verdict = can(actor, action, project_id, run)
    if verdict == Verdict.HIDDEN:
        raise NotFound
    if verdict == Verdict.FORBIDDEN:
        widest = replace(actor, scope=Scope.ADMIN, only_project=None)
        if can(widest, action, project_id, run) == Verdict.ALLOWED:
            raise TokenTooNarrow(scope=actor.scope.name.lower())
        raise Forbidden


_BY_NAME = "select id, name from project where name = %s and deleted_at is null"
_MEMBERSHIPS = """
  left join lateral (
    select array_agg(m.project_id) as ids, array_agg(m.role) as roles, array_agg(p.name) as names
    from membership m join project p on p.id = m.project_id where m.user_id = u.id and p.deleted_at is null
  ) m on true
"""
_USER = """
  u.id as user_id, u.name, u.is_admin, u.kind = 'service_account' as is_service_account, u.language, u.theme,
  m.ids, m.roles, m.names
"""
# Each of the three finds one row of these columns, which what is read beside it knows as `who`.
_COLUMNS = (
    *("user_id", "name", "is_admin", "is_service_account", "language", "theme", "ids", "roles", "names"),
    *("scope", "only_project", "run", "used", "key"),
)
_BY_TOKEN = f"""
  select {_USER}, t.scope, t.project_id as only_project, null::uuid as run, t.id as key,
         t.used_at is null or t.used_at < now() - interval '1 minute' as used
  from api_token t join "user" u on u.id = t.user_id {_MEMBERSHIPS}
  where t.token_hash = %s and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
    and u.disabled_at is null
"""  # noqa: S608 - constants only
_BY_SESSION = f"""
  select {_USER}, 'admin' as scope, null::uuid as only_project, null::uuid as run, s.token_hash as key,
         s.seen_at < now() - interval '1 minute' as used
  from user_session s join "user" u on u.id = s.user_id {_MEMBERSHIPS}
  where s.token_hash = %s and s.expires_at > now() and u.disabled_at is null
"""  # noqa: S608 - constants only
# A job's own token lives as long as its attempt. It belongs to the run, not to the person who submitted it,
# so disabling that person does not blind a run that a project still pays for.
_BY_RUN_TOKEN = """
  select u.id as user_id, u.name, false as is_admin, false as is_service_account, null as language, null as theme,
         null::uuid[] as ids, null::text[] as roles, null::text[] as names, 'run' as scope,
         r.project_id as only_project, r.id as run, a.token_hash as key, false as used
  from attempt a join run r on r.id = a.run_id join "user" u on u.id = r.created_by
  where a.token_hash = %s and a.number = r.attempt and r.state in ('starting', 'running')
"""


@lru_cache(maxsize=100)
def _with(who: str, beside: str) -> str:
    """The statement that finds `who` and, if there is anything, what is beside."""
    columns = ", ".join(f"who.{column}" for column in _COLUMNS)
    if not beside:
        return f"select {columns} from ({who}) who"  # noqa: S608 - constants only
    return f"select {columns}, beside.* from ({who}) who left join lateral ({beside}) beside on true"  # noqa: S608


_TOKEN_USED = """
  update api_token set used_at = now() where id =
    (select id from api_token where id = %s for update skip locked)
"""
_SESSION_SEEN = """
  update user_session set seen_at = now() where token_hash =
    (select token_hash from user_session where token_hash = %s for update skip locked)
"""


def resolve_bearer(
    session: Session, token: str, *, address: str = "", request_id: str = "", beside: Beside = NOTHING
) -> Identity:
    """Who a bearer token stands for, and what is `beside`. Raises InvalidToken."""
    if not token.startswith(_PREFIX) or len(token) > 100:
        raise InvalidToken
    is_of_run = token.startswith(f"{_PREFIX}{RUN}_")
    found = _resolve(
        session, _BY_RUN_TOKEN if is_of_run else _BY_TOKEN, _TOKEN_USED, token, address, request_id, beside
    )
    if found is None:
        raise InvalidToken
    return found


def resolve_session(
    session: Session, cookie: str, *, address: str = "", request_id: str = "", beside: Beside = NOTHING
) -> Identity | None:
    """Who a session cookie stands for, or None when it is unknown, expired or its owner is disabled."""
    if len(cookie) > 100:
        return None
    return _resolve(session, _BY_SESSION, _SESSION_SEEN, cookie, address, request_id, beside)


def find_project(session: Session, identity: Identity, name: str) -> ProjectRef | None:
    """The project by that name if the actor may see it. Costs a statement for platform admins only."""
    found = identity.projects.get(name)
    if found is None and identity.actor.is_admin and identity.actor.scope != Scope.RUN and len(name) <= 64:
        row = _one(session, _BY_NAME, name.replace("\0", "/"))
        found = ProjectRef(*row) if row else None
    if found is None or identity.actor.role_in(found.id) is None:
        return None
    return found


def get_project(session: Session, actor: Actor, name: str) -> ProjectRef:
    """A project named in a body, if the actor may see it. Raises NotFound."""
    row = _one(session, _BY_NAME, name.replace("\0", "/")[:64])
    if row is None or actor.role_in(row[0]) is None:
        raise NotFound
    return ProjectRef(*row)


def _resolve(
    session: Session, who: str, touch: str, credential: str, address: str, request_id: str, beside: Beside
) -> Identity | None:
    values = (token_hash(credential), *beside.values)
    row = driver(session).execute(_with(who, beside.statement), values).fetchone()
    if row is None:
        return None
    (user_id, name, is_admin, is_service_account, language, theme, ids, roles, names, scope, only, run, used, key) = (
        row[: len(_COLUMNS)]
    )
    if used:
        _execute(session, touch, key)
    actor = Actor(
        user_id=user_id,
        name=name,
        is_admin=is_admin,
        is_service_account=is_service_account,
        scope=Scope[scope.upper()],
        roles={project: Role.of(role) for project, role in zip(ids or (), roles or (), strict=True)},
        only_project=only,
        run=run,
        session_hash=key if who is _BY_SESSION else None,
        language=language,
        theme=theme,
        address=address,
        request_id=request_id,
    )
    projects = {name: ProjectRef(key, name) for key, name in zip(ids or (), names or (), strict=True)}
    seen = row[len(_COLUMNS) :]
    return Identity(actor, projects, seen if seen and seen[0] is not None else None)


def _one(session: Session, statement: str, value: Any) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = _execute(session, statement, value).fetchone()
    return row


def _execute(session: Session, statement: str, value: Any) -> Any:
    """On the driver's connection: SQLAlchemy's own execution would cost more than the query."""
    return driver(session).execute(statement, (value,))
