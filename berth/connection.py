"""One server, one identity: requests with JSON, repeated where that is safe, and problems as exceptions."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import berth
from berth import config
from berth.errors import BerthError, InvalidInput, Unreachable
from berth.transport import Body, HttpTransport, Response, Stream, Transport, read_server_url

API = "/api/v1"
PAGE_SIZE = 200
RETRIES = 3
# Waiting longer than this for the server's Retry-After is the caller's decision.
LONGEST_RETRY_AFTER = 5.0
_TEMPORARY = frozenset({502, 503, 504, 429})


@dataclass(frozen=True)
class Answer:
    """A successful answer: `data` is its JSON, None for an empty one."""

    status: int
    headers: Mapping[str, str]
    data: Any


@dataclass(frozen=True)
class Page:
    """One page of a list, as it came. `next` is the cursor of the next one."""

    items: Sequence[dict[str, Any]] = ()
    next: str | None = None


class Connection:
    """What the nouns of `Client` ask the server through."""

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        project: str | None = None,
        *,
        context: str | None = None,
        language: str | None = None,
        timeout: float = 60.0,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = config.resolve(server, token, project, context)
        self.server = self.settings.server.value
        self.language = config.language(language or os.environ.get("BERTH_LANG"))
        read_server_url(self.server)
        self._transport = transport or HttpTransport(self.server, timeout)
        self._sleep = sleep
        self._project: str | None = None

    @property
    def project(self) -> str:
        """The project in force; where nothing names one, the only one there is. Raises InvalidInput."""
        if self.settings.project:
            return self.settings.project.value
        if self._project is None:
            names = [project["name"] for project in self.get("/session").data.get("projects", [])]
            if len(names) != 1:
                known = f"Yours are: {', '.join(names)}." if names else "You are in none yet; ask an owner or an admin."
                raise InvalidInput(
                    "no project is chosen",
                    code="NO_PROJECT",
                    hint=f"Use --project NAME, BERTH_PROJECT or `berth project use NAME`. {known}",
                )
            self._project = names[0]
        return self._project

    def path(self, *parts: str) -> str:
        """A path below the API's root from parts that may hold any character but for a leading ":verb"."""
        return "".join("/" + quote(part, safe=":") for part in parts)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = None, idempotency_key: str | None = None) -> Answer:
        """A POST with an idempotency key, so that repeating it after a broken connection is safe."""
        key = idempotency_key or f"{random.getrandbits(128):032x}"
        return self.call("POST", path, body={} if body is None else body, headers={"Idempotency-Key": key})

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with a JSON body, or none; raises BerthError for any problem."""
        content = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        more = {"Content-Type": "application/json"} if content is not None else {}
        response = self.send(method, path, query=query, body=content, headers={**more, **(headers or {})})
        return Answer(response.status, response.headers, _json_of(response, self.server))

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request with any body, repeated where that is safe. Raises BerthError for any problem."""
        target, sent = API + path + _query(query), self._headers(headers)
        repeatable = method in ("GET", "HEAD", "PUT", "DELETE") or "Idempotency-Key" in sent
        for attempt in range(RETRIES + 1):
            last = attempt == RETRIES or not repeatable
            try:
                response = self._transport.request(method, target, sent, body)
            except Unreachable:
                if last:
                    raise
                self._sleep(backoff(attempt))
            else:
                if response.status < 300:
                    return response
                problem = read_problem(response.status, response.headers, response.body)
                pause = problem.retry_after or 0.0
                if last or response.status not in _TEMPORARY or pause > LONGEST_RETRY_AFTER:
                    raise problem
                self._sleep(max(pause, backoff(attempt)))
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
        raise AssertionError("the last attempt returns or raises")

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Stream:
        """An open answer to a GET, to be closed by the caller. Raises BerthError; nothing is repeated."""
        stream = self._transport.stream("GET", API + path + _query(query), self._headers(headers), timeout)
        if stream.status >= 300:
            try:
                raise read_problem(stream.status, stream.headers, b"".join(stream.chunks()))
            finally:
                stream.close()
        return stream

    def pages(self, path: str, query: Mapping[str, Any] | None = None, limit: int | None = None) -> Iterator[Page]:
        """The pages of a list, one request each, until `limit` objects have come; None is all."""
        wanted = dict(query or {})
        left = limit
        while left is None or left > 0:
            wanted["limit"] = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
            data = self.get(path, wanted).data
            items = data if isinstance(data, list) else data.get("items", [])
            cursor = None if isinstance(data, list) else data.get("next")
            if left is not None:
                items = items[:left]
                left -= len(items)
            yield Page(items, cursor)
            if not cursor or not items:
                return
            wanted["after"] = cursor

    def items(
        self, path: str, query: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The objects of a list; further pages are fetched as they are reached."""
        for page in self.pages(path, query, limit):
            yield from page.items

    def explain(self, code: str) -> dict[str, Any]:
        """What a code of an error or a reason means: `code`, `title`, `text` and `hint`. Raises BerthError."""
        response = self._transport.request("GET", f"/problems/{quote(code, safe='')}", self._headers(None), None)
        if response.status == 404:
            raise BerthError(f"the server has no code {code}", code="NOT_FOUND", status=404)
        if response.status >= 300:
            raise read_problem(response.status, response.headers, response.body)
        found: dict[str, Any] = _json_of(response, self.server)
        return found

    def pause(self, seconds: float) -> None:
        """Sleeps; in one place, so that tests need not wait."""
        self._sleep(seconds)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": f"berth/{berth.__version__}"}
        headers["Accept-Language"] = self.language
        if self.settings.token:
            headers["Authorization"] = f"Bearer {self.settings.token.value}"
        return {**headers, **(more or {})}


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: doubling from 0.2, half of it random, so that clients spread."""
    return float(0.2 * 2**attempt * (0.5 + random.random() / 2))  # noqa: S311 - spreads load, no secret


def read_problem(status: int, headers: Mapping[str, str], body: bytes) -> BerthError:
    """The exception for an answer of 300 and above, whoever wrote it."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    retry_after = headers.get("retry-after", "")
    pause = float(retry_after) if retry_after.isdecimal() else None
    if not isinstance(document, dict) or "code" not in document:
        what = _STATUS_WORDS.get(status, "an answer that is not Berth's")
        return BerthError(
            f"the server answered {status}: {what}", code=f"HTTP_{status}", status=status, retry_after=pause
        )
    known = ("type", "title", "status", "code", "detail", "hint", "errors", "trace_id")
    return BerthError(
        document.get("detail") or document.get("title") or f"status {status}",
        code=document["code"],
        title=document.get("title", ""),
        hint=document.get("hint", ""),
        status=status,
        errors=document.get("errors"),
        trace_id=document.get("trace_id") or headers.get("x-request-id", ""),
        retry_after=pause,
        fields={name: value for name, value in document.items() if name not in known},
    )


_STATUS_WORDS = {
    401: "not signed in",
    403: "not allowed",
    404: "there is nothing at that address",
    413: "too much was sent",
    502: "the server behind the proxy is away",
    503: "not available just now",
    504: "the server behind the proxy is too slow",
}


def _json_of(response: Response, server: str) -> Any:
    if not response.body:
        return None
    try:
        return json.loads(response.body)
    except ValueError:
        raise Unreachable(f"{server} answers, but not as Berth does", hint="Check the address of the server.") from None


def _query(query: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return "?" + urlencode(given, doseq=True) if given else ""
