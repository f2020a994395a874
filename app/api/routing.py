"""How the API's routes are registered: default deny, bodies read strictly, errors documented.

A route whose endpoint is wrapped by neither `allowed` nor `public` fails at import.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.api import problems as problem_types
from app.api import strict_json
from app.api.deps import Access
from app.domain import examples
from app.errors import N_, AppError, Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from app.services import idempotency, identity

PREFIX = "/api/v1"


class FieldProblem(BaseModel):
    """One thing that is wrong with the input."""

    pointer: str
    message: str
    fix: str | None = None
    line: int | None = None


class Problem(BaseModel):
    """RFC 9457. `code` never changes its meaning; texts are in the language of Accept-Language."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    errors: list[FieldProblem] | None = None
    trace_id: str | None = None


class Route(APIRoute):
    """An endpoint that states who may call it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        access: Access | None = getattr(endpoint, "berth_access", None)
        if access is None:
            raise TypeError(f"{path}: {endpoint.__name__} states no action; wrap it by allowed(…) or public(…)")
        extra = dict(options.get("openapi_extra") or {})
        extra["x-berth-action"] = access.action.value if access.action else "public"
        if access.action is not None:
            extra.setdefault("security", [{"token": []}, {"session": []}])
        options["openapi_extra"] = extra
        methods = set(options.get("methods") or ())
        usual = _usual(path, methods, access)
        if "after" in inspect.signature(endpoint).parameters:
            usual = merged(usual, problems(problem_types.CursorExpired))
        options["responses"] = merged(usual, options.get("responses") or {})
        super().__init__(path, endpoint, **options)
        self.access = access

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        takes_json = self.body_field is not None

        async def read_strictly(request: Request) -> Response:
            if takes_json:
                body = await request.body()
                _check_type(request, body)
                if body:
                    request._json = strict_json.parse(body)
            elif request.method == "POST":
                await request.body()  # for the Idempotency-Key, which covers it
            return await handler(request)

        return read_strictly


def _check_type(request: Request, body: bytes) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        raise problem_types.UnsupportedMediaType(expected="application/json")


def new_router(tag: str) -> APIRouter:
    """A router for the routes of one noun, below /api/v1."""
    return APIRouter(prefix=PREFIX, tags=[tag], route_class=Route)


def problems(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for these errors, with an example of each."""
    found: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        entry = found.setdefault(
            error.status,
            {
                "description": error.title,
                "content": {problem_types.MEDIA_TYPE: {"schema": _SCHEMA, "examples": {}}},
            },
        )
        entry["content"][problem_types.MEDIA_TYPE]["examples"][error.code] = {
            "summary": error.title,
            "value": problem_types.describe(
                error(None, **examples.of(error.code, error.detail, error.hint)), "en", "4f0c2e7d9a"
            ),
        }
        if error.retry_after is not None:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": N_("Seconds.")}}
    return found


def merged(usual: dict[int | str, dict[str, Any]], own: dict[int | str, dict[str, Any]]) -> dict[int | str, Any]:
    """Both; where both have problems of one status, the examples of both."""
    found: dict[int | str, Any] = dict(usual)
    for status, entry in own.items():
        first, second = _examples(found.get(status, {})), _examples(entry)
        if first and second:
            content = entry["content"][problem_types.MEDIA_TYPE] | {"examples": first | second}
            entry = entry | {"content": entry["content"] | {problem_types.MEDIA_TYPE: content}}
        found[status] = entry
    return found


def _examples(entry: dict[str, Any]) -> dict[str, Any]:
    examples: dict[str, Any] = entry.get("content", {}).get(problem_types.MEDIA_TYPE, {}).get("examples", {})
    return examples


_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def _usual(path: str, methods: set[str], access: Access) -> dict[int | str, dict[str, Any]]:
    errors: list[type[AppError]] = [Invalid, Unavailable, problem_types.Misdirected]
    if access.action is not None:
        errors += [Unauthenticated, identity.InvalidToken, Forbidden, identity.TokenTooNarrow]
    if access.action is not None or "{" in path:
        errors.append(NotFound)
    if methods & {"POST", "PUT", "PATCH"}:
        errors += [
            strict_json.MalformedJson,
            strict_json.TooComplex,
            problem_types.BodyTooLarge,
            problem_types.UnsupportedMediaType,
        ]
    if "POST" in methods and access.action is not None:
        errors.append(idempotency.IdempotencyKeyReused)
    return problems(*errors)
