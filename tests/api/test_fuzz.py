"""Generated requests against every operation, as four people: nothing they send may be more than refused.

`BERTH_FUZZ_CASES` sets how many requests are made in all (`make fuzz` makes 200,000). Making one takes longer than
answering it, so each is sent by everybody: as nobody, then with more and more rights. The seed is fixed.
"""

import datetime
import math
import os
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api.router import openapi_document
from tests.api.conftest import World

DEFAULT_CASES = 12_000
PEOPLE = ["nobody", "stranger", "editor", "admin"]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

document: dict[str, Any] = openapi_document()
schema = schemathesis.openapi.from_dict(document)
OPERATIONS = sum(len(operations) for operations in document["paths"].values())
EXAMPLES = math.ceil(int(os.environ.get("BERTH_FUZZ_CASES", DEFAULT_CASES)) / (OPERATIONS * len(PEOPLE)))


@schemathesis.serializer("application/gzip")
def _as_it_is(_: Any, value: Any) -> bytes:
    return bytes(getattr(value, "data", value) if not isinstance(value, str) else value.encode())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_nobody_meets_a_server_error(case: schemathesis.Case[Any], world: World) -> None:
    """With the boundary values of every field of every operation, besides the random ones."""
    for who in PEOPLE:
        _send(case, world, who)


def _send(case: schemathesis.Case[Any], world: World, who: str) -> None:
    client = world.as_(who)
    sent = case.as_transport_kwargs(base_url="http://localhost:8800")
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    if "text/event-stream" in headers.get("accept", ""):
        return  # a stream does not end by itself; tests/api/test_logs.py follows them
    headers |= {name: client.headers[name] for name in ("host", "authorization") if name in client.headers}
    data = sent.get("data")
    try:
        request = client.build_request(
            sent["method"],
            sent["url"],
            headers=headers,
            params=sent.get("params"),
            json=sent.get("json"),
            content=data if isinstance(data, bytes | str) else None,
        )
    except (UnicodeError, ValueError, TypeError, httpx.InvalidURL):
        return  # no client can send it
    answer = client.send(request)
    answer.elapsed = datetime.timedelta(0)
    case.validate_response(Response.from_httpx(answer, verify=False), checks=CHECKS)


def test_every_operation_has_an_example_of_its_body() -> None:
    """The examples are what the documentation shows, so there must be some, and they must be valid."""
    missing = [
        f"{method} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
        and not _examples(operation["requestBody"]["content"]["application/json"])
    ]
    assert missing == []


def _examples(content: dict[str, Any]) -> list[Any]:
    described = content.get("schema", {})
    if "$ref" in described:
        described = document["components"]["schemas"][described["$ref"].rsplit("/", 1)[1]]
    return (
        list(described.get("examples", []))
        + ([content["example"]] if "example" in content else [])
        + list(content.get("examples", {}))
    )
