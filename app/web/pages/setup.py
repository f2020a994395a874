"""The first administrator, by the one-time link that `berth up` prints."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.errors import Invalid
from app.i18n import translate
from app.services import links, sessions, users
from app.services.links import LinkNotValid
from app.services.passwords import MIN_LENGTH
from app.web.deps import preferences, visit
from app.web.pages.login import address_of, agent_of, signed_in
from app.web.templating import Shell, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class SetupPage:
    """The form. `errors` are by the name of the field."""

    key: str
    name: str = "admin"
    project: str = "sandbox"
    errors: dict[str, str] = field(default_factory=dict)
    min_length: int = MIN_LENGTH


@router.get("/setup")
def form(request: Request, k: str = "") -> Response:
    """The form, while the link can still be used. Raises LinkNotValid."""
    with visit(request) as visitor:
        link = links.find(visitor.session, k)
        shell = visitor.shell()
    if link is None or link.kind != links.SETUP:
        raise LinkNotValid
    return _show(shell, SetupPage(k))


@router.post("/setup")
def create(
    request: Request,
    k: Annotated[str, Form(max_length=200)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    project: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Makes the administrator and the project and signs in."""
    sessions.check_not_cross_site(request.headers)
    try:
        with visit(request) as visitor:
            user_id, made = users.create_first_admin(visitor.session, k, name, password, project)
            opened = sessions.open_session(
                visitor.session, user_id, made, address=address_of(request), agent=agent_of(request)
            )
    except Invalid as problem:
        language, theme = preferences(request)
        page = SetupPage(k, name, project, errors_of(problem, language))
        return _show(Shell(language, theme, "", f"/setup?k={k}"), page, problem.status)
    return signed_in(opened, "/")


def errors_of(problem: Invalid, language: str) -> dict[str, str]:
    """What is wrong with each field, by its name, in words."""
    return {one.pointer.strip("/"): translate(language, one.message, **one.slots) for one in problem.errors}


def _show(shell: Shell, page: SetupPage, status: int = 200) -> Response:
    shell.title = translate(shell.language, "Set up Berth")
    return render("account/setup.html", shell, page, status)
