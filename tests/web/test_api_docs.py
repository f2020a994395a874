"""The reference of the API: every operation has a page that says what it takes and answers."""

import re

from app.api.router import openapi_document
from app.errors import PROBLEMS
from app.web import api_view
from tests.web.conftest import Console


def test_every_operation_is_listed_and_has_its_page(console: Console) -> None:
    listed = console.get("/docs/api").text
    keys = re.findall(r'href="/docs/api/([^"]+)"', listed)
    entries = [entry for group in api_view.groups(openapi_document()) for entry in group.entries]
    operations = sum(len(methods) for methods in openapi_document()["paths"].values())
    assert sorted(keys) == sorted({entry.key for entry in entries})
    assert len(keys) == operations
    for entry in entries:
        page = console.get(f"/docs/api/{entry.key}")
        assert page.status_code == 200
        assert f"{entry.method} {entry.path}" in page.text
        assert "#/components" not in page.text
        assert not set(re.findall(r'href="/problems/(\w+)"', page.text)) - PROBLEMS.keys()


def test_an_operation_with_a_body_can_be_tried_as_it_stands(console: Console) -> None:
    found = api_view.find(openapi_document(), "create-run", "http://localhost:8800")
    assert found is not None
    assert "'http://localhost:8800/api/v1/projects/sandbox/runs'" in found.command
    assert "--data '{" in found.command
    assert (found.status, found.phrase) == (202, "Accepted")
    assert next(field for field in found.body if field.name == "spec").is_required
    assert "IDEMPOTENCY_KEY_REUSED" in [failure.code for failure in found.failures]
    assert "create-run" in console.get("/docs/api/create-run").text


def test_what_is_not_there(console: Console) -> None:
    for path in ("/docs/api/nothing", "/docs/api/Create-Run", "/docs/api/create-run/x"):
        assert console.get(path).status_code == 404
