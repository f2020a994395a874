"""Archives that are streamed: readable by others, with names that stay below the folder, in bounded memory."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import bundles
from app.domain.bundles import Entry

NOW = datetime(2026, 11, 22, 5, 6, 8, tzinfo=UTC)


def told(lost: list[str]) -> str:
    return f"lost: {', '.join(lost)}"


def gone() -> Iterator[bytes]:
    raise FileNotFoundError("gone")


def entry(name: str, *pieces: bytes, size: int | None = None) -> Entry:
    return Entry(name, sum(map(len, pieces)) if size is None else size, NOW, lambda: iter(pieces))


FILES = [entry("a/b.txt", b"one", b"two"), entry("empty"), entry("日本/" + "x" * 200, b"y" * 1024)]


def test_a_tar_is_a_tar() -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(bundles.tar(FILES, told)))) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        read = {name: data.read() for name, data in found.items() if data}
    assert read == {"a/b.txt": b"onetwo", "empty": b"", FILES[2].name: b"y" * 1024}


def test_a_zip_is_a_zip() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(bundles.zipped(FILES, told)))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a/b.txt": b"onetwo",
            "empty": b"",
            FILES[2].name: b"y" * 1024,
        }


@pytest.mark.parametrize("pack", [bundles.tar, bundles.zipped])
def test_a_file_that_is_not_as_announced_breaks_the_archive(pack: object) -> None:
    assert callable(pack)
    for size in (2, 9):
        with pytest.raises((OSError, RuntimeError, ValueError)):
            list(pack([entry("a", b"1234", size=size)], told))


@pytest.mark.parametrize(
    ("other", "name"), [("a", "MISSING.txt"), ("MISSING.txt", "MISSING-2.txt"), ("MISSING.txt/a", "MISSING-2.txt")]
)
def test_what_is_gone_is_left_out_and_named_at_the_end(other: str, name: str) -> None:
    files = [entry(other, b"one"), Entry("lost", 4, NOW, gone), entry("b", b"two"), Entry("lost too", 4, NOW, gone)]
    expected = {other: b"one", "b": b"two", name: b"lost: lost, lost too"}
    with zipfile.ZipFile(io.BytesIO(b"".join(bundles.zipped(files, told)))) as archive:
        assert archive.testzip() is None
        assert {one: archive.read(one) for one in archive.namelist()} == expected
    with tarfile.open(fileobj=io.BytesIO(b"".join(bundles.tar(files, told)))) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
    assert list(found) == list(expected)


@pytest.mark.parametrize("pack", [bundles.tar, bundles.zipped])
def test_pieces_are_not_gathered(pack: object) -> None:
    assert callable(pack)
    made = 0

    def pieces() -> Iterator[bytes]:
        nonlocal made
        for _ in range(100):
            made += 1
            yield bytes(1 << 16)

    seen = 0
    for piece in pack([Entry("big", 100 << 16, NOW, pieces)], told):
        seen += len(piece)
        assert len(piece) <= (1 << 16) + 1024
        assert made * (1 << 16) - seen <= 2 << 16
    assert seen > 100 << 16


@given(st.text(max_size=60))
def test_no_name_leaves_the_folder(path: str) -> None:
    name = bundles.safe_name(path)
    parts = PurePosixPath(name).parts
    assert name
    assert not name.startswith("/")
    assert ".." not in parts
    assert not set(name) & set('\\:*?"<>|\0\n')


def test_names_stay_apart() -> None:
    assert bundles.unique_names(["a:b", "a?b", "a/../b"]) == ["a_b", "a_b~2", "a/_/b"]
