"""Files of an attempt that its program may have written over: they cost one answer, never the reader."""

import json
from pathlib import Path

import pytest

from app.clusters.local_wrapper import folder
from app.clusters.local_wrapper.folder import Folder


@pytest.mark.parametrize("data", [b"", b"[" * 200_000, b'{"a":' * 200_000, b"[1]", b"\xff", b"{", b'"x"'])
def test_what_is_no_file_of_ours_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "environment.json").write_bytes(data)
    assert Folder(str(tmp_path)).read("environment.json") is None


def test_no_more_is_read_than_can_be_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "environment.json").write_text(json.dumps({"note": "x" * 2000}))
    assert Folder(str(tmp_path)).read("environment.json")
    monkeypatch.setattr(folder, "_LONGEST", 1000)
    assert Folder(str(tmp_path)).read("environment.json") is None
