"""The log of a run: windows as JSON, all of it as text or NDJSON, and following it as an event stream."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import db
from app.api import wire
from app.api.deps import RunDep, RunRef, allowed, authenticate
from app.api.routing import new_router
from app.api.schemas.logs import LogRead, attempts_read, plain
from app.domain.access import Action
from app.errors import N_, AppError, FieldError, Invalid, Unauthenticated
from app.services import identity, logs
from app.services.log_feed import LogFeed, line_read
from app.services.logs import Place

router = new_router("logs")

HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 5.0  # of the right to read, where there is something to send
MAX_LINES = 5_000

_PLACE = N_('is a line such as 1200, or "<attempt>.<line>"')
_FORMS = {"text/event-stream": "events", "application/x-ndjson": "ndjson", "text/plain": "plain"}

AttemptQuery = Annotated[
    int | None, Query(ge=1, le=10**6, description="One attempt. Without it, the newest; whole logs have all.")
]
PlaceQuery = Annotated[str | None, Query(max_length=40, description=f"A line: {_PLACE[3:]}.")]


@router.get(
    "/runs/{run}/logs",
    response_model=LogRead,
    responses={
        200: {
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/event-stream": {"schema": {"type": "string"}},
            }
        }
    },
)
@allowed(Action.RUN_READ)
async def read_log(
    request: Request,
    run: RunDep,
    attempt: AttemptQuery = None,
    replica: Annotated[int | None, Query(ge=0, le=10**4, description="One replica; 0 without it.")] = None,
    after: PlaceQuery = None,
    before: PlaceQuery = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LINES, description="How many lines at most.")] = 500,
    tail: Annotated[int | None, Query(ge=1, le=MAX_LINES, description="The last so many lines.")] = None,
    q: Annotated[str, Query(max_length=200, description="Only lines that contain this, whatever its case.")] = "",
    first_error: Annotated[bool, Query(description="Begin shortly before the first line that tells an error.")] = False,
    errors: Annotated[bool, Query(description="Only lines that look like errors. JSON only.")] = False,
    timestamps: Annotated[bool, Query(description="In plain text: each line's time before it.")] = False,
    raw: Annotated[bool, Query(description="Show what carriage returns have overwritten.")] = False,
    download: Annotated[Literal["plain"] | None, Query(description="All as a file.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Read the log; the form follows from `Accept`.

    JSON is a window: the first lines, those `after` or `before` a line, the `tail`, those that match `q`, the
    `errors`, or those from the `first_error` on. Plain text and NDJSON are streamed whole, attempt after attempt. An
    event stream follows the log to the end of the run: each line is a message with the id "<attempt>.<line>", a gap
    is an event `gap`, and the last event is `end`. It goes on after Last-Event-ID, or `after`.
    """
    form = "plain" if download else _form(request.headers.get("accept", ""))
    asked = _Asked(run, attempt, replica, after, before, limit, tail, q, first_error, errors, raw)
    if form == "events":
        place = await anyio.to_thread.run_sync(_start, asked, last_event_id)
        return _follow(request, asked, place)
    if form == "json":
        return await anyio.to_thread.run_sync(_window, asked)
    return await anyio.to_thread.run_sync(_whole, asked, form, timestamps, download is not None)


class _Asked:
    """What a request asks for, in one hand."""

    def __init__(
        self,
        run: RunRef,
        attempt: int | None,
        replica: int | None,
        after: str | None,
        before: str | None,
        limit: int,
        tail: int | None,
        q: str,
        first_error: bool,
        errors: bool,
        raw: bool,
    ) -> None:
        self.run = run
        self.attempt = attempt
        self.replica = replica
        self.after = after
        self.before = before
        self.limit = limit
        self.tail = tail
        self.q = q
        self.first_error = first_error
        self.errors = errors
        self.raw = raw
        if sum((after is not None, before is not None, tail is not None, first_error)) > 1:
            raise Invalid([FieldError("/query", N_("takes one of after, before, tail and first_error"))])
        if q and errors:
            raise Invalid([FieldError("/query", N_("takes one of q and errors"))])
        if "\0" in q:
            raise Invalid([FieldError("/query/q", N_("is not valid"))])

    @property
    def index(self) -> int:
        return self.replica or 0


def _form(accept: str) -> str:
    for part in accept.split(","):
        form = _FORMS.get(part.partition(";")[0].strip().lower())
        if form is not None:
            return form
    return "json"


