"""Refreshes the third-party files of the console: `python deploy/vendor.py` (needs npm; users never run it).

Packages come through the npm client at the exact versions below; only the files that the pages use are
kept, with their licences, and VERSIONS.json records each with its SHA-256 so that a test can tell a changed
file from an updated one. axe-core goes to the tests and is not shipped.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "app/static/vendor"
TESTED = ROOT / "tests/browser/vendor"

# package, version, {file in the package: file here}
SHIPPED_PACKAGES: list[tuple[str, str, dict[str, str]]] = [
    ("htmx.org", "2.0.11", {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE"}),
    ("uplot", "1.6.32", {"dist/uPlot.iife.min.js": "uPlot.iife.min.js", "LICENSE": "uPlot.LICENSE"}),
    (
        "@fontsource-variable/inter",
        "5.3.0",
        {"files/inter-latin-wght-normal.woff2": "inter.woff2", "LICENSE": "inter.LICENSE"},
    ),
    (
        "@fontsource/jetbrains-mono",
        "5.3.0",
        {
            "files/jetbrains-mono-latin-400-normal.woff2": "jetbrains-mono.woff2",
            "LICENSE": "jetbrains-mono.LICENSE",
        },
    ),
]
ICON_PACKAGE = ("@tabler/icons", "3.51.0")
TEST_PACKAGES = [("axe-core", "4.14.1", {"axe.min.js": "axe.min.js", "LICENSE": "axe.LICENSE"})]

# The name in the sprite, and the outline icon that is drawn for it.
ICONS = {
    "run": "player-play",
    "queued": "clock",
    "succeeded": "circle-check",
    "failed": "circle-x",
    "stopped": "ban",
    "hold": "player-pause",
    "key": "key",
    "warn": "alert-triangle",
    "info": "info-circle",
    "search": "search",
    "close": "x",
    "plus": "plus",
    "down": "chevron-down",
    "right": "chevron-right",
    "switch": "selector",
    "menu": "menu-2",
    "help": "keyboard",
    "dots": "dots",
    "copy": "copy",
    "check": "check",
    "download": "download",
    "stop": "player-stop",
    "rerun": "refresh",
    "wrap": "text-wrap",
    "full": "arrows-maximize",
    "follow": "arrow-bar-to-down",
    "error": "bug",
    "table": "table",
    "terminal": "terminal-2",
    "time": "history",
    "file": "file",
    "user": "user",
    "out": "logout",
    "up": "chevron-up",
    "book": "book",
    "open": "shield-off",
    "home": "home",
    "users": "users",
    "projects": "folders",
    "settings": "settings",
    "health": "heartbeat",
    "robot": "robot",
    "trash": "trash",
    "mail": "mail",
    "devices": "device-desktop",
    "job": "template",
    "pencil": "pencil",
    "compare": "git-compare",
    "archive": "archive",
}


def main() -> None:
    """Fetches everything anew and rewrites both folders' records."""
    SHIPPED.mkdir(parents=True, exist_ok=True)
    TESTED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        shipped = [keep(Path(scratch), SHIPPED, *package) for package in SHIPPED_PACKAGES]
        shipped.append(build_sprite(Path(scratch)))
        write_record(SHIPPED, shipped)
        write_record(TESTED, [keep(Path(scratch), TESTED, *package) for package in TEST_PACKAGES])


def keep(scratch: Path, folder: Path, package: str, version: str, files: dict[str, str]) -> dict[str, object]:
    """Unpacks one package and copies `files` of it; returns its record."""
    source = unpack(scratch, package, version)
    for inside, here in files.items():
        (folder / here).write_bytes(cleaned((source / inside).read_bytes(), here))
    return record(folder, package, version, list(files.values()))


def unpack(scratch: Path, package: str, version: str) -> Path:
    """The package's folder, fetched with `npm pack`."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"{package}@{version}"],
        cwd=scratch,
        check=True,
        capture_output=True,
        text=True,
    )
    archive = scratch / packed.stdout.split()[-1]
    target = scratch / archive.stem
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def cleaned(data: bytes, name: str) -> bytes:
    """Without source-map references: those files are not shipped."""
    if name.endswith(".js"):
        return re.sub(rb"\n?//# sourceMappingURL=\S+\s*$", b"\n", data)
    return data


def build_sprite(scratch: Path) -> dict[str, object]:
    """One SVG with a symbol for each icon in use, and its record."""
    package, version = ICON_PACKAGE
    source = unpack(scratch, package, version)
    symbols = []
    for name, drawn in sorted(ICONS.items()):
        svg = (source / "icons/outline" / f"{drawn}.svg").read_text()
        body = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.S)
        if body is None:
            sys.exit(f"{drawn}.svg is not what was expected")
        shapes = re.sub(r'\s*<path stroke="none"[^>]*/>', "", body[1])
        shapes = re.sub(r"\s*\n\s*", "", shapes)
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8"'
            f' stroke-linecap="round" stroke-linejoin="round">{shapes}</symbol>'
        )
    (SHIPPED / "icons.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n")
    (SHIPPED / "icons.LICENSE").write_bytes((source / "LICENSE").read_bytes())
    return record(SHIPPED, package, version, ["icons.svg", "icons.LICENSE"])


def record(folder: Path, package: str, version: str, names: list[str]) -> dict[str, object]:
    """What VERSIONS.json holds of one package."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}
    return {"package": package, "version": version, "sha256": digests}


def write_record(folder: Path, records: list[dict[str, object]]) -> None:
    """Writes VERSIONS.json beside the files."""
    (folder / "VERSIONS.json").write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
