"""A copy of the `berth` package for runs, so that `import berth` works with any interpreter.

Runs see this folder and not the one that Berth is installed in, which has all its other packages beside it.
"""

import hashlib
import os
import shutil
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2] / "berth"


def provide(folder: Path, package: Path = _PACKAGE) -> str:
    """Returns the folder to put on PYTHONPATH. Each content has its own, so running programs keep theirs."""
    files = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".typed"))
    stamp = hashlib.sha256()
    for path in files:
        stamp.update(f"{path.relative_to(package)} {path.stat().st_mtime_ns} {path.stat().st_size}\n".encode())
    target = folder / stamp.hexdigest()[:16]
    if not target.exists():
        draft = folder / f".{os.getpid()}-{stamp.hexdigest()[:8]}"
        for path in files:
            copy = draft / "berth" / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        draft.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return str(target)
