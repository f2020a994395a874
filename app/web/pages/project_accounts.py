"""A project's service accounts and their tokens, and all tokens that work in the project only."""

import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.errors import NotFound
from app.i18n import translate
from app.repositories import members as repository
from app.repositories import tokens as token_repository
from app.services import service_accounts, tokens
from app.services.identity import require
from app.web import forms, tabs, token_view
from app.web.deps import check_form, see_other, visit
from app.web.forms import EXPIRIES, REFUSALS, ROLES, SCOPES, Secret, check_choice, check_line, refused
from app.web.templating import Crumb, render
from app.web.token_view import TokenRow

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class AccountRow:
    """A service account of the list."""

    name: str
    url: str
    role: str
    is_disabled: bool
    created: tabs.Stamp


@dataclass
class AccountsPage:
    """The list, and the form that makes one."""

    url: str
    form: forms.Form
    roles: list[tuple[str, str]]
    may_write: bool = False
    rows: list[AccountRow] = field(default_factory=list)
    more_url: str = ""


@dataclass
class AccountPage:
    """One account: its role, whether it may sign in, its tokens."""

    name: str
    url: str
    role: str
    is_disabled: bool
    roles: list[tuple[str, str]]
    scopes: list[tuple[str, str]]
    expiries: list[tuple[str, str]]
    form: forms.Form
    rows: list[TokenRow] = field(default_factory=list)
    more_url: str = ""
    made: Secret | None = None


@dataclass
class TokensPage:
    """Every token that works in this project only."""

    rows: list[TokenRow] = field(default_factory=list)
    more_url: str = ""


@router.get("/projects/{project}/settings/service-accounts")
def accounts(request: Request, project: str, after: str = "", done: str = "") -> Response:
    """By name."""
    return _show_accounts(request, project, after=after, done=done)


@router.post("/projects/{project}/settings/service-accounts")
def create(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    """Makes an account and goes to its page, where its tokens are made."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.MEMBER_WRITE, found.id)
            account = check_line("name", name, required=True)
            check_choice("role", role, ROLES)
            service_accounts.create_account(visitor.session, visitor.actor, found.id, account, role)
    except REFUSALS as problem:
        language, values = request.scope["berth.language"], {"name": name, "role": role}
        form = refused(problem, language, values, ("name", "role"), at="name")
        return _show_accounts(request, project, form=form, status=problem.status)
    return see_other(f"{_url(project, account)}?done=added")


@router.get("/projects/{project}/settings/service-accounts/{account}")
def account_page(request: Request, project: str, account: str, after: str = "", done: str = "") -> Response:
    """One account, for the project's owners."""
    return _show_account(request, project, account, after=after, done=done)


@router.post("/projects/{project}/settings/service-accounts/{account}")
def update(
    request: Request,
    project: str,
    account: str,
    csrf: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    disabled: Annotated[str, Form()] = "",
) -> Response:
    """Changes the role (`role`), disables (`disabled` = yes) or enables it (no)."""
    changes: dict[str, Any] = {}
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.MEMBER_WRITE, found.id)
            if disabled:
                changes["disabled"] = disabled == "yes"
            else:
                changes["role"] = check_choice("role", role, ROLES)
            service_accounts.update_account(
                visitor.session, visitor.actor, found.id, account.replace("\0", ""), changes
            )
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {"role": role}, ("role",), name="role")
        return _show_account(request, project, account, form=form, status=problem.status)
    done = {"yes": "disabled", "no": "enabled"}.get(disabled, "saved")
    return see_other(f"{_url(project, account)}?done={done}")


@router.post("/projects/{project}/settings/service-accounts/{account}/tokens")
def create_token(
    request: Request,
    project: str,
    account: str,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    scope: Annotated[str, Form()] = "",
    expires_in: Annotated[str, Form()] = "",
) -> Response:
    """Makes a token and shows it, this once."""
    values = {"name": name, "scope": scope, "expires_in": expires_in}
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.MEMBER_WRITE, found.id)
            account_id = service_accounts.get_account(visitor.session, found.id, account.replace("\0", ""))
            named, scope, expires = token_view.read(values)
            made = tokens.create_for_account(
                visitor.session, visitor.actor, found.id, account_id, account, named, scope, expires
            )
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, token_view.FIELDS)
        return _show_account(request, project, account, form=form, status=problem.status)
    return _show_account(request, project, account, made=token_view.shown(request.scope["berth.language"], made))


