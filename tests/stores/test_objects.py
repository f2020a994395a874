"""What the object store promises, kept by a folder and by a bucket alike."""

import io
import os
import subprocess
import sys
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.domain import bundles
from app.settings import ObjectSettings, get_settings
from app.stores import objects

PROJECT, OTHER, RUN = uuid.UUID(int=1), uuid.UUID(int=17), uuid.UUID(int=2)
MINE = objects.of(PROJECT)
KEY = objects.output_key(PROJECT, RUN, 1, "model.bin")

pytestmark = pytest.mark.usefixtures("store")


def test_bytes_come_back() -> None:
    MINE.put(KEY, b"hello")
    assert MINE.get_all(KEY) == b"hello"
    assert MINE.exists(KEY)
    assert not MINE.exists(objects.output_key(PROJECT, RUN, 2, "model.bin"))


@pytest.mark.parametrize("count", [2, 40], ids=["asked one by one", "looked up in lists"])
def test_what_is_missing_of_many(count: int) -> None:
    keys = [objects.output_key(PROJECT, RUN, 1 + number % 2, f"many/{number}") for number in range(count)]
    for key in keys[1:]:
        MINE.put(key, b"x")
    assert MINE.missing(reversed(keys)) == keys[:1]
    assert MINE.missing(keys[1:]) == []


def test_nothing_is_something() -> None:
    MINE.put(KEY, b"")
    assert MINE.exists(KEY)
    assert MINE.get_all(KEY) == b""


def test_a_long_iterator_is_streamed_and_ranges_are_read() -> None:
    MINE.put(KEY, (bytes([n]) * 65536 for n in range(200)))
    assert sum(len(piece) for piece in MINE.get(KEY)) == 200 * 65536
    assert max(len(piece) for piece in MINE.get(KEY)) <= 4 << 20
    assert b"".join(MINE.get(KEY, 65535, 65538)) == b"\0\1\1"
    assert b"".join(MINE.get(KEY, 200 * 65536 - 2)) == b"\xc7\xc7"
    assert b"".join(MINE.get(KEY, 65536 * 63, 65536 * 130)) == b"".join(bytes([n]) * 65536 for n in range(63, 130))


def test_an_open_file_can_be_stored() -> None:
    MINE.put(KEY, io.BytesIO(b"x" * 100), 100)
    assert MINE.get_all(KEY) == b"x" * 100


def test_a_write_replaces_what_was_there() -> None:
    MINE.put(KEY, b"a long first text")
    MINE.put(KEY, b"short")
    assert MINE.get_all(KEY) == b"short"


