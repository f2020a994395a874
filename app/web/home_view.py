"""What the start page shows of runs and projects. Pure."""

import datetime
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from app.domain.states import RunState
from app.repositories.home import MOST
from app.web import formats
from app.web.run_rows import build_row

LATELY = datetime.timedelta(hours=24)
LONG = datetime.timedelta(minutes=15)


@dataclass(frozen=True)
class HomeRun:
    """A run: what it is, how it is, and since when."""

    url: str
    name: str
    project: str
    status: Markup
    reason: str
    span: str
    since: int | None  # ms, where the page counts on by itself


def counted(number: int) -> str:
    """A count as it is shown: "1,000+" where more were not counted."""
    return f"{formats.grouped(MOST)}+" if number > MOST else formats.grouped(number)


def build_run(row: Any, language: str, zone: datetime.tzinfo, now: datetime.datetime) -> HomeRun:
    """From a row of the repository. The span is that of waiting, of running, or since it failed."""
    made = build_row(row, language, zone, now)
    since: int | None
    if row.state == RunState.FAILED:
        span, since = (
            formats.span((now - row.finished_at).total_seconds(), language),
            int(row.finished_at.timestamp() * 1000),
        )
    elif row.state == RunState.RUNNING:
        span, since = made.ran, made.running_since
    else:
        span, since = made.waited, made.waiting_since
    return HomeRun(made.url, made.name, row.project, made.status, made.reason, span, since)
