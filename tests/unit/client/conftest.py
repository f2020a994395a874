"""Nothing of the developer's own configuration may reach these tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty config folder, an empty current folder, no variables."""
    for name in ("SERVER", "TOKEN", "PROJECT", "CONTEXT", "URL", "RUN_ID", "LANG"):
        monkeypatch.delenv(f"BERTH_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
