"""A bare client of the API server for the launcher and its tests: JSON over HTTPS, nothing cached, nothing retried.

Berth has a client of its own. This one is apart from it on purpose: what Berth did is judged by what it did not write.
"""

import base64
import http.client
import json
import ssl
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

from deploy.testcluster.processes import wait_until

PATCH_TYPES = {"merge": "application/merge-patch+json", "strategic": "application/strategic-merge-patch+json"}


class ApiError(Exception):
    """An answer with a status of 400 or more. `status` is it, `body` the server's own Status object or text."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body.get('message', body) if isinstance(body, dict) else body}")
        self.status = status
        self.body = body


class Api:
    """Speaks to the server of a kubeconfig, as its user or, with `token`, as that service account.

    Methods raise ApiError for an answer of 400 or more and OSError when there is none.
    """

    def __init__(self, kubeconfig: Path, *, token: str | None = None) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self.server: str = cluster["server"]
        self.authority = base64.b64decode(cluster["certificate-authority-data"])
        self._token = token or user.get("token")
        self._context = ssl.create_default_context(cadata=self.authority.decode())
        if self._token is None:
            with tempfile.NamedTemporaryFile() as pair:
                for part in ("client-certificate-data", "client-key-data"):
                    pair.write(base64.b64decode(user[part]))
                pair.flush()
                self._context.load_cert_chain(pair.name)

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", timeout: float = 10.0
    ) -> Any:
        """One request. Returns what the JSON of the answer says, or its text."""
        connection = self._connection(timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers(content_type))
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        content = json.loads(text) if is_json and text else text
        if answer.status >= 400:
            raise ApiError(answer.status, content)
        return content

    def stream(
        self, path: str, *, timeout: float = 30.0
    ) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        """Begins a watch or a followed log. Returns the connection, to be closed, and the answer to read from."""
        connection = self._connection(timeout)
        connection.request("GET", path, None, self._headers("application/json"))
        return connection, connection.getresponse()

    def get(self, path: str, *, timeout: float = 10.0) -> Any:
        return self.request("GET", path, timeout=timeout)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any, kind: str = "merge") -> Any:
        return self.request("PATCH", path, body, content_type=PATCH_TYPES[kind])

    def delete(self, path: str, body: Any = None) -> Any:
        return self.request("DELETE", path, body)

    def wait(self, path: str, done: Any, seconds: float = 60.0, every: float = 0.2) -> Any:
        """Reads an object until `done(object)` is true, and returns it. An unknown object is read again."""
        found: list[Any] = []

        def look() -> bool:
            try:
                found[:] = [self.get(path)]
            except ApiError as error:
                if error.status not in (401, 403, 404, 429, 500, 503):
                    raise
                return False
            return bool(done(found[0]))

        try:
            wait_until(path, look, seconds, every)
        except Exception as error:
            if found and isinstance(found[0], dict):
                error.add_note(f"as last seen: {json.dumps(found[0].get('status', found[0]))[:2000]}")
            raise
        return found[0]

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        address = urllib.parse.urlsplit(self.server).netloc
        return http.client.HTTPSConnection(address, timeout=timeout, context=self._context)

    def _headers(self, content_type: str) -> dict[str, str]:
        said = {"Accept": "application/json", "Content-Type": content_type}
        return said if self._token is None else {**said, "Authorization": f"Bearer {self._token}"}
