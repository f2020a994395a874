"""How well Berth's parts are, for platform administrators."""

import datetime
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.domain.health import Check, Health, worst
from app.errors import N_
from app.i18n import translate
from app.services import health
from app.web import formats, tabs
from app.web.deps import visit
from app.web.templating import render

router = APIRouter(include_in_schema=False)

_WORDS = {Health.OK: N_("Well"), Health.WARN: N_("Take care"), Health.BAD: N_("Not working")}
_SIGNS = {Health.OK: "succeeded", Health.WARN: "warn", Health.BAD: "failed"}
_PARTS = {
    "postgres": N_("Postgres"),
    "redis": N_("Redis"),
    "worker": N_("Worker"),
    "loop": N_("Controller: {name}"),
    "objects": N_("Object store"),
    "disk": N_("Disk"),
    "cluster": N_("Cluster {name}"),
}
_WHOLE = {
    Health.OK: N_("Everything works."),
    Health.WARN: N_("Everything works, and something needs care soon."),
    Health.BAD: N_("Something does not work. What to do stands beside it."),
}


@dataclass(frozen=True)
class CheckRow:
    """One part."""

    kind: str
    sign: str
    word: str
    part: str
    says: str
    fix: str
    age: str


@dataclass
class HealthPage:
    """All parts, and the whole in a sentence."""

    kind: str
    sign: str
    sentence: str
    at: tabs.Stamp
    rows: list[CheckRow] = field(default_factory=list)


@router.get("/admin/health")
def page(request: Request) -> Response:
    """Every part: what was found, how old that is, and what to do."""
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "health")
        now = tabs.stamp(visitor, datetime.datetime.now(datetime.UTC))
    checks = health.list_checks()
    say, whole = shell.language, worst(checks)
    made = HealthPage(whole.value, _SIGNS[whole], translate(say, _WHOLE[whole]), now)
    made.rows = [check_row(say, check) for check in checks]
    shell.mark = {Health.OK: "○", Health.WARN: "◌", Health.BAD: "✕"}[whole]
    return render("admin/health.html", shell, made)


def check_row(language: str, check: Check) -> CheckRow:
    """A check in the reader's words."""
    part, _, name = check.part.partition(":")
    age = check.age_seconds
    return CheckRow(
        check.health.value,
        _SIGNS[check.health],
        translate(language, _WORDS[check.health]),
        translate(language, _PARTS[part], name=name).rstrip(),
        translate(language, check.says, **check.slots),
        translate(language, check.fix, **check.slots) if check.fix else "",
        translate(language, N_("just now")) if age is not None and age < 1 else formats.span(age, language),
    )
