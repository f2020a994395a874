"""Logs, counters and the context that ties them together. Any process calls `configure_logging` once.

Logs are one JSON object per line on stderr, or readable lines on a terminal. Counters are kept per process
and read at /metrics; what is counted per request is two dictionary look-ups.
"""

import contextvars
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
run_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("run_id", default=None)

REQUESTS = Counter("berth_http_requests", "Answers by method, route and status class.", ["method", "route", "status"])
SECONDS = Histogram(
    "berth_http_request_seconds",
    "Time to the end of the answer, by route.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
SIGN_INS = Counter("berth_sign_ins", "Attempts to sign in by result.", ["result"])

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_requests: dict[tuple[str, str, int], Any] = {}
_seconds: dict[str, Any] = {}

log = structlog.get_logger(__name__)
SLOW_SECONDS = 1.0


_context: dict[str, str] = {}


def _add_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.update(_context)
    for name, variable in (("request_id", request_id), ("run", run_id)):
        value = variable.get()
        if value is not None:
            event.setdefault(name, value)
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_context,
]
# From the start through the standard library, without the values of local variables in tracebacks, which
# structlog's own default would print: there are passwords among them.
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def configure_logging(process: str, *, level: int | str = "INFO", json_lines: bool | None = None) -> None:
    """Sends structlog's and the standard library's records to stderr in one form.

    `process` is in every record. JSON unless stderr is a terminal, or as `json_lines` says.
    """
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            # Without the values of variables, among which there may be secrets.
            exception_formatter=structlog.dev.plain_traceback
        )
    )
    _context["process"] = process
    last = [structlog.processors.format_exc_info, renderer] if as_json else [renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # requests are counted; slow and failed ones are logged here


def count_request(scope: Mapping[str, Any], status: int, seconds: float) -> None:
    """Counts one answer under its route's pattern, never under the path itself, which is unbounded."""
    route = getattr(scope.get("route"), "path", "") or "unknown"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    key = (method, route, status)
    counter = _requests.get(key)
    if counter is None:
        counter = _requests[key] = REQUESTS.labels(method, route, str(status))
        _seconds.setdefault(route, SECONDS.labels(route))
    counter.inc()
    _seconds[route].observe(seconds)
    if seconds > SLOW_SECONDS and not scope["path"].endswith(("/logs", "/events")):
        log.warning("slow request", method=method, route=route, status=status, seconds=round(seconds, 3))


def metrics() -> tuple[bytes, str]:
    """This process's counters in the Prometheus text format, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
