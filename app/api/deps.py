"""What routes are made of: who asks, in which project, with which session, and what they may do.

A route states its action and takes what it needs as parameters:

    @router.post("/projects/{project}/runs", status_code=202)
    @allowed(Action.RUN_WRITE)
    def create_run(body: RunCreate, project: ProjectDep, actor: ActorDep, session: SessionDep) -> Response: ...

`allowed` runs all of it (session, identity, CSRF, project, permission, idempotency, the endpoint, the commit)
in one hop to a worker thread and before the answer is sent. As FastAPI dependencies each of these would be
a hop of its own; measured, that is 1.4 CPU-ms a request against 0.4.
"""

import inspect
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

import anyio.to_thread
from fastapi import Header, Path, Query
from sqlalchemy.orm import Session
from starlette.requests import Request

from app import db
from app.api import idempotent
from app.domain.access import RULES, Action, Actor
from app.domain.names import RUN_ID
from app.errors import NotFound, Unauthenticated
from app.repositories.beside import NOTHING, Beside
from app.repositories.runs import RunRow, ref_beside, run_beside
from app.services import identity, sessions
from app.services.idempotency import Claim
from app.services.identity import Identity, ProjectRef


class Injected(Enum):
    """What `allowed` and `public` fill in."""

    SESSION = "a session whose work is committed before the answer is sent"
    READ_SESSION = "a session for reading"
    STATEMENT_SESSION = "a session for a change that is one statement"
    ACTOR = "who asks"
    PROJECT = "the project of the path, visible to the actor"
    RUN = "the run of the path, visible to the actor"
    RUN_ROW = "the same with everything that is known of it"
    CLAIM = "the Idempotency-Key of the request, or None; the endpoint then keeps the answer itself"


@dataclass(frozen=True)
class RunRef:
    """A run of the path and where it belongs. `id` is its key, `public_id` what users see."""

    id: uuid.UUID
    public_id: str
    project_id: uuid.UUID
    project_name: str


SessionDep = Annotated[Session, Injected.SESSION]
ReadSessionDep = Annotated[Session, Injected.READ_SESSION]
StatementSessionDep = Annotated[Session, Injected.STATEMENT_SESSION]
ActorDep = Annotated[Actor, Injected.ACTOR]
ProjectDep = Annotated[ProjectRef, Injected.PROJECT]
RunDep = Annotated[RunRef, Injected.RUN]
RunRowDep = Annotated[RunRow, Injected.RUN_ROW]
IdempotencyDep = Annotated[Claim | None, Injected.CLAIM]

AfterDep = Annotated[
    str | None, Query(max_length=600, description="The `next` of the page before; opaque.", examples=[None])
]
LimitDep = Annotated[int, Query(ge=1, le=200, description="How many items at most.")]
IfMatchDep = Annotated[str | None, Header(alias="If-Match", max_length=200, description="The ETag you read.")]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass
class Access:
    """What a route requires; kept on the endpoint, for the registration check, the matrix and the docs.

    `late`: the endpoint asks `identity.require` itself, after it has read the object.
    """

    action: Action | None
    late: bool = False
    why_public: str = ""
    injected: dict[str, Injected] = field(default_factory=dict)

    def name_of(self, what: Injected) -> str | None:
        return next((name for name, kind in self.injected.items() if kind == what), None)


def allowed(action: Action, *, late: bool = False) -> Callable[[Endpoint], Endpoint]:
    """The endpoint may be called by those whom the table grants `action`.

    In a project or for a run of the path the check comes first. With `late` only identity is checked here.
    """

    def decorate(endpoint: Endpoint) -> Endpoint:
        access = Access(action, late=late)
        wrapped: Endpoint = _wrap(endpoint, access)
        kinds = set(access.injected.values())
        if RULES[action].role is not None and not late and not kinds & _IN_PATH.keys():
            raise TypeError(f"{endpoint.__name__}: {action} is about a project, and the path names none")
        return wrapped

    return decorate


def public(why: str) -> Callable[[Endpoint], Endpoint]:
    """The endpoint may be called by anybody, for the reason given. Cookies of others' sites are still refused."""

    def decorate(endpoint: Endpoint) -> Endpoint:
        wrapped: Endpoint = _wrap(endpoint, Access(None, why_public=why))
        return wrapped

    return decorate


def authenticate(session: Session, request: Request, beside: Beside = NOTHING) -> Identity | None:
    """Who asks, by bearer token or else by cookie, with what is `beside`; None without credentials.

    Raises InvalidToken for a wrong token, CrossSite for a cookie that another site made the browser send.
    """
    address = request.client.host if request.client else ""
    request_id = request.scope.get("berth.request_id", "")
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise identity.InvalidToken
        found: Identity | None = identity.resolve_bearer(
            session, token.strip(), address=address, request_id=request_id, beside=beside
        )
    else:
        cookie = sessions.read_cookie(request.headers.get("cookie"))
        if cookie is None:
            return None
        sessions.check_origin(request.method, request.headers)
        if request.method not in sessions.SAFE_METHODS:
            sessions.check_csrf(identity.token_hash(cookie), request.headers.get("x-csrf-token"))
        found = identity.resolve_session(session, cookie, address=address, request_id=request_id, beside=beside)
    if found is not None and found.actor.language:
        request.scope["berth.language"] = found.actor.language
    return found


