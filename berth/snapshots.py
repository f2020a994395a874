"""A folder as a snapshot: the same files make the same bytes, whoever packs them and whenever.

What stays out: what git ignores, what `.berthignore` names, version control's and tools' own folders, links
that lead out of the folder, and everything that is neither file nor link.
"""

import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from berth import ignores, sources
from berth.config import config_path
from berth.errors import InvalidInput
from berth.quantities import show_size

# What a server takes unless its administrator chose otherwise.
MAX_PACKED_BYTES = 200 << 20
MAX_UNPACKED_BYTES = 1 << 30
MAX_FILES = 20_000

# Where people keep passwords by custom. `!.env` in a .berthignore sends it after all.
_SECRETS = ignores.read_rules(".env")


@dataclass
class Snapshot:
    """A packed folder: `digest` is the SHA-256 of its bytes. Use it in `with`; its file is gone after that."""

    digest: str
    packed_bytes: int
    unpacked_bytes: int
    files: int
    source: dict[str, Any]
    left_out: list[str]
    _file: IO[bytes] = field(repr=False)

    def open(self) -> IO[bytes]:
        """The bytes, from the start."""
        self._file.seek(0)
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def pack(folder: Path, max_bytes: int = MAX_PACKED_BYTES) -> Snapshot:
    """The folder as a tar.gz. Raises InvalidInput for one that is too large, naming its largest files."""
    if not folder.is_dir():
        raise InvalidInput(
            f"{folder} is not a folder", code="NO_SUCH_FOLDER", hint="--dir names the folder with the code."
        )
    names, left_out = choose_files(folder)
    sizes = {name: _size(folder / name) for name in names}
    total = sum(sizes.values())
    if len(names) > MAX_FILES:
        raise _too_large(folder, f"{len(names)} files, at most {MAX_FILES} go", sizes)
    if total > MAX_UNPACKED_BYTES:
        raise _too_large(folder, f"{show_size(total)}, at most {show_size(MAX_UNPACKED_BYTES)} go", sizes)
    file = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115 - the snapshot closes it
    try:
        _write(file, folder, names)
        packed = file.tell()
        if packed > max_bytes:
            raise _too_large(folder, f"{show_size(packed)} packed, at most {show_size(max_bytes)} go", sizes)
        file.seek(0)
        digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    except BaseException:
        file.close()
        raise
    return Snapshot(digest, packed, total, len(names), sources.describe(folder), left_out, file)


def choose_files(folder: Path) -> tuple[list[str], list[str]]:
    """Relative names of what goes, sorted, and what stays out for a reason the user should hear."""
    listed = sources.list_files(folder)
    rules = _SECRETS + (_own_rules(folder, ".berthignore") if listed is not None else [])
    found = _from_git(folder, listed, rules) if listed is not None else _walk(folder, "", [], rules)
    chosen, left_out = [], []
    own = config_path().resolve()
    for name in found:
        path = folder / name
        if path.name == own.name and path.resolve() == own:
            left_out.append(f"{name} (it holds your token)")
            continue
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue  # deleted, but git still lists it
        if stat.S_ISREG(mode):
            chosen.append(name)
        elif stat.S_ISLNK(mode):
            if _stays_inside(folder, path):
                chosen.append(name)
            else:
                left_out.append(f"{name} (a link out of the folder)")
        elif not stat.S_ISDIR(mode):
            left_out.append(f"{name} (not a file)")
    return sorted(set(chosen)), left_out


def _from_git(folder: Path, listed: list[str], rules: list[ignores.Rule]) -> Iterator[str]:
    for name in listed:
        parts = name.rstrip("/").split("/")
        if ignores.ALWAYS.intersection(parts) or _is_left_out(parts, rules, (folder / name).is_dir()):
            continue
        path = folder / name
        if path.is_dir() and not path.is_symlink():  # a submodule, or a repository in the repository
            inner = sources.list_files(path) if (path / ".git").exists() else None
            inside = _from_git(path, inner, []) if inner is not None else _walk(path, "", [], [])
            for below in inside:
                whole = [*parts, *below.split("/")]
                if not _is_left_out(whole, rules, False):
                    yield "/".join(whole)
        else:
            yield name


