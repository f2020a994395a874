"""All of the API: every route module, its documentation, and nothing else.

A new module under routes/ is one line in `MODULES`.
"""

import importlib
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.api import wire
from app.api.problems import BadRequest, MethodNotAllowed, Unexpected
from app.api.routing import PREFIX, Problem, problems

# The most asked for first: routes are matched in order.
MODULES = [
    "runs",
    "bulk_runs",
    "comparing",
    "plans",
    "views",
    "metrics",
    "usage",
    "logs",
    "outputs",
    "attempt_files",
    "definitions",
    "retention",
    "snapshots",
    "session",
    "projects",
    "members",
    "service_accounts",
    "secrets",
    "tokens",
    "notifications",
    "own_notifications",
    "users",
    "audit",
    "clusters",
    "namespaces",
    "health",
]
OPENAPI_PATH = f"{PREFIX}/openapi.json"
EXAMPLE_ID = "019aa6c0-7d5e-7c52-9d3a-3f1e8a6b2c41"


def routes() -> list[BaseRoute]:
    """Every route of the API, flat: a nested router would be matched at each level on every request."""
    found: list[BaseRoute] = []
    for name in MODULES:
        if importlib.util.find_spec(f"app.api.routes.{name}") is not None:
            found += importlib.import_module(f"app.api.routes.{name}").router.routes
    found.append(Route(OPENAPI_PATH, _openapi, methods=["GET"], include_in_schema=False))
    return found


@lru_cache
def openapi_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes."""
    document = get_openapi(
        title="Berth",
        version="1",
        openapi_version="3.1.0",
        summary="Machine learning work on Kubernetes, and on one machine.",
        description=_DESCRIPTION,
        routes=[route for route in routes() if getattr(route, "include_in_schema", False)],
    )
    _add_examples_of_ids(document)
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token: `berth login`, or POST /tokens."},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-berth",
            "description": "A browser's session. Unsafe methods also need the header X-CSRF-Token.",
        },
    }
    # What any address may answer, whatever its operation says.
    components["responses"] = {
        error.__name__: problems(error)[error.status] for error in (BadRequest, MethodNotAllowed, Unexpected)
    }
    schemas = components.setdefault("schemas", {})
    model = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(model.pop("$defs", {}))
    schemas["Problem"] = model
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _add_examples_of_ids(document: dict[str, Any]) -> None:
    """Ids in paths that are made by the server look alike, so their routes do not repeat an example."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                described = parameter["schema"]
                if parameter["in"] == "path" and described.get("format") == "uuid":
                    described.setdefault("examples", [EXAMPLE_ID])


async def _openapi(_: Request) -> Response:
    return Response(_openapi_bytes(), media_type="application/json", headers={"cache-control": "max-age=300"})


@lru_cache
def _openapi_bytes() -> bytes:
    return wire.dumps(openapi_document())


def install(app: FastAPI) -> None:
    """Adds the API's routes to the application."""
    app.router.routes.extend(routes())


_DESCRIPTION = """\
Times are RFC 3339 in UTC, sizes in bytes unless a spec says `16Gi`. Lists give `{items, next, has_more}`; send
`next` as `after` for the next page. Errors are `application/problem+json` with a stable `code`; each code has a
page at `/problems/<code>`. Every POST takes an `Idempotency-Key`: repeating the same request within a day gives
the first answer again, and another body with the same key is refused with 422.
"""
