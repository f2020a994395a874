"""The built wheel in an environment of its own, as somebody gets it who has only installed Berth."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
# Nothing of this Python, its settings or servers reaches the installed one.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("BERTH_", "PYTEST", "PYTHON", "VIRTUAL_ENV")) or name == "PYTHONUNBUFFERED"
}


def build(folder: Path) -> Path:
    """The wheel of this checkout, made in `folder`. Raises RuntimeError."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    return next(folder.glob("*.whl"))


def install(environment: Path, *what: str) -> bool:
    """Into a new environment with uv, compiled as pip does it, what is locked at its version. Raises RuntimeError.

    Returns whether nothing had to be fetched: all of it was in uv's cache.
    """
    run([str(UV), "venv", "--quiet", "--python", sys.executable, str(environment)], env=CLEAN)
    constraints = environment / "constraints.txt"
    lock = (ROOT / "requirements.lock").read_text()
    constraints.write_text("\n".join(re.findall(r"^([a-z0-9][\w.-]*==[^\\\n]+)", lock, re.M)))
    command = [str(UV), "pip", "install", "--quiet", "--compile-bytecode", "--python"]
    command += [str(environment / "bin" / "python"), "--constraint", str(constraints), *what]
    cached = subprocess.run([*command, "--offline"], env=CLEAN, capture_output=True, check=False)
    if cached.returncode != 0:
        run(command, env=CLEAN | _as_pip_is_told())
    return cached.returncode == 0


def run(command: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What it prints. Raises RuntimeError with all that was said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def _as_pip_is_told() -> dict[str, str]:
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
