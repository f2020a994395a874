"""The form that chooses the columns of the list of runs: a page of its own, and a pop-up where scripts run."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain import run_columns
from app.i18n import translate
from app.repositories import metrics
from app.repositories import views as saved
from app.services import views as service
from app.web import metrics_view
from app.web.deps import check_form, see_other, visit
from app.web.metrics_view import PINS_COOKIE
from app.web.pages import views
from app.web.templating import Crumb, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ColumnsPage:
    """The form: each column with its words and whether it is shown; `names` are offered as metrics."""

    url: str
    back_url: str
    q: str
    sort: str
    columns: list[tuple[str, str, bool]]
    metric: str
    pinned: str
    names: list[str]


@router.get("/projects/{project}/runs/columns")
def columns_page(
    request: Request, project: str, q: str = "", sort: str = "", columns: str = "", metric: str = ""
) -> Response:
    """What is shown now: `columns` and `metric` where the list's address has them. `q` and `sort` are those of the list
    that one comes from and goes back to."""
    with visit(request) as visitor:
        found = visitor.project(project)
        choice = views.choice_of(columns, metric)
        choice = choice or saved.get_columns(visitor.session, found.id, visitor.actor.user_id)
        names = metrics.list_newest_names(visitor.session, found.id)
        shell = visitor.shell(found.name)
    pins = metrics_view.read_pins(request.cookies.get(PINS_COOKIE, ""))
    runs = f"/projects/{quote(found.name)}/runs"
    page = ColumnsPage(
        url=f"{runs}/columns",
        back_url=views.list_url(runs, q, sort),
        q=q,
        sort=sort,
        columns=[
            (key, translate(shell.language, text), key in choice.columns) for key, text in run_columns.COLUMNS.items()
        ],
        metric=choice.metric,
        pinned=pins[0] if pins else "",
        names=[*dict.fromkeys([*pins, *names])],
    )
    title = translate(shell.language, "Columns")
    shell.crumbs = [Crumb(found.name, runs), Crumb(translate(shell.language, "Runs"), page.back_url), Crumb(title)]
    shell.title, shell.current = f"{title} · {found.name}", "runs"
    return render("runs/columns.html", shell, page)


@router.post("/projects/{project}/runs/columns")
def keep(
    request: Request,
    project: str,
    columns: Annotated[list[str] | None, Form()] = None,
    metric: Annotated[str, Form()] = "",
    reset: Annotated[str, Form()] = "",
    q: Annotated[str, Form()] = "",
    sort: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Keeps the choice for the reader, in this project, and shows the list. With `reset` all columns are back."""
    choice = run_columns.DEFAULT if reset else run_columns.read(columns or (), metric)
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        service.keep_columns(visitor.session, visitor.actor, found.id, choice)
    return see_other(views.list_url(f"/projects/{quote(found.name)}/runs", q, sort))
