"""The values of an attempt's secrets: where they wait for the program, how it gets them, and that they go away.

They wait in a file of the attempt's folder that only its owner may read, until the program's start is written
down: from then on the attempt is never started again, and nothing needs them any more.
"""

import os
from contextlib import suppress
from typing import Any

from app.clusters.local_wrapper.folder import Folder

VALUES = "secrets.json"
FILES = "secrets"
SHORTEST_MASKED = 8
"""Values below so many characters are not masked in logs: they would be found in ordinary text."""


def read_values(folder: Folder) -> dict[str, str]:
    """By the secret's name; none where nothing waits."""
    return folder.read(VALUES) or {}


def hand_over(folder: Folder, uses: list[dict[str, Any]], values: dict[str, str]) -> dict[str, str]:
    """Writes the files; returns the environment variables. Raises KeyError for a value that is not there."""
    drop_files(folder)
    env = {use["env"]: values[use["name"]] for use in uses if use.get("env")}
    files = {use["file"]: values[use["name"]] for use in uses if use.get("file")}
    if files:
        os.mkdir(folder.file(FILES), 0o700)
        env["BERTH_SECRETS"] = folder.file(FILES)
    for name, value in files.items():
        handle = os.open(f"{folder.file(FILES)}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(value)
    return env


def drop_values(folder: Folder) -> None:
    """Removes what waits, drafts of it too."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder.path):
            if name == VALUES or name.startswith(f".{VALUES}."):
                with suppress(FileNotFoundError):
                    os.unlink(folder.file(name))


def drop_files(folder: Folder) -> None:
    """Removes what the program was given as files."""
    path = folder.file(FILES)
    if os.path.isdir(path):
        import shutil  # here, since only runs with such files need it

        with suppress(OSError):
            os.chmod(path, 0o700)
        shutil.rmtree(path, ignore_errors=True)


def drop(folder: Folder) -> None:
    """Nothing of the secrets stays in the folder."""
    drop_values(folder)
    drop_files(folder)


def masks(values: dict[str, str]) -> list[bytes]:
    """What is to be masked in the log, the longest first. Logs have lines, so the value of several is looked for
    line by line; the line that says what kind of key follows is no secret."""
    found = set()
    for value in values.values():
        lines = value.splitlines()
        parts = [line.strip() for line in lines] if len(lines) > 1 else [value.rstrip("\r\n")]
        found |= {part.encode() for part in parts if len(part) >= SHORTEST_MASKED and not part.startswith("-----")}
    return sorted(found, key=len, reverse=True)
