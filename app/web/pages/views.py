"""The forms that keep and remove saved views of the list of runs."""

import uuid
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.errors import NotFound
from app.services import views
from app.web.deps import check_form, see_other, visit

router = APIRouter(include_in_schema=False)


@router.post("/projects/{project}/views")
def save(
    request: Request,
    project: str,
    name: Annotated[str, Form()] = "",
    q: Annotated[str, Form()] = "",
    sort: Annotated[str, Form()] = "-created",
    shared: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Keeps the list as it is shown under a name."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        views.save_view(visitor.session, visitor.actor, found.id, name, q, sort, is_shared=bool(shared))
    return see_other(list_url(project, q, sort))


@router.post("/projects/{project}/views/{view}/delete")
def delete(
    request: Request, project: str, view: str, back: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = ""
) -> Response:
    """Removes a view and shows the list as it was."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        views.delete_view(visitor.session, visitor.actor, found.id, view_id(view))
    return see_other(list_url(project, back, ""))


def view_id(text: str) -> uuid.UUID:
    """The key in an address. Raises NotFound for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound from None


def list_url(project: str, q: str, sort: str) -> str:
    """The list with a filter and an order."""
    query = {"q": q, "sort": sort if sort in ("created", "name", "-name") else ""}
    given = {name: value for name, value in query.items() if value}
    return f"/projects/{quote(project)}/runs" + (f"?{urlencode(given)}" if given else "")
