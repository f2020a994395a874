"""Outputs of a run: the list, and the files themselves."""

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import db
from app.api import cursors, wire
from app.api.deps import AfterDep, LimitDep, ReadSessionDep, RunDep, allowed
from app.api.routing import new_router, problems
from app.api.schemas.outputs import OutputPage, output_read
from app.domain.access import Action
from app.errors import N_, AppError, NotFound, Unavailable
from app.repositories import outputs
from app.stores import objects

router = new_router("outputs")

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(AppError):
    """A range that begins after the end of the file."""

    status = 416
    code = "RANGE_NOT_SATISFIABLE"
    title = N_("There are no such bytes")
    detail = N_("The file has {size} bytes.")
    hint = N_("Ask for a range that begins before its end.")


class OutputLost(Unavailable):
    """The list has the file and the store does not give it."""

    code = "OUTPUT_LOST"
    title = N_("The file is not in the object store")
    detail = N_("It is recorded, but the object store has nothing under its key.")
    hint = N_("Try again; if it stays so, an administrator has to restore the object store.")


@router.get("/runs/{run}/outputs", response_model=OutputPage)
@allowed(Action.RUN_READ)
def list_outputs(
    request: Request, run: RunDep, session: ReadSessionDep, after: AfterDep = None, limit: LimitDep = 50
) -> Response:
    """List the files that the run left, by path. They are there when the attempt has ended."""
    scope = f"outputs {run.id}"
    position = None if after is None else cursors.decode(scope, after)[0]
    rows = outputs.list_outputs(session, run.id, after=position, limit=limit + 1)
    following = cursors.encode(scope, [rows[limit - 1].path]) if len(rows) > limit else None
    return wire.page_response(request, [output_read(row) for row in rows[:limit]], following)


@router.get(
    "/runs/{run}/outputs/{path:path}",
    response_class=StreamingResponse,
    responses=problems(RangeNotSatisfiable, OutputLost),
)
@allowed(Action.RUN_READ)
def read_output(request: Request, run: RunDep, path: Annotated[str, Path(max_length=5000)]) -> Response:
    """Download one file, or a range of its bytes. Always as an attachment: what a job wrote is never shown here."""
    with db.read_session() as session:
        row = outputs.find_output(session, run.id, path) if "\0" not in path else None
    if row is None:
        raise NotFound
    tag = wire.etag(row.sha256)
    if wire.is_unchanged(request, tag):
        return wire.not_modified(tag)
    headers = {
        "etag": tag,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": _disposition(path),
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    start, end = 0, row.bytes
    span = _range(request, tag, row.bytes)
    if span is not None:
        start, end = span
        headers["content-range"] = f"bytes {start}-{end - 1}/{row.bytes}"
    headers["content-length"] = str(end - start)
    try:
        pieces = objects.of(run.project_id).get(row.object_key, start, end) if end > start else iter(())
    except objects.ObjectMissing:
        raise OutputLost from None
    return StreamingResponse(pieces, 200 if span is None else 206, headers, "application/octet-stream")


def _range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """The one range that is asked for (RFC 9110 14.2), or None for the whole. Raises RangeNotSatisfiable.

    Several ranges and other units are answered by the whole file, as the standard allows.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if_range = request.headers.get("if-range")
    if match is None or match[0] == "bytes=-" or (if_range is not None and if_range != tag):
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), size if not match[2] else min(size, int(match[2]) + 1)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise RangeNotSatisfiable(size=size)
    return start, end


def _disposition(path: str) -> str:
    """RFC 6266: a plain name for old readers, the real one beside it. Never with a folder or a control sign."""
    name = "".join(sign if sign.isprintable() and sign not in '\\"' else "_" for sign in path.rpartition("/")[2])
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
