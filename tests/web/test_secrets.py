"""The pages of secrets: forms that work without scripts, and a value that is on no page."""

import pytest

from app import db
from app.services import secrets
from app.workloads.plans import SecretRef
from tests import factories
from tests.web.conftest import Console

URL = "/projects/vision/settings/secrets"
VALUE = "canary-5a7e44"


def add(console: Console, name: str = "MY_TOKEN", value: str = VALUE, user: str = "alice", **more: str):  # type: ignore[no-untyped-def]
    return console.post(URL, {"name": name, "value": value, "description": "of the team"} | more, user)


def value_of(console: Console, name: str) -> str:
    with db.unit_of_work() as session:
        project = console.seed.ids["vision"]
        from app.models import Project, User

        run = factories.make_run(session, session.get(Project, project), session.get(User, console.seed.ids["alice"]))  # type: ignore[arg-type]
        return secrets.resolve(session, run.id, project, [SecretRef(name)]).reveal()[name]


def test_adding_replacing_and_deleting(console: Console) -> None:
    made = add(console, value="-----BEGIN\r\nx\r\n")
    assert (made.status_code, made.headers["location"]) == (303, f"{URL}/MY_TOKEN?said=added")
    assert value_of(console, "MY_TOKEN") == "-----BEGIN\nx\n", "as it was typed"
    shown = console.get(made.headers["location"], "alice")
    assert "Nobody can read it again" in shown.text
    assert "of the team" in shown.text
    replaced = console.post(f"{URL}/MY_TOKEN", {"value": VALUE, "description": ""}, "alice")
    assert replaced.status_code == 303
    assert value_of(console, "MY_TOKEN") == VALUE
    kept = console.post(f"{URL}/MY_TOKEN", {"value": "", "description": "only this"}, "alice")
    assert kept.status_code == 303
    assert value_of(console, "MY_TOKEN") == VALUE
    listed = console.get(URL, "alice").text
    assert "MY_TOKEN" in listed
    assert "only this" in listed
    asked = console.post(f"{URL}/MY_TOKEN/delete", {}, "alice")
    assert (asked.status_code, "Delete MY_TOKEN?" in asked.text) == (200, True)
    gone = console.post(f"{URL}/MY_TOKEN/delete", {"sure": "yes"}, "alice")
    assert gone.status_code == 303
    assert "MY_TOKEN was deleted" in console.get(gone.headers["location"], "alice").text
    assert console.get(f"{URL}/MY_TOKEN", "alice").status_code == 404
    for page in (made, shown, replaced, listed, asked, gone):
        assert VALUE not in getattr(page, "text", page)


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        ({"name": "has space", "value": VALUE}, 422, "letters, digits"),
        ({"name": "", "value": VALUE}, 422, "letters, digits"),
        ({"name": "HF_TOKEN", "value": VALUE}, 409, "named HF_TOKEN already"),
        ({"name": "x", "value": ""}, 422, "must not be empty"),
        ({"name": "x", "value": VALUE * 6000}, 422, "at most 65536 bytes"),
        ({"name": "x", "value": f"{VALUE}\0"}, 422, "NUL"),
        ({"name": "x", "value": VALUE, "description": "a\nb"}, 422, "one line"),
    ],
)
def test_the_form_says_what_is_wrong_and_forgets_the_value(
    console: Console, data: dict[str, str], status: int, says: str
) -> None:
    answer = console.post(URL, data, "alice")
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert VALUE not in answer.text
    assert f'value="{data["name"]}"' in answer.text


def test_viewers_see_names_and_change_nothing(console: Console) -> None:
    page = console.get(URL, "bob")
    assert "HF_TOKEN" in page.text
    assert '<form class="stack" method="post"' not in page.text
    assert console.get(f"{URL}/HF_TOKEN", "bob").status_code == 200
    assert add(console, user="bob").status_code == 403
    assert console.post(f"{URL}/HF_TOKEN", {"value": VALUE}, "bob").status_code == 403
    assert console.post(f"{URL}/HF_TOKEN/delete", {"sure": "yes"}, "bob").status_code == 403
    assert console.get(URL, "nobody").status_code == 404
    assert add(console, user="nobody").status_code == 404


def test_a_form_of_another_site_is_refused(console: Console) -> None:
    answer = console.post(URL, {"name": "x", "value": VALUE, "csrf": "wrong"}, "alice")
    assert answer.status_code == 403
    assert VALUE not in answer.text
