"""What runs left on this disk: listing it and removing it. The names and rights in it are the runs' choice."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from app.clusters.base import OutputFile


def walk(folder: str, below: str = "") -> Iterator[OutputFile]:
    """Its regular files with UTF-8 names, sorted in each folder. Links are neither listed nor followed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, PermissionError):
        return
    for entry in found:
        path = f"{below}{entry.name}"
        if any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path, f"{path}/")
        elif entry.is_file(follow_symlinks=False):
            yield OutputFile(path, Path(entry.path), entry.stat(follow_symlinks=False).st_size)


def remove(folder: Path) -> None:
    """Removes a tree, also where the run took away the rights to its own folders."""
    if not folder.exists():
        return
    if os.geteuid() != 0:
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder)
