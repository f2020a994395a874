"""The folder with all state of a trial on one machine, and the secrets that are made in it.

Standard library only: the supervisor lives as long as Berth and must not hold what the settings import.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def default_home() -> Path:
    """The user's data folder, as the XDG base directory specification names it."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "berth"


def generated_secret(home: Path, name: str) -> str:
    """A secret of this home, made when it is first asked for. The file is readable by its owner only."""
    return _change(home, name, lambda known: known or _new_secret())


def add_generated_key(home: Path, name: str) -> str:
    """Puts a new key before those that the home has under this name; returns all, newest first, by commas."""
    return _change(home, name, lambda known: f"{_new_secret()},{known}" if known else _new_secret())


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


def _change(home: Path, name: str, change: Callable[[str], str]) -> str:
    path = home / "secrets.json"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Berth's processes start at once and must not each make their own.
    with (home / "secrets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        value = change(known.get(name, ""))
        if known.get(name) != value:
            known[name] = value
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(known))
            draft.replace(path)
    return value