def _is_left_out(parts: list[str], rules: list[ignores.Rule], is_folder: bool) -> bool:
    return any(
        ignores.is_ignored("/".join(parts[:depth]), depth < len(parts) or is_folder, rules)
        for depth in range(1, len(parts) + 1)
    )


def _walk(folder: Path, base: str, git_rules: list[ignores.Rule], own_rules: list[ignores.Rule]) -> Iterator[str]:
    git_rules = git_rules + _rules_of(folder / base / ".gitignore", base)
    own_rules = own_rules + _rules_of(folder / base / ".berthignore", base)
    with os.scandir(folder / base) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{base}/{entry.name}" if base else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name in ignores.ALWAYS:
                continue
            if any(ignores.is_ignored(name, is_folder, rules) for rules in (git_rules, own_rules)):
                continue
            if is_folder:
                yield from _walk(folder, name, git_rules, own_rules)
            else:
                yield name


def _own_rules(folder: Path, file_name: str) -> list[ignores.Rule]:
    """The rules of all files of that name below `folder`, the outer ones first."""
    found: list[ignores.Rule] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in ignores.ALWAYS)
        if file_name in files:
            base = Path(place).relative_to(folder).as_posix()
            found += _rules_of(Path(place) / file_name, "" if base == "." else base)
    return found


def _rules_of(path: Path, base: str) -> list[ignores.Rule]:
    try:
        return ignores.read_rules(path.read_text(encoding="utf-8", errors="surrogateescape"), base)
    except OSError:
        return []


def _stays_inside(folder: Path, link: Path) -> bool:
    target = link.readlink()
    if target.is_absolute():
        return False
    inside = os.path.normpath(os.path.join(link.parent.relative_to(folder), target))  # noqa: PTH118 - by text first
    if inside == ".." or inside.startswith("../"):
        return False
    return link.resolve().is_relative_to(folder.resolve())


def _write(file: IO[bytes], folder: Path, names: list[str]) -> None:
    # Level 6 packs code three times as fast as 9 and one per cent larger; name and time would differ each time.
    with (
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive,
    ):
        for name in names:
            _add(archive, folder / name, name)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.mtime = entry.uid = entry.gid = 0
    try:
        name.encode("utf-8")
        if path.is_symlink():
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
            archive.addfile(entry)
            return
        with path.open("rb") as content:
            facts = os.fstat(content.fileno())
            entry.size = facts.st_size
            entry.mode = 0o755 if facts.st_mode & 0o111 else 0o644
            archive.addfile(entry, content)
    except UnicodeEncodeError:
        raise InvalidInput(
            f"the name of {os.fsencode(name)!r} is not UTF-8",
            code="SNAPSHOT_NAME",
            hint="Rename it, or name it in .berthignore.",
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{name} cannot be packed: {error.strerror or 'it changed while it was read'}",
            code="SNAPSHOT_READ",
            hint="Make it readable, or name it in .berthignore.",
        ) from error


def _size(path: Path) -> int:
    try:
        return 0 if path.is_symlink() else path.stat().st_size
    except OSError:
        return 0


def _too_large(folder: Path, how: str, sizes: dict[str, int]) -> InvalidInput:
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:5]
    listed = "".join(f"\n  {show_size(size):>10}  {name}" for name, size in largest)
    return InvalidInput(
        f"the folder {folder} is too large to send: {how}. Its largest files:{listed}",
        code="SNAPSHOT_TOO_LARGE",
        hint="Name what the run does not need in .berthignore, choose a smaller --dir, or use --no-snapshot.",
    )
