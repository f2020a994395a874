"""Signing in and out, the first set-up, invitations, terminals, and oneself."""

import datetime
import uuid
from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import cursors, wire
from app.api.deps import ActorDep, AfterDep, LimitDep, ReadSessionDep, SessionDep, allowed, public
from app.api.routing import new_router, problems
from app.api.schemas.session import (
    AcceptInvitation,
    BrowserSessionPage,
    ChangePassword,
    MeUpdate,
    SessionRead,
    Setup,
    SignIn,
    TerminalLoginRead,
    TerminalPoll,
    TerminalPollRead,
    TerminalStart,
)
from app.db import read_session
from app.domain.access import Action, Actor
from app.errors import TooMany
from app.repositories import users as repository
from app.services import identity, sessions, terminals, users
from app.services.links import LinkNotValid
from app.services.sessions import CrossSite, SignedIn, WrongPassword
from app.services.throttle import TooManyTries, check
from app.services.users import WrongOldPassword

router = new_router("session")

SessionPath = Annotated[str, Path(max_length=64, description="The session's id.", examples=["9f86d081884c7d65"])]


@router.get("/session", response_model=SessionRead)
@allowed(Action.ACCOUNT_READ)
def get_session(actor: ActorDep, session: ReadSessionDep) -> Response:
    """Who you are, what your credentials are good for, and your projects."""
    return wire.json_response(_session(session, actor))


@router.post("/session", status_code=201, response_model=SessionRead, responses=problems(WrongPassword, TooManyTries))
@public("signing in")
def sign_in(request: Request, body: SignIn) -> Response:
    """Sign in with name and password; the answer sets the session's cookie."""
    made = sessions.log_in(
        body.name,
        body.password.get_secret_value(),
        address=_address(request),
        agent=request.headers.get("user-agent", ""),
        replaces=sessions.read_cookie(request.headers.get("cookie")),
    )
    with read_session() as session:
        return _signed_in(session, made)


@router.delete("/session", status_code=204)
@allowed(Action.ACCOUNT_READ)
def sign_out(actor: ActorDep, session: SessionDep) -> Response:
    """End the session that the cookie stands for. A token is not affected: revoke it instead."""
    sessions.log_out(session, actor)
    return wire.no_content({"set-cookie": sessions.set_cookie_header("")})


@router.post("/setup", status_code=201, response_model=SessionRead, responses=problems(LinkNotValid, TooMany))
@public("the first administrator, by the key that only the machine's owner has seen")
def set_up(request: Request, body: Setup, session: SessionDep) -> Response:
    """Make the first administrator and the first project; works once, with the key that `berth up` printed."""
    check("link", _address(request), 30)
    user_id, name = users.create_first_admin(
        session, body.key.get_secret_value(), body.name, body.password.get_secret_value(), body.project
    )
    return _signed_in(session, _open(session, request, user_id, name))


@router.post(
    "/invitations:accept", status_code=201, response_model=SessionRead, responses=problems(LinkNotValid, TooMany)
)
@public("by the invitation's key")
def accept_invitation(request: Request, body: AcceptInvitation, session: SessionDep) -> Response:
    """Set the password of the user whom the invitation is for, and sign in. Works once."""
    check("link", _address(request), 30)
    user_id, name = users.accept_invitation(session, body.key.get_secret_value(), body.password.get_secret_value())
    return _signed_in(session, _open(session, request, user_id, name))


@router.post("/terminal-logins", status_code=201, response_model=TerminalLoginRead, responses=problems(TooMany))
@public("a terminal has nothing yet; a person approves it in the browser")
def start_terminal_login(request: Request, body: TerminalStart, session: SessionDep) -> Response:
    """Begin to sign a terminal in: show the user code and the URL to the person, then poll."""
    made = terminals.start(session, address=_address(request), name=body.name or "terminal")
    return wire.json_response(made.__dict__, 201)


@router.post("/terminal-logins:poll", response_model=TerminalPollRead, responses=problems(LinkNotValid, TooMany))
@public("by the device code that only this terminal has")
def poll_terminal_login(request: Request, body: TerminalPoll, session: SessionDep) -> Response:
    """Ask whether the person has approved; then, once, the token."""
    found = terminals.poll(session, body.device_code.get_secret_value(), address=_address(request))
    if found is None:
        return wire.json_response({"status": "pending"})
    return wire.json_response({"status": "approved", "token": found.token, "user": found.user})


@router.put("/me/password", status_code=204, responses=problems(WrongOldPassword, CrossSite, TooManyTries))
@allowed(Action.ACCOUNT_WRITE)
def change_password(body: ChangePassword, actor: ActorDep, session: SessionDep) -> Response:
    """Set a new password; all your other sessions end."""
    check("password", str(actor.user_id), 10)
    users.change_password(session, actor, body.old.get_secret_value(), body.new.get_secret_value())
    return wire.no_content()


@router.patch("/me", response_model=SessionRead)
@allowed(Action.ACCOUNT_WRITE)
def update_me(body: MeUpdate, actor: ActorDep, session: SessionDep) -> Response:
    """Change how you are shown, and the language and theme you see."""
    users.update_me(session, actor, body.model_dump(exclude_unset=True))
    return wire.json_response(_session(session, actor))


@router.get("/me/sessions", response_model=BrowserSessionPage)
@allowed(Action.ACCOUNT_WRITE)
def list_sessions(
    request: Request, actor: ActorDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """Browsers in which you are signed in, newest first."""
    scope = f"sessions:{actor.user_id}"
    at, key = cursors.decode(scope, after) if after else (None, "")
    start = (datetime.datetime.fromisoformat(at), key) if at else None
    rows = repository.list_sessions(session, actor, start, limit + 1)
    places = [row | {"at": row["created_at"].isoformat()} for row in rows]
    return wire.page_response(request, rows[:limit], cursors.following(scope, places, limit, "at", "id"))


@router.delete("/me/sessions/{session_id}", status_code=204)
@allowed(Action.ACCOUNT_WRITE)
def end_session(session_id: SessionPath, actor: ActorDep, session: SessionDep) -> Response:
    """End one of your sessions; that browser has to sign in again."""
    sessions.end_one(session, actor, session_id)
    return wire.no_content()


@router.delete("/me/sessions", status_code=204)
@allowed(Action.ACCOUNT_WRITE)
def end_other_sessions(actor: ActorDep, session: SessionDep) -> Response:
    """End all of your sessions but the one that asks; with a token, all."""
    sessions.end_others(session, actor)
    return wire.no_content()


def _open(session: Session, request: Request, user_id: uuid.UUID, name: str) -> SignedIn:
    return sessions.open_session(
        session, user_id, name, address=_address(request), agent=request.headers.get("user-agent", "")
    )


def _signed_in(session: Session, made: SignedIn) -> Response:
    found = identity.resolve_session(session, made.cookie)
    assert found is not None, "the session was just made"
    return wire.json_response(
        _session(session, found.actor), 201, {"set-cookie": sessions.set_cookie_header(made.cookie)}
    )


def _session(session: Session, actor: Actor) -> dict[str, object]:
    csrf = sessions.csrf_token(actor.session_hash) if actor.session_hash is not None else None
    return repository.get_session(session, actor) | {"csrf_token": csrf}


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
