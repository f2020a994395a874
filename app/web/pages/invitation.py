"""Choosing a password by a link: of an invitation, or because the old one was reset."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.errors import Invalid
from app.i18n import translate
from app.repositories import users as people
from app.services import links, sessions, users
from app.services.links import LinkNotValid
from app.services.passwords import MIN_LENGTH
from app.web.deps import preferences, visit
from app.web.pages.login import address_of, agent_of, signed_in
from app.web.pages.setup import errors_of
from app.web.templating import Shell, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class InvitationPage:
    """The form, for one person."""

    key: str
    name: str
    error: str = ""
    min_length: int = MIN_LENGTH


@router.get("/invitation")
def form(request: Request, k: str = "") -> Response:
    """The form, while the link can still be used. Raises LinkNotValid."""
    with visit(request) as visitor:
        link = links.find(visitor.session, k)
        if link is None or link.kind != links.INVITATION or link.user_id is None:
            raise LinkNotValid
        name = people.name_of(visitor.session, link.user_id)
        shell = visitor.shell()
    return _show(shell, InvitationPage(k, name))


@router.post("/invitation")
def accept(
    request: Request,
    k: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    username: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Sets the password and signs in. The name is only there for password managers."""
    sessions.check_not_cross_site(request.headers)
    try:
        with visit(request) as visitor:
            user_id, name = users.accept_invitation(visitor.session, k, password)
            opened = sessions.open_session(
                visitor.session, user_id, name, address=address_of(request), agent=agent_of(request)
            )
    except Invalid as problem:
        language, theme = preferences(request)
        page = InvitationPage(k, username, errors_of(problem, language).get("password", ""))
        return _show(Shell(language, theme, "", f"/invitation?k={k}"), page, problem.status)
    return signed_in(opened, "/")


def _show(shell: Shell, page: InvitationPage, status: int = 200) -> Response:
    shell.title = translate(shell.language, "Invitation")
    return render("account/invitation.html", shell, page, status)
