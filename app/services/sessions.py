"""Browser sessions: cookies, CSRF, signing in and out. Used by the API's and the pages' transports alike."""

import hashlib
import hmac
from collections.abc import Mapping

from app.errors import N_, Forbidden
from app.settings import get_settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSite(Forbidden):
    """A cookie that came with a request of another site's making, or without the page's own token."""

    code = "CSRF"
    title = N_("This request did not come from Berth's own pages")
    detail = N_("It carried your session, but not the proof that you meant it. Nothing was changed.")
    hint = N_("Reload the page and try again. Programs send a token instead: `berth login`.")


def cookie_name() -> str:
    """`__Host-` makes browsers refuse the cookie from a sibling host or over plain HTTP (RFC 6265bis, 4.1.3)."""
    return "__Host-berth" if get_settings().is_secure else "berth"


def set_cookie_header(token: str) -> str:
    """The Set-Cookie value for a session; an empty token removes the cookie."""
    settings = get_settings()
    age = settings.web.session_hours * 3600 if token else 0
    secure = "; Secure" if settings.is_secure else ""
    return f"{cookie_name()}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"


def read_cookie(header: str | None) -> str | None:
    """The session cookie's value in a Cookie header."""
    if not header:
        return None
    prefix = cookie_name() + "="
    for part in header.split(";"):
        part = part.strip()
        if part.startswith(prefix):
            return part[len(prefix) :] or None
    return None


def csrf_token(session_hash: bytes) -> str:
    """The token that forms and scripts of this session send with each unsafe request."""
    return hmac.new(get_settings().signing_key, b"csrf\0" + session_hash, hashlib.sha256).hexdigest()[:40]


def check_origin(method: str, headers: Mapping[str, str]) -> None:
    """Raises CrossSite unless the browser says that the request is of our own making.

    `headers` has lower-case names. Old browsers without Sec-Fetch-Site send Origin, which must then be ours.
    """
    site = headers.get("sec-fetch-site")
    safe = method in SAFE_METHODS
    if site is not None:
        if site == "same-origin" or (safe and site == "none"):
            return
        # A link from elsewhere to one of our pages: a navigation, which SameSite=Lax lets through on purpose.
        if safe and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document":
            return
        raise CrossSite
    origin = headers.get("origin")
    if origin is None and safe:
        return
    if origin != _own_origin(headers):
        raise CrossSite


def check_csrf(session_hash: bytes, sent: str | None) -> None:
    """Raises CrossSite unless `sent` (header X-CSRF-Token or form field csrf) is this session's token."""
    if not sent or not hmac.compare_digest(sent.encode("utf-8", "replace"), csrf_token(session_hash).encode()):
        raise CrossSite


def _own_origin(headers: Mapping[str, str]) -> str:
    """Our scheme, and the host that was asked, which the Host check has already found to be ours."""
    scheme = get_settings().console_url.partition("://")[0]
    return f"{scheme}://{headers.get('host', '')}"
