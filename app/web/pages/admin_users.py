"""People, for platform administrators: finding, inviting, disabling, and giving them the way back in."""

from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.errors import FieldError, Invalid
from app.i18n import translate
from app.repositories import users as repository
from app.services import links, users
from app.services.identity import require
from app.web import forms, tabs
from app.web.deps import check_form, colour_of, see_other, visit
from app.web.forms import REFUSALS, ROLES, Secret, check_choice, check_line, refused
from app.web.templating import Crumb, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class UserRow:
    """A person of the list."""

    name: str
    display_name: str
    url: str
    colour: str
    is_admin: bool
    is_disabled: bool
    seen: tabs.Stamp
    sessions: int
    created: tabs.Stamp


@dataclass
class UsersPage:
    """The list, and the form that invites."""

    q: str
    form: forms.Form
    roles: list[tuple[str, str]]
    rows: list[UserRow] = field(default_factory=list)
    more_url: str = ""
    made: Secret | None = None


@dataclass(frozen=True)
class RoleRow:
    """A project that the person is in."""

    name: str
    url: str
    role: str


@dataclass
class UserPage:
    """One person."""

    name: str
    url: str
    display_name: str
    is_admin: bool
    is_disabled: bool
    is_self: bool
    seen: tabs.Stamp
    sessions: int
    created: tabs.Stamp
    audit_url: str
    form: forms.Form
    projects: list[RoleRow] = field(default_factory=list)
    made: Secret | None = None


@router.get("/admin/users")
def list_page(request: Request, q: str = "", after: str = "", done: str = "") -> Response:
    """By name; with `q` those whose name contains it."""
    return _show_list(request, q=q, after=after, done=done)


@router.post("/admin/users")
def invite(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    display_name: Annotated[str, Form()] = "",
    project: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    is_admin: Annotated[str, Form()] = "",
) -> Response:
    """Makes a person and shows the link with which they choose a password, this once."""
    values = {"name": name, "display_name": display_name, "project": project, "role": role, "is_admin": is_admin}
    try:
        with visit(request) as visitor:
            tabs.admin_shell(visitor, "users")
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.USER_WRITE)
            if len(name.strip()) > 64:
                raise Invalid([FieldError("/name", users.NAME_RULE)])
            project = check_line("project", project)
            key = users.create_user(
                visitor.session,
                visitor.actor,
                name.strip(),
                display_name=check_line("display_name", display_name),
                is_admin=bool(is_admin),
                project=project or None,
                role=check_choice("role", role, ROLES) if project else None,
            )
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], values, tuple(values), at="name")
        return _show_list(request, form=form, status=problem.status)
    return _show_list(request, made=_link(request.scope["berth.language"], name.strip(), key))


@router.get("/admin/users/{user}")
def page(request: Request, user: str, done: str = "") -> Response:
    """One person."""
    return _show(request, user, done=done)


@router.post("/admin/users/{user}")
def update(
    request: Request,
    user: str,
    csrf: Annotated[str, Form()] = "",
    is_admin: Annotated[str, Form()] = "",
    disabled: Annotated[str, Form()] = "",
) -> Response:
    """Sets or takes away the administrator's rights (`is_admin`), disables or enables (`disabled`): yes or no."""
    changes: dict[str, Any] = {}
    for key, value in (("is_admin", is_admin), ("disabled", disabled)):
        if value in ("yes", "no"):
            changes[key] = value == "yes"
    try:
        with visit(request) as visitor:
            tabs.admin_shell(visitor, "users")
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.USER_WRITE)
            users.update_user(visitor.session, visitor.actor, user.replace("\0", ""), changes)
    except REFUSALS as problem:
        return _show(
            request, user, form=refused(problem, request.scope["berth.language"], {}, ()), status=problem.status
        )
    done = {"yes": "disabled", "no": "enabled"}.get(disabled, "saved")
    return see_other(f"/admin/users/{quote(user)}?done={done}")


@router.post("/admin/users/{user}/end-sessions")
def end_sessions(request: Request, user: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Signs the person out of every browser; whoever does it to themselves stays signed in here."""
    with visit(request) as visitor:
        tabs.admin_shell(visitor, "users")
        check_form(request, visitor, csrf)
        require(visitor.actor, Action.USER_WRITE)
        users.end_sessions(visitor.session, visitor.actor, user.replace("\0", ""))
    return see_other(f"/admin/users/{quote(user)}?done=ended")


@router.post("/admin/users/{user}/reset")
def reset(request: Request, user: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Takes the password and the sessions away, and shows a link to choose a new one, this once."""
    try:
        with visit(request) as visitor:
            tabs.admin_shell(visitor, "users")
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.USER_WRITE)
            key = users.create_reset_link(visitor.session, visitor.actor, user.replace("\0", ""))
            is_self = user == visitor.actor.name
    except REFUSALS as problem:
        return _show(
            request, user, form=refused(problem, request.scope["berth.language"], {}, ()), status=problem.status
        )
    if is_self:  # one's own session has just ended
        return see_other(f"/invitation?k={key}")
    return _show(request, user, made=_link(request.scope["berth.language"], user, key))


def _link(language: str, name: str, key: str) -> Secret:
    return Secret(
        translate(language, "Send this link to {name}.", name=name),
        translate(language, "It works once, within seven days, and is never shown again."),
        links.url_of(links.INVITATION, key),
    )


def _show_list(
    request: Request,
    *,
    form: forms.Form | None = None,
    made: Secret | None = None,
    q: str = "",
    after: str = "",
    status: int = 200,
    done: str = "",
) -> Response:
    q = q.replace("\0", "").strip()[:200]
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "users", done)
        rows = repository.list_users(visitor.session, after.replace("\0", "") or None, tabs.PAGE + 1, q)
        page = UsersPage(q, form or forms.Form(), forms.options(visitor.language, ROLES), made=made)
        page.rows = [
            UserRow(
                row["name"],
                row["display_name"],
                f"/admin/users/{quote(row['name'])}",
                colour_of(row["name"]),
                row["is_admin"],
                row["disabled"],
                tabs.stamp(visitor, row["last_seen_at"]),
                row["sessions"],
                tabs.stamp(visitor, row["created_at"]),
            )
            for row in rows[: tabs.PAGE]
        ]
    if len(rows) > tabs.PAGE:
        page.more_url = tabs.url("/admin/users", q=q, after=rows[tabs.PAGE - 1]["name"])
    return render("admin/users.html", shell, page, status)


def _show(
    request: Request,
    user: str,
    *,
    form: forms.Form | None = None,
    made: Secret | None = None,
    status: int = 200,
    done: str = "",
) -> Response:
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "users", done)
        found = repository.get_user(visitor.session, user.replace("\0", ""))
        say = visitor.language
        page = UserPage(
            found["name"],
            f"/admin/users/{quote(found['name'])}",
            found["display_name"],
            found["is_admin"],
            found["disabled"],
            found["name"] == visitor.actor.name,
            tabs.stamp(visitor, found["last_seen_at"]),
            found["sessions"],
            tabs.stamp(visitor, found["created_at"]),
            tabs.url("/admin/audit", actor=found["name"]),
            form or forms.Form(),
            [
                RoleRow(
                    one["name"], f"/projects/{quote(one['name'])}/settings/members", translate(say, ROLES[one["role"]])
                )
                for one in found["projects"]
            ],
            made=made,
        )
    shell.crumbs[-1] = Crumb(shell.heading, "/admin/users")
    shell.crumbs.append(Crumb(found["name"], is_code=True))
    shell.heading = shell.title = found["name"]
    return render("admin/user.html", shell, page, status)
