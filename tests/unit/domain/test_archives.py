"""What may be in an archive (attack A32): nothing that leaves, nothing too large, nothing odd."""

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from app.clusters.local_wrapper.unpack import unpack
from app.domain.archives import ArchiveFacts, ArchiveLimits, ArchiveRefused, check_archive

LIMITS = ArchiveLimits(files=100, bytes=1 << 20)
Member = tarfile.TarInfo


def make(*members: tuple[Member, bytes], how: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=how) as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"") -> tuple[Member, bytes]:
    member = Member(name)
    member.type, member.linkname, member.mode = kind, link, 0o4755
    return member, data


SYM, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
REFUSED = {
    "parent": make(entry("../x")),
    "parent inside": make(entry("a/../../x")),
    "absolute": make(entry("/etc/x")),
    "root": make(entry(".")),
    "newline": make(entry("a\nb")),
    "not utf-8": make(entry("a\udcff"), how=tarfile.GNU_FORMAT),
    "long name": make(entry("x" * 300)),
    "absolute link": make(entry("x", SYM, "/etc/passwd")),
    "link outside": make(entry("a/x", SYM, "../../y")),
    "link through a link": make(entry("s", SYM, "."), entry("x", SYM, "s/s/../y")),
    "empty link": make(entry("x", SYM, "")),
    "below a link": make(entry("x", SYM, "y"), entry("x/z")),
    "over a link": make(entry("x", SYM, "y"), entry("x")),
    "below a file": make(entry("x"), entry("x/y")),
    "folder over a file": make(entry("x"), entry("x", FOLDER)),
    "file over a folder": make(entry("x/y"), entry("x")),
    "cut in gzip's trailer": make(entry("x", data=b"y"))[:-3],
    "wrong checksum": make(entry("x", data=b"y"))[:-8] + bytes(8),
    "much behind the end": gzip.compress(gzip.decompress(make(entry("x"))) + bytes(2 << 20)),
    "twice": make(entry("x"), entry("./x")),
    "hard link outside": make(entry("x", HARD, "/etc/passwd")),
    "hard link to a link": make(entry("s", SYM, "y"), entry("x", HARD, "s")),
    "hard link to nothing": make(entry("x", HARD, "y")),
    "device": make(entry("x", tarfile.CHRTYPE)),
    "block device": make(entry("x", tarfile.BLKTYPE)),
    "pipe": make(entry("x", tarfile.FIFOTYPE)),
    "too many": make(*(entry(f"f{i}") for i in range(101))),
    "too large": make(entry("x", data=b"0" * (1 << 20)), entry("y", data=b"1")),
    "not gzip": b"hello",
    "empty": b"",
    "cut": make(entry("x", data=bytes(range(256)) * 999))[:-300],
    "not tar": gzip.compress(b"x" * 5000),
    "huge header": make(entry("/".join(["d" * 200] * 500), data=b"x")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ArchiveRefused):
        check_archive(io.BytesIO(REFUSED[name]), LIMITS)
    folder = tmp_path_factory.mktemp("x")
    (folder / "archive").write_bytes(REFUSED[name])
    (folder / "in").mkdir()
    with pytest.raises(ArchiveRefused):
        unpack(str(folder / "archive"), str(folder / "in"), LIMITS)
    assert {path.name for path in folder.iterdir()} == {"archive", "in"}


def test_a_million_headers_are_an_error_and_no_crash() -> None:
    header = Member("x")
    header.type, header.size = tarfile.XGLTYPE, 0
    data = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) * 20_000)
    with pytest.raises(ArchiveRefused):
        check_archive(io.BytesIO(data), LIMITS)


def test_a_size_that_is_not_true_costs_no_memory() -> None:
    header = Member("x")
    header.size = 8 << 30
    data = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"0" * 5000)
    with pytest.raises(ArchiveRefused):
        check_archive(io.BytesIO(data), LIMITS)


def test_what_is_usual_is_unpacked(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("x")
    data = make(
        entry(".", FOLDER),
        entry("./src/模型.py", data=b"print(1)"),
        entry("src", FOLDER),
        entry("src/deep", FOLDER),
        entry("src/deep/up", SYM, "../模型.py"),
        entry("same", HARD, "src/模型.py"),
        entry("with space　wide", data=b""),
    )
    assert check_archive(io.BytesIO(data), LIMITS) == ArchiveFacts(files=4, bytes=8)
    (folder / "archive").write_bytes(data)
    (folder / "in").mkdir()
    unpack(str(folder / "archive"), str(folder / "in"), LIMITS)
    assert (folder / "in" / "src" / "deep" / "up").read_text() == "print(1)"
    assert (folder / "in" / "same").read_text() == "print(1)"
    assert (folder / "in" / "src" / "模型.py").stat().st_mode & 0o7777 == 0o755


def test_reading_is_repeatable() -> None:
    read: Callable[[], ArchiveFacts] = lambda: check_archive(io.BytesIO(make(entry("x", data=b"1"))), LIMITS)  # noqa: E731
    assert read() == read() == ArchiveFacts(1, 1)
