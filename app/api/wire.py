"""Answers as bytes: JSON straight from dictionaries, list pages with their Link header, ETags.

Answers are not validated again on the way out; tests compare them with the schemas instead.
"""

import datetime
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.api.problems import PreconditionFailed, PreconditionRequired


def dumps(value: Any) -> bytes:
    """JSON in UTF-8: times in UTC as RFC 3339 writes them, uuids as text."""
    return _ENCODER.encode(value).encode("utf-8", "replace")


def time_text(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC: "2026-11-22T05:42:21.123456Z"."""
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return time_text(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` (plain data, times and uuids) as JSON. Answers are private to who asked."""
    return raw_json_response(dumps(value), status, headers)


class SecretResponse(Response):
    """An answer with a secret that is shown once: never kept, not even for an Idempotency-Key."""


def secret_response(value: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    """As `json_response`, for an answer that must not be kept."""
    return SecretResponse(dumps(value), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def raw_json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that is bytes already."""
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def no_content(headers: dict[str, str] | None = None) -> Response:
    """204."""
    return Response(b"", 204, headers)


def page_response(request: Request, items: Sequence[Any], after: str | None) -> Response:
    """{items, next, has_more}; `after` is the next page's cursor, or None on the last page."""
    body = dumps({"items": items, "next": after, "has_more": after is not None})
    return raw_json_response(body, headers=link_header(request, after))


def raw_page_response(request: Request, items: Sequence[str], after: str | None) -> Response:
    """As `page_response`, of items that are JSON already."""
    following = "null" if after is None else f'"{after}"'
    body = f'{{"items":[{",".join(items)}],"next":{following},"has_more":{"true" if after else "false"}}}'
    return raw_json_response(body.encode("utf-8", "replace"), headers=link_header(request, after))


def link_header(request: Request, after: str | None) -> dict[str, str]:
    """`Link: <…>; rel="next"` with the request's own parameters (RFC 8288)."""
    if after is None:
        return {}
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return {"link": f'<{request.url.path}?{urlencode([*query, ("after", after)])}>; rel="next"'}


def etag(version: int | str) -> str:
    """A strong validator from a row's version."""
    return f'"{version}"'


def is_unchanged(request: Request, tag: str) -> bool:
    """Whether If-None-Match names the present version, so that 304 is enough."""
    given = request.headers.get("if-none-match")
    return given is not None and (given.strip() == "*" or tag in [_strong(part) for part in given.split(",")])


def not_modified(tag: str) -> Response:
    """304 with its ETag."""
    return Response(b"", 304, {"etag": tag, "cache-control": "no-cache"})


def require_if_match(if_match: str | None, version: int | str, current: Any) -> None:
    """Raises PreconditionRequired without the header, PreconditionFailed with `current` when it is another version."""
    if if_match is None:
        raise PreconditionRequired
    # A weak tag never matches here (RFC 9110, section 13.1.1).
    if if_match.strip() != "*" and etag(version) not in [part.strip() for part in if_match.split(",")]:
        raise PreconditionFailed(current=json.loads(dumps(current)))


def _strong(part: str) -> str:
    return part.strip().removeprefix("W/")
