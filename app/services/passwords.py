"""Passwords: argon2id, a few at a time, and the same work for a name that does not exist."""

import threading

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.errors import N_, FieldError, Invalid

MIN_LENGTH = 10
MAX_LENGTH = 200

# The second of OWASP's equivalent settings: 19 MiB for each of the few that run at once.
_hasher = PasswordHash([Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1)])
_few = threading.BoundedSemaphore(2)
_NOBODYS = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    """The argon2id hash to store."""
    with _few:
        return _hasher.hash(password)


def verify(password: str, stored: str | None) -> bool:
    """Whether the password is the stored one. Takes as long for None, which nothing matches."""
    with _few:
        matches = _hasher.verify(password, stored or _NOBODYS)
    return matches and stored is not None


def check_new(password: str, name: str, pointer: str = "/password") -> None:
    """Raises Invalid for a password that is too short, too long or the name itself (NIST SP 800-63B, 3.1.1.2)."""
    slots = {"min": MIN_LENGTH, "max": MAX_LENGTH}
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid([FieldError(pointer, N_("must have {min} to {max} characters"), slots=slots)])
    if name and password.lower() in (name.lower(), name.lower() * 2):
        raise Invalid([FieldError(pointer, N_("must not be the name"))])
    if len(set(password)) < 4:
        raise Invalid([FieldError(pointer, N_("must have at least four different characters"))])
