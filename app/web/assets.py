"""Style sheet, scripts, fonts and icons: read once, compressed once, named by their content, cached for ever.

All files share one version in their path (`/static/<version>/app.css`), so that what they refer to by a
relative path (a font, a module) is of the same version too. `app.js` is served with htmx before it, which every page
needs, and the icon is part of the pages: each request less is a round trip less for those far away.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.errors import NotFound

FOLDER = Path(__file__).parent.parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
# Lines of our own scripts that are nothing but a comment: for those who read the source, not for browsers.
_COMMENT = re.compile(rb"^[ ]*//.*\n", re.MULTILINE)
# Libraries that a script of ours is served behind. A module has its names for itself, so they are handed on.
_BEHIND = {"app.js": ("vendor/htmx.min.js", b"\nwindow.htmx=htmx;\n")}
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, the same compressed (None where that saves nothing), and its media type."""

    plain: bytes
    packed: bytes | None
    media_type: str


@lru_cache
def assets() -> dict[str, Asset]:
    """Every file that is served, by its path below `app/static`; our scripts without their comment lines."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            plain = path.read_bytes()
            if path.suffix == ".js" and path.parent == FOLDER:
                plain = _COMMENT.sub(b"", plain)
                if path.name in _BEHIND:
                    library, handed_on = _BEHIND[path.name]
                    plain = (FOLDER / library).read_bytes() + handed_on + plain
            packed = None if path.suffix == ".woff2" else gzip.compress(plain, 9, mtime=0)
            found[path.relative_to(FOLDER).as_posix()] = Asset(plain, packed, _TYPES[path.suffix])
    return found


@lru_cache
def version() -> str:
    """A short hash of all files and their names."""
    digest = hashlib.sha256()
    for name, asset in assets().items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(asset.plain).digest())
    return digest.hexdigest()[:12]


def url(name: str) -> str:
    """The address of a file of this version. Raises KeyError for one that does not exist."""
    assets()[name]
    return f"/static/{version()}/{name}"


@lru_cache
def icon_uri() -> str:
    """The icon of browser tabs, as an address that holds it."""
    return "data:image/svg+xml," + quote(assets()["favicon.svg"].plain.decode().strip(), safe=" /:=<>'")


@router.get("/static/{asked}/{name:path}", name="asset")
def read_asset(asked: str, name: str, request: Request) -> Response:
    """One file. An address of another version gets today's file, which no cache may keep."""
    asset = assets().get(name)
    if asset is None:
        raise NotFound
    headers = {"Cache-Control": _FOR_EVER if asked == version() else "no-cache", "Vary": "Accept-Encoding"}
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.packed, media_type=asset.media_type, headers=headers)
    return Response(asset.plain, media_type=asset.media_type, headers=headers)
