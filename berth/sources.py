"""What git knows of a folder. Everything here does without git, and without trusting what it says."""

import os
import subprocess
from pathlib import Path
from typing import Any

_TIMEOUT = 20.0


def describe(folder: Path) -> dict[str, Any]:
    """`git_commit`, `git_branch` and `git_dirty` of the work tree that `folder` lies in; {} where there is none."""
    commit = ask(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return {}
    found: dict[str, Any] = {"git_commit": commit.decode().strip()}
    branch = ask(folder, "symbolic-ref", "--short", "-q", "HEAD")
    if branch:
        found["git_branch"] = branch.decode("utf-8", "replace").strip()
    status = ask(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    if status is not None:
        found["git_dirty"] = bool(status.strip())
    return found


def list_files(folder: Path) -> list[str] | None:
    """Tracked and new files below `folder` that no `.gitignore` leaves out; None where git cannot tell."""
    listed = ask(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        return None
    return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})


def ask(folder: Path, *arguments: str) -> bytes | None:
    """The output of a git command that changes nothing; None where git is missing or refuses."""
    # Optional locks would make `status` write to the index of a folder that others may be working in; a
    # file system monitor is a program named by the folder's own configuration.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=_TIMEOUT, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