def _own_attempt(asked: _Asked) -> int:
    """The attempt that is asked for, the newest without; 1 before there is any. Raises Invalid for one that is not,
    and for a replica that is not."""
    if asked.replica:
        logs.check_replica(asked.run.id, asked.replica)
    attempts = [head.attempt for head in logs.read_facts(asked.run.id).heads]
    newest = max(attempts, default=1)
    if asked.attempt is not None and attempts and asked.attempt not in attempts:
        text = N_("is no attempt of this run; the newest is {newest}")
        raise Invalid([FieldError("/query/attempt", text, fix=str(newest), slots={"newest": newest})])
    return asked.attempt or newest


def _window(asked: _Asked) -> Response:
    own = _own_attempt(asked)
    place = after = None
    if asked.after is not None:
        after = Place.read(asked.after, own, "/query/after")
    elif asked.before is not None:
        place = Place.read(asked.before, own, "/query/before")
    # Only a place that names its attempt crosses from one into another.
    crosses = asked.attempt is None and "." in (asked.after or asked.before or "")
    only = None if crosses else own
    if asked.q or asked.errors:
        return _matches(asked, own, after)
    if asked.first_error:
        found = logs.find_first_error(asked.run.id, own, asked.index)
        after = Place(own, max(0, (found or 1) - 6))
    if place is not None or asked.tail is not None:
        count = asked.limit if asked.tail is None else asked.tail
        window = logs.read_before(asked.run.id, place, count, attempt=only, replica=asked.index)
    else:
        window = logs.read_after(asked.run.id, after, asked.limit, attempt=only, replica=asked.index)
    goes_back = place is not None or asked.tail is not None
    edge = (window.lines[0] if goes_back else window.lines[-1]) if window.lines else None
    has_more = window.has_before if goes_back else window.has_after
    return _answer(asked, own, window, has_more, None if edge is None else _next(edge, crosses), None)


def _matches(asked: _Asked, attempt: int, after: Place | None) -> Response:
    run_id, index = asked.run.id, asked.index
    hits = logs.search(run_id, asked.q, attempt, index) if asked.q else logs.find_errors(run_id, attempt, index)
    following = [number for number in hits.lines if after is None or number > after.line]
    lines = logs.read_lines(asked.run.id, attempt, asked.index, following[: asked.limit])
    facts = logs.read_facts(asked.run.id, attempt, asked.index)
    has_more = len(following) > asked.limit
    window = logs.Window(lines, facts, has_before=len(following) < len(hits.lines), has_after=has_more)
    matches = {
        "lines": hits.lines,
        "count": len(hits.lines),
        "is_capped": hits.is_capped,
        "is_partial": hits.is_partial,
        "searched_to": min(hits.searched_to, facts.lines),
    }
    return _answer(asked, attempt, window, has_more, str(lines[-1].number) if lines else None, matches)


def _next(line: logs.Line, crosses: bool) -> str:
    return str(Place(line.attempt, line.number)) if crosses else str(line.number)


def _answer(
    asked: _Asked, attempt: int, window: logs.Window, has_more: bool, following: str | None, matches: Any
) -> Response:
    facts, lines = window.facts, window.lines
    body = {
        "items": [line_read(line, raw=asked.raw) for line in lines],
        "attempt": attempt,
        "replica": asked.index,
        "first_line": lines[0].number if lines else None,
        "last_line": lines[-1].number if lines else None,
        "total": facts.lines,
        "bytes": facts.bytes,
        "gaps": facts.gaps,
        "complete": facts.is_complete,
        "has_before": window.has_before,
        "has_more": has_more,
        "next": following if has_more else None,
        "attempts": attempts_read(facts.heads),
    }
    if matches is not None:
        body["matches"] = matches
    return wire.json_response(body)


def _whole(asked: _Asked, form: str, timestamps: bool, as_file: bool) -> Response:
    own = _own_attempt(asked)
    facts = logs.read_facts(asked.run.id, asked.attempt, asked.index)
    lines = _lines(asked, own)
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if as_file:
        number = f"-{asked.attempt}" if asked.attempt else ""
        headers["content-disposition"] = f'attachment; filename="{asked.run.public_id}{number}.log"'
    if form == "ndjson":
        return StreamingResponse(_ndjson(lines, asked.raw), 200, headers, "application/x-ndjson")
    with_replica = asked.replica is None and len(facts.replicas) > 1
    pieces = plain(lines, timestamps=timestamps, with_replica=with_replica)
    return StreamingResponse(pieces, 200, headers, "text/plain; charset=utf-8")


