"""Beside a program in a pod: before it, to put its files in place; along with it, to send what it leaves.

    agent.py prepare   makes the folders, unpacks the run's code and its last checkpoint, puts the SDK beside them, and
                       waits for the names of the other replicas
    agent.py keep      sends outputs and checkpoints while the program runs; ends after the program, when all is sent

Of several replicas only the first one's checkpoint is kept, and all get it; what replica 1 leaves is stored below
"replica-1/", and so on.

Python's standard library and Berth's own reader of archives only. All that it can do is what the run's token allows.
What goes wrong for good is the last line on stderr, which Kubernetes keeps as the container's message.
"""

import hashlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import stat
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from app.clusters.local_wrapper import unpack
from app.domain.archives import ArchiveLimits, ArchiveRefused

ROOT = Path(os.environ.get("BERTH_ROOT", "/berth"))
CODE, OUTPUT, CHECKPOINT, SDK = ROOT / "code", ROOT / "output", ROOT / "checkpoint", ROOT / "sdk"
RESTORED = ROOT / ".restored.json"
_PIECE = 1 << 18
_PATIENCE = 300.0  # seconds that Berth may be away while a pod starts
_PAUSE = 5.0  # between looks at the folders
_LATEST = 15.0  # what never rests is sent so often, and at the next look: what is stored is at most 30 s old
_TRIES = 3  # of a copy in which nothing changed
_BLOCK = 512
REPLICA = int(os.environ.get("BERTH_REPLICA", "0"))
NOTE = Path(os.environ.get("BERTH_NOTE", "/dev/termination-log"))  # becomes the container's message in the pod's status


class Refused(Exception):
    """Berth's answer, which will be the same next time. The message is for the user."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Berth:
    """Berth, as the token of one run sees it. Methods raise Refused, and OSError for what may be tried again."""

    def __init__(self) -> None:
        self._url = urlsplit(os.environ["BERTH_URL"])
        self._path = f"{self._url.path.rstrip('/')}/api/v1/runs/{os.environ['BERTH_RUN_ID']}"
        self._headers = {"Authorization": f"Bearer {os.environ['BERTH_TOKEN']}", "User-Agent": "berth-runtime"}

    def get(self, what: str, target: Path) -> str | None:
        """Writes it to the file. Returns its SHA-256 in hex, or None where there is none."""
        with self._answer("GET", what) as answer:
            if answer.status == 404:
                return None
            digest = hashlib.sha256()
            length, size = answer.getheader("Content-Length"), 0
            with target.open("wb") as file:
                while piece := answer.read(_PIECE):
                    digest.update(piece)
                    file.write(piece)
                    size += len(piece)
            if length is not None and size != int(length):
                raise OSError(f"the answer broke off after {size} bytes")
        return digest.hexdigest()

    def put(self, what: str, pieces: Iterator[bytes]) -> None:
        """Sends a body whose length nobody knows yet. What `pieces` raises breaks it off, and nothing is stored."""
        with self._answer("PUT", what, pieces) as answer:
            if answer.status == 404:
                raise Refused(404, "Berth does not know this run any more")

    def _answer(self, method: str, what: str, pieces: Iterator[bytes] | None = None) -> "_Answer":
        https = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=60)
        headers = {**self._headers, **({"Content-Type": "application/octet-stream"} if pieces is not None else {})}
        try:
            connection.request(method, f"{self._path}/{what}", pieces, headers, encode_chunked=pieces is not None)
            answer = connection.getresponse()
        except http.client.HTTPException as error:
            connection.close()
            raise OSError(repr(error)) from error
        except BaseException:
            connection.close()
            raise
        if answer.status >= 300 and answer.status != 404:
            said = answer.read(2000).decode(errors="replace")
            connection.close()
            if answer.status >= 500 or answer.status in (408, 429):
                raise OSError(f"{answer.status} {said[:300]}")
            raise Refused(answer.status, f"{answer.status} {said[:300]}")
        return _Answer(connection, answer)


class _Answer:
    """An answer, whose connection ends with the block."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self._connection, self._response = connection, answer

    def __enter__(self) -> http.client.HTTPResponse:
        return self._response

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def prepare(berth: Berth) -> int:
    """The exit code."""
    for folder in (CODE, OUTPUT, CHECKPOINT, ROOT / "home"):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(os.environ.get("BERTH_SDK", "/opt/berth/sdk"), SDK, dirs_exist_ok=True)
    draft = ROOT / ".draft"
    try:
        wanted = os.environ.get("BERTH_SNAPSHOT")
        if wanted:
            found = _patiently(lambda: berth.get("code", draft))
            if found is None:
                return _fail(f"The snapshot {wanted} is not in the object store.")
            if found != wanted:
                return _fail(f"The snapshot {wanted} is damaged in the object store.")
            # It was checked as a whole when it was uploaded; here only where its names lead.
            unpack.unpack(str(draft), str(CODE), ArchiveLimits(1 << 24, 1 << 44))
        if _patiently(lambda: berth.get("checkpoint", draft)) is not None:
            _restore(draft)
    except Refused as error:
        return _fail(f"Berth refused to give the run's files: {error}")
    except ArchiveRefused as error:
        return _fail(f"The run's files cannot be unpacked: {error}")
    except OSError as error:
        return _fail(f"The run's files cannot be had from {os.environ['BERTH_URL']}: {error}")
    finally:
        draft.unlink(missing_ok=True)
    _meet()
    return 0


