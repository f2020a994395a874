"""One's own account: how one is shown, the password, tokens, and the browsers in which one is signed in."""

import datetime
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.errors import N_, FieldError, Invalid, NotFound, TooMany
from app.i18n import LANGUAGES, translate
from app.repositories import tokens as token_repository
from app.repositories import users as repository
from app.services import identity, sessions, throttle, tokens, users
from app.services.identity import require
from app.services.passwords import MIN_LENGTH
from app.settings import get_settings
from app.web import agents, forms, tabs, token_view
from app.web.deps import LANGUAGE_COOKIE, THEME_COOKIE, check_form, see_other, visit
from app.web.forms import EXPIRIES, REFUSALS, SCOPES, Secret, check_choice, check_line, refused
from app.web.pages.project_accounts import key_of
from app.web.templating import render
from app.web.token_view import TokenRow

router = APIRouter(include_in_schema=False)

_YEAR = 365 * 86400
_THEMES = {"system": N_("As the system is"), "light": N_("Light"), "dark": N_("Dark")}


@dataclass
class ProfilePage:
    """The two forms."""

    name: str
    form: forms.Form
    password: forms.Form
    languages: list[tuple[str, str]]
    themes: list[tuple[str, str]]
    min_length: int = MIN_LENGTH


@dataclass
class OwnTokensPage:
    """The list, and the form that makes one."""

    form: forms.Form
    scopes: list[tuple[str, str]]
    expiries: list[tuple[str, str]]
    projects: list[tuple[str, str]]
    rows: list[TokenRow] = field(default_factory=list)
    more_url: str = ""
    made: Secret | None = None


@dataclass(frozen=True)
class SessionRow:
    """A browser that is signed in."""

    browser: str
    agent: str
    address: str
    is_this: bool
    created: tabs.Stamp
    seen: tabs.Stamp
    end_url: str


@dataclass
class SessionsPage:
    """The list. `has_others` is whether there is another than this one."""

    rows: list[SessionRow] = field(default_factory=list)
    more_url: str = ""
    has_others: bool = False


@router.get("/me")
def profile(request: Request, done: str = "") -> Response:
    """The tab Profile."""
    return _show_profile(request, done=done)


@router.post("/me")
def save(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    display_name: Annotated[str, Form()] = "",
    language: Annotated[str, Form()] = "",
    theme: Annotated[str, Form()] = "",
) -> Response:
    """Sets how one is shown and what one sees, everywhere and in this browser."""
    values = {"display_name": display_name, "language": language, "theme": theme}
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.ACCOUNT_WRITE)
            changes = {
                "display_name": check_line("display_name", display_name),
                "language": check_choice("language", language, LANGUAGES),
                "theme": check_choice("theme", theme, _THEMES),
            }
            users.update_me(visitor.session, visitor.actor, changes)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, tuple(values))
        return _show_profile(request, form=form, status=problem.status)
    answer = see_other("/me?done=saved")
    for cookie, value in ((LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)):
        answer.set_cookie(cookie, value, max_age=_YEAR, samesite="lax", secure=get_settings().is_secure)
    return answer


@router.post("/me/password")
def change_password(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    old: Annotated[str, Form(max_length=1000)] = "",
    new: Annotated[str, Form(max_length=1000)] = "",
    again: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Sets a new password; all other sessions end."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.ACCOUNT_WRITE)
            throttle.check("password", str(visitor.actor.user_id), 10)
            if new != again:
                raise Invalid([FieldError("/again", N_("is not the same as the new password"))])
            users.change_password(visitor.session, visitor.actor, old, new)
    except (*REFUSALS, TooMany) as problem:
        form = refused(problem, request.scope["berth.language"], {}, ("old", "new", "again"))
        return _show_profile(request, password=form, status=problem.status)
    return see_other("/me?done=password")


@router.get("/me/tokens")
def own_tokens(request: Request, after: str = "", done: str = "") -> Response:
    """The tab API tokens."""
    return _show_tokens(request, after=after, done=done)


@router.post("/me/tokens")
def create_token(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    scope: Annotated[str, Form()] = "",
    project: Annotated[str, Form()] = "",
    expires_in: Annotated[str, Form()] = "",
) -> Response:
    """Makes a token and shows it, this once."""
    values = {"name": name, "scope": scope, "project": project, "expires_in": expires_in}
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.TOKEN_CREATE)
            named, scope, expires = token_view.read(values)
            only = None
            if project:
                try:
                    only = identity.get_project(visitor.session, visitor.actor, project).id
                except NotFound:
                    raise Invalid([FieldError("/project", N_("is not a project of yours"))]) from None
            made = tokens.create_own(visitor.session, visitor.actor, named, scope, project_id=only, expires_in=expires)
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, token_view.FIELDS)
        return _show_tokens(request, form=form, status=problem.status)
    return _show_tokens(request, made=token_view.shown(request.scope["berth.language"], made))


