"""A transport that answers from a script and remembers what it was asked."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from berth.client import Client
from berth.errors import Unreachable
from berth.transport import Body, Response, Stream


@dataclass
class Asked:
    """One request as the transport got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")


@dataclass
class FakeStream:
    """An event stream that ends, or breaks off, after its lines."""

    content: list[bytes]
    is_broken: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[bytes]:
        yield from self.content
        if self.is_broken:
            raise Unreachable("broke off")

    def chunks(self, size: int = 1 << 16) -> Iterator[bytes]:
        yield b"".join(self.content)

    def close(self) -> None:
        pass


Answer = Response | Exception | Stream


class FakeTransport:
    """`answers` are used up in order; a function is called with the request instead."""

    def __init__(self, *answers: Answer, answer: Callable[[Asked], Answer] | None = None) -> None:
        self.answers = list(answers)
        self.answer = answer
        self.asked: list[Asked] = []
        self.is_closed = False

    def request(self, method: str, target: str, headers: Mapping[str, str], body: Body = None) -> Response:
        found = self._next(method, target, headers, body)
        assert isinstance(found, Response)
        return found

    def stream(self, method: str, target: str, headers: Mapping[str, str], timeout: float) -> Stream:
        found = self._next(method, target, headers, None)
        if isinstance(found, Response):
            return FakeStream([found.body], status=found.status, headers=found.headers)
        assert not isinstance(found, Exception)
        return found

    def close(self) -> None:
        self.is_closed = True

    def _next(self, method: str, target: str, headers: Mapping[str, str], body: Body) -> Answer:
        content = body if body is None or isinstance(body, bytes) else body.read()
        asked = Asked(method, target, dict(headers), content)
        self.asked.append(asked)
        found = self.answer(asked) if self.answer else self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def ok(data: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer."""
    return Response(status, headers, json.dumps(data).encode())


def problem(status: int, code: str, **more: Any) -> Response:
    """A problem document."""
    headers = {"retry-after": str(more.pop("retry_after"))} if "retry_after" in more else {}
    document = {"type": f"/problems/{code}", "title": code, "status": status, "code": code, "detail": f"it is {code}"}
    return Response(status, headers, json.dumps(document | more).encode())


def client_of(transport: FakeTransport, project: str | None = "vision") -> Client:
    """A client that does not wait between attempts."""
    return Client("http://berth.test", "berth_secret", project, transport=transport, sleep=lambda _seconds: None)
