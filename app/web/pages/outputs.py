"""Outputs of a run: its folders, a preview of each file, and the pictures in previews."""

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from app.domain import previews
from app.domain.states import TERMINAL
from app.errors import NotFound
from app.repositories import outputs, retention
from app.repositories.clusters import LOCAL
from app.repositories.outputs import OutputRow
from app.services.outputs import INERT, OutputLost, disposition
from app.stores import objects
from app.web import formats, output_view, run_frame
from app.web.deps import Visitor, visit
from app.web.output_view import OutputsPage
from app.web.run_phases import View
from app.web.templating import render

_ENTRIES = 100

router = APIRouter(include_in_schema=False)


@router.get("/projects/{project}/runs/{run}/outputs")
def top(request: Request, project: str, run: str, after: str = "") -> Response:
    """The top folder."""
    return page(request, project, run, "", after)


@router.get("/projects/{project}/runs/{run}/outputs/{path:path}")
def page(request: Request, project: str, run: str, path: str, after: str = "") -> Response:
    """A folder's entries, or a file with its preview. Raises NotFound for neither."""
    path = _clean(path)
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        view = View(visitor.language, visitor.zone, datetime.datetime.now(datetime.UTC))
        found = outputs.find_output(visitor.session, row.id, path) if path else None
        made = _start(view, row, path)
        if found is None:
            _add_folder(visitor, view, made, row, path, after)
        due = retention.find_due(visitor.session, row.id)
        shell = run_frame.run_shell(visitor, row, "outputs")
    if due is not None:
        made.due_note = view.say(
            "The project's rules remove these files on {date}. A tag that the rules name keeps them.",
            date=formats.minute(due, view.zone),
        )
    if found is not None:
        _add_file(view, made, row, found)
    return render("runs/outputs.html", shell, made)


@router.get("/projects/{project}/runs/{run}/output-image/{path:path}")
def image(request: Request, project: str, run: str, path: str) -> Response:
    """The bytes of a picture, for the page's own <img>: named as what its first bytes are, and nothing else.

    Opened by itself it is a download, as every other file. Raises NotFound for what is no picture.
    """
    with visit(request) as visitor:
        row = run_frame.find_run(visitor, project, run)
        found = outputs.find_output(visitor.session, row.id, _clean(path))
    if found is None or found.removed_at is not None or not found.bytes:
        raise NotFound
    head = _head(row, found, 0, previews.HEAD_BYTES)
    if previews.image_type(head) is None:
        raise NotFound
    try:
        kind = previews.read_image(head, found.bytes).media_type
    except previews.NotThat:
        raise NotFound from None
    headers = {
        "cache-control": "private, no-cache",
        "content-length": str(found.bytes),
        "content-disposition": disposition(found.path),
        **INERT,
    }
    return StreamingResponse(_read(row, found, 0, found.bytes), 200, headers, kind)


def _clean(path: str) -> str:
    if "\0" in path:
        raise NotFound
    return path.strip("/")


def _start(view: View, row: Any, path: str) -> OutputsPage:
    run_url = run_frame.run_url(row)
    parts = output_view.build_parts(view, run_url, path)
    return OutputsPage(run_url, parts[-1].url, parts[-1].text, parts)


def _add_folder(visitor: Visitor, view: View, made: OutputsPage, row: Any, path: str, after: str) -> None:
    # A cursor for people to see: "/name" after a folder, "name" after a file.
    place = (not after.startswith("/"), after.removeprefix("/")) if after and "\0" not in after else None
    rows = outputs.list_folder(visitor.session, row.id, path, after=place, limit=_ENTRIES + 1)
    if path and not rows:
        raise NotFound
    facts = outputs.folder_facts(visitor.session, row.id, path)
    made.entries = output_view.build_entries(view, row.public_id, made.run_url, rows[:_ENTRIES])
    made.summary = output_view.summary(view, facts, is_live=row.state not in TERMINAL)
    if len(rows) > _ENTRIES:
        last = rows[_ENTRIES - 1]
        told = last.name if isinstance(last, OutputRow) else f"/{last.name}"
        made.more_url = f"{made.url}?{urlencode({'after': told})}"
    if facts.kept:
        made.tar_url = output_view.bundle_url(row.public_id, path, "tar")
        made.zip_url = output_view.bundle_url(row.public_id, path, "zip")
    made.empty_note = view.say(output_view.why_none(is_over=row.state in TERMINAL, is_local=row.pool == LOCAL))


def _add_file(view: View, made: OutputsPage, row: Any, found: OutputRow) -> None:
    """Reads as much of the file as its preview needs. No session is open."""
    made.is_file = True
    made.facts = output_view.file_facts(view, found)
    made.removed_note = output_view.removed_note(view, found)
    if found.removed_at is not None:
        return
    made.download = output_view.file_url(row.public_id, found.path)
    head = _head(row, found, 0, previews.HEAD_BYTES)
    header = None
    if found.name.lower().endswith(".safetensors"):
        try:
            length = previews.tensor_header_size(head, found.bytes)
            header = head[8 : 8 + length] if 8 + length <= len(head) else _head(row, found, 8, 8 + length)
        except previews.NotThat:
            header = None
    image_url = made.run_url + "/output-image/" + made.url.removeprefix(f"{made.run_url}/outputs/")
    made.preview = output_view.build_preview(view, found, head, header, image_url)


def _head(row: Any, found: OutputRow, start: int, end: int) -> bytes:
    end = min(end, found.bytes)
    return b"".join(_read(row, found, start, end)) if end > start else b""


def _read(row: Any, found: OutputRow, start: int, end: int) -> Iterator[bytes]:
    try:
        return objects.of(row.project_id).get(found.object_key, start, end)
    except objects.ObjectMissing:
        raise OutputLost from None
