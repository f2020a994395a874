"""The reference of the REST API: all operations, and a page for each. Works offline, without a script."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.errors import NotFound
from app.i18n import translate
from app.web import api_view
from app.web.api_view import Group, Operation
from app.web.deps import visit
from app.web.templating import Crumb, Shell, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ApiPage:
    """All operations. `document_url` is the OpenAPI document itself."""

    groups: list[Group]
    command: str
    document_url: str


@router.get("/docs/api")
def page(request: Request) -> Response:
    """All operations by noun."""
    shell = _shell(request)
    base = _base(request)
    command = f"curl --header 'Authorization: Bearer '\"$BERTH_TOKEN\" '{base}/api/v1/session'"
    groups = api_view.groups(request.app.state.openapi_document())
    return render("docs/api.html", shell, ApiPage(groups, command, "/api/v1/openapi.json"))


@router.get("/docs/api/{operation}")
def operation_page(request: Request, operation: str) -> Response:
    """One operation: what it takes, what it answers, and a command to try it. Raises NotFound."""
    found: Operation | None = api_view.find(request.app.state.openapi_document(), operation, _base(request))
    if found is None:
        raise NotFound
    shell = _shell(request)
    shell.crumbs[-1] = Crumb(shell.title, "/docs/api")
    shell.crumbs.append(Crumb(operation, is_code=True))
    shell.title = f"{found.method} {found.path}"
    return render("docs/operation.html", shell, found)


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _shell(request: Request) -> Shell:
    with visit(request) as visitor:
        shell = visitor.shell()
    shell.title = translate(shell.language, "REST API")
    shell.crumbs = [Crumb(shell.title)]
    shell.current, shell.keys = "api", ("everywhere", "lists")
    return shell
