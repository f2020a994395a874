"""One door for errors: whatever was raised becomes an AppError, and an AppError becomes problem+json (RFC 9457).

`as_app_error` is also what pages use; `render` is the JSON face. Statuses that belong to the transport
itself (400, 405, 412, 413, 415, 421, 428) are defined here and nowhere else.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import psycopg_pool
import structlog
from fastapi.exceptions import RequestValidationError
from sqlalchemy import exc as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import i18n
from app.errors import N_, AppError, Conflict, Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from app.stores.objects import StoreDown
from app.workloads.findings import field_errors

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class CursorExpired(AppError):
    """A cursor that this list did not hand out, or with other filters."""

    status = 400
    code = "CURSOR_EXPIRED"
    title = N_("The cursor is not valid here")
    detail = N_("The value of `after` does not belong to this list with these filters.")
    hint = N_("Start again without `after`.")


class BadRequest(AppError):
    """The request cannot be read."""

    status = 400
    code = "BAD_REQUEST"
    title = N_("The request cannot be read")
    detail = N_("It is not a valid HTTP request for this address.")
    hint = N_("Check the request line, the headers and the form of the body.")


class MethodNotAllowed(AppError):
    """The address is right, the method is not."""

    status = 405
    code = "METHOD_NOT_ALLOWED"
    title = N_("This method is not possible here")
    detail = N_("{method} is not possible at this address.")
    hint = N_("The Allow header lists the methods that are.")


class PreconditionFailed(AppError):
    """Somebody was faster. `current` is the object as it is now."""

    status = 412
    code = "PRECONDITION_FAILED"
    title = N_("It was changed meanwhile")
    detail = N_("The version in If-Match is not the present one, so nothing was changed.")
    hint = N_("Look at `current`, decide again, and send its ETag.")


class BodyTooLarge(AppError):
    """More bytes than are taken here."""

    status = 413
    code = "BODY_TOO_LARGE"
    title = N_("The body is too large")
    detail = N_("At most {limit} bytes are taken here.")
    hint = N_("Send less, or split it into several requests.")


class UnsupportedMediaType(AppError):
    """A body in a form that is not read here."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    title = N_("This form of body is not read here")
    detail = N_("The Content-Type must be {expected}.")
    hint = N_("Set the Content-Type header.")


class Misdirected(AppError):
    """For a host that is not this one: a forged Host header, or DNS rebinding."""

    status = 421
    code = "MISDIRECTED"
    title = N_("This is not the server for that host")
    detail = N_("Berth answers only under the address that it was set up with.")
    hint = N_("Open the address in BERTH_WEB__URL; administrators change it there.")


class PreconditionRequired(AppError):
    """A write that could overwrite somebody else's."""

    status = 428
    code = "PRECONDITION_REQUIRED"
    title = N_("Say which version you are changing")
    detail = N_("Without an If-Match header this could overwrite somebody else's change.")
    hint = N_("Read the object first and send its ETag as If-Match.")


class Unexpected(AppError):
    """A mistake of Berth's own. The details are in the log under the error id only."""

    status = 500
    code = "INTERNAL"
    title = N_("Something went wrong in Berth")
    detail = N_("The request was not carried out. The error id is {error_id}.")
    hint = N_("Tell your administrator the error id; the log has the details.")


_BY_STATUS: dict[int, type[AppError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    422: Invalid,
    429: TooMany,
    503: Unavailable,
}
_UNAVAILABLE = (
    sa.OperationalError,
    sa.TimeoutError,
    sa.InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolTimeout,
    StoreDown,
)


def as_app_error(request: Request, error: Exception) -> AppError:
    """What the user is told of `error`; what is unexpected is logged here, with a new error id."""
    if isinstance(error, AppError):
        return error
    if isinstance(error.__cause__, AppError):
        return error.__cause__  # raised while FastAPI read a form, and wrapped by it
    if isinstance(error, RequestValidationError):
        return Invalid(field_errors(error.errors(), _body_of(request)))
    if isinstance(error, _UNAVAILABLE):
        log.warning("unavailable", path=request.url.path, error=repr(error)[:500])
        return Unavailable()
    if isinstance(error, sa.DataError | psycopg.DataError):
        # A value that Postgres cannot hold, such as NUL in a path or a query.
        log.warning("refused by the database", path=request.url.path, error=repr(error)[:300])
        return Invalid()
    status = getattr(error, "status_code", None)
    if status == 405:
        return MethodNotAllowed(method=request.method, allow=_methods_here(request))
    if isinstance(status, int) and status in _BY_STATUS:
        return _BY_STATUS[status]()
    error_id = uuid.uuid4().hex[:12]
    log.error("unexpected", error_id=error_id, method=request.method, path=request.url.path, exc_info=error)
    return Unexpected(error_id=error_id)


def _body_of(request: Request) -> Any:
    """What the body of this route should be, or None."""
    body = getattr(request.scope.get("route"), "body_field", None)
    return None if body is None else body.field_info.annotation


def _methods_here(request: Request) -> list[str]:
    """What is possible at this path, over all of its routes: Starlette's own answer knows one route only."""
    methods: set[str] = set()
    for route in _routes(request.app.router.routes):
        if route.path_regex.match(request.scope["path"]):
            methods |= route.methods or set()
    return sorted(methods)


def _routes(found: Iterable[BaseRoute]) -> Iterator[Route]:
    """All routes, also those of the pages, which FastAPI keeps in the routers they were included with."""
    for route in found:
        if isinstance(route, Route):
            yield route
        else:
            yield from _routes(getattr(getattr(route, "original_router", None), "routes", ()))


def language_of(request: Request) -> str:
    """The user's own language where one is known, else what the request asks for. With a token it is the other way
    round: a browser always names a language, a program only where it means it."""
    chosen, asked = request.scope.get("berth.language"), request.headers.get("accept-language")
    if chosen and not (asked and "authorization" in request.headers):
        return str(chosen)
    return i18n.negotiate(asked, chosen or i18n.DEFAULT)


def describe(error: AppError, language: str, trace_id: str | None = None) -> dict[str, Any]:
    """The members of the problem document. Fields of the error that are not JSON are left out of it."""
    slots = error.fields
    document: dict[str, Any] = {
        "type": f"/problems/{error.code}",
        "title": i18n.translate(language, error.title),
        "status": error.status,
        "code": error.code,
        "detail": i18n.translate(language, error.detail, **slots),
        "hint": i18n.translate(language, error.hint, **slots),
    }
    if error.errors:
        document["errors"] = [
            item.as_dict() | {"message": i18n.translate(language, item.message, **item.slots)} for item in error.errors
        ]
    if trace_id:
        document["trace_id"] = trace_id
    for name, value in slots.items():
        if name not in document and isinstance(value, str | int | float | list | dict | None):
            document[name] = value
    return document


def headers_of(error: AppError) -> dict[str, str]:
    """Headers that go with the error, in JSON and HTML alike."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.fields.get("allow", ()))
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="berth"'
    return headers


def render(request: Request, error: AppError) -> Response:
    """The problem document in the reader's language."""
    language = language_of(request)
    body = json.dumps(
        describe(error, language, request.scope.get("berth.request_id")), ensure_ascii=False, default=str
    ).encode("utf-8", "replace")
    headers = headers_of(error) | {"Content-Language": language.replace("_", "-"), "Vary": "Accept-Language"}
    return Response(body, error.status, headers, MEDIA_TYPE)