@router.post("/projects/{project}/settings/service-accounts/{account}/tokens/{token}/revoke")
def revoke_token(
    request: Request, project: str, account: str, token: str, csrf: Annotated[str, Form()] = ""
) -> Response:
    """Ends a token of the account."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        require(visitor.actor, Action.MEMBER_WRITE, found.id)
        account_id = service_accounts.get_account(visitor.session, found.id, account.replace("\0", ""))
        tokens.revoke(visitor.session, visitor.actor, account_id, key_of(token), account, found.id)
    return see_other(f"{_url(project, account)}?done=revoked")


@router.get("/projects/{project}/settings/tokens")
def project_tokens(request: Request, project: str, after: str = "", done: str = "") -> Response:
    """Newest first, for the project's owners."""
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.MEMBER_WRITE, found.id)
        shell = tabs.settings_shell(visitor, found, "tokens", done)
        start = key_of(after) if after else None
        rows = token_repository.list_project_tokens(visitor.session, found.id, start, tabs.PAGE + 1)
        url = f"/projects/{quote(found.name)}/settings/tokens"
        made = TokensPage([token_view.build(visitor, row, url) for row in rows[: tabs.PAGE]])
    if len(rows) > tabs.PAGE:
        made.more_url = tabs.url(url, after=str(rows[tabs.PAGE - 1]["id"]))
    return render("settings/tokens.html", shell, made)


@router.post("/projects/{project}/settings/tokens/{token}/revoke")
def revoke_project_token(request: Request, project: str, token: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Ends a token that works in this project only."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        require(visitor.actor, Action.MEMBER_WRITE, found.id)
        tokens.revoke_in_project(visitor.session, visitor.actor, found.id, key_of(token))
    return see_other(f"/projects/{quote(project)}/settings/tokens?done=revoked")


def key_of(text: str) -> uuid.UUID:
    """A key of an address. Raises NotFound for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound from None


def _url(project: str, account: str) -> str:
    return f"/projects/{quote(project)}/settings/service-accounts/{quote(account)}"


def _show_accounts(
    request: Request,
    project: str,
    *,
    form: forms.Form | None = None,
    after: str = "",
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        found = visitor.project(project)
        shell = tabs.settings_shell(visitor, found, "accounts", done)
        say = visitor.language
        url = f"/projects/{quote(found.name)}/settings/service-accounts"
        made = AccountsPage(url, form or forms.Form(), forms.options(say, ROLES))
        made.may_write = can(visitor.actor, Action.MEMBER_WRITE, found.id) == Verdict.ALLOWED
        rows = repository.list_accounts(visitor.session, found.id, after.replace("\0", "") or None, tabs.PAGE + 1)
        made.rows = [
            AccountRow(
                row["name"],
                f"{url}/{quote(row['name'])}" if made.may_write else "",
                translate(say, ROLES[row["role"]]),
                row["disabled"],
                tabs.stamp(visitor, row["created_at"]),
            )
            for row in rows[: tabs.PAGE]
        ]
    if len(rows) > tabs.PAGE:
        made.more_url = tabs.url(url, after=rows[tabs.PAGE - 1]["name"])
    return render("settings/accounts.html", shell, made, status)


def _show_account(
    request: Request,
    project: str,
    account: str,
    *,
    form: forms.Form | None = None,
    made: Secret | None = None,
    after: str = "",
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.MEMBER_WRITE, found.id)
        shell = tabs.settings_shell(visitor, found, "accounts", done)
        say, session = visitor.language, visitor.session
        row = repository.get_account(session, found.id, account.replace("\0", ""))
        account_id = service_accounts.get_account(session, found.id, row["name"])
        url = _url(found.name, row["name"])
        start = key_of(after) if after else None
        rows = token_repository.list_tokens(session, account_id, start, tabs.PAGE + 1)
        page = AccountPage(
            row["name"],
            url,
            row["role"],
            row["disabled"],
            forms.options(say, ROLES),
            forms.options(say, SCOPES),
            forms.options(say, EXPIRIES),
            form or forms.Form(),
            [token_view.build(visitor, one, f"{url}/tokens") for one in rows[: tabs.PAGE]],
            made=made,
        )
    if len(rows) > tabs.PAGE:
        page.more_url = tabs.url(url, after=str(rows[tabs.PAGE - 1]["id"]))
    shell.crumbs[-1] = Crumb(shell.crumbs[-1].text, f"/projects/{quote(found.name)}/settings/service-accounts")
    shell.crumbs.append(Crumb(row["name"], is_code=True))
    shell.title = f"{row['name']} · {found.name}"
    return render("settings/account.html", shell, page, status)
