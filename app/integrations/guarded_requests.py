"""Stands for the library requests inside the modules of another one, and lets nothing past the egress guard.

Those modules call `requests.post(…)`; what they get is one exchange of integrations/webhook.py: the name is resolved
once, every address judged, the connection made to the judged one, redirects not followed, certificates always
checked, no proxy and no netrc of the environment. Outside of a `Sending` nothing can be asked at all.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import requests

from app.domain.egress import Network
from app.integrations.webhook import Answer, Resolve, exchange, resolve

_LONGEST = 64 << 10
_METHODS = ("get", "post", "put", "delete", "patch", "head")
# A service asks for a handful of exchanges for a message: a login, a channel's name. More is a loop.
_MOST = 8


@dataclass
class Sending:
    """One message on its way: what it may reach, until when (monotonic seconds), and what was answered so far."""

    allowed: tuple[Network, ...]
    ends: float
    resolver: Resolve = resolve
    answers: list[Answer] = field(default_factory=list)

    def left(self) -> float:
        """Seconds; none when it has made too many exchanges."""
        return self.ends - time.monotonic() if len(self.answers) < _MOST else 0.0


_current = threading.local()


@contextmanager
def sending(made: Sending) -> Iterator[Sending]:
    """Lets this thread ask, within what `made` allows."""
    _current.sending = made
    try:
        yield made
    finally:
        _current.sending = None


class GuardedRequests:
    """What a module has for `requests`: the calls, guarded, and the names of errors and codes. Nothing else."""

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """One exchange. Raises requests.ConnectionError or Timeout when there is no answer, as requests does."""
        now: Sending | None = getattr(_current, "sending", None)
        if now is None:
            raise requests.ConnectionError("nothing is being sent")
        left = now.left()
        if left <= 0:
            now.answers.append(Answer(False, error="timeout"))
            raise requests.Timeout("no time is left")
        if options.get("files"):
            raise requests.ConnectionError("files are not sent")
        given = {name: options[name] for name in ("headers", "params", "data", "json", "auth") if name in options}
        prepared = requests.Request(method.upper(), url, **given).prepare()
        body = prepared.body or b""
        if not isinstance(body, (str, bytes)):
            raise requests.ConnectionError("files are not sent")
        reply = exchange(
            prepared.method or "GET",
            prepared.url or "",
            body.encode() if isinstance(body, str) else body,
            {name: _text(value) for name, value in prepared.headers.items()},
            allowed=now.allowed,
            timeout=left,
            resolver=now.resolver,
            longest=_LONGEST,
        )
        now.answers.append(reply.answer)
        if reply.answer.status is None:
            kind = requests.Timeout if reply.answer.error == "timeout" else requests.ConnectionError
            raise kind("no answer")
        made = requests.Response()
        made.status_code = reply.answer.status
        made.headers.update(reply.headers)
        made.url = prepared.url or ""
        made._content = reply.body
        return made

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return lambda url, **options: self.request(name, url, **options)
        found = getattr(requests, name)
        if name in ("codes", "exceptions") or (isinstance(found, type) and issubclass(found, Exception)):
            return found
        raise AttributeError(f"{name} is not let through")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


GUARDED = GuardedRequests()


def guard(package: str) -> None:
    """Puts the guarded ones into every loaded module of a package that has `requests`. Doing it again is harmless."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package and isinstance(getattr(module, "requests", None), ModuleType):
            module.requests = GUARDED  # type: ignore[attr-defined]
