"""The web process's application: wires api and web, the middleware, and how errors are shown.

The only place that knows both transports. `uvicorn app.main:create_app --factory` serves it.
"""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as RouterError  # noqa: TID251 - what the router itself raises
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app import db, observability, schema
from app.api import problems
from app.api import router as api
from app.api.deps import authenticate
from app.api.middleware import Edge, ErrorRenderer
from app.errors import AppError, NotFound
from app.settings import get_settings

log = structlog.get_logger(__name__)


def create_app() -> FastAPI:
    """The whole application, from this process's settings."""
    settings = get_settings()
    render = error_renderer()
    app = FastAPI(
        title="Berth",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
        lifespan=_lifespan,
        middleware=[Middleware(Edge, settings=settings, render=render)],
    )

    def handle(request: Request, error: Exception) -> Response:
        return render(request, problems.as_app_error(request, error))

    async def handle_here(request: Request, error: Exception) -> Response:
        return handle(request, error)

    for kind in (AppError, RequestValidationError, RouterError):
        app.add_exception_handler(kind, handle_here)
    api.install(app)
    app.state.openapi_document = api.openapi_document  # for the pages that show it
    app.router.routes.extend(
        [
            Route("/livez", _livez, methods=["GET"]),
            Route("/readyz", _readyz, methods=["GET"]),
            Route("/metrics", _metrics, methods=["GET"]),
        ]
    )
    if importlib.util.find_spec("app.web.router") is not None:
        web = importlib.import_module("app.web.router")
        app.include_router(web.router)
    return app


def error_renderer() -> ErrorRenderer:
    """JSON below /api and for probes, pages elsewhere: `app.web.errors.render_error(request, error)`."""
    pages: ErrorRenderer = problems.render
    if importlib.util.find_spec("app.web.errors") is not None:
        pages = importlib.import_module("app.web.errors").render_error

    def render(request: Request, error: AppError) -> Response:
        if request.url.path.startswith("/api/"):
            return problems.render(request, error)
        return pages(request, error)

    return render


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # As many threads as connections: a thread never waits for a connection that a waiting thread holds.
    anyio.to_thread.current_default_thread_limiter().total_tokens = get_settings().database.pool_size
    yield
    if (feed := getattr(app.state, "log_feed", None)) is not None:
        await anyio.to_thread.run_sync(feed.close)
    db.engine().dispose()


async def _livez(_: Request) -> Response:
    """The process answers. Nothing outside of it is asked."""
    return PlainTextResponse("ok\n")


def _readyz(_: Request) -> Response:
    """Postgres answers and has the schema that this code was written for."""
    try:
        with db.engine().connect() as connection:
            found = connection.execute(text("select version_num from alembic_version")).scalar()
    except SQLAlchemyError as error:
        log.warning("not ready", error=repr(error)[:300])
        return PlainTextResponse("Postgres does not answer, or has no schema\n", 503)
    if found != schema.head():
        return PlainTextResponse(f"the schema is at {found}, this code needs {schema.head()}\n", 503)
    return PlainTextResponse("ok\n")


def _metrics(request: Request) -> Response:
    """Counters for Prometheus: for this machine, and for platform admins' tokens."""
    if not request.client or request.client.host not in ("127.0.0.1", "::1"):
        try:
            with db.read_session() as session:
                found = authenticate(session, request)
        except AppError as error:
            return problems.render(request, error)
        if found is None or not found.actor.is_admin:
            return problems.render(request, NotFound())
    body, kind = observability.metrics()
    return Response(body, media_type=kind)
