"""Idempotency-Key for every POST: the first answer is kept with the change and given again."""

import json
import re
from collections.abc import Callable

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.api import wire
from app.domain.access import Actor
from app.errors import N_, FieldError, Invalid
from app.services import idempotency
from app.services.idempotency import Answer, Claim

_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def claim(request: Request, actor: Actor) -> Claim | None:
    """The request's claim, or None without the header. Raises Invalid for a key of the wrong form."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Invalid([FieldError("/header/Idempotency-Key", N_("must be 1 to 200 visible ASCII characters"))])
    body = getattr(request, "_body", b"")
    return idempotency.claim_of(actor.user_id, f"{request.method} {request.url.path}", key, body)


def answer(session: Session, made: Claim, work: Callable[[], Response]) -> Response:
    """The stored answer if there is one, else that of `work`, stored in the same transaction."""
    stored = idempotency.begin(session, made)
    if stored is not None:
        return replay(stored)
    response = work()
    if not isinstance(response, wire.SecretResponse):
        idempotency.finish(session, made, kept(response))
    return response


def kept(response: Response) -> Answer:
    """What is stored of an answer."""
    body = json.loads(bytes(response.body)) if response.body else None
    return Answer(response.status_code, response.headers.get("location"), body)


def replay(stored: Answer) -> Response:
    """The stored answer, marked as one."""
    headers = {"idempotency-replayed": "true"}
    if stored.location is not None:
        headers["location"] = stored.location
    if stored.body is None:
        return Response(b"", stored.status, headers)
    return wire.json_response(stored.body, stored.status, headers)
