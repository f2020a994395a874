"""Outputs through the API: stored once the attempt ended, listed by pages, downloaded whole and in ranges."""

import asyncio
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import StreamingResponse

from app import db
from app.api.deps import RunRef
from app.api.routes import outputs as routes
from app.clusters.base import OutputFile
from app.domain import bundles
from app.models import Run
from app.settings import get_settings
from app.stores import objects
from app.workers.outputs import store_outputs
from tests import factories
from tests.api.conftest import World

BIG = bytes(range(256)) * 20_000


class Folder:
    """A cluster of which only the output folders exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str | bytes, data: bytes) -> None:
        target = os.path.join(os.fsencode(self.path), os.fsencode(name))  # noqa: PTH118 - names that are no text
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        with open(target, "wb") as file:  # noqa: PTH123
            file.write(data)

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile]:
        for source in sorted(path for path in self.path.rglob("*") if path.is_file() and not path.is_symlink()):
            yield OutputFile(str(source.relative_to(self.path)), source, source.stat().st_size)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def run(world: World) -> Run:
    with db.unit_of_work() as session:
        made: Run = factories.make_run(session, world.ours, world.users["editor"], state="running")
        factories.make_attempt(session, made, state="running")
        return made


def store(folder: Folder, run: Run, attempt: int = 1) -> None:
    store_outputs(folder, run.id, run.public_id, attempt)


def listed(world: World, run: Run, **query: Any) -> dict[str, Any]:
    answer = world.as_("viewer").get(f"/runs/{run.public_id}/outputs", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def fetch(world: World, run: Run, path: str, who: str = "viewer", **headers: str) -> httpx.Response:
    return world.as_(who).get(f"/runs/{run.public_id}/outputs/{quote(path)}", headers=headers)


def test_files_are_stored_listed_and_downloaded(world: World, run: Run, folder: Folder) -> None:
    folder.write("model.pt", BIG)
    folder.write("logs/day 1/ärger 100%.txt", b"text")
    folder.write("empty", b"")
    store(folder, run)
    items = {item["path"]: item for item in listed(world, run)["items"]}
    assert set(items) == {"model.pt", "logs/day 1/ärger 100%.txt", "empty"}
    assert items["model.pt"]["bytes"] == len(BIG)
    assert items["model.pt"]["sha256"] == hashlib.sha256(BIG).hexdigest()
    answer = fetch(world, run, "model.pt")
    assert answer.content == BIG
    assert answer.headers["content-length"] == str(len(BIG))
    assert answer.headers["etag"] == f'"{items["model.pt"]["sha256"]}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename=\"model.pt\"; filename*=UTF-8''model.pt"
    answer = fetch(world, run, "logs/day 1/ärger 100%.txt")
    assert answer.content == b"text"
    disposition = answer.headers["content-disposition"]
    assert disposition == "attachment; filename=\"_rger 100%.txt\"; filename*=UTF-8''%C3%A4rger%20100%25.txt"
    assert fetch(world, run, "empty").content == b""
    assert fetch(world, run, "none").status_code == 404
    assert fetch(world, run, "logs").status_code == 404
    assert fetch(world, run, "../model.pt").status_code == 404
    assert fetch(world, run, "a\0b").status_code == 404


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=5000000-", 5_000_000, len(BIG)),
        ("bytes=-3", len(BIG) - 3, len(BIG)),
        ("bytes=-99999999", 0, len(BIG)),
        ("bytes=100-99999999", 100, len(BIG)),
    ],
)
def test_ranges(world: World, run: Run, folder: Folder, asked: str, start: int, end: int) -> None:
    folder.write("f", BIG)
    store(folder, run)
    answer = fetch(world, run, "f", range=asked)
    assert answer.status_code == 206
    assert answer.content == BIG[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BIG)}"


def test_ranges_that_are_none(world: World, run: Run, folder: Folder) -> None:
    folder.write("f", b"12345")
    store(folder, run)
    for asked in ("bytes=3-1", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "x"):
        assert fetch(world, run, "f", range=asked).status_code == 200
    answer = fetch(world, run, "f", range="bytes=5-")
    assert (answer.status_code, answer.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    tag = fetch(world, run, "f").headers["etag"]
    assert fetch(world, run, "f", range="bytes=1-2", **{"if-range": tag}).status_code == 206
    assert fetch(world, run, "f", range="bytes=1-2", **{"if-range": '"old"'}).status_code == 200
    assert fetch(world, run, "f", **{"if-none-match": tag}).status_code == 304


def test_pages(world: World, run: Run, folder: Folder) -> None:
    for number in range(7):
        folder.write(f"file{number}", b"x")
    store(folder, run)
    seen, after = [], None
    while True:
        body = listed(world, run, limit=3, **({"after": after} if after else {}))
        seen += [item["path"] for item in body["items"]]
        after = body["next"]
        if not body["has_more"]:
            break
    assert seen == [f"file{number}" for number in range(7)]
    answer = world.as_("viewer").get(f"/runs/{run.public_id}/outputs", params={"after": "made up"})
    assert answer.json()["code"] == "CURSOR_EXPIRED"


def test_a_later_attempt_replaces_what_an_earlier_one_left(world: World, run: Run, folder: Folder) -> None:
    folder.write("model", b"first")
    folder.write("only in the first", b"x")
    store(folder, run)
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, number=2)
    folder.write("model", b"second")
    (folder.path / "only in the first").unlink()
    store(folder, run, 2)
    assert [(item["path"], item["attempt"]) for item in listed(world, run)["items"]] == [("model", 2)]
    assert fetch(world, run, "model").content == b"second"
    assert not objects.of(run.project_id).exists(objects.output_key(run.project_id, run.id, 1, "model"))
    store(folder, run)  # twice, and late
    assert fetch(world, run, "model").content == b"second"


def test_storing_twice_is_storing_once(world: World, run: Run, folder: Folder) -> None:
    folder.write("model", b"bytes")
    store(folder, run)
    folder.write("model", b"later")
    store(folder, run)
    assert len(listed(world, run)["items"]) == 1
    with db.read_session() as session:
        assert session.scalar(text("select count(*) from attempt where outputs_stored_at is not null")) == 1


def test_what_is_beyond_the_limits_is_left_out_and_told(
    world: World, run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings().limits, "output_files", 2)
    monkeypatch.setattr(get_settings().limits, "output_bytes", 10)
    for name, size in (("a", 8), ("b", 5), ("c", 1), ("d", 1)):
        folder.write(name, b"x" * size)
    store(folder, run)
    assert [item["path"] for item in listed(world, run)["items"]] == ["a", "c"]
    with db.read_session() as session:
        code, data = session.execute(text("select code, data from run_event where run_id = :id"), {"id": run.id}).one()
    assert code == "outputs_truncated"
    assert (data["files"], data["bytes"]) == (2, 6)


def test_names_that_are_no_text_and_links_that_came_later(world: World, run: Run, folder: Folder) -> None:
    folder.write(b"caf\xe9", b"latin")
    folder.write('new\nline"quote', b"x")
    store(folder, run)
    assert {item["path"] for item in listed(world, run)["items"]} == {"caf%E9", 'new%0Aline"quote'}
    disposition = fetch(world, run, 'new%0Aline"quote').headers["content-disposition"]
    assert disposition == "attachment; filename=\"new%0Aline_quote\"; filename*=UTF-8''new%250Aline_quote"


def test_a_link_in_the_place_of_a_file_is_not_followed(world: World, run: Run, folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret"
    secret.write_bytes(b"secret")

    class Swapped(Folder):
        def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile]:
            link = self.path / "f"
            link.symlink_to(secret)
            yield OutputFile("f", link, 6)

    store(Swapped(tmp_path), run)
    assert listed(world, run)["items"] == []


def test_an_object_that_is_lost(world: World, run: Run, folder: Folder) -> None:
    folder.write("model", b"bytes")
    store(folder, run)
    objects.of(run.project_id).delete([objects.output_key(run.project_id, run.id, 1, "model")])
    answer = fetch(world, run, "model")
    assert (answer.status_code, answer.json()["code"]) == (503, "OUTPUT_LOST")


@pytest.mark.parametrize("count", [3, 12], ids=["few", "many"])
def test_an_archive_of_which_objects_are_lost_is_no_archive(world: World, run: Run, folder: Folder, count: int) -> None:
    for number in range(count):
        folder.write(f"d/{number:02}", b"bytes")
    folder.write("e/whole", b"bytes")
    store(folder, run)
    lost = ["d/01", "d/02"]
    objects.of(run.project_id).delete(objects.output_key(run.project_id, run.id, 1, path) for path in lost)
    for end in ("zip", "tar"):
        answer = world.as_("viewer").get(f"/runs/{run.public_id}/outputs.{end}")
        assert (answer.status_code, answer.json()["code"]) == (503, "OUTPUTS_LOST")
        assert "d/01, d/02." in answer.json()["detail"]
        assert (answer.json()["lost"], answer.json()["all"]) == (2, count + 1)
        whole = world.as_("viewer").get(f"/runs/{run.public_id}/outputs.{end}", params={"path": "e"})
        assert whole.status_code == 200


def test_an_archive_names_what_is_lost_meanwhile(world: World, run: Run, folder: Folder) -> None:
    for name in ("a", "b", "c"):
        folder.write(name, b"bytes")
    store(folder, run)
    ref = RunRef(run.id, run.public_id, run.project_id, world.ours.name)
    request = Request({"type": "http", "headers": [(b"accept-language", b"zh")]})
    # The route itself without its checks: its files are opened while what it returns is read.
    response = routes._bundle(request, ref, "", "zip", "application/zip", bundles.zipped)
    objects.of(run.project_id).delete([objects.output_key(run.project_id, run.id, 1, "b")])

    async def sent() -> bytes:
        assert isinstance(response, StreamingResponse)
        return b"".join([bytes(piece) async for piece in response.body_iterator if not isinstance(piece, str)])

    with zipfile.ZipFile(io.BytesIO(asyncio.run(sent()))) as bundle:
        assert bundle.namelist() == ["a", "c", "MISSING.txt"]
        said = bundle.read("MISSING.txt").decode()
    assert said.endswith("\n\nb\n")
    assert not said.isascii()


def test_a_store_that_is_away(world: World, run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("model", b"bytes")
    store(folder, run)
    for name, value in (("BUCKET", "b"), ("ENDPOINT", "http://127.0.0.1:9"), ("ACCESS_KEY", "a"), ("SECRET_KEY", "s")):
        monkeypatch.setenv(f"BERTH_OBJECTS__{name}", value)
    get_settings.cache_clear()
    try:
        answer = fetch(world, run, "model")
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"]


def test_who_may_read(world: World, run: Run, folder: Folder) -> None:
    folder.write("model", b"bytes")
    store(folder, run)
    expected = {"admin": 200, "viewer": 200, "stranger": 404, "nobody": 401}
    assert {who: fetch(world, run, "model", who).status_code for who in expected} == expected


def test_a_folder_is_listed_with_its_sums_by_pages(world: World, run: Run, folder: Folder) -> None:
    for name in ("top.txt", "a/1", "a/2", "a/b/3", "c/4", "a.txt"):
        folder.write(name, b"12345")
    store(folder, run)
    items = listed(world, run, path="")["items"]
    assert [(item["kind"], item["path"]) for item in items] == [
        ("folder", "a"),
        ("folder", "c"),
        ("file", "a.txt"),
        ("file", "top.txt"),
    ]
    assert {name: items[0][name] for name in ("files", "bytes", "removed")} == {"files": 3, "bytes": 15, "removed": 0}
    assert [item["path"] for item in listed(world, run, path="/a/")["items"]] == ["a/b", "a/1", "a/2"]
    seen, after = [], None
    while True:
        body = listed(world, run, path="", limit=1, **({"after": after} if after else {}))
        seen += [item["path"] for item in body["items"]]
        after = body["next"]
        if not body["has_more"]:
            break
    assert seen == ["a", "c", "a.txt", "top.txt"]
    for nowhere in ("nothing", "a/1", "..", "a/../c", "%", "_", "a\0"):
        answer = world.as_("viewer").get(f"/runs/{run.public_id}/outputs", params={"path": nowhere})
        assert answer.status_code == 404, nowhere


def test_signs_of_patterns_are_names(world: World, run: Run, folder: Folder) -> None:
    for name in ("%/x", "_/y", "a/z"):
        folder.write(name, b"1")
    store(folder, run)
    assert [item["path"] for item in listed(world, run, path="%")["items"]] == ["%/x"]
    assert [item["path"] for item in listed(world, run, path="_")["items"]] == ["_/y"]


def test_all_or_a_folder_in_one_archive(world: World, run: Run, folder: Folder) -> None:
    folder.write("model/a.bin", BIG)
    folder.write("model/deep/b", b"")
    folder.write("notes", b"x")
    store(folder, run)
    answer = world.as_("viewer").get(f"/runs/{run.public_id}/outputs.tar")
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{run.public_id}.tar"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert archive.getnames() == ["model/a.bin", "model/deep/b", "notes"]
        read = archive.extractfile("model/a.bin")
        assert read is not None
        assert read.read() == BIG
    answer = world.as_("viewer").get(f"/runs/{run.public_id}/outputs.zip", params={"path": "model"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        assert bundle.testzip() is None
        assert bundle.namelist() == ["a.bin", "deep/b"]
    for path in ("nothing", "..", "a\0b"):
        params = {"path": path}
        assert world.as_("viewer").get(f"/runs/{run.public_id}/outputs.tar", params=params).status_code == 404
    assert world.as_("stranger").get(f"/runs/{run.public_id}/outputs.tar").status_code == 404


def test_what_the_rules_removed_is_said_so(world: World, run: Run, folder: Folder) -> None:
    folder.write("d/model", b"bytes")
    store(folder, run)
    with db.unit_of_work() as session:
        session.execute(
            text('update output set removed_at = now(), removed_by = \'{"keep_days": 30, "keep_tags": ["best"]}\'')
        )
    answer = fetch(world, run, "d/model")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (410, "OUTPUT_REMOVED")
    assert "keep 30 days, keep what is tagged best" in body["detail"]
    assert body["rule"] == "keep 30 days, keep what is tagged best"
    chinese = world.as_("viewer").get(f"/runs/{run.public_id}/outputs/d/model", headers={"accept-language": "zh-CN"})
    assert "keep" not in chinese.json()["detail"]
    assert "30" in chinese.json()["detail"]
    assert hashlib.sha256(b"bytes").hexdigest() in body["detail"]
    assert world.as_("viewer").get(f"/runs/{run.public_id}/outputs.zip").status_code == 410
    (item,) = listed(world, run)["items"]
    assert (item["bytes"], item["removed_by"]["keep_days"]) == (5, 30)
    assert item["removed_at"] is not None
    (item,) = listed(world, run, path="")["items"]
    assert (item["removed"], item["bytes"]) == (1, 0)
