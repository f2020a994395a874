"""What the documents say is true: settings, commands, links, file names."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def settings_of(model: type[BaseModel], prefix: str) -> dict[str, object]:
    """Every variable and its default; None where there is no fixed one."""
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        default = field.get_default()
        if isinstance(default, BaseModel):
            found |= settings_of(type(default), f"{variable}__")
        else:
            found[variable] = None if isinstance(default, SecretStr) else default
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(BERTH_\w+)` \|([^|]*)\|", (ROOT / "docs/settings.md").read_text(), re.M)
    documented = {variable: default.strip().strip("`") for variable, default in rows}
    known = settings_of(Settings, "BERTH_")
    assert len(documented) == len(rows), "each once"
    assert sorted(documented) == sorted(known)
    for variable, default in known.items():
        if isinstance(default, bool):
            assert documented[variable] == str(default).lower(), variable
        elif isinstance(default, int | float | str):
            assert documented[variable] == str(default), variable


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in DOCUMENTS:
        for target in re.findall(r"(?:`|^)make ([a-z-]+)\b", document.read_text(), re.M):
            assert target in targets, f"{document.name} names `make {target}`"


def test_every_berth_command_that_is_named_exists() -> None:
    from berth.cli.app import GROUPS, commands_of

    known = {command.name for noun in GROUPS for command in commands_of(noun)} | {"version", "help"}
    documents = [path for path in DOCUMENTS if "decisions" not in path.parts]
    for document in documents:
        text = document.read_text()
        lines = re.findall(r"^(?:\.venv/bin/)?berth ((?:[a-z-]+ ?)+)", text, re.M)
        lines += re.findall(r"`berth ((?:[a-z-]+ ?)+)", text)
        for line in lines:
            words = [word for word in line.split() if not word.startswith("-")]
            named = {" ".join(words[:count]) for count in range(1, len(words) + 1)}
            is_group = len(words) == 1 and words[0] in GROUPS
            assert is_group or named & known, f"{document.name} names `berth {line}`"


def test_decisions_are_numbered_and_listed() -> None:
    folder = ROOT / "docs/decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    index = (folder / "README.md").read_text()
    for name in pages:
        assert f"({name})" in index
        assert (folder / name).read_text().startswith(f"# {name[:4]} ")


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
