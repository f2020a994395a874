"""Taking a large body from a request."""

import hashlib
from typing import IO

import anyio.to_thread
from starlette.requests import Request

_PIECE = 1 << 20


async def receive(request: Request, target: IO[bytes]) -> tuple[str, int]:
    """Writes the body to a file; its SHA-256 in hex and its size. The disk is waited for in a thread."""
    hashed, size = hashlib.sha256(), 0

    def keep(piece: bytes) -> None:
        hashed.update(piece)
        target.write(piece)

    waiting = bytearray()
    async for part in request.stream():
        waiting += part
        size += len(part)
        if len(waiting) >= _PIECE:
            await anyio.to_thread.run_sync(keep, bytes(waiting))
            waiting.clear()
    await anyio.to_thread.run_sync(keep, bytes(waiting))
    return hashed.hexdigest(), size
