"""Snapshots: what is announced is what is stored, and what cannot be unpacked safely is not stored at all."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app import db
from app.services.snapshots import open_snapshot
from app.settings import get_settings
from tests.api.conftest import World


def packed(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return made.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def upload(
    world: World, data: bytes, who: str = "editor", digest: str | None = None, project: str = "ours"
) -> httpx.Response:
    digest = digest or hashlib.sha256(data).hexdigest()
    headers = {"content-type": "application/gzip"}
    return world.as_(who).put(f"/projects/{project}/snapshots/{digest}", content=data, headers=headers)


def head(world: World, digest: str, who: str = "editor", project: str = "ours") -> int:
    return world.as_(who).head(f"/projects/{project}/snapshots/{digest}").status_code


def stored_objects() -> list[Path]:
    return [
        path for path in (get_settings().home / "objects").rglob("*") if path.is_file() and "snapshots" in path.parts
    ]


def test_a_snapshot_is_stored_once(world: World) -> None:
    data = packed(("train.py", b"print(1)"), ("src/a.py", b"x = 1"))
    digest = hashlib.sha256(data).hexdigest()
    assert head(world, digest) == 404
    assert world.as_("editor").get(f"/projects/ours/snapshots/{digest}").status_code == 404
    answer = upload(world, data)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"digest": digest, "bytes": len(data), "files": 2}
    assert head(world, digest) == 200
    assert world.as_("editor").get(f"/projects/ours/snapshots/{digest}").json() == answer.json()
    assert upload(world, data).status_code == 200
    assert b"".join(open_snapshot(str(world.ours.id), digest)) == data
    with db.read_session() as session:
        assert session.scalar(text("select count(*) from snapshot")) == 1
        assert session.scalar(text("select count(*) from audit_entry where verb = 'snapshot.add'")) == 1
    with pytest.raises(FileNotFoundError):
        open_snapshot(str(world.theirs.id), digest)


def test_another_digest_is_refused(world: World) -> None:
    data = packed(("a", b"1"))
    answer = upload(world, data, digest="0" * 64)
    assert (answer.status_code, answer.json()["code"]) == (422, "DIGEST_MISMATCH")
    assert answer.json()["actual"] == hashlib.sha256(data).hexdigest()
    assert upload(world, data, digest="x").status_code == 404
    assert head(world, "0" * 64) == 404


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an archive",
        packed(("a", b"x" * 1000))[:-40],
        packed(("../evil", b"x")),
        packed(("/etc/evil", b"x")),
        packed(("a/../../evil", b"x")),
        packed(link("out", "/etc")),
        packed(link("out", "../../etc"), ("out/passwd", b"x")),
        packed(link("hard", "../../etc/passwd", tarfile.LNKTYPE)),
        packed(link("pipe", "", tarfile.FIFOTYPE)),
        packed(link("device", "", tarfile.CHRTYPE)),
    ],
    ids=["empty", "none", "cut", "up", "absolute", "inside-up", "link", "through", "hard", "pipe", "device"],
)
def test_bad_archives_leave_nothing(world: World, data: bytes) -> None:
    before = stored_objects()
    answer = upload(world, data)
    assert (answer.status_code, answer.json()["code"]) == (422, "BAD_ARCHIVE"), answer.text
    assert answer.json()["reason"]
    assert stored_objects() == before
    with db.read_session() as session:
        assert session.scalar(text("select count(*) from snapshot")) == 0


def test_bombs_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings().limits, "snapshot_unpacked_bytes", 1 << 20)
    monkeypatch.setattr(get_settings().limits, "snapshot_files", 50)
    bomb = packed(("zeros", bytes(8 << 20)))
    assert len(bomb) < 20_000
    assert upload(world, bomb).json()["code"] == "BAD_ARCHIVE"
    assert upload(world, packed(*((f"f{n}", b"") for n in range(51)))).json()["code"] == "BAD_ARCHIVE"


def test_too_large_and_other_types(world: World) -> None:
    limit = get_settings().limits.snapshot_bytes
    headers = {"content-type": "application/gzip", "content-length": str(limit + 1)}
    path = f"/projects/ours/snapshots/{'0' * 64}"

    def body() -> Iterator[bytes]:
        yield b"x"

    assert world.as_("editor").put(path, content=body(), headers=headers).status_code == 413
    assert world.as_("editor").put(path, content=b"x").status_code == 415


def test_who_may_upload(world: World) -> None:
    data = packed(("a", b"1"))
    digest = hashlib.sha256(data).hexdigest()
    expected = {"viewer": 403, "stranger": 404, "nobody": 401}
    assert {who: upload(world, data, who).status_code for who in expected} == expected
    assert upload(world, data, "robot").status_code == 201
    assert head(world, digest, "stranger") == 404
    assert head(world, digest, "stranger", "theirs") == 404, "whether another project has it is not told"
