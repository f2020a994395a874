"""A project's experiments, each with its runs in figures."""

import datetime
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.domain.comparing import Direction, direction_of
from app.i18n import translate
from app.repositories import experiments
from app.repositories.experiments import LOOKED_AT, ExperimentRow
from app.web import formats
from app.web.deps import Visitor, see_other, visit
from app.web.start_view import project_flag
from app.web.templating import Crumb, render

PAGE = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ExperimentLine:
    """One experiment, ready to show."""

    name: str
    url: str
    runs: str
    live: str
    failed: str
    active: str
    active_full: str
    best: str
    best_url: str


@dataclass
class ExperimentsPage:
    """What the page shows. `better` says in words which value is the best one."""

    url: str
    rows: list[ExperimentLine]
    metrics: list[str]
    metric: str
    better: str
    more_url: str
    command_line: str
    is_cut: bool = False


@router.get("/projects/{project}/experiments")
def list_page(request: Request, project: str, metric: str | None = None, after: str = "") -> Response:
    """Fifty experiments by name. `metric` chooses what the best value is of; "" is none, and without it the first
    that is a loss, else the first there is."""
    now = datetime.datetime.now(datetime.UTC)
    with visit(request) as visitor:
        found = visitor.project(project)
        names = experiments.list_experiments(visitor.session, found.id, after=after[:100], limit=PAGE)
        if after and not names:  # those that stood there are gone
            return see_other(f"/projects/{quote(found.name)}/experiments")
        known = experiments.metric_names(visitor.session, found.id, names[:PAGE]) if names else []
        chosen = _usual(known) if metric is None else metric[:200]
        rows = experiments.read_figures(visitor.session, found.id, names[:PAGE], chosen or None)
        shell = visitor.shell(found.name)
        base = f"/projects/{quote(found.name)}"
        lines = [_line(visitor, base, row, chosen, now) for row in rows]
    url = f"{base}/experiments"
    is_lower = direction_of(chosen) == Direction.LOWER
    words = translate(shell.language, "lower is better") if is_lower else translate(shell.language, "higher is better")
    flag = project_flag(found.name, visitor.signed_in.projects)
    page = ExperimentsPage(
        url=url,
        rows=lines,
        metrics=known if not chosen or chosen in known else [chosen, *known],
        metric=chosen,
        better=words if chosen else "",
        more_url=f"{url}?{urlencode({'metric': chosen, 'after': names[PAGE - 1]})}" if len(names) > PAGE else "",
        command_line=f"berth run submit{flag} --experiment digits -- python train.py",
        is_cut=any(row.runs == LOOKED_AT for row in rows),
    )
    word = translate(shell.language, "Experiments")
    shell.crumbs = [Crumb(found.name, f"{base}/runs"), Crumb(word)]
    shell.title, shell.current = f"{word} · {found.name}", "experiments"
    shell.mark = "●" if any(row.live for row in rows) else "○"
    shell.keys = ("everywhere", "lists")
    return render("runs/experiments.html", shell, page)


def _usual(known: list[str]) -> str:
    losses = [name for name in known if direction_of(name) == Direction.LOWER]
    return next(iter([*losses, *known]), "")


def _line(visitor: Visitor, base: str, row: ExperimentRow, metric: str, now: datetime.datetime) -> ExperimentLine:
    is_lower = direction_of(metric) == Direction.LOWER
    best, best_run = (row.low, row.low_run) if is_lower else (row.high, row.high_run)
    count = f"{formats.grouped(row.runs)}+" if row.runs == LOOKED_AT else formats.grouped(row.runs)
    return ExperimentLine(
        name=row.name,
        url=f"{base}/runs?{urlencode({'q': f'experiment:{row.name}'})}",
        runs=count,
        live=formats.grouped(row.live) if row.live else "–",
        failed=formats.grouped(row.failed) if row.failed else "–",
        active=formats.moment(row.active_at, now, visitor.zone) if row.active_at else "–",
        active_full=formats.full(row.active_at, visitor.zone) if row.active_at else "",
        best=formats.figure(best),
        best_url=f"{base}/runs/{best_run}" if best_run else "",
    )
