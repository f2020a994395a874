"""What runs left: listing, fetching with resumption and a check of each digest, and how long outputs are kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from berth.connection import Connection
from berth.errors import BerthError, Unreachable
from berth.records import Artifact, OutputFile, read_output
from berth.results import Named

_TRIES = 5
_LOST = "OUTPUT_LOST"
_ANY = {"Accept": "*/*"}


class Outputs:
    """The files that runs left in $BERTH_OUTPUT. Every method raises BerthError."""

    def __init__(self, client: Connection) -> None:
        self._client = client

    def list(self, run_id: str) -> Iterator[OutputFile]:
        """All files of a run, by path."""
        return map(read_output, self._client.items(self._path(run_id)))

    def folder(self, run_id: str, path: str = "") -> Iterator[dict[str, Any]]:
        """What is directly in a folder: objects with `kind` "folder" or "file", `path` and `bytes`."""
        return self._client.items(self._path(run_id), {"path": path})

    def get(self, run_id: str, path: str | None = None, to: str | Path = ".") -> Sequence[Path]:
        """Writes one output, those below a folder, or all of them below `to`; the paths written, in order.

        Each file is checked against its digest and appears under its name only when it is complete. What a
        broken connection left is continued, now or by the next call. A name that would leave `to` is refused
        before anything is fetched; files that were removed by the project's rules are left out of folders.

        Raises BerthError with the code OUTPUT_LOST where the object store does not have some of them any more,
        after all others were written: `errors` names each, and `fields` has their paths as `lost` and the paths
        that were written as `written`.
        """
        chosen = [file for file in self.list(run_id) if path is None or _is_below(file.path, path)]
        if not chosen:
            raise BerthError(
                f"{run_id} has no output {path!r}" if path else f"{run_id} has no outputs",
                code="NO_SUCH_OUTPUT",
                status=404,
                hint=f"`berth output ls {run_id}` lists them.",
            )
        there = [file for file in chosen if not file.is_removed] or chosen
        targets = [target_of(file.path, Path(to)) for file in there]
        written: list[Path] = []
        lost: list[str] = []
        for file, target in zip(there, targets, strict=True):
            try:
                self._get_one(run_id, file, target, Path(to))
                written.append(target)
            except BerthError as error:
                if error.code != _LOST:
                    raise
                lost.append(file.path)
        if lost:
            raise _lost(run_id, lost, written)
        return written

    def read(self, run_id: str, path: str) -> bytes:
        """The content of one output, in memory and checked against its digest; for a large one there is `get`."""
        parts = PurePosixPath(path).parts
        found = self._client.send("GET", self._client.path("runs", run_id, "outputs", *parts), headers=_ANY)
        sha256 = found.headers.get("etag", "").strip('"')
        if sha256 and _digest(found.body) != sha256:
            raise Unreachable(f"{path} arrived damaged", hint="Try again.")
        return found.body

    def artifacts(self, run_id: str) -> dict[str, Artifact]:
        """The files of a run by their paths; those that the project's rules removed say so and cannot be read."""
        found = map(vars, self.list(run_id))
        return Named(
            f"{run_id} has no output", {file["path"]: Artifact(**file, run_id=run_id, home=self) for file in found}
        )

    def _get_one(self, run_id: str, file: OutputFile, target: Path, to: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(to.resolve()):
            raise BerthError(f"{target} lies outside of {to}: a link is in the way", code="UNSAFE_PATH")
        # Named by its content, so that only what is the beginning of the same file is continued.
        draft = target.with_name(f".{target.name[:100]}.{file.sha256[:16]}.part")
        if draft.is_symlink():
            draft.unlink()
        for attempt in range(_TRIES):
            try:
                self._continue(run_id, file, draft)
                break
            except (Unreachable, OSError) as error:
                if attempt == _TRIES - 1 or (isinstance(error, OSError) and not isinstance(error, Unreachable)):
                    raise
                self._client.pause(0.3 * 2**attempt)
        if file.sha256 and _digest_of(draft) != file.sha256:
            draft.unlink()
            raise Unreachable(f"{file.path} arrived damaged", hint="Try again.")
        draft.replace(target)

    def _continue(self, run_id: str, file: OutputFile, draft: Path) -> None:
        """Fetches what the draft does not have yet."""
        have = draft.stat().st_size if draft.exists() else 0
        if have > file.bytes:
            draft.unlink()
            have = 0
        if have == file.bytes and have:
            return
        headers = dict(_ANY)
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": f'"{file.sha256}"'}
        parts = PurePosixPath(file.path).parts
        stream = self._client.stream(self._client.path("runs", run_id, "outputs", *parts), headers=headers)
        try:
            with draft.open("ab" if stream.status == 206 else "wb") as sink:
                for chunk in stream.chunks():
                    sink.write(chunk)
        finally:
            stream.close()
        if draft.stat().st_size < file.bytes:
            raise Unreachable(f"the connection broke within {file.path}", hint="Call it again: it goes on from there.")

    def _path(self, run_id: str) -> str:
        return self._client.path("runs", run_id, "outputs")


class Retention:
    """How long a project keeps outputs. Every method raises BerthError."""

    def __init__(self, client: Connection) -> None:
        self._client = client

    def get(self) -> dict[str, Any]:
        """The rules, and what is announced."""
        found: dict[str, Any] = self._client.get(self._path()).data
        return found

    def set(
        self,
        keep_days: int | None = None,
        keep_last: int | None = None,
        keep_tags: Sequence[str] = (),
        notice_hours: int = 24,
        keep_experiments: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Makes these the rules, as a whole; without days and runs, everything stays."""
        body = {
            "keep_days": keep_days,
            "keep_last": keep_last,
            "keep_tags": [*keep_tags],
            "keep_experiments": [*keep_experiments],
            "notice_hours": notice_hours,
        }
        found: dict[str, Any] = self._client.call("PUT", self._path(), body=body).data
        return found

    def preview(
        self,
        keep_days: int | None = None,
        keep_last: int | None = None,
        keep_tags: Sequence[str] = (),
        keep_experiments: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What such rules, or without any the project's own, would remove now: sums, and `items` run by run."""
        query: dict[str, Any] = {"keep_days": keep_days, "keep_last": keep_last, "keep_tags": [*keep_tags] or None}
        query["keep_experiments"] = [*keep_experiments] or None
        path = f"{self._path()}/preview"
        found: dict[str, Any] = self._client.get(path, {**query, "limit": 200}).data
        following = found["next"]
        while following:
            page = self._client.get(path, {**query, "limit": 200, "after": following}).data
            found["items"] += page["items"]
            following = page["next"]
        return found

    def _path(self) -> str:
        return self._client.path("projects", self._client.project, "retention")


def target_of(path: str, to: Path) -> Path:
    """Where an output of this path is written below `to`. Raises BerthError for one that would lie elsewhere."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\x00" in path or ("\\" in path and ".." in path):
        raise BerthError(f"the output's name {path!r} leaves the folder", code="UNSAFE_PATH")
    return to.joinpath(*parts)


def _lost(run_id: str, lost: Sequence[str], written: Sequence[Path]) -> BerthError:
    return BerthError(
        f"lost outputs of {run_id}: {len(lost)} of {len(lost) + len(written)}"
        + ("; all others were written" if written else ""),
        code=_LOST,
        status=503,
        hint="An administrator has to restore the object store; to have them again, run it again.",
        errors=[{"pointer": path, "message": "is recorded, but is not in the object store"} for path in lost],
        fields={"lost": [*lost], "written": [*written]},
    )


def _digest(content: bytes) -> str:
    import hashlib  # OpenSSL: 10 ms that most commands do not need

    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str:
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _is_below(path: str, wanted: str) -> bool:
    wanted = wanted.strip("/")
    return path == wanted or path.startswith(wanted + "/") or wanted in ("", ".")
