"""Outputs of a run: the list, and the files themselves."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Path, Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import db
from app.api import cursors, wire
from app.api.deps import AfterDep, LimitDep, ReadSessionDep, RunDep, RunRef, allowed
from app.api.problems import language_of
from app.api.routing import new_router, problems
from app.api.schemas.outputs import OutputPage, entry_read, output_read
from app.domain import bundles
from app.domain.access import Action
from app.errors import N_, AppError, NotFound
from app.i18n import translate
from app.repositories import outputs
from app.services.outputs import INERT, OutputLost, OutputRemoved, OutputsLost, disposition, removed
from app.settings import get_settings
from app.stores import objects

router = new_router("outputs")

OutputPath = Annotated[str, Path(max_length=5000, description="The output's path.", examples=["model.bin"])]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(AppError):
    """A range that begins after the end of the file."""

    status = 416
    code = "RANGE_NOT_SATISFIABLE"
    title = N_("There are no such bytes")
    detail = N_("The file has {size} bytes.")
    hint = N_("Ask for a range that begins before its end.")


FolderQuery = Annotated[
    str | None, Query(max_length=5000, description="A folder; empty for the top one.", examples=[""])
]


def _bytes(media_type: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a download."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {status: {"description": "The bytes.", "content": content} for status in statuses or (200,)}


@router.get("/runs/{run}/outputs", response_model=OutputPage)
@allowed(Action.RUN_READ)
def list_outputs(
    request: Request,
    run: RunDep,
    session: ReadSessionDep,
    path: FolderQuery = None,
    after: AfterDep = None,
    limit: LimitDep = 50,
) -> Response:
    """List the files that the run left, by path. They are there when the attempt has ended.

    With `path`, what is directly in that folder: folders first, each with the sum of what is below it. A file
    that the project's rules removed stays listed, with `removed_at` and the rules that did it.
    """
    if path is not None:
        return _list_folder(request, run, session, _folder(path), after, limit)
    scope = f"outputs {run.id}"
    position = None if after is None else cursors.decode(scope, after)[0]
    rows = outputs.list_outputs(session, run.id, after=position, limit=limit + 1)
    following = cursors.encode(scope, [rows[limit - 1].path]) if len(rows) > limit else None
    return wire.page_response(request, [output_read(row) for row in rows[:limit]], following)


def _list_folder(
    request: Request, run: RunRef, session: Session, folder: str, after: str | None, limit: int
) -> Response:
    scope = f"outputs {run.id} {folder}"
    place = None
    if after is not None:
        is_file, name = cursors.decode(scope, after)
        place = bool(is_file), str(name)
    rows = outputs.list_folder(session, run.id, folder, after=place, limit=limit + 1)
    if not rows and folder and after is None:
        raise NotFound
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = cursors.encode(scope, [isinstance(last, outputs.OutputRow), last.name])
    return wire.page_response(request, [entry_read(row) for row in rows[:limit]], following)


def _folder(path: str) -> str:
    """The path without slashes at its ends. Raises NotFound for one that no file can be below."""
    if "\0" in path:
        raise NotFound
    return path.strip("/")


_GONE = problems(OutputRemoved, OutputsLost)
_NAMED = 5  # of the files that are missing
_LOST_MEANWHILE = N_(
    "This archive is not complete. These files are recorded, but the object store did not have them any more "
    "when it was their turn:"
)


@router.get("/runs/{run}/outputs.tar", response_class=StreamingResponse, responses=_GONE | _bytes("application/x-tar"))
@allowed(Action.RUN_READ)
def read_tar(request: Request, run: RunDep, path: FolderQuery = None) -> Response:
    """Download all files, or those of one folder, as a tar that is made while it is sent.

    A file that is lost meanwhile is left out, and an entry MISSING.txt at the end names it.
    """
    return _bundle(request, run, path or "", "tar", "application/x-tar", bundles.tar)


@router.get("/runs/{run}/outputs.zip", response_class=StreamingResponse, responses=_GONE | _bytes("application/zip"))
@allowed(Action.RUN_READ)
def read_zip(request: Request, run: RunDep, path: FolderQuery = None) -> Response:
    """Download all files, or those of one folder, as a zip that is made while it is sent. Nothing is compressed.

    A file that is lost meanwhile is left out, and an entry MISSING.txt at the end names it.
    """
    return _bundle(request, run, path or "", "zip", "application/zip", bundles.zipped)


def _bundle(
    request: Request,
    run: RunRef,
    path: str,
    end: str,
    media_type: str,
    pack: Callable[[Sequence[bundles.Entry], bundles.Telling], Iterator[bytes]],
) -> Response:
    folder = _folder(path)
    with db.read_session() as session:
        rows = outputs.list_below(session, run.id, folder, limit=get_settings().limits.output_files)
        facts = outputs.folder_facts(session, run.id, folder)
        gone = outputs.find_removed(session, run.id, folder) if not rows else None
    if gone is not None:
        raise removed(gone)
    if not facts.files:
        raise NotFound
    store = objects.of(run.project_id)
    start = len(folder) + 1 if folder else 0
    names = bundles.unique_names(row.path[start:] for row in rows)
    # Asked before the 200, which cannot be taken back; what is lost after that is named in the archive.
    lost = set(store.missing(row.object_key for row in rows))
    if lost:
        paths = [row.path for row in rows if row.object_key in lost]
        told = ", ".join(paths[:_NAMED]) + (", …" if len(paths) > _NAMED else "")
        raise OutputsLost(names=told, lost=len(paths), all=len(rows))
    entries = [
        bundles.Entry(name, row.bytes, row.created_at, partial(store.get, row.object_key))
        for name, row in zip(names, rows, strict=True)
    ]
    told = folder.rpartition("/")[2]
    headers = {
        "cache-control": "private, no-store",
        "content-disposition": disposition(f"{run.public_id}-{told}.{end}" if told else f"{run.public_id}.{end}"),
        **INERT,
    }
    language = language_of(request)

    def tell(lost: list[str]) -> str:
        return "\n".join((translate(language, _LOST_MEANWHILE), "", *lost, ""))

    return StreamingResponse(pack(entries, tell), 200, headers, media_type)


@router.get(
    "/runs/{run}/outputs/{path:path}",
    response_class=StreamingResponse,
    responses=problems(RangeNotSatisfiable, OutputLost, OutputRemoved) | _bytes("application/octet-stream", 200, 206),
)
@allowed(Action.RUN_READ)
def read_output(request: Request, run: RunDep, path: OutputPath) -> Response:
    """Download one file, or a range of its bytes. Always as an attachment: what a job wrote is never shown here."""
    with db.read_session() as session:
        row = outputs.find_output(session, run.id, path) if "\0" not in path else None
    if row is None:
        raise NotFound
    if row.removed_at is not None:
        raise removed(row)
    tag = wire.etag(row.sha256)
    if wire.is_unchanged(request, tag):
        return wire.not_modified(tag)
    headers = {
        "etag": tag,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": disposition(path),
        **INERT,
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
