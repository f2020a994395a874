"""How project secrets are kept: each value under a key of its own, which is kept under one of Berth's.

AES-256-GCM for both. What a value belongs to is authenticated with it (`context`), so that a row that was copied
to another project or name opens nothing. Several of Berth's keys may be known; the first one seals.

The library is loaded with the first secret that is sealed or opened, not by every process that starts.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple

_NONCE_BYTES = 12


class Sealed(NamedTuple):
    """What is stored: the name of Berth's key, the value's key under it, and the value under that."""

    key_id: str
    wrapped_key: bytes
    ciphertext: bytes


class CannotOpen(Exception):
    """The key that it was sealed with is not known, or it was changed. The message is for users."""


class KeyRing:
    """Berth's keys, newest first; each has 32 bytes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self.newest = key_id(keys[0])

    def seal(self, value: str, context: str) -> Sealed:
        """The value under a new key of its own, and that under the newest of Berth's."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        own = AESGCM.generate_key(256)
        wrapped = _encrypt(self._keys[self.newest], own, f"{context}/{self.newest}")
        return Sealed(self.newest, wrapped, _encrypt(own, value.encode(), context))

    def open(self, sealed: Sealed, context: str) -> str:
        """The value. Raises CannotOpen."""
        from cryptography.exceptions import InvalidTag

        key = self._keys.get(sealed.key_id)
        if key is None:
            raise CannotOpen(f"it was encrypted with the key {sealed.key_id}, which is not among the configured ones")
        try:
            own = _decrypt(key, sealed.wrapped_key, f"{context}/{sealed.key_id}")
            return _decrypt(own, sealed.ciphertext, context).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen("what is stored of it is damaged") from None


def key_id(key: bytes) -> str:
    """A name for a key that says nothing of it."""
    return hashlib.sha256(b"berth key id\0" + key).hexdigest()[:12]


def _encrypt(key: bytes, data: bytes, context: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, context.encode())


def _decrypt(key: bytes, data: bytes, context: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
