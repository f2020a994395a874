"""Talking to one API server: requests with time limits, raw JSON, and errors as the clusters' two kinds.

The only module that imports the official client, which is used for its connections; its typed models are several times
slower to decode than JSON, and its watch has no time limit of its own.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.client.rest import RESTClientObject

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubeconfig import Connection

Raw = dict[str, Any]

_CONNECT_SECONDS = 3.0
_READ_SECONDS = 10.0
_WATCH_SECONDS = 300
# Bookmarks come about every minute (apiserver, watch cache): a silent watch of this length is a dead one.
_SILENCE_SECONDS = 90.0
# After a call that timed out, one call at a time finds out whether the server is back; all others fail at once. Else
# the runs of one silent cluster would take all threads of a worker, and those of other clusters would wait.
_REST_SECONDS = 5.0
# Between the tries of a call that failed in passing. A start takes several calls, all of which have to succeed.
_PAUSES = (0.1, 0.4)
_PASSING = (429, 500, 502, 503, 504)
# As many logs as are followed at a time end together; whoever finds no connection makes one, which costs a handshake.
_KEPT_CONNECTIONS = 100
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "berth"


class NotThere(Exception):
    """404: there is no such object."""


class AlreadyThere(Exception):
    """409 with the reason AlreadyExists."""


class Gone(Exception):
    """410: the version that a watch was to begin at is too old; list again."""


class _PassingFailure(ClusterUnavailable):
    """May be over in a moment: the connection was cut, or the server says that it could not now."""


class Api:
    """One API server. Every call may be made from any thread."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self._server = connection.server
        self._folder = tempfile.TemporaryDirectory(prefix="berth-cluster-")
        self._rest = RESTClientObject(_configuration(connection, Path(self._folder.name)))
        self._headers = {"Accept": "application/json", "User-Agent": "berth"}
        if connection.token:
            self._headers["Authorization"] = f"Bearer {connection.token}"
        self.calls = 0
        self._counting = threading.Lock()
        self._silent_until: float | None = None
        self._failing_until = 0.0

    def get(self, path: str, **query: object) -> Raw:
        """One object or list. Raises NotThere, ClusterUnavailable, ClusterRejected; so do all of these."""
        return self._json("GET", path, query)

    def get_version(self) -> tuple[str, str, float]:
        """(the server's version, what time it says that it is, milliseconds until its answer)."""
        begun = time.perf_counter()
        response = self._request("GET", "/version", {})
        try:
            version = str(json.loads(response.data)["gitVersion"])
        except (ValueError, LookupError, TypeError, urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{self.name}: the answer is no API server's: {error!r}"[:500]) from error
        return version, response.headers.get("Date", ""), (time.perf_counter() - begun) * 1000

    def create(self, path: str, body: Raw, **query: object) -> Raw:
        """Makes the object by POST, so that one that somebody deleted is not made again. Raises AlreadyThere."""
        return self._json("POST", path, {"fieldManager": FIELD_MANAGER, **query}, body)

    def apply(self, path: str, body: Raw) -> Raw:
        """Server-side apply: Berth's fields become as they are here, those of others stay."""
        return self._json("PATCH", path, {"fieldManager": FIELD_MANAGER, "force": "true"}, body, _APPLY)

    def patch(self, path: str, body: Raw) -> Raw:
        """A JSON merge patch."""
        return self._json("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, _MERGE)

    def delete(self, path: str, **options: object) -> None:
        """Asks for the end of the object; one that is gone is no error. `options`: those of DeleteOptions."""
        try:
            self._json("DELETE", path, {}, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except NotThere:
            return

    def list_pages(self, path: str, **query: object) -> Iterator[Raw]:
        """A list in pages of 500, each with its `items`. Raises Gone where it lasted too long."""
        token = ""
        while True:
            page = self._json("GET", path, {**query, "limit": 500, **({"continue": token} if token else {})})
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def watch(self, path: str, version: str, **query: object) -> Iterator[Raw]:
        """The events after `version`, bookmarks among them, until the server ends it. Raises Gone, ClusterUnavailable.

        A connection that is open and silent is ended: the server sends bookmarks.
        """
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        response = self._request("GET", path, asked, read_seconds=_SILENCE_SECONDS)
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:
                        raise Gone
                    raise ClusterUnavailable(str(event["object"].get("message", ""))[:500])
                yield event
        except (urllib3.exceptions.HTTPError, json.JSONDecodeError, OSError) as error:
            raise ClusterUnavailable(f"{self.name}: the watch broke: {error!r}"[:500]) from error
        finally:
            response.close()

    def stream(self, path: str, **query: object) -> Iterator[bytes]:
        """The body in pieces as they come, such as that of a log. The caller closes the iterator."""
        response = self._request("GET", path, query, read_seconds=_SILENCE_SECONDS)
        try:
            yield from response.stream(64 << 10)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{self.name}: {error!r}"[:500]) from error
        finally:
            response.close()

    def close(self) -> None:
        """Ends the connections and removes the key's file."""
        self._rest.pool_manager.clear()
        self._folder.cleanup()

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: Raw | None = None,
        content: str = "application/json",
    ) -> Raw:
        response = self._request(method, path, query, body, content)
        try:
            found: Raw = json.loads(response.data)
        except (ValueError, urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{self.name}: the answer broke: {error!r}"[:500]) from error
        return found

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: Raw | None = None,
        content: str = "application/json",
        read_seconds: float = _READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        """Asks again after a failure in passing, but for a while after one that did not pass. All calls may be
        repeated: objects are made under names of their own, and who meets AlreadyThere looks at what is there."""
        for pause in _PAUSES if time.monotonic() > self._failing_until else ():
            try:
                return self._ask(method, path, query, body, content, read_seconds)
            except _PassingFailure:
                time.sleep(pause)
        try:
            return self._ask(method, path, query, body, content, read_seconds)
        except _PassingFailure:
            self._failing_until = time.monotonic() + _REST_SECONDS
            raise

    def _ask(
        self, method: str, path: str, query: Mapping[str, object], body: Raw | None, content: str, read_seconds: float
    ) -> urllib3.BaseHTTPResponse:
        self._note_call()
        try:
            response: urllib3.BaseHTTPResponse = self._rest.pool_manager.request(
                method,
                f"{self._server}{path}?{urlencode(query)}" if query else self._server + path,
                body=None if body is None else json.dumps(body).encode(),
                headers={**self._headers, "Content-Type": content},
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=read_seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if _is_silence(error):
                self._silent_until = time.monotonic() + _REST_SECONDS
            kind = _PassingFailure if isinstance(error, urllib3.exceptions.ProtocolError) else ClusterUnavailable
            raise kind(f"{self.name} does not answer: {error}"[:500]) from error
        self._silent_until = None
        if response.status < 300:
            return response
        raise _refusal(self.name, response)

    def _note_call(self) -> None:
        """Raises ClusterUnavailable where another call finds out whether the server is there."""
        with self._counting:
            if self._silent_until is not None:
                now = time.monotonic()
                if now < self._silent_until:
                    raise ClusterUnavailable(f"{self.name} does not answer", self._silent_until - now + 1.0)
                self._silent_until = now + _CONNECT_SECONDS + _READ_SECONDS
            self.calls += 1


def _is_silence(error: Exception) -> bool:
    """Whether it took its time. A refused connection is a NewConnectionError, which is a timeout by its class only."""
    is_timeout = isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError)
    return is_timeout and not isinstance(error, urllib3.exceptions.NewConnectionError)


def _refusal(name: str, response: urllib3.BaseHTTPResponse) -> Exception:
    """The error that an answer of 300 and above is. What may be different next time is ClusterUnavailable."""
    status = response.status
    try:
        answer = json.loads(response.read(1 << 20) or b"{}")
    except (ValueError, urllib3.exceptions.HTTPError, OSError):
        answer = {}
    finally:
        response.close()
    said = str(answer.get("message") or response.reason)[:1000] if isinstance(answer, dict) else ""
    reason = answer.get("reason") if isinstance(answer, dict) else None
    if status == 404:
        return NotThere(said)
    if status == 409 and reason == "AlreadyExists":
        return AlreadyThere(said)
    if status == 410:
        return Gone(said)
    # What Berth itself may not do is the admins' to mend, and no fault of the run; nor is a quota made a moment ago.
    is_ours = status == 403 and ((": User " in said and " cannot " in said) or "status unknown for quota" in said)
    if status in (400, 403, 405, 413, 415, 422) and not is_ours:
        return ClusterRejected(said)
    wait = response.headers.get("Retry-After", "")
    otherwise = 1.0 if status == 409 else 5.0  # a conflict, as of a quota that many Jobs are counted in, is soon over
    seconds = float(wait) if wait.isdigit() else otherwise
    is_passing = status in _PASSING and not (wait and seconds > 1)
    return (_PassingFailure if is_passing else ClusterUnavailable)(f"{name}: {status} {said}", seconds)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for piece in response.stream(64 << 10):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line)


def _configuration(connection: Connection, folder: Path) -> Configuration:
    made = Configuration(host=connection.server)
    made.retries = False
    made.connection_pool_maxsize = _KEPT_CONNECTIONS
    if connection.ca:
        made.ssl_ca_cert = _file(folder / "ca.pem", connection.ca)
    if connection.certificate:
        made.cert_file = _file(folder / "client.pem", connection.certificate)
        made.key_file = _file(folder / "client.key", connection.key)
    if connection.server_name:
        made.tls_server_name = connection.server_name
    return made


def _file(path: Path, text: str) -> str:
    path.touch(0o600)
    path.write_text(text)
    return str(path)