def _meet() -> None:
    """Returns when the names of all replicas are known: from then on each may expect the others."""
    for name in filter(None, os.environ.get("BERTH_PEERS", "").split(",")):
        begun = time.monotonic()
        while True:
            try:
                socket.getaddrinfo(name, None)
                break
            except OSError as error:
                if time.monotonic() - begun > 5:
                    print(f"waits for {name}: {error}", flush=True)
                    begun = time.monotonic()
                time.sleep(0.5)


def keep(berth: Berth) -> int:
    """Sends what changed until the program has ended, then the rest. The exit code."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    # It was blocked by what started this (Dockerfile): a program may end before this is ready to be told.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if os.environ.get("BERTH_PEERS"):
        threading.Thread(target=_note_the_end, daemon=True).start()
    kept: list[Outputs | Checkpoint] = [Outputs(berth)]
    if REPLICA == 0:
        kept.append(Checkpoint(berth))
    while True:
        is_last = ending.is_set()
        whole = [each.send(is_last) for each in kept]
        if is_last and all(whole):
            return 0
        if is_last:
            time.sleep(1)  # until Kubernetes ends it
        else:
            ending.wait(_PAUSE)


def _note_the_end() -> None:
    """Writes down when the program ended. Kubernetes tells it to the second, in which the other replicas may have
    missed it already and ended as well; which of them was first is why the attempt failed."""
    pid = None
    while pid is None:
        time.sleep(0.05)
        pid = _program()
    try:
        watched = os.pidfd_open(pid)
    except OSError:
        return
    select.select([watched], [], [])
    NOTE.write_text(json.dumps({"program_ended_at": round(time.time(), 3)}))


def _program(proc: Path = Path("/proc")) -> int | None:
    """The first process of the program's container: it has no parent here, as this one and process 1 have none."""
    for found in proc.iterdir():
        if found.name.isdigit() and int(found.name) not in (1, os.getpid()):
            try:
                parent = (found / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if parent == "0":
                return int(found.name)
    return None


class Due:
    """When something is to be sent: when it rests between two looks, or when it has changed for long enough."""

    def __init__(self, sent: object = None) -> None:
        self._sent = self._seen = sent
        self._since = time.monotonic()
        self.is_at_rest = False

    def look(self, found: object, is_last: bool) -> bool:
        """Whether it is to be sent, being so now. `is_at_rest` tells why: when False, it is being changed."""
        self.is_at_rest, self._seen = is_last or found == self._seen, found
        if found == self._sent:
            self._since = time.monotonic()
            return False
        return self.is_at_rest or time.monotonic() - self._since >= _LATEST

    def note(self, sent: object, at: float) -> None:
        """It was sent, as it was at that time. What was being changed may be half of it: it is sent again at rest."""
        self._sent, self._since = sent if self.is_at_rest else None, at


class Outputs:
    """The files in the output folder, sent one by one."""

    def __init__(self, berth: Berth) -> None:
        self._berth = berth
        self._due: dict[str, Due] = {}

    def send(self, is_last: bool) -> bool:
        """Sends what is new; whether nothing is left that may be sent later."""
        is_whole = True
        for path, found in files(OUTPUT):
            due = self._due.setdefault(path, Due())
            if not due.look((found.st_size, found.st_mtime_ns), is_last):
                continue
            at = time.monotonic()
            try:
                attempt = os.environ["BERTH_ATTEMPT"]
                name = quote(shown(path if REPLICA == 0 else f"replica-{REPLICA}/{path}"))
                with opened(OUTPUT / path) as file:
                    found = os.fstat(file.fileno())
                    self._berth.put(f"outputs/{name}?attempt={attempt}", content(file, found.st_size))
            except Refused as error:
                print(f"{path!r} is not stored: {error}", flush=True)
                if error.status in (401, 403, 404):
                    return True  # nothing will be stored any more
            except FileNotFoundError:
                continue
            except OSError as error:
                print(f"{path!r} cannot be sent now: {error}", flush=True)
                is_whole = False
                continue
            due.note((found.st_size, found.st_mtime_ns), at)
        return is_whole


class Checkpoint:
    """The checkpoint folder, sent as a whole, so that what is restored is what was there at one moment."""

    def __init__(self, berth: Berth) -> None:
        self._berth = berth
        sent: list[tuple[str, int, int]] = []
        if RESTORED.exists():  # what was restored is stored already
            sent = [(path, size, changed) for path, size, changed in json.loads(RESTORED.read_text())]
        self._due = Due(sent)

    def send(self, is_last: bool) -> bool:
        """Sends it where it changed; whether nothing is left that may be sent later."""
        look = checkpoint()
        if not self._due.look(look, is_last):
            return True
        at = time.monotonic()
        try:
            if self._due.is_at_rest:
                self._berth.put("checkpoint", self._pieces(look))
            else:
                with tempfile.TemporaryFile(dir=ROOT) as copy:
                    self._copy(copy)
                    self._berth.put("checkpoint", content(copy, os.fstat(copy.fileno()).st_size))
        except Refused as error:
            print(f"the checkpoint is not stored: {error}", flush=True)
        except OSError as error:
            print(f"the checkpoint cannot be sent now: {error}", flush=True)
            return False
        self._due.note(look, at)
        return True

    def _pieces(self, look: list[tuple[str, int, int]]) -> Iterator[bytes]:
        for path, _, _ in look:
            with opened(CHECKPOINT / path) as file:
                yield from member(path, file)
        if checkpoint() != look:
            raise OSError("it changed while it was read")
        yield b"\0" * 2 * _BLOCK

    def _copy(self, target: IO[bytes]) -> None:
        """Writes it as it is now, though it is being changed: where that is to be had, as it was at one moment."""
        until = time.monotonic() + _PAUSE
        for _ in range(_TRIES):
            target.seek(0)
            target.truncate()
            look = checkpoint()
            if sum(size for _, size, _ in look) > shutil.disk_usage(ROOT).free // 2:
                raise OSError("it is being changed, and the disk has no room for a copy")
            for path, _, _ in look:
                _add(path, target)
            if not target.tell():
                raise OSError("it is being replaced")
            if checkpoint() == look or time.monotonic() > until:
                break
        target.write(b"\0" * 2 * _BLOCK)
        target.seek(0)


def _add(path: str, target: IO[bytes]) -> None:
    """Adds a file of the checkpoint folder, if it is still there; once more where it changed while it was read."""
    start = target.tell()
    for is_last in (False, True):
        target.seek(start)
        target.truncate()
        try:
            with opened(CHECKPOINT / path) as file:
                before = os.fstat(file.fileno())
                target.writelines(member(path, file))
                after = os.fstat(file.fileno())
        except FileNotFoundError:
            return
        except OSError:
            if is_last:
                raise
            continue
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return


def member(path: str, file: IO[bytes]) -> Iterator[bytes]:
    """An open file as a member of a tar. OSError where it becomes shorter."""
    found = os.fstat(file.fileno())
    head = tarfile.TarInfo(path)
    head.size, head.mode, head.mtime = found.st_size, 0o644, found.st_mtime_ns // 1_000_000_000
    yield head.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    yield from content(file, head.size)
    yield b"\0" * (-head.size % _BLOCK)


def checkpoint() -> list[tuple[str, int, int]]:
    """The files of the checkpoint folder: path, bytes, and when they changed."""
    return sorted((path, found.st_size, found.st_mtime_ns) for path, found in files(CHECKPOINT))


def files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The regular files below a folder by their path in it; links are left out."""
    for base, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(base, name)
            try:
                found = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield os.path.relpath(path, folder), found


def opened(path: Path) -> IO[bytes]:
    """The file that is there now: it stays the same where another is put in its place."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def content(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Exactly so many bytes. OSError where the file has become shorter."""
    while size:
        piece = file.read(min(_PIECE, size))
        if not piece:
            raise OSError("it became shorter while it was read")
        size -= len(piece)
        yield piece


def shown(path: str) -> str:
    """A path as text fit for an address: bytes that are no UTF-8 and unprintable signs become %XX."""
    return "".join(sign if sign.isprintable() else quote(os.fsencode(sign)) for sign in path)


def _restore(archive: Path) -> None:
    with tarfile.open(archive, "r:", errors="surrogateescape") as tar:
        for member in tar:
            parts = Path(member.name).parts
            if not member.isreg() or ".." in parts or member.name.startswith("/"):
                continue
            target = CHECKPOINT.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None, "a regular file has content"
            with target.open("wb") as file:
                shutil.copyfileobj(source, file, _PIECE)
            os.utime(target, (member.mtime, member.mtime))
    # For the keeper, which may be ready only when the program has written already.
    RESTORED.write_text(json.dumps(checkpoint()))


def _patiently(ask: Callable[[], str | None]) -> str | None:
    """Asks until there is an answer, for as long as Berth may be away."""
    until, pause = time.monotonic() + _PATIENCE, 0.5
    while True:
        try:
            return ask()
        except OSError as error:
            if time.monotonic() > until:
                raise
            print(f"again in {pause:g} s: {error}", flush=True)
            time.sleep(pause)
            pause = min(2 * pause, 10.0)


def _fail(message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    sys.exit({"prepare": prepare, "keep": keep}[sys.argv[1]](Berth()))