@router.post("/me/tokens/{token}/revoke")
def revoke_token(request: Request, token: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Ends one of one's own tokens."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        require(visitor.actor, Action.ACCOUNT_WRITE)
        tokens.revoke(visitor.session, visitor.actor, visitor.actor.user_id, key_of(token), visitor.actor.name)
    return see_other("/me/tokens?done=revoked")


@router.get("/me/sessions")
def own_sessions(request: Request, after: str = "", done: str = "") -> Response:
    """Browsers in which one is signed in, newest first."""
    at, _, key = after.partition("_")
    try:
        start = (datetime.datetime.fromtimestamp(float(at), datetime.UTC), key) if key.isalnum() else None
    except (ValueError, OverflowError, OSError):
        start = None
    with visit(request) as visitor:
        shell = tabs.account_shell(visitor, "sessions", done)
        rows = repository.list_sessions(visitor.session, visitor.actor, start, tabs.PAGE + 1)
        made = SessionsPage(
            [
                SessionRow(
                    agents.name_of(row["agent"]) or translate(visitor.language, "Unknown browser"),
                    row["agent"],
                    row["address"],
                    row["is_this"],
                    tabs.stamp(visitor, row["created_at"]),
                    tabs.stamp(visitor, row["seen_at"]),
                    f"/me/sessions/{row['id']}/end",
                )
                for row in rows[: tabs.PAGE]
            ]
        )
    made.has_others = bool(after) or len(rows) > 1
    if len(rows) > tabs.PAGE:
        last = rows[tabs.PAGE - 1]
        made.more_url = tabs.url("/me/sessions", after=f"{last['created_at'].timestamp():.6f}_{last['id']}")
    return render("me/sessions.html", shell, made)


@router.post("/me/sessions/{session_id}/end")
def end_session(request: Request, session_id: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Ends one of one's own sessions."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        require(visitor.actor, Action.ACCOUNT_WRITE)
        sessions.end_one(visitor.session, visitor.actor, session_id.replace("\0", ""))
    return see_other("/me/sessions?done=ended")


@router.post("/me/sessions/end-others")
def end_other_sessions(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """Ends all sessions but this one."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        require(visitor.actor, Action.ACCOUNT_WRITE)
        sessions.end_others(visitor.session, visitor.actor)
    return see_other("/me/sessions?done=ended")


def _show_profile(
    request: Request,
    *,
    form: forms.Form | None = None,
    password: forms.Form | None = None,
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        shell = tabs.account_shell(visitor, "profile", done)
        user = repository.get_session(visitor.session, visitor.actor)["user"]
        say = visitor.language
        shown = {"display_name": user["display_name"], "language": say, "theme": visitor.theme or "system"}
        made = ProfilePage(
            user["name"],
            form or forms.Form(shown),
            password or forms.Form(),
            list(LANGUAGES.items()),
            forms.options(say, _THEMES),
        )
    return render("me/profile.html", shell, made, status)


def _show_tokens(
    request: Request,
    *,
    form: forms.Form | None = None,
    made: Secret | None = None,
    after: str = "",
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        shell = tabs.account_shell(visitor, "tokens", done)
        actor, say = visitor.actor, visitor.language
        rows = token_repository.list_tokens(
            visitor.session, actor.user_id, key_of(after) if after else None, tabs.PAGE + 1
        )
        names = sorted(visitor.signed_in.projects)
        page = OwnTokensPage(
            form or forms.Form(),
            forms.options(say, SCOPES),
            forms.options(say, EXPIRIES),
            [("", translate(say, "All of mine")), *((name, name) for name in names)],
            [token_view.build(visitor, row, "/me/tokens") for row in rows[: tabs.PAGE]],
            made=made,
        )
    if len(rows) > tabs.PAGE:
        page.more_url = tabs.url("/me/tokens", after=str(rows[tabs.PAGE - 1]["id"]))
    return render("me/tokens.html", shell, page, status)
