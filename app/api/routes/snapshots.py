"""Snapshots: the code that runs start from, uploaded once and named by its SHA-256."""

import tempfile
from typing import Annotated

import anyio.to_thread
from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from app.api import wire
from app.api.deps import ActorDep, ProjectDep, allowed
from app.api.problems import BodyTooLarge, UnsupportedMediaType
from app.api.receiving import receive
from app.api.routing import new_router, problems
from app.api.schemas.snapshots import SnapshotRead
from app.domain.access import Action
from app.errors import NotFound
from app.services import snapshots
from app.services.snapshots import BadArchive, DigestMismatch

router = new_router("snapshots")

DigestPath = Annotated[str, Path(max_length=200, description="SHA-256 of the archive, in hex.", examples=["0" * 64])]
_TYPES = ("application/gzip", "application/x-gzip", "application/octet-stream")
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/projects/{project}/snapshots/{digest}", response_model=SnapshotRead)
@allowed(Action.RUN_WRITE)
def read_snapshot(project: ProjectDep, digest: DigestPath) -> Response:
    """What the project has of the archive; HEAD is enough to ask whether it need not be sent."""
    found = snapshots.find_snapshot(project.id, snapshots.read_digest(digest))
    if found is None:
        raise NotFound
    return wire.json_response(found._asdict(), 200, {"etag": wire.etag(digest), "cache-control": "no-store"})


@router.put(
    "/projects/{project}/snapshots/{digest}",
    status_code=201,
    response_model=SnapshotRead,
    openapi_extra=_BODY,
    responses={
        **problems(DigestMismatch, BadArchive, BodyTooLarge, UnsupportedMediaType),
        200: {"description": "It was there already.", "model": SnapshotRead},
    },
)
@allowed(Action.RUN_WRITE)
async def add_snapshot(request: Request, project: ProjectDep, actor: ActorDep, digest: DigestPath) -> Response:
    """Upload a gzip-compressed tar. It is checked as a whole first: paths that leave the folder, devices, too many
    files or too many bytes when unpacked are refused, and then nothing is stored. Sending it again changes nothing.
    """
    snapshots.read_digest(digest)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _TYPES:
        raise UnsupportedMediaType(expected=_TYPES[0])
    with tempfile.TemporaryFile() as archive:
        actual, size = await receive(request, archive)
        stored, is_new = await anyio.to_thread.run_sync(
            snapshots.store_snapshot, actor, project.id, digest, actual, archive, size
        )
    return wire.json_response(stored._asdict(), 201 if is_new else 200, {"etag": wire.etag(digest)})
