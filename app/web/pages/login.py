"""Signing in by password, signing out, and the choice of theme and language."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.i18n import LANGUAGES, translate
from app.services import sessions, users
from app.services.sessions import SignedIn, WrongPassword
from app.services.throttle import TooManyTries
from app.settings import get_settings
from app.web.deps import (
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    check_form,
    preferences,
    safe_next,
    see_other,
    visit,
)
from app.web.templating import THEMES, Shell, render

_YEAR = 365 * 86400

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class LoginPage:
    """The form; `error` is the same for an unknown name and a wrong password."""

    next: str
    name: str = ""
    error: str = ""
    error_text: str = ""


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:  # noqa: A002 - the address's own word
    """The form, or straight on for somebody who is signed in."""
    with visit(request) as visitor:
        is_known = visitor.identity is not None
        shell = visitor.shell()
    return see_other(safe_next(next)) if is_known else _show(shell, LoginPage(safe_next(next)))


@router.post("/login")
def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Opens a session and goes where the visitor wanted to go. Refusals show the form again."""
    sessions.check_not_cross_site(request.headers)
    language, theme = preferences(request)
    try:
        made = sessions.log_in(
            name,
            password,
            address=address_of(request),
            agent=agent_of(request),
            replaces=sessions.read_cookie(request.headers.get("cookie")),
        )
    except (WrongPassword, TooManyTries) as problem:
        page = LoginPage(safe_next(next), name, translate(language, problem.title), translate(language, problem.detail))
        return _show(Shell(language, theme, "", f"/login?next={quote(safe_next(next))}"), page, problem.status)
    return signed_in(made, safe_next(next))


@router.post("/logout")
def sign_out(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """Ends this browser's session."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        if visitor.identity is not None:
            sessions.log_out(visitor.session, visitor.actor)
    answer = see_other("/login")
    answer.headers.append("Set-Cookie", sessions.set_cookie_header(""))
    return answer


@router.post("/preferences")
def prefer(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    theme: Annotated[str, Form()] = "",
    language: Annotated[str, Form()] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Keeps theme or language in this browser, and with the user where one is signed in."""
    changes: dict[str, str] = {}
    if theme in (*THEMES, "system"):
        changes["theme"] = theme
    if language in LANGUAGES:
        changes["language"] = language
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        if visitor.identity is not None and changes:
            users.update_me(visitor.session, visitor.actor, dict(changes))
    answer = see_other(safe_next(next))
    for name, cookie in (("theme", THEME_COOKIE), ("language", LANGUAGE_COOKIE)):
        if name in changes:
            # Not HttpOnly: the page's script switches the theme too.
            answer.set_cookie(cookie, changes[name], max_age=_YEAR, samesite="lax", secure=get_settings().is_secure)
    return answer


def signed_in(made: SignedIn, path: str) -> Response:
    """On to `path` with the new session's cookie."""
    answer = see_other(path)
    answer.headers.append("Set-Cookie", sessions.set_cookie_header(made.cookie))
    return answer


def address_of(request: Request) -> str:
    """Where the request came from, for throttling and the audit log."""
    return request.client.host if request.client else ""


def agent_of(request: Request) -> str:
    """What the browser calls itself, for the list of sessions."""
    return request.headers.get("user-agent", "")


def _show(shell: Shell, page: LoginPage, status: int = 200) -> Response:
    shell.title = translate(shell.language, "Sign in")
    return render("account/login.html", shell, page, status)
