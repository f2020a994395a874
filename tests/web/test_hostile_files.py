"""Files of tenants that run code when they are loaded are never loaded (attack A33): they are bytes to the console."""

import hashlib
import io
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from app import db
from app.models import Output
from app.stores import objects
from tests.web.conftest import Console

VISION = "/projects/vision/runs"


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


def hostile_files(trap: Path) -> dict[str, bytes]:
    """The same trap in every form that some program loads."""
    bomb = pickle.dumps(_Bomb(trap))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:  # as PyTorch stores a model
        archive.writestr("archive/data.pkl", bomb)
    numpy = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128, b" ") + bomb
    yaml = f"model: !!python/object/apply:pathlib.Path.touch [{trap}]\nother: !!python/name:os.system x\n"
    script = f"__import__('pathlib').Path({str(trap)!r}).touch()\n"
    return {
        **{
            f"model.{ending}": bomb for ending in ("pkl", "pickle", "joblib", "pt", "npy", "json", "yaml", "csv", "png")
        },
        "torch.pth": zipped.getvalue(),
        "array.npy": numpy,
        "array.npz": zipped.getvalue(),
        "model.safetensors": bomb,
        "config.yaml": yaml.encode(),
        "mlmodel/MLmodel": yaml.encode(),
        "notebook.ipynb": b'{"cells": [{"cell_type": "code", "source": ["%s"]}]}' % script.encode(),
        "setup.py": script.encode(),
        "conftest.py": script.encode(),
        "sitecustomize.py": script.encode(),
    }


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    return tmp_path / "loaded"


def test_the_traps_work(trap: Path) -> None:
    """Or that nothing is there afterwards would mean nothing."""
    pickle.loads(hostile_files(trap)["model.pkl"])
    assert trap.exists()


def test_nothing_is_loaded(console: Console, trap: Path) -> None:
    files = hostile_files(trap)
    run, other = console.seed.runs["outputs"], console.seed.runs["succeeded"]
    with db.unit_of_work() as session:
        for path, data in files.items():
            key = objects.output_key(console.seed.ids["vision"], console.seed.ids["outputs"], 1, f"hostile/{path}")
            objects.of(console.seed.ids["vision"]).put(key, data)
            row = {
                "path": f"traps/{path}",
                "attempt": 1,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            session.execute(insert(Output).values(run_id=console.seed.ids["outputs"], object_key=key, **row))
    for path in files:
        assert console.get(f"{VISION}/{run}/outputs/traps/{path}", "alice").status_code == 200
        picture = console.get(f"{VISION}/{run}/output-image/traps/{path}", "alice")
        assert picture.status_code == 404
        answer = console.get(f"/api/v1/runs/{run}/outputs/traps/{path}", "alice")
        assert answer.content == files[path]
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in (
        f"{VISION}/{run}",
        f"{VISION}/{run}/outputs",
        f"{VISION}/{run}/outputs/traps",
        f"{VISION}/{run}/spec?diff={other}",
        f"/projects/vision/compare?runs={run},{other}",
        f"/api/v1/runs/{run}/outputs",
        f"/api/v1/runs/{run}/outputs:archive?format=tar",
        f"/api/v1/runs/{run}/outputs:archive?format=zip",
    ):
        assert console.get(path, "alice").status_code in (200, 404), path
    with tarfile.open(fileobj=io.BytesIO(archive_of(console, run))) as archive:
        assert "traps/model.pkl" in archive.getnames()
    assert not trap.exists()


def archive_of(console: Console, run: str) -> bytes:
    page = console.get(f"{VISION}/{run}/outputs", "alice").text
    address = page.split('href="/api/v1/')[1:]
    url = next(f"/api/v1/{one.split(chr(34))[0]}" for one in address if "tar" in one.split('"')[0])
    content: bytes = console.get(url.replace("&amp;", "&"), "alice").content
    return content
