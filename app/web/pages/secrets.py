"""Secrets of a project: what there is, adding, replacing, deleting. No page shows a value, not even one just typed."""

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action, Verdict, can
from app.errors import AppError, Conflict, Invalid
from app.i18n import translate
from app.repositories import secrets as repository
from app.services import secrets
from app.services.identity import require
from app.web import formats
from app.web.deps import Visitor, check_form, see_other, visit
from app.web.start_view import project_flag
from app.web.tabs import settings_shell
from app.web.templating import Crumb, Shell, render

router = APIRouter(include_in_schema=False)
PAGE = 50
_URL = "/projects/{project}/settings/secrets"


@dataclass(frozen=True)
class RunLink:
    """A run that was given the secret, and when."""

    id: str
    name: str
    url: str
    when: str
    when_full: str


@dataclass(frozen=True)
class SecretView:
    """What is known of a secret, ready to show."""

    name: str
    description: str
    version: int
    url: str
    created: str
    created_by: str
    changed: str
    changed_full: str
    changed_by: str
    runs: list[RunLink]


@dataclass
class SecretsPage:
    """All of them, and the form for another. `errors` are by the name of the field."""

    project: str
    url: str
    rows: list[SecretView] = field(default_factory=list)
    more_url: str = ""
    is_later: bool = False
    command_line: str = ""
    may_write: bool = False
    said: str = ""
    name: str = ""
    description: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    longest: str = formats.grouped(secrets.MAX_VALUE_BYTES)


@dataclass
class SecretPage:
    """One of them. `asks_to_delete`: the question stands on the page, for browsers without scripts."""

    project: str
    list_url: str
    secret: SecretView
    may_write: bool = False
    said: str = ""
    description: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    asks_to_delete: bool = False
    longest: str = formats.grouped(secrets.MAX_VALUE_BYTES)

    @property
    def variable(self) -> str:
        """The environment variable of the example."""
        name = "".join(letter if letter.isalnum() else "_" for letter in self.secret.name).upper()
        return name if name[0].isalpha() else f"_{name}"

    @property
    def example(self) -> str:
        """How a spec asks for it."""
        name = self.secret.name
        return f"secrets:\n  - name: {name}\n    env: {self.variable}\n  - name: {name}\n    file: {name}"


@router.get("/projects/{project}/settings/secrets")
def list_page(request: Request, project: str, after: str = "", deleted: str = "") -> Response:
    """The project's secrets by name, 50 on a page."""
    with visit(request) as visitor:
        shell, page = _list(visitor, project, after)
    if deleted:
        page.said = translate(shell.language, "{name} was deleted.", name=deleted[:63])
    return render("secrets/list.html", shell, page)


@router.post("/projects/{project}/settings/secrets")
def add(
    request: Request,
    project: str,
    csrf: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    value: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
) -> Response:
    """Adds one and shows it; or shows the form again with what is wrong, the value left out."""
    name, description = name.strip(), description.strip()
    try:
        with visit(request) as visitor:
            found = visitor.project(project)
            check_form(request, visitor, csrf)
            secrets.set_secret(
                visitor.session, visitor.actor, found.id, name, _lines(value), description, only_new=True
            )
    except (Invalid, Conflict) as problem:
        with visit(request) as visitor:
            shell, page = _list(visitor, project, "")
        page.name, page.description = name[:63], description[: secrets.MAX_DESCRIPTION]
        page.errors = _errors(problem, shell.language)
        return render("secrets/list.html", shell, page, problem.status)
    return see_other(f"{_url(found.name, name)}?said=added")


@router.get("/projects/{project}/settings/secrets/{secret}")
def page(request: Request, project: str, secret: str, said: str = "") -> Response:
    """One secret: who changed it, what used it, how a run asks for it."""
    with visit(request) as visitor:
        shell, made = _one(visitor, project, secret)
    say = shell.language
    made.said = {
        "added": translate(say, "It is kept. Nobody can read it again, here or elsewhere."),
        "saved": translate(say, "Saved. Runs that start from now on get what stands here."),
    }.get(said, "")
    return render("secrets/detail.html", shell, made)


