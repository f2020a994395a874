"""Pages and JSON leave compressed (gzip) where the browser takes that. What is a stream is never touched.

A secret and a stranger's words that are compressed together can be guessed from the length (BREACH). So an answer is
packed only when no other site asked for it, only for GET (what is shown once answers a POST), and its length is made
inexact by a header field of random length. Forms' tokens differ in each answer besides (app/services/sessions.py).
"""

import asyncio
import re
import secrets
import struct
import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

LEAST = 1024  # bytes: what is smaller saves no packet
PAD = 100  # most bytes of the field of random length
# Level 2 takes a third of the time of level 5, and makes pages a tenth larger than that does.
_LEVEL = 2
_IN_THREAD = 256 * 1024  # bytes: from here on the event loop would be kept for more than 2 ms
_TYPES = ("text/html", "application/json", "application/problem+json")
_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")
_OWN_SITES = ("", "same-origin", "none")
# Magic, deflate, "a file name follows", no time, no flags, unknown system (RFC 1952, 2.3).
_HEAD = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding names gzip and does not refuse it (`;q=0`)."""
    for part in accept_encoding.lower().split(","):
        name, _, rest = part.partition(";")
        if name.strip() == "gzip":
            return _REFUSED.fullmatch(rest.strip()) is None
    return False


def packed(body: bytes) -> bytes:
    """`body` as gzip, with a file name of random length that every reader passes over."""
    raw = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    name = b"x" * secrets.randbelow(PAD + 1) + b"\0"
    tail = struct.pack("<LL", zlib.crc32(body), len(body) & 0xFFFFFFFF)
    return b"".join((_HEAD, name, raw.compress(body), raw.flush(), tail))


def packing(scope: Scope, send: Send) -> Send:
    """`send` itself, or where the answer to this request may be packed, a `send` that does it.

    The head of an answer waits for its body only when it promises one piece of a known length and one of our types.
    """
    asked = Headers(scope=scope)
    if scope["method"] != "GET" or asked.get("sec-fetch-site", "") not in _OWN_SITES:
        return send
    if not takes_gzip(asked.get("accept-encoding", "")):
        return send
    waiting: Message | None = None

    async def send_packed(message: Message) -> None:
        nonlocal waiting
        if message["type"] == "http.response.start":
            waiting = message if _may_be_packed(message) else None
            if waiting is not None:
                return
        elif waiting is not None:
            start, waiting = waiting, None
            if message["type"] == "http.response.body" and not message.get("more_body"):
                body = message["body"]
                made = packed(body) if len(body) < _IN_THREAD else await asyncio.to_thread(packed, body)
                start, message = _with_length(start, len(made)), {**message, "body": made}
            await send(start)
        await send(message)

    return send_packed


def _may_be_packed(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    length = headers.get("content-length", "")
    # An ETag names exact bytes, and a range counts in them.
    if not length.isdigit() or int(length) < LEAST or start["status"] == 206:
        return False
    if "content-encoding" in headers or "etag" in headers:
        return False
    return headers.get("content-type", "").partition(";")[0].strip().lower() in _TYPES


def _with_length(start: Message, length: int) -> Message:
    headers = MutableHeaders(raw=[*start["headers"]])
    headers["content-encoding"] = "gzip"
    headers["content-length"] = str(length)
    headers.add_vary_header("Accept-Encoding")
    return {**start, "headers": headers.raw}
