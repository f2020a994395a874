"""What leaves compressed, and what never does: the ASGI messages themselves, without an application."""

import asyncio
import gzip
import json

import pytest
from starlette.types import Message, Scope

from app.api.packing import LEAST, PAD, packed, packing, takes_gzip

BODY = b"<p>one line of a page</p>" * 200


def passed_on(messages: list[Message], *, method: str = "GET", **headers: str) -> list[list[Message]]:
    """What had been sent on after each of the messages."""
    given = {"accept-encoding": "gzip"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope: Scope = {
        "type": "http",
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    sent: list[Message] = []
    after: list[list[Message]] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        to = packing(scope, send)
        for message in messages:
            await to(message)
            after.append([*sent])

    asyncio.run(run())
    return after


def start(
    kind: str = "text/html; charset=utf-8", length: int | None = len(BODY), status: int = 200, **more: str
) -> Message:
    headers = {"content-type": kind} | {name.replace("_", "-"): value for name, value in more.items()}
    if length is not None:
        headers["content-length"] = str(length)
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def body(data: bytes = BODY, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "application/problem+json"])
def test_a_whole_answer_is_packed(kind: str) -> None:
    first, second = passed_on([start(kind, vary="Cookie"), body()], sec_fetch_site="same-origin")[-1]
    headers = dict(first["headers"])
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"vary"] == b"Cookie, Accept-Encoding"
    assert int(headers[b"content-length"]) == len(second["body"]) < len(BODY) / 4
    assert gzip.decompress(second["body"]) == BODY


def test_a_large_one_too() -> None:
    large = json.dumps(list(range(100_000))).encode()
    sent = passed_on([start("application/json", len(large)), body(large)])[-1]
    assert gzip.decompress(sent[1]["body"]) == large


# A log that is followed, a download, a file, a picture: each piece is on its way before the next one is there.
@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson", "text/plain", "image/png", "text/html"])
@pytest.mark.parametrize("length", [None, 3 * len(BODY)])
def test_streams_pass_piece_by_piece(kind: str, length: int | None) -> None:
    messages = [start(kind, length), body(more=True), body(more=True), body()]
    after = passed_on(messages)
    assert after[1:] == [messages[:2], messages[:3], messages]
    if length is None:
        assert after[0] == messages[:1], "a head that waits for a first event tells nobody that the stream is open"


@pytest.mark.parametrize(
    "head",
    [
        start(length=LEAST - 1),
        start(status=206, content_range="bytes 0-9/10"),
        start(content_encoding="gzip"),
        start(etag='"1"'),
        start("font/woff2"),
        start("application/zip"),
    ],
)
def test_what_is_small_part_named_or_packed_already_passes(head: Message) -> None:
    messages = [head, body()]
    assert passed_on(messages)[-1] == messages


@pytest.mark.parametrize(
    "asked",
    [
        {"accept_encoding": ""},
        {"accept_encoding": "br, deflate"},
        {"accept_encoding": "gzip;q=0"},
        {"method": "POST"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_nobody_gets_packed_what_they_may_not(asked: dict[str, str]) -> None:
    messages = [start(), body()]
    assert passed_on(messages, **asked)[-1] == messages


def test_an_answer_begun_anew_is_the_later_one() -> None:
    """The head of an answer that failed before its body was never sent: an error takes its place."""
    sent = passed_on([start(), start("application/problem+json", 4, 500), body(b"oops")])[-1]
    assert [sent[0]["status"], sent[1]["body"], len(sent)] == [500, b"oops", 2]


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip", True),
        ("br, GZIP ;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("x-gzip-like", False),
        ("", False),
    ],
)
def test_accept_encoding(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes


def test_a_right_guess_beside_a_secret_cannot_be_told_by_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<main>" + BODY + b"secret=4f9a01c7 q="
    right, wrong = page + b"secret=4f9a01c7</main>", page + b"secret=zzqxkwvy</main>"
    found = [len(packed(right)) for _ in range(300)]
    monkeypatch.setattr("secrets.randbelow", lambda _: 0)
    shortest, told_by = len(packed(right)), len(packed(wrong)) - len(packed(right))
    assert 0 < told_by < PAD / 4, "packing does tell a right guess: this is what the random part is for"
    assert len(set(found)) > PAD / 2
    assert shortest <= min(found) < max(found) <= shortest + PAD