@router.post("/projects/{project}/settings/secrets/{secret}")
def replace(
    request: Request,
    project: str,
    secret: str,
    csrf: Annotated[str, Form()] = "",
    value: Annotated[str, Form()] = "",
    description: Annotated[str, Form()] = "",
) -> Response:
    """Replaces the value, where one is given, and the description."""
    description = description.strip()
    try:
        with visit(request) as visitor:
            found = visitor.project(project)
            check_form(request, visitor, csrf)
            require(visitor.actor, Action.SECRET_WRITE, found.id)
            repository.get_secret(visitor.session, found.id, secret)
            secrets.set_secret(visitor.session, visitor.actor, found.id, secret, _lines(value) or None, description)
    except Invalid as problem:
        with visit(request) as visitor:
            shell, made = _one(visitor, project, secret)
        made.description = description[: secrets.MAX_DESCRIPTION]
        made.errors = _errors(problem, shell.language)
        return render("secrets/detail.html", shell, made, problem.status)
    return see_other(f"{_url(found.name, secret)}?said=saved")


@router.post("/projects/{project}/settings/secrets/{secret}/delete")
def delete(
    request: Request,
    project: str,
    secret: str,
    csrf: Annotated[str, Form()] = "",
    sure: Annotated[str, Form()] = "",
) -> Response:
    """Asks, and with `sure` deletes."""
    with visit(request) as visitor:
        found = visitor.project(project)
        check_form(request, visitor, csrf)
        require(visitor.actor, Action.SECRET_WRITE, found.id)
        if sure != "yes":
            shell, made = _one(visitor, project, secret)
            made.asks_to_delete = True
        else:
            secrets.delete_secret(visitor.session, visitor.actor, found.id, secret)
    if sure != "yes":
        return render("secrets/detail.html", shell, made)
    return see_other(f"{_url(found.name)}?{urlencode({'deleted': secret})}")


def _list(visitor: Visitor, project: str, after: str) -> tuple[Shell, SecretsPage]:
    found = visitor.project(project)
    require(visitor.actor, Action.SECRET_READ, found.id)
    rows = repository.list_secrets(visitor.session, found.id, after[:63] or None, PAGE + 1)
    shell = settings_shell(visitor, found, "secrets")
    url = _url(found.name)
    made = SecretsPage(found.name, url, [_view(visitor, found.name, row) for row in rows[:PAGE]])
    made.is_later = bool(after)
    made.command_line = f"berth secret set NAME{project_flag(found.name, visitor.signed_in.projects)}"
    made.may_write = can(visitor.actor, Action.SECRET_WRITE, found.id) == Verdict.ALLOWED
    if len(rows) > PAGE:
        made.more_url = f"{url}?{urlencode({'after': rows[PAGE - 1]['name']})}"
    return shell, made


def _one(visitor: Visitor, project: str, name: str) -> tuple[Shell, SecretPage]:
    found = visitor.project(project)
    require(visitor.actor, Action.SECRET_READ, found.id)
    row = repository.get_secret(visitor.session, found.id, name)
    shell = settings_shell(visitor, found, "secrets")
    title = shell.crumbs.pop().text
    shell.title = f"{row['name']} · {title} · {found.name}"
    shell.crumbs += [Crumb(title, _url(found.name)), Crumb(row["name"], is_code=True)]
    made = SecretPage(found.name, _url(found.name), _view(visitor, found.name, row), description=row["description"])
    made.may_write = can(visitor.actor, Action.SECRET_WRITE, found.id) == Verdict.ALLOWED
    return shell, made


def _view(visitor: Visitor, project: str, row: dict[str, Any]) -> SecretView:
    now, zone = datetime.datetime.now(datetime.UTC), visitor.zone
    runs = [
        RunLink(
            run["id"],
            run["name"],
            f"/projects/{project}/runs/{run['id']}",
            formats.moment(run["used_at"], now, zone),
            formats.full(run["used_at"], zone),
        )
        for run in row["last_runs"]
    ]
    return SecretView(
        name=row["name"],
        description=row["description"],
        version=row["version"],
        url=_url(project, row["name"]),
        created=formats.full(row["created_at"], zone),
        created_by=row["created_by"],
        changed=formats.moment(row["updated_at"], now, zone),
        changed_full=formats.full(row["updated_at"], zone),
        changed_by=row["updated_by"],
        runs=runs,
    )


def _url(project: str, name: str = "") -> str:
    url = _URL.format(project=quote(project))
    return f"{url}/{quote(name)}" if name else url


def _lines(value: str) -> str:
    """The value as it was typed: forms send line ends as CRLF, which a key in PEM must not have."""
    return value.replace("\r\n", "\n")


def _errors(problem: AppError, language: str) -> dict[str, str]:
    """What is wrong with each field, by its name, in words; never with what was typed."""
    found = {one.pointer.strip("/"): translate(language, one.message, **one.slots) for one in problem.errors}
    if not found:
        said = [translate(language, text, **problem.fields) for text in (problem.detail, problem.hint)]
        found["name"] = " ".join(said)
    return found
