"""A project's members: who is in it and as what."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.i18n import translate
from app.repositories import members as repository
from app.services import members
from app.services.identity import require
from app.web import forms, tabs
from app.web.deps import check_form, colour_of, see_other, visit
from app.web.forms import REFUSALS, ROLES, check_choice, check_line, refused
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class MemberRow:
    """Somebody in the project. `key` names the row's own form; `error` is why its last change was refused."""

    name: str
    display_name: str
    colour: str
    is_person: bool
    is_disabled: bool
    is_self: bool
    role: str
    role_word: str
    since: tabs.Stamp
    account_url: str
    error: str = ""


@dataclass
class MembersPage:
    """The list, and the form that adds."""

    url: str
    form: forms.Form
    roles: list[tuple[str, str]]
    may_write: bool = False
    rows: list[MemberRow] = field(default_factory=list)
    more_url: str = ""


@router.get("/projects/{project}/settings/members")
def page(request: Request, project: str, after: str = "", done: str = "") -> Response:
    """People and service accounts, by name."""
    return _show(request, project, after=after, done=done)


@router.post("/projects/{project}/settings/members")
def set_role(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    row: Annotated[str, Form()] = "",
) -> Response:
    """Adds a person or changes a role. `row` says that the form of a row of the list was sent."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.MEMBER_WRITE, found.id)
            user = check_line("name", name, required=True)
            is_new = members.set_member(
                visitor.session, visitor.actor, found.id, user, check_choice("role", role, ROLES)
            )
    except REFUSALS as problem:
        form = refused(
            problem,
            request.scope["berth.language"],
            {"name": name, "role": role},
            ("name", "role"),
            at="name",
            name="row" if row else "",
        )
        return _show(request, project, form=form, status=problem.status)
    return see_other(f"/projects/{quote(project)}/settings/members?done={'added' if is_new else 'saved'}")


@router.post("/projects/{project}/settings/members/{user}/remove")
def remove(request: Request, project: str, user: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Takes a person out of the project."""
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            require(visitor.actor, Action.MEMBER_WRITE, found.id)
            members.remove_member(visitor.session, visitor.actor, found.id, user.replace("\0", ""))
            is_out = user == visitor.actor.name and not visitor.actor.is_admin
    except REFUSALS as problem:
        form = refused(problem, request.scope["berth.language"], {"name": user}, (), at="name", name="row")
        return _show(request, project, form=form, status=problem.status)
    return see_other("/projects" if is_out else f"/projects/{quote(project)}/settings/members?done=removed")


def _show(
    request: Request,
    project: str,
    *,
    form: forms.Form | None = None,
    after: str = "",
    status: int = 200,
    done: str = "",
) -> Response:
    form = form or forms.Form()
    with visit(request) as visitor:
        found = visitor.project(project)
        shell = tabs.settings_shell(visitor, found, "members", done)
        say = visitor.language
        url = f"/projects/{quote(found.name)}/settings/members"
        made = MembersPage(url, form if not form.name else forms.Form(), forms.options(say, ROLES))
        made.may_write = can(visitor.actor, Action.MEMBER_WRITE, found.id) == Verdict.ALLOWED
        name, _, kind = after.replace("\0", "").rpartition(":")
        rows = repository.list_members(visitor.session, found.id, [name, kind] if name else None, tabs.PAGE + 1)
        for one in rows[: tabs.PAGE]:
            is_person = one["kind"] == "person"
            is_refused = bool(form.name) and is_person and form.value("name") == one["name"]
            made.rows.append(
                MemberRow(
                    one["name"],
                    one["display_name"],
                    colour_of(one["name"]),
                    is_person,
                    one["disabled"],
                    is_person and one["name"] == visitor.actor.name,
                    one["role"],
                    translate(say, ROLES[one["role"]]),
                    tabs.stamp(visitor, one["created_at"]),
                    f"/projects/{quote(found.name)}/settings/service-accounts/{quote(one['name'])}",
                    form.wrong("name") or form.wrong("role") if is_refused else "",
                )
            )
    if len(rows) > tabs.PAGE:
        last = rows[tabs.PAGE - 1]
        made.more_url = tabs.url(url, after=f"{last['name']}:{last['kind']}")
    return render("settings/members.html", shell, made, status)
