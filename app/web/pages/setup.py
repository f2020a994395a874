"""The first administrator, by the one-time link that `berth up` prints."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.errors import Invalid
from app.i18n import translate
from app.services import health, links, sessions, users
from app.services.links import LinkNotValid
from app.services.passwords import MIN_LENGTH
from app.web.deps import Visitor, preferences, visit
from app.web.pages.health import CheckRow, check_row
from app.web.pages.login import address_of, agent_of, signed_in
from app.web.templating import Shell, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class BackendRow:
    """What was found, where it is, and how well it works."""

    found: CheckRow
    place: str


@dataclass(frozen=True)
class SetupPage:
    """The form. `errors` are by the name of the field; `backends` are for whoever has the key."""

    key: str
    name: str = "admin"
    project: str = "sandbox"
    errors: dict[str, str] = field(default_factory=dict)
    backends: list[BackendRow] = field(default_factory=list)
    min_length: int = MIN_LENGTH


@router.get("/setup")
def form(request: Request, k: str = "") -> Response:
    """The form, while the link can still be used. Raises LinkNotValid."""
    with visit(request) as visitor:
        is_valid = _is_valid(visitor, k)
        shell = visitor.shell()
    if not is_valid:
        raise LinkNotValid
    return _show(shell, SetupPage(k, backends=_backends(shell.language)))


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
        with visit(request) as visitor:
            is_valid = _is_valid(visitor, k)  # the fields are checked before the key
        backends = _backends(language) if is_valid else []
        page = SetupPage(k, name, project, errors_of(problem, language), backends)
        return _show(Shell(language, theme, "", f"/setup?k={k}"), page, problem.status)
    return signed_in(opened, "/")


def errors_of(problem: Invalid, language: str) -> dict[str, str]:
    """What is wrong with each field, by its name, in words."""
    return {one.pointer.strip("/"): translate(language, one.message, **one.slots) for one in problem.errors}


def _is_valid(visitor: Visitor, key: str) -> bool:
    link = links.find(visitor.session, key)
    return link is not None and link.kind == links.SETUP


def _backends(language: str) -> list[BackendRow]:
    return [BackendRow(check_row(language, one.check), one.place) for one in health.list_backends()]


def _show(shell: Shell, page: SetupPage, status: int = 200) -> Response:
    shell.title = translate(shell.language, "Set up Berth")
    return render("account/setup.html", shell, page, status)