def _lines(asked: _Asked, own: int) -> Iterator[logs.Line]:
    """All lines, or those that `after`, `before`, `tail`, `q` leave."""
    run_id, attempt = asked.run.id, asked.attempt
    if asked.tail is not None or asked.before is not None or asked.after is not None:
        if asked.after is not None:
            return _from(asked, Place.read(asked.after, own, "/query/after"))
        place = None if asked.before is None else Place.read(asked.before, own, "/query/before")
        count = asked.limit if asked.tail is None else asked.tail
        return iter(logs.read_before(run_id, place, count, attempt=attempt, replica=asked.index).lines)
    lines = logs.read_all(run_id, attempt=attempt, replica=asked.replica)
    if not asked.q:
        return lines
    wanted = asked.q.lower()
    return (line for line in lines if wanted in line.record.text.decode("utf-8", "replace").lower())


def _from(asked: _Asked, place: Place) -> Iterator[logs.Line]:
    while True:
        window = logs.read_after(asked.run.id, place, MAX_LINES, attempt=asked.attempt, replica=asked.index)
        yield from window.lines
        if not window.lines or not window.has_after:
            return
        place = Place(window.lines[-1].attempt, window.lines[-1].number)


def _ndjson(lines: Iterator[logs.Line], raw: bool) -> Iterator[bytes]:
    piece: list[str] = []
    for line in lines:
        piece.append(json.dumps(line_read(line, raw=raw), ensure_ascii=False, separators=(",", ":")) + "\n")
        if len(piece) == 1000:
            yield "".join(piece).encode("utf-8", "replace")
            piece.clear()
    yield "".join(piece).encode("utf-8", "replace")


def _start(asked: _Asked, last_event_id: str | None) -> Place:
    """Where following begins: after the last message that arrived, after a line, before the tail, or at the start."""
    own = _own_attempt(asked)
    if last_event_id:
        return Place.read(last_event_id, own, "/header/Last-Event-ID")
    if asked.after is not None:
        return Place.read(asked.after, own, "/query/after")
    if asked.tail is not None:
        window = logs.read_before(asked.run.id, None, asked.tail, attempt=asked.attempt, replica=asked.index)
        if window.lines:
            return Place(window.lines[0].attempt, window.lines[0].number - 1)
    return Place(asked.attempt or 1, 0)


def _follow(request: Request, asked: _Asked, place: Place) -> Response:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(request, asked, place), 200, headers, "text/event-stream")


async def _events(request: Request, asked: _Asked, place: Place) -> AsyncIterator[bytes]:
    """The stream itself. It holds nothing but its place while it waits; it ends when the right to read does."""
    feed = _feed_of(request)
    run_id = asked.run.id
    sent = checked = time.monotonic()
    async with feed.waiting(run_id) as wait:
        yield b"retry: 1000\n\n"
        while not feed.is_closing:
            piece = await feed.read(run_id, place, asked.attempt, asked.index)
            now = time.monotonic()
            if now - checked >= (RECHECK_SECONDS if piece.events else HEARTBEAT_SECONDS):
                if not await anyio.to_thread.run_sync(_may_still_read, request, asked.run):
                    yield b"event: closed\ndata: {}\n\n"
                    return
                checked = now
            if piece.events:
                yield piece.events
                sent, place = now, piece.place
            elif now - sent >= HEARTBEAT_SECONDS:
                yield b": still here\n\n"
                sent = now
            if piece.end is not None:
                yield b"event: end\ndata: " + json.dumps({"state": piece.end}).encode() + b"\n\n"
                return
            if not piece.has_more:
                await wait()


def _may_still_read(request: Request, run: RunRef) -> bool:
    """Whether the credentials that the stream was opened with still allow it."""
    try:
        with db.read_session() as session:
            found = authenticate(session, request)
        if found is None:
            raise Unauthenticated
        identity.require(found.actor, Action.RUN_READ, run.project_id, run.id)
    except AppError as error:
        return error.status >= 500  # not a verdict on the reader
    return True


def _feed_of(request: Request) -> LogFeed:
    feed: LogFeed | None = getattr(request.app.state, "log_feed", None)
    if feed is None:
        feed = request.app.state.log_feed = LogFeed()
    return feed
