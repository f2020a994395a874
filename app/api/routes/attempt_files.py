"""What Berth's own runtime fetches and sends in a pod (deploy/images/runtime/agent.py), by the run's token.

Not in the document of the API: it changes with the runtime image, which is of the same version as the server.
"""

import tempfile
from typing import Annotated

import anyio.to_thread
from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.api import wire
from app.api.deps import RunDep, allowed
from app.api.problems import BodyTooLarge
from app.api.receiving import receive
from app.api.routing import new_router
from app.domain.access import Action
from app.services import attempt_files
from app.settings import get_settings

router = new_router("attempt_files")

_PRIVATE = {"cache-control": "private, no-store"}
_BYTES = "application/octet-stream"


@router.get("/runs/{run}/code", include_in_schema=False, response_class=StreamingResponse)
@allowed(Action.RUN_LOG)
def read_code(run: RunDep) -> Response:
    """The archive that the run starts from."""
    return StreamingResponse(attempt_files.open_code(run.id, run.project_id), 200, _PRIVATE, _BYTES)


@router.get("/runs/{run}/checkpoint", include_in_schema=False, response_class=StreamingResponse)
@allowed(Action.RUN_LOG)
def read_checkpoint(run: RunDep) -> Response:
    """The checkpoint folder as it was sent last, as a tar."""
    return StreamingResponse(attempt_files.open_checkpoint(run.id, run.project_id), 200, _PRIVATE, _BYTES)


@router.put("/runs/{run}/checkpoint", include_in_schema=False, status_code=204)
@allowed(Action.RUN_LOG)
async def put_checkpoint(request: Request, run: RunDep) -> Response:
    """Keep the checkpoint folder, a tar, in the place of the one before."""
    with tempfile.TemporaryFile() as archive:
        _, size = await receive(request, archive)
        await anyio.to_thread.run_sync(attempt_files.store_checkpoint, run.id, run.project_id, archive, size)
    return wire.no_content()


@router.put("/runs/{run}/outputs/{path:path}", include_in_schema=False, status_code=204)
@allowed(Action.RUN_LOG)
async def put_output(
    request: Request,
    run: RunDep,
    path: Annotated[str, Path(max_length=5000)],
    attempt: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
) -> Response:
    """Keep one file of the output folder, in the place of an earlier content."""
    with tempfile.TemporaryFile() as content:
        digest, size = await receive(request, content)
        is_kept = await anyio.to_thread.run_sync(
            attempt_files.store_output, run.id, run.project_id, attempt, path, digest, content, size
        )
    if not is_kept:
        raise BodyTooLarge(limit=get_settings().limits.output_bytes)
    return wire.no_content()