@pytest.mark.parametrize("size", [3000, 30_000_000])
def test_a_write_that_fails_leaves_what_was_there(size: int) -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(size // 1000):
            yield b"n" * 1000
        raise OSError("the source broke")

    MINE.put(KEY, b"old")
    with pytest.raises(OSError, match="the source broke"):
        MINE.put(KEY, broken())
    assert MINE.get_all(KEY) == b"old"


def test_an_object_that_changes_while_it_is_read_is_not_mixed() -> None:
    MINE.put(KEY, (b"a" * 1_000_000 for _ in range(9)))
    pieces = MINE.get(KEY)
    assert set(next(pieces)) == {ord("a")}
    MINE.put(KEY, (b"b" * 1_000_000 for _ in range(9)))
    with pytest.raises(Exception, match=r"(?i)precondition|if-match|match"):
        list(pieces)


def test_what_is_not_there() -> None:
    with pytest.raises(objects.ObjectMissing):
        MINE.get(KEY)
    MINE.delete([KEY])


def test_a_project_takes_nothing_of_its_neighbours() -> None:
    theirs = objects.of(OTHER)
    of_theirs = objects.output_key(OTHER, RUN, 1, "model.bin")
    MINE.put(KEY, b"x")
    theirs.put(of_theirs, b"x")
    assert MINE.delete_all() == 1
    assert not MINE.exists(KEY)
    assert theirs.exists(of_theirs)


@pytest.mark.parametrize(
    "key",
    [
        objects.output_key(OTHER, RUN, 1, "model.bin"),
        f"projects/{PROJECT}/../{OTHER}/outputs/x",
        f"projects/{PROJECT}",
        f"projects/{PROJECT}/",
        f"projects/{PROJECT}0/x",
        f"projects/{PROJECT}/outputs/%2e%2e/x",
        f"projects/{PROJECT}/a//b",
        f"projects/{PROJECT}/a\n",
        "/etc/passwd",
        "",
    ],
)
def test_a_key_of_another_project_is_refused_by_every_method(key: str) -> None:
    objects.of(OTHER).put(objects.output_key(OTHER, RUN, 1, "model.bin"), b"theirs")
    MINE.put(KEY, b"mine")
    for use in (
        lambda: MINE.put(key, b"x"),
        lambda: MINE.get(key),
        lambda: MINE.get_all(key),
        lambda: MINE.exists(key),
        lambda: MINE.missing([KEY, key]),
        lambda: MINE.delete([KEY, key]),
    ):
        with pytest.raises(objects.KeyRefused):
            use()
    assert MINE.get_all(KEY) == b"mine"
    assert objects.of(OTHER).get_all(objects.output_key(OTHER, RUN, 1, "model.bin")) == b"theirs"


@pytest.mark.parametrize("path", ["../../etc/passwd", "/abs", "a\nb", "a" * 4000, "ü/..", "%2e%2e"])
def test_no_path_of_a_user_is_part_of_a_key(path: str) -> None:
    key = objects.output_key(PROJECT, RUN, 1, path)
    assert key.startswith(f"projects/{PROJECT}/outputs/{RUN}/1/")
    assert len(key.rsplit("/", 1)[1]) == 64


@pytest.mark.parametrize("digest", ["", "../x", "A" * 64, "a" * 63, "a" * 64 + "/.."])
def test_a_snapshot_is_named_by_a_digest_only(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        objects.snapshot_key(PROJECT, digest)


def test_a_stored_key_names_its_project() -> None:
    assert objects.named(objects.log_key(PROJECT, RUN, 1, 0, 1)) == MINE
    with pytest.raises(objects.KeyRefused):
        objects.named("elsewhere/x")


_LARGE = """
import sys, uuid
from pathlib import Path
from app.stores import objects

path, size = sys.argv[1], int(sys.argv[2])
project = uuid.UUID(int=1)
store, key = objects.of(project), objects.output_key(project, project, 1, "large")
store.put(key, b"warm")
store.get_all(key)

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
before = peak()

def pieces():
    with open(path, "rb") as source:
        while piece := source.read(1 << 20):
            yield piece

store.put(key, pieces(), size)
got = sum(len(piece) for piece in store.get(key))
assert got == size, (got, size)
store.delete([key])
print((peak() - before) >> 10)
"""


def test_a_large_file_passes_in_bounded_memory(tmp_path: Path) -> None:
    """BERTH_TEST_LARGE_MIB=2048 for a larger one. The file has holes; the store keeps its bytes."""
    size = int(os.environ.get("BERTH_TEST_LARGE_MIB", "512")) << 20
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(size)
    told = subprocess.run(
        [sys.executable, "-c", _LARGE, str(source), str(size)], capture_output=True, text=True, check=False, timeout=600
    )
    assert told.returncode == 0, told.stderr
    grown = int(told.stdout)
    print(f"{size >> 20} MiB up and down: {grown} MiB more memory")
    assert grown < 96


def test_settings_that_name_no_place_or_two() -> None:
    for wrong in (
        {"url": "s3://a", "bucket": "b"},
        {"bucket": "b", "access_key": "a"},
        {"endpoint": "http://x"},
        {"bucket": "b", "endpoint": "ftp://x"},
    ):
        with pytest.raises(ValidationError):
            ObjectSettings.model_validate(wrong)
    assert "the secret" not in repr(ObjectSettings(bucket="b", access_key="a", secret_key=SecretStr("the secret")))


def test_the_settings_are_the_tests_own(store: str, tmp_path: Path) -> None:
    assert get_settings().home == tmp_path
    MINE.put(KEY, b"x")
    assert (tmp_path / "objects" / KEY).exists() == (store == "folder")


def test_whoever_touches_no_object_does_not_load_the_library() -> None:
    code = "import sys, app.main; app.main.create_app(); sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("store", ["s3"], indirect=True)  # a folder is there, or is made
@pytest.mark.usefixtures("store")
def test_a_store_that_is_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_OBJECTS__ENDPOINT", "http://127.0.0.1:9")
    get_settings.cache_clear()
    for ask in (MINE.exists, MINE.get, lambda key: MINE.delete([key]), lambda key: MINE.put(key, b"bytes")):
        with pytest.raises(objects.StoreDown):
            ask(KEY)


class _NoSuchBucket(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_error(404)


@pytest.mark.parametrize("store", ["s3"], indirect=True)  # a folder is there, or is made
@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_not_there_is_no_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker would take it for a file that its program removed, and go on without. SeaweedFS makes buckets itself."""
    with HTTPServer(("127.0.0.1", 0), _NoSuchBucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("BERTH_OBJECTS__ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        get_settings.cache_clear()
        try:
            with pytest.raises(objects.StoreDown):
                MINE.put(KEY, b"bytes")
        finally:
            server.shutdown()


@pytest.mark.parametrize(("pack", "read"), [(bundles.tar, "tar"), (bundles.zipped, "zip")], ids=["tar", "zip"])
def test_an_archive_names_what_is_lost_while_it_is_sent(
    pack: Callable[[Sequence[bundles.Entry], bundles.Telling], Iterator[bytes]], read: str
) -> None:
    files = {"a": bytes(5 << 20), "b": b"lost", "c": b"there"}
    keys = {name: objects.output_key(PROJECT, RUN, 1, f"bundle/{name}") for name in files}
    for name, content in files.items():
        MINE.put(keys[name], content)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    entries = [bundles.Entry(name, len(files[name]), now, partial(MINE.get, keys[name])) for name in files]
    sent = pack(entries, lambda lost: f"lost: {lost}")
    pieces = [next(sent)]
    MINE.delete([keys["b"]])
    whole = io.BytesIO(b"".join([*pieces, *sent]))
    expected = {"a": files["a"], "c": b"there", "MISSING.txt": b"lost: ['b']"}
    if read == "zip":
        with zipfile.ZipFile(whole) as zipped:
            assert {name: zipped.read(name) for name in zipped.namelist()} == expected
    else:
        with tarfile.open(fileobj=whole) as tar:
            members = {member.name: tar.extractfile(member) for member in tar}
            assert {name: found.read() for name, found in members.items() if found} == expected
    # One that goes while it is sent cannot be taken back: the transfer breaks off and is seen to.
    begun = pack(entries[:1], str)
    for _ in range(2 if read == "tar" else 1):
        next(begun)
    MINE.delete([keys["a"]])
    with pytest.raises(OSError, match=keys["a"]):
        list(begun)
