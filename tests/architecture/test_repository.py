"""What must not be in a public repository, and what the build relies on."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
BINARY = {".woff2", ".png", ".ico", ".gz", ".npz", ".jpg"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files of the repository, or of the folder where it is not a git clone."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        hidden = {".venv", ".git", "__pycache__"}
        paths = [path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.parts)]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def test_nothing_lies_about_at_the_top(tracked: list[Path]) -> None:
    data = {path.name for path in tracked if path.parent == ROOT and path.suffix in (".yaml", ".yml", ".json", ".txt")}
    assert data <= {"docker-compose.yml", ".pre-commit-config.yaml"}


def test_no_paths_or_addresses_of_one_machine(tracked: list[Path]) -> None:
    banned = re.compile(
        r"/(?:work|root|home/[a-z]+)/[\w.]|\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b"
    )
    allowed = {
        # Addresses that the code must know as private, or paths that tests invent.
        "tests",
        "bench",
    }
    for path in tracked:
        relative = path.relative_to(ROOT)
        if relative.parts[0] in allowed or "vendor" in relative.parts or path.name == "requirements.lock":
            continue
        found = banned.search(path.read_text(errors="replace"))
        assert found is None, f"{relative}: {found and found.group()}"


def test_no_secrets(tracked: list[Path]) -> None:
    secret = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\bghp_\w{30}|\bAKIA[0-9A-Z]{16}\b|\bxox[bp]-\d{8}")
    for path in tracked:
        assert not secret.search(path.read_text(errors="replace")), path.relative_to(ROOT)


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    packages = [index for index, line in enumerate(lines) if re.match(r"^[a-z0-9][\w.-]*==", line)]
    assert len(packages) > 50
    for index in packages:
        assert "--hash=sha256:" in lines[index + 1], lines[index]


def test_what_is_declared_is_locked() -> None:
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    wanted = [*project["dependencies"], *declared["build-system"]["requires"]]
    for group in (*project["optional-dependencies"].values(), *declared["dependency-groups"].values()):
        wanted += group
    locked = re.findall(r"^([a-z0-9][\w.-]*)==", (ROOT / "requirements.lock").read_text(), re.M)
    for requirement in wanted:
        name = re.split(r"[\[<>=~! ;]", requirement)[0].lower()
        name = re.sub(r"[-_.]+", "-", name)
        assert name in locked, f"{name} is not locked: make lock"


def test_every_crash_point_has_a_name_of_its_own() -> None:
    names: list[str] = []
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "crash_point":
                assert isinstance(node.args[0], ast.Constant), f"{path}: the name must be written out"
                assert isinstance(node.args[0].value, str)
                names.append(node.args[0].value)
    assert names, "there are crash points"
    assert len(names) == len(set(names)), f"two crash points share a name: {sorted(names)}"


def test_every_layer_is_described() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for folder in sorted((ROOT / "app").iterdir()):
        if folder.is_dir() and any(folder.glob("*.py")):
            assert re.search(rf"\b{folder.name}\b", text), f"docs/architecture.md does not name app/{folder.name}"


SERVICE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z0-9./-]+:[\w.-]+$"},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
        "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^[a-z-]+:/[\w/]+$"}},
        "command": {"type": "array", "items": {"type": "string"}},
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test"],
            "properties": {
                "test": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "interval": {"type": "string", "pattern": r"^\d+s$"},
                "timeout": {"type": "string", "pattern": r"^\d+s$"},
                "retries": {"type": "integer"},
            },
        },
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
    },
}
COMPOSE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["services"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE, "required": ["postgres", "redis"]},
        "volumes": {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
    },
}


def test_the_compose_file_is_well_formed() -> None:
    """Against the parts of the compose schema that it uses: ports on loopback only, pinned versions."""
    document = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    jsonschema.validate(json.loads(json.dumps(document)), COMPOSE)
    used = {volume.split(":")[0] for service in document["services"].values() for volume in service.get("volumes", [])}
    assert used == set(document["volumes"])
    redis = document["services"]["redis"]["command"]
    assert redis[redis.index("--maxmemory-policy") + 1] == "noeviction"
