"""The page of a new run without a browser: the form and its YAML follow each other, mistakes stand where they are."""

import html
import re
from typing import Any

import pytest
from sqlalchemy import func, select

from app import db
from app.models import AuditEntry, Run
from app.services import runs
from tests.web.conftest import Console

NEW = "/projects/vision/runs/new"


@pytest.fixture(autouse=True)
def _afresh() -> None:
    runs.forget_what_was_seen()


def count(what: type) -> int:
    with db.read_session() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


def newest() -> Any:
    with db.read_session() as session:
        return session.scalars(select(Run).order_by(Run.id.desc()).limit(1)).one()


def text_of(page: str) -> str:
    """What stands in the YAML's field."""
    found = re.search(r'<textarea class="in yaml".*?>(.*?)</textarea>', page, re.DOTALL)
    assert found
    return html.unescape(found[1]).removeprefix("\n")


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send of the page's form."""
    form = re.search(r'<form class="split editor".*?</form>', page, re.DOTALL)
    assert form
    made: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", form[0]):
        given = {name: html.unescape(value) for name, value in re.findall(r'([\w.-]+)="([^"]*)"', tag)}
        if "disabled" in tag or "name" not in given or (given.get("type") == "radio" and " checked" not in tag):
            continue
        made[given["name"]] = given.get("value", "")
    for name, value in re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form[0], re.DOTALL):
        made[name] = html.unescape(value).removeprefix("\n")
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected>', options) or re.search(r"<option selected>([^<]*)", options)
        made[name] = html.unescape(chosen[1]) if chosen else ""
    return made


def opened(console: Console, path: str = NEW) -> dict[str, str]:
    answer = console.get(path, "alice")
    assert answer.status_code == 200, answer.text
    return fields_of(answer.text)


def test_the_example_is_submitted_as_it_is(console: Console) -> None:
    for language in ("en", "zh"):
        page = console.get(NEW, "alice", accept_language=language)
        answer = console.post(NEW, fields_of(page.text), "alice")
        assert answer.status_code == 303, answer.text
        assert newest().spec["parameters"] == {"WHO": "world"}
