"""What Berth calls its own address, by what it listens on and what it was told."""

from pathlib import Path

import pytest

from app.settings import Settings, WebSettings


@pytest.mark.parametrize(
    ("host", "url", "console", "runs"),
    [
        ("127.0.0.1", None, "http://localhost:8801", "http://127.0.0.1:8801"),
        ("0.0.0.0", None, "http://localhost:8801", "http://127.0.0.1:8801"),
        ("::1", None, "http://localhost:8801", "http://[::1]:8801"),
        ("10.88.0.1", None, "http://10.88.0.1:8801", "http://10.88.0.1:8801"),
        ("fd00::5", None, "http://[fd00::5]:8801", "http://[fd00::5]:8801"),
        ("10.88.0.1", "https://berth.example.com/", "https://berth.example.com", "http://10.88.0.1:8801"),
    ],
)
def test_addresses(host: str, url: str | None, console: str, runs: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, web=WebSettings(host=host, port=8801, url=url))
    assert settings.console_url == console
    assert settings.run_url == runs
