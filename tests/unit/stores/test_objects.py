"""Objects in a folder: streamed both ways, whole or not at all, and keys that no text of a user shapes."""

import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings, get_settings
from app.stores import objects

PROJECT, RUN = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("BERTH_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path / "objects"
    monkeypatch.undo()
    get_settings.cache_clear()


def test_settings_are_the_tests_own(tmp_path: Path) -> None:
    assert Settings().home == tmp_path


def test_bytes_come_back(folder: Path) -> None:
    objects.put("projects/p/a", b"hello")
    assert objects.get_all("projects/p/a") == b"hello"
    assert (folder / "projects/p/a").read_bytes() == b"hello"
    assert objects.exists("projects/p/a")
    assert not objects.exists("projects/p/b")


def test_a_long_iterator_is_streamed_and_ranges_are_read() -> None:
    objects.put("projects/p/long", (bytes([n]) * 65536 for n in range(200)))
    assert sum(len(piece) for piece in objects.get("projects/p/long")) == 200 * 65536
    assert b"".join(objects.get("projects/p/long", 65535, 65538)) == b"\0\1\1"
    assert b"".join(objects.get("projects/p/long", 200 * 65536 - 2)) == b"\xc7\xc7"


def test_an_open_file_can_be_stored() -> None:
    objects.put("projects/p/file", io.BytesIO(b"x" * 100))
    assert objects.get_all("projects/p/file") == b"x" * 100


def test_a_write_that_fails_leaves_what_was_there() -> None:
    def broken() -> Iterator[bytes]:
        yield b"new" * 1000
        raise OSError("the source broke")

    objects.put("projects/p/a", b"old")
    with pytest.raises(OSError, match="the source broke"):
        objects.put("projects/p/a", broken())
    assert objects.get_all("projects/p/a") == b"old"


def test_what_is_not_there() -> None:
    with pytest.raises(objects.ObjectMissing):
        objects.get("projects/p/none")
    objects.delete(["projects/p/none"])


def test_a_prefix_takes_nothing_of_its_neighbours(folder: Path) -> None:
    mine, other = uuid.UUID(int=1), uuid.UUID(int=17)
    for project in (mine, other):
        objects.put(objects.output_key(project, RUN, 1, "model.bin"), b"x")
    assert objects.delete_prefix(objects.project_prefix(mine)) == 1
    assert objects.exists(objects.output_key(other, RUN, 1, "model.bin"))
    with pytest.raises(ValueError, match="slash"):
        objects.delete_prefix("projects/1")


@pytest.mark.parametrize("path", ["../../etc/passwd", "/abs", "a\nb", "a" * 4000, "ü/..", "%2e%2e"])
def test_no_path_of_a_user_is_part_of_a_key(path: str) -> None:
    key = objects.output_key(PROJECT, RUN, 1, path)
    assert key.startswith(f"projects/{PROJECT}/outputs/{RUN}/1/")
    assert len(key.rsplit("/", 1)[1]) == 64


@pytest.mark.parametrize("digest", ["", "../x", "A" * 64, "a" * 63, "a" * 64 + "/.."])
def test_a_snapshot_is_named_by_a_digest_only(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        objects.snapshot_key(PROJECT, digest)