def _wrap(endpoint: Any, access: Access) -> Any:
    signature = inspect.signature(endpoint, eval_str=True)
    parameters: list[inspect.Parameter] = []
    own: list[str] = []  # where the endpoint takes the request itself: FastAPI fills one such parameter only
    for parameter in signature.parameters.values():
        if parameter.annotation is Request:
            own.append(parameter.name)
            continue
        kind = _injected(parameter.annotation)
        if kind is None:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        access.injected[parameter.name] = kind
        if kind in _IN_PATH:
            parameters.append(
                inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, annotation=_IN_PATH[kind])
            )
        elif kind == Injected.CLAIM:
            continue
    parameters.append(inspect.Parameter("berth_request", inspect.Parameter.KEYWORD_ONLY, annotation=Request))
    opener = _opener(access)
    is_async = inspect.iscoroutinefunction(endpoint)
    if is_async and opener is not _no_session:
        raise TypeError(f"{endpoint.__name__}: an async endpoint holds no session")

    def call(berth_request: Request, **arguments: Any) -> Any:
        if access.action is None and berth_request.method not in sessions.SAFE_METHODS:
            sessions.check_not_cross_site(berth_request.headers)
        arguments |= dict.fromkeys(own, berth_request)
        if opener is _no_session:
            _prepare(access, berth_request, arguments)
            return endpoint(**arguments)
        with opener() as session:
            claim = _inject(access, berth_request, session, arguments)
            if claim is None:
                return endpoint(**arguments)
            return idempotent.answer(session, claim, lambda: endpoint(**arguments))

    async def call_async(berth_request: Request, **arguments: Any) -> Any:
        arguments |= dict.fromkeys(own, berth_request)
        await anyio.to_thread.run_sync(_prepare, access, berth_request, arguments)
        return await endpoint(**arguments)

    wrapped: Any = call_async if is_async else call
    wrapped.__signature__ = signature.replace(parameters=parameters)
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(wrapped, name, getattr(endpoint, name))
    wrapped.berth_access = access
    return wrapped


def _prepare(access: Access, request: Request, arguments: dict[str, Any]) -> None:
    """For endpoints that open their own sessions, or none: identity and permission in a short one."""
    if access.action is None and not access.injected:
        return
    with db.read_session() as session:
        _inject(access, request, session, arguments)


def _inject(access: Access, request: Request, session: Session, arguments: dict[str, Any]) -> Claim | None:
    """Fills the arguments in; returns a claim that the caller has to keep, if there is one."""
    found = authenticate(session, request, _beside(access, arguments)) if access.action is not None else None
    if found is None and access.action is not None:
        raise Unauthenticated
    project_id = run_key = None
    for name, kind in access.injected.items():
        if kind in _SESSIONS:
            arguments[name] = session
        elif kind == Injected.ACTOR:
            arguments[name] = found.actor if found else None
        elif kind == Injected.PROJECT:
            project = identity.find_project(session, found, arguments[name]) if found else None
            if project is None:
                raise NotFound
            arguments[name], project_id = project, project.id
        elif kind in _RUNS:
            if found is None or found.beside is None:
                raise NotFound
            run = _RUNS[kind].row(*found.beside)
            arguments[name], project_id, run_key = run, run.project_id, run.id
    if found is None or access.action is None:
        return None
    if not access.late:
        identity.require(found.actor, access.action, project_id, run_key)
    return _claim(access, request, found.actor, arguments)


def _beside(access: Access, arguments: dict[str, Any]) -> Beside:
    """What the statement that finds out who asks is to read besides: the run of the path, if it can be one."""
    for name, kind in access.injected.items():
        if kind in _RUNS and RUN_ID.fullmatch(arguments[name]):
            return _RUNS[kind].beside(arguments[name])
    return NOTHING


def _claim(access: Access, request: Request, actor: Actor, arguments: dict[str, Any]) -> Claim | None:
    name = access.name_of(Injected.CLAIM)
    claim = idempotent.claim(request, actor) if request.method == "POST" else None
    if name is not None:
        arguments[name] = claim
        return None
    return claim


def find_run(session: Session, public_id: str) -> RunRef:
    """The run by its public id, whoever may see it: the caller checks. Raises NotFound."""
    if not RUN_ID.fullmatch(public_id):
        raise NotFound
    row = (
        db.driver(session)
        .execute(
            "select r.id, r.public_id, r.project_id, p.name from run r join project p on p.id = r.project_id"
            " where r.public_id = %s and p.deleted_at is null",
            (public_id,),
        )
        .fetchone()
    )
    if row is None:
        raise NotFound
    return RunRef(*row)


def _injected(annotation: Any) -> Injected | None:
    if get_origin(annotation) is Annotated:
        for extra in get_args(annotation)[1:]:
            if isinstance(extra, Injected):
                return extra
    return None


_RUN_ID = Annotated[str, Path(max_length=200, description="The run's id.", examples=["r-7f3k2m9qwa"])]
_IN_PATH = {
    Injected.PROJECT: Annotated[str, Path(max_length=200, description="The project's name.", examples=["sandbox"])],
    Injected.RUN: _RUN_ID,
    Injected.RUN_ROW: _RUN_ID,
}


class _Run(NamedTuple):
    """How a run of the path is read: beside who asks, and as which row it is given."""

    beside: Callable[[str], Beside]
    row: Callable[..., RunRef | RunRow]


_RUNS = {Injected.RUN: _Run(ref_beside, RunRef), Injected.RUN_ROW: _Run(run_beside, RunRow)}


_SESSIONS: dict[Injected, Callable[[], AbstractContextManager[Session]]] = {
    Injected.SESSION: db.unit_of_work,
    Injected.READ_SESSION: db.read_session,
    Injected.STATEMENT_SESSION: db.statement_session,
}


def _no_session() -> AbstractContextManager[Session]:
    raise AssertionError("opened by nobody")


def _opener(access: Access) -> Callable[[], AbstractContextManager[Session]]:
    openers = [_SESSIONS[kind] for kind in access.injected.values() if kind in _SESSIONS]
    return openers[0] if openers else _no_session
