"""Names that Berth makes: public ids, and object names derived from them (same input, same name)."""

import re
import secrets

# No 0/o, 1/l/i, u/v: an id survives being read out aloud and typed in again.
ALPHABET = "23456789abcdefghjkmnpqrstwxyz"
RUN_ID = re.compile(rf"r-[{ALPHABET}]{{10}}")
PROJECT_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?")
# Control characters, and the marks that change the direction of the text around them.
NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")
DEFINITION_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
USER_NAME = re.compile(r"[a-z](?:[a-z0-9._-]{0,62}[a-z0-9])?")
SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def new_run_id() -> str:
    """A random public id, "r-" and 10 characters: 29^10 = 4.2e14 of them; the column is unique."""
    number = secrets.randbelow(len(ALPHABET) ** 10)  # at once: each call asks the kernel
    return "r-" + "".join(ALPHABET[number // len(ALPHABET) ** place % len(ALPHABET)] for place in range(10))


def object_name(run_id: str, attempt: int) -> str:
    """What the run's object is called in a cluster: "r-7f3k2m9qwa-1". Never made from users' text."""
    return f"{run_id}-{attempt}"
