"""Cursors of lists: where the next page begins, opaque to clients and signed, so that nobody makes one up.

A cursor belongs to one list with one order and one set of filters (`scope`); in another list it is expired.
"""

import base64
import binascii
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from app.api.problems import CursorExpired
from app.settings import get_settings

_MAC_BYTES = 12


def encode(scope: str, values: list[Any]) -> str:
    """A cursor for the position `values` (JSON scalars) in the list `scope`."""
    payload = json.dumps(values, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(scope, payload) + payload).rstrip(b"=").decode()


def decode(scope: str, cursor: str) -> list[Any]:
    """The position that `encode` was given. Raises CursorExpired for anything else."""
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError, ValueError):
        raise CursorExpired from None
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(scope, payload)):
        raise CursorExpired
    values = json.loads(payload)
    assert isinstance(values, list)
    return values


def following(scope: str, rows: Sequence[Mapping[str, Any]], limit: int, *names: str) -> str | None:
    """The cursor after the `limit`-th of the rows, made of its values of `names`; None where no more follow."""
    if len(rows) <= limit:
        return None
    values = [rows[limit - 1][name] for name in names]
    return encode(scope, [str(value) if isinstance(value, uuid.UUID) else value for value in values])


def _mac(scope: str, payload: bytes) -> bytes:
    message = b"cursor\0" + scope.encode() + b"\0" + payload
    return hmac.digest(get_settings().signing_key, message, hashlib.sha256)[:_MAC_BYTES]
