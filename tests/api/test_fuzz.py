"""Generated requests against every operation, as four people: nothing they send may be more than refused.

Each operation gets the boundary values of all its fields, sent by everybody, and then random cases, each sent by
somebody. `BERTH_FUZZ_CASES` sets how many different cases there are in all (`make fuzz` makes 200,000), and
`BERTH_FUZZ_SEED` which ones; both are printed at the end. That every operation also succeeds is for `test_examples`.
"""

import datetime
import itertools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.generation.drivers import CoverageGenerator, ExamplesGenerator
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.generation.overrides import Override
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app import db
from app.api.router import openapi_document
from tests import factories
from tests.api.client import Api
from tests.api.conftest import World
from tests.api.direct import Direct, in_this_thread

CASES = int(os.environ.get("BERTH_FUZZ_CASES", "20000"))
SEED = int(os.environ.get("BERTH_FUZZ_SEED", "1"))
PEOPLE = ["nobody", "stranger", "editor", "admin"]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

document: dict[str, Any] = openapi_document()
schema = schemathesis.openapi.from_dict(document)
OPERATIONS = [(method, path) for path, operations in document["paths"].items() for method in operations]
# For each operation; a twentieth more, because some of what is generated no client can send.
SHARE = math.ceil(1.05 * CASES / len(OPERATIONS))
# Only a run that asks for a few hundred cases leaves boundary values out.
MOST_BOUNDARIES = 6 * SHARE


@schemathesis.serializer("application/gzip")
def _as_it_is(_: Any, value: Any) -> bytes:
    return bytes(getattr(value, "data", value) if not isinstance(value, str) else value.encode())


@pytest.fixture(scope="module")
def direct(api: Api) -> Iterator[Direct]:
    """The application, called without the ways between threads: tens of thousands of times."""
    with in_this_thread(api.app) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path"), [pytest.param(*one, id=f"{one[0].upper()} {one[1]}") for one in OPERATIONS]
)
def test_nobody_meets_a_server_error(
    method: str, path: str, world: World, direct: Direct, record_property: Callable[[str, object], None]
) -> None:
    """With the boundary values of every field of every operation, besides the random ones."""
    operation = schema[path][method]
    with db.unit_of_work() as session:
        run = factories.make_run(
            session, world.ours, world.users["editor"], spec={"name": "train", "command": ["true"]}
        )
        known = {"project": world.ours.name, "run": run.public_id}
    sender = _Sender(world, direct, known)
    for case in itertools.islice(_boundaries(operation), MOST_BOUNDARIES):
        sender.send(case, PEOPLE[:2], is_there=False)
        sender.send(case, PEOPLE[2:], is_there=True)

    @seed(SEED)
    @settings(
        max_examples=max(SHARE - sender.cases, SHARE // 10, 1),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=_random(operation), who=st.sampled_from(PEOPLE), is_there=st.sampled_from([True, True, True, False]))
    def random_ones(case: schemathesis.Case[Any], who: str, is_there: bool) -> None:
        sender.send(case, [who], is_there=is_there)

    random_ones()
    record_property("fuzz", [sender.cases, sender.requests])


class _Sender:
    """Sends cases and judges the answers; `cases` and `requests` count both. `known` are path values of what exists."""

    def __init__(self, world: World, direct: Direct, known: dict[str, str]) -> None:
        self.cases = self.requests = 0
        self._known = known
        self._tokens = world.tokens
        self._direct = direct

    def send(self, case: schemathesis.Case[Any], people: list[str], *, is_there: bool) -> None:
        """With `is_there`, the path names the project and the run that exist: else most end at its first 404."""
        if is_there:
            found = {name: value for name, value in self._known.items() if name in case.path_parameters}
            case.path_parameters = {**case.path_parameters, **found}
        request = _request(case)
        if request is None:
            return
        self.cases += 1
        for who in people:
            self.requests += 1
            try:
                answer = self._direct.send(request, self._tokens.get(who))
                answer.elapsed = datetime.timedelta(0)
                case.validate_response(Response.from_httpx(answer, verify=False), checks=CHECKS)
            except BaseException as failure:
                failure.add_note(f"sent as {who}; BERTH_FUZZ_SEED={SEED}")
                raise


def _boundaries(operation: Any) -> Iterator[schemathesis.Case[Any]]:
    """The document's examples, then the least, greatest, longest, missing and wrong value of each field."""
    yield from ExamplesGenerator(operation=operation, override=Override(), feedback=NO_FEEDBACK, fill_missing=False)
    config = schema.config.generation_for(operation=operation, phase="coverage")
    yield from CoverageGenerator(
        operation=operation,
        generation_modes=config.modes,
        generation_config=config,
        auth_storage=None,
        override=Override(),
        feedback=NO_FEEDBACK,
    )


def _random(operation: Any) -> st.SearchStrategy[schemathesis.Case[Any]]:
    """Such as the document allows, and such as it does not."""
    return st.one_of([operation.as_strategy(generation_mode=mode, feedback=NO_FEEDBACK) for mode in GenerationMode])


def _request(case: schemathesis.Case[Any]) -> httpx.Request | None:
    """The case as it is sent; None for what no client can send, and for streams."""
    sent = case.as_transport_kwargs(base_url="http://localhost:8800")
    headers = {name.lower(): value for name, value in sent["headers"].items()} | {"host": "localhost:8800"}
    if "text/event-stream" in headers.get("accept", ""):
        return None  # a stream does not end by itself; tests/api/test_logs.py follows them
    data = sent.get("data")
    try:
        return httpx.Request(
            sent["method"],
            sent["url"],
            headers=headers,
            params=sent.get("params"),
            json=sent.get("json"),
            content=data if isinstance(data, bytes | str) else None,
        )
    except (UnicodeError, ValueError, TypeError, httpx.InvalidURL):
        return None


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
