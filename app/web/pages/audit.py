"""The audit log: of the platform for administrators, of a project for its owners; as pages and as CSV."""

import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from app.db import read_session
from app.domain.access import Action
from app.errors import N_, NotFound
from app.i18n import translate
from app.repositories import audit as repository
from app.services import identity
from app.services.identity import require
from app.web import audit_view, formats, tabs
from app.web.audit_view import Change
from app.web.deps import Visitor, visit
from app.web.templating import render

router = APIRouter(include_in_schema=False)

_CSV_ROWS = 1000


@dataclass(frozen=True)
class Asked:
    """The filters as they stand in the address."""

    actor: str = ""
    verb: str = ""
    object_type: str = ""
    object_id: str = ""
    project: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, request: Request) -> "Asked":
        """Those of the address, cut to what can be stored; a null byte is in no name."""
        given = request.query_params
        return cls(**{one.name: given.get(one.name, "").replace("\0", "").strip()[:200] for one in fields(cls)})

    @property
    def is_any(self) -> bool:
        return self != Asked()

    def url(self, path: str, **more: str) -> str:
        """The path with these filters."""
        return tabs.url(path, **{one.name: getattr(self, one.name) for one in fields(self)}, **more)


@dataclass(frozen=True)
class EntryRow:
    """One change."""

    at: tabs.Stamp
    actor: str
    actor_url: str
    verb: str
    object_type: str
    object_id: str
    object: str
    object_url: str
    project: str
    project_url: str
    changes: list[Change]
    address: str


@dataclass
class AuditPage:
    """The list. `errors` are of the filter's fields, by name."""

    url: str
    asked: Asked
    is_platform: bool
    csv_url: str
    zone: str
    errors: dict[str, str] = field(default_factory=dict)
    rows: list[EntryRow] = field(default_factory=list)
    more_url: str = ""


@router.get("/admin/audit")
def platform(request: Request, after: str = "") -> Response:
    """Every change in the installation, newest first."""
    asked = Asked.of(request)
    with visit(request) as visitor:
        shell = tabs.admin_shell(visitor, "audit")
        page = _page(visitor, asked, "/admin/audit", None, after)
    return render("admin/audit.html", shell, page)


@router.get("/projects/{project}/settings/audit")
def of_project(request: Request, project: str, after: str = "") -> Response:
    """Every change in the project, newest first."""
    asked = Asked.of(request)
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.PROJECT_AUDIT, found.id)
        shell = tabs.settings_shell(visitor, found, "audit")
        page = _page(visitor, asked, f"/projects/{quote(found.name)}/settings/audit", found.id, after)
    return render("admin/audit.html", shell, page)


@router.get("/admin/audit.csv")
def platform_csv(request: Request) -> Response:
    """All entries with the filters of the address, as CSV."""
    with visit(request) as visitor:
        tabs.admin_shell(visitor, "audit")
        filters = _filters(visitor, Asked.of(request), None, {})
    return _csv(filters, "audit.csv")


@router.get("/projects/{project}/settings/audit.csv")
def project_csv(request: Request, project: str) -> Response:
    """The project's entries with the filters of the address, as CSV."""
    with visit(request) as visitor:
        found = visitor.project(project)
        require(visitor.actor, Action.PROJECT_AUDIT, found.id)
        filters = _filters(visitor, Asked.of(request), found.id, {})
    return _csv(filters, f"audit-{found.name}.csv")


def _page(visitor: Visitor, asked: Asked, url: str, project_id: uuid.UUID | None, after: str) -> AuditPage:
    page = AuditPage(url, asked, project_id is None, asked.url(f"{url}.csv"), str(visitor.zone))
    filters = _filters(visitor, asked, project_id, page.errors)
    rows: list[dict[str, Any]] = []
    if not page.errors:
        start = int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else None
        rows = repository.list_entries(visitor.session, **filters, after=start, limit=tabs.PAGE + 1)
    page.rows = [_row(visitor, row, url, is_platform=project_id is None) for row in rows[: tabs.PAGE]]
    if len(rows) > tabs.PAGE:
        page.more_url = asked.url(url, after=str(rows[tabs.PAGE - 1]["id"]))
    return page


def _filters(visitor: Visitor, asked: Asked, project_id: uuid.UUID | None, errors: dict[str, str]) -> dict[str, Any]:
    """The repository's arguments. What cannot be read is told in `errors`, and then finds nothing."""
    if project_id is None and asked.project:
        try:
            project_id = identity.get_project(visitor.session, visitor.actor, asked.project).id
        except NotFound:
            errors["project"] = translate(visitor.language, N_("is not a project"))
    moments = {}
    for name in ("since", "until"):
        text = getattr(asked, name)
        moments[name] = _moment(text, visitor.zone) if text else None
        if text and moments[name] is None:
            errors[name] = translate(visitor.language, N_("is not a date and time"))
    if errors:
        moments = {"since": _NEVER, "until": _NEVER}
    return {
        "project_id": project_id,
        "actor": asked.actor or None,
        "object_type": asked.object_type or None,
        "object_id": asked.object_id or None,
        "verb": asked.verb or None,
        **moments,
    }


_NEVER = datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)


def _moment(text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    """As browsers send a date or a date and time, in the visitor's zone unless it says one."""
    try:
        found = datetime.datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=zone)
        return found.astimezone(datetime.UTC) if 1971 <= found.year <= 9000 else None
    except (ValueError, OverflowError):
        return None


def _row(visitor: Visitor, row: dict[str, Any], url: str, *, is_platform: bool) -> EntryRow:
    project = row["project"] or ""
    at = row["at"]
    return EntryRow(
        tabs.Stamp(f"{at.astimezone(visitor.zone):%Y-%m-%d %H:%M:%S}", formats.full(at, visitor.zone)),
        row["actor"],
        tabs.url(url, actor=row["actor"]) if row["actor"] != "system" else "",
        row["verb"],
        row["object_type"],
        row["object_id"],
        audit_view.named(row["object_type"], row["object_id"], row["before"], row["after"]),
        tabs.url(url, object_type=row["object_type"], object_id=row["object_id"]),
        project,
        tabs.url(url, project=project) if is_platform and project else "",
        audit_view.changes(row["before"], row["after"]),
        row["address"] or "",
    )


def _csv(filters: dict[str, Any], name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store, private",
        "X-Content-Type-Options": "nosniff",
    }
    # With a mark of the byte order: without it a spreadsheet takes names that are not English for something else.
    return StreamingResponse(_csv_pieces(filters), media_type="text/csv; charset=utf-8", headers=headers)


def _csv_pieces(filters: dict[str, Any]) -> Iterator[bytes]:
    """A piece for each thousand entries; no connection is held while the reader is slow."""
    yield ("\ufeff" + audit_view.csv_lines([], header=True)).encode()
    after: int | None = None
    while True:
        with read_session() as session:
            rows = repository.list_entries(session, **filters, after=after, limit=_CSV_ROWS)
        if rows:
            yield audit_view.csv_lines(rows).encode("utf-8", "replace")
        if len(rows) < _CSV_ROWS:
            return
        after = rows[-1]["id"]
