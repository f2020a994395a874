"""Runs side by side."""

import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.domain.states import TERMINAL
from app.i18n import translate
from app.services import comparing
from app.web import compare_view
from app.web.deps import visit
from app.web.metrics_view import read_zoom
from app.web.run_phases import View
from app.web.templating import Crumb, render

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/compare")
def page(
    request: Request,
    project: str,
    runs: Annotated[list[str] | None, Query()] = None,
    lower: str = "",
    higher: str = "",
    smooth: str = "",
    x: str = "",
    zoom: str = "",
    all_: Annotated[str, Query(alias="all")] = "",
) -> Response:
    """The comparison. `runs` are ids by commas; the rest says how it is shown, so that the address is all of it."""
    asked = {
        "lower": lower[:2000],
        "higher": higher[:2000],
        "smooth": smooth[:10],
        "x": x[:10],
        "zoom": read_zoom(zoom),
        "all": all_[:200],
    }
    ids = ",".join(runs or []).split(",")
    with visit(request) as visitor:
        found = visitor.project(project)
        compared = comparing.compare_runs(visitor.session, visitor.actor, found.id, ids)
        shell = visitor.shell(found.name)
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
    base = f"/projects/{quote(found.name)}"
    made = compare_view.build(view, compared, f"{base}/compare", f"{base}/runs", asked)
    word = translate(view.language, "Compare")
    shell.crumbs = [
        Crumb(found.name, f"{base}/runs"),
        Crumb(translate(view.language, "Runs"), f"{base}/runs"),
        Crumb(word),
    ]
    shell.title = f"{word} · {found.name}"
    shell.mark = "●" if any(row.state not in TERMINAL for row in compared.runs) else "○"
    shell.current, shell.keys = "runs", ("everywhere", "charts")
    return render("runs/compare.html", shell, made)
