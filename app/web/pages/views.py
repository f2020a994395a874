"""The forms that keep and remove saved views of the list of runs."""

import uuid
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain import run_columns
from app.domain.run_columns import Choice
from app.errors import NotFound
from app.services import views
from app.services.views import ViewExists
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
    columns: Annotated[str, Form()] = "",
    metric: Annotated[str, Form()] = "",
    replaces: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Keeps the list as it is shown under a name, with its `columns` and `metric` where they are given. The list asks
    again where the reader has a view of that name, unless it is to be replaced."""
    choice = choice_of(columns, metric)
    taken = {}
    try:
        with visit(request) as visitor:
            check_form(request, visitor, csrf)
            found = visitor.project(project)
            more = {"is_shared": bool(shared), "replaces": bool(replaces)}
            views.save_view(visitor.session, visitor.actor, found.id, name, q, sort, choice=choice, **more)
    except ViewExists:
        taken = {"taken": name.strip(), "shared": shared[:1]}
    return see_other(list_url(_list(project), q, sort, choice, **taken))


@router.post("/projects/{project}/views/{view}/delete")
def delete(
    request: Request, project: str, view: str, back: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = ""
) -> Response:
    """Removes a view and shows the list as it was."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        views.delete_view(visitor.session, visitor.actor, found.id, view_id(view))
    return see_other(list_url(_list(project), back, ""))


def view_id(text: str) -> uuid.UUID:
    """The key in an address. Raises NotFound for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound from None


def list_url(path: str, q: str, sort: str, choice: Choice | None = None, **more: str) -> str:
    """The list at `path` with a filter and an order, and with columns where there is a choice of them."""
    query = {"q": q, "sort": sort if sort in ("created", "name", "-name") else "", **query_of(choice), **more}
    given = {name: value for name, value in query.items() if value}
    return path + (f"?{urlencode(given)}" if given else "")


def choice_of(columns: str, metric: str) -> Choice | None:
    """The reverse of `query_of`."""
    return run_columns.read(columns.split(","), metric) if columns else None


def query_of(choice: Choice | None) -> dict[str, str]:
    """Columns as the list's address has them; nothing for None."""
    return {"columns": ",".join(choice.columns) or "-", "metric": choice.metric} if choice else {}


def _list(project: str) -> str:
    return f"/projects/{quote(project)}/runs"
