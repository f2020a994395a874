"""Secrets through the API: written, listed by name, asked for by runs, re-encrypted, and never answered."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from app import db
from app.home import add_generated_key
from app.models import Project
from app.repositories import secrets as repository
from app.services import secrets
from app.settings import get_settings
from app.workloads.plans import SecretRef
from tests import factories
from tests.api.conftest import World

VALUE = "canary-9b1f6c"


def put(world: World, name: str = "HF_TOKEN", who: str = "editor", **body: Any) -> Any:
    return world.as_(who).put(f"/projects/ours/secrets/{name}", json={"value": VALUE} | body)


def all_rows() -> str:
    """Every row of every table as text."""
    with db.read_session() as session:
        names = session.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
        return "\n".join(
            str(row) for name in names for row in session.scalars(text(f'select cast(t as text) from "{name}" t'))
        )


def resolve(project: Project, *names: str) -> Any:
    with db.unit_of_work() as session:
        run = factories.make_run(session, project, factories.make_user(session))
        return secrets.resolve(session, run.id, project.id, [SecretRef(name, env=name) for name in names])


def test_a_secret_is_added_replaced_described_and_deleted(world: World) -> None:
    made = put(world, description="of the team")
    assert made.status_code == 201
    assert made.json() | {"created_at": "", "updated_at": ""} == {
        "name": "HF_TOKEN",
        "description": "of the team",
        "version": 1,
        "created_at": "",
        "created_by": "editor",
        "updated_at": "",
        "updated_by": "editor",
        "last_runs": [],
    }
    assert resolve(world.ours, "HF_TOKEN").reveal() == {"HF_TOKEN": VALUE}
    changed = put(world, who="owner", value=VALUE + "2")
    assert (changed.status_code, changed.json()["version"], changed.json()["updated_by"]) == (200, 2, "owner")
    assert changed.json()["description"] == "of the team"
    client = world.as_("editor")
    told = client.put("/projects/ours/secrets/HF_TOKEN", json={"description": "mine"}).json()
    assert (told["version"], told["description"]) == (2, "mine")
    assert resolve(world.ours, "HF_TOKEN").reveal() == {"HF_TOKEN": VALUE + "2"}
    assert VALUE not in all_rows()
    assert client.delete("/projects/ours/secrets/HF_TOKEN").status_code == 204
    assert client.delete("/projects/ours/secrets/HF_TOKEN").status_code == 404
    entries = world.as_("owner").get("/projects/ours/audit?object_type=secret").json()["items"]
    assert [(entry["verb"], entry["object_id"]) for entry in reversed(entries)] == [
        ("secret.create", "HF_TOKEN"),
        ("secret.replace", "HF_TOKEN"),
        ("secret.update", "HF_TOKEN"),
        ("secret.delete", "HF_TOKEN"),
    ]
    assert VALUE not in json.dumps(entries)


@pytest.mark.parametrize(
    ("name", "body", "pointer"),
    [
        ("-x", {"value": VALUE}, "/name"),
        ("x" * 64, {"value": VALUE}, "/name"),
        ("a b", {"value": VALUE}, "/name"),
        ("n", {}, "/value"),
        ("n", {"value": ""}, "/value"),
        ("n", {"value": "é" * 40_000}, "/value"),
        ("n", {"value": VALUE * 9000}, "/value"),
        ("n", {"value": VALUE + "\0"}, "/value"),
        ("n", {"value": [VALUE]}, "/value"),
        ("n", {"value": VALUE, "description": "two\nlines"}, "/description"),
        ("n", {"value": VALUE, "valeu": VALUE}, "/valeu"),
    ],
)
def test_bad_input_is_refused_without_an_echo(world: World, name: str, body: dict[str, Any], pointer: str) -> None:
    answer = world.as_("editor").put(f"/projects/ours/secrets/{name}", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert VALUE not in answer.text
    assert world.as_("editor").get("/projects/ours/secrets").json()["items"] == []


def test_lists_are_by_name_and_by_pages(world: World) -> None:
    for number in range(5):
        put(world, f"s{number}")
    put_elsewhere = world.as_("stranger").put("/projects/theirs/secrets/other", json={"value": VALUE})
    assert put_elsewhere.status_code == 201
    first = world.as_("viewer").get("/projects/ours/secrets?limit=3").json()
    second = world.as_("viewer").get(f"/projects/ours/secrets?limit=3&after={first['next']}").json()
    assert [item["name"] for item in first["items"] + second["items"]] == ["s0", "s1", "s2", "s3", "s4"]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert world.as_("viewer").get("/projects/ours/secrets/other").status_code == 404


def test_a_run_may_ask_for_what_its_project_has(world: World) -> None:
    with db.unit_of_work() as session:
        factories.make_pool(session)
    put(world)
    world.as_("stranger").put("/projects/theirs/secrets/THEIRS", json={"value": VALUE})
    client = world.as_("editor")

    def submit(*uses: Any, **spec: Any) -> Any:
        body = {"name": "x", "command": ["true"], "secrets": list(uses)} | spec
        return client.post("/projects/ours/runs", json={"spec": body})

    good = submit({"name": "HF_TOKEN", "env": "HF_TOKEN"}, {"name": "HF_TOKEN", "file": "token"})
    assert good.status_code == 202
    stored = client.get(f"/runs/{good.json()['id']}").json()["spec"]["secrets"]
    assert stored == [{"name": "HF_TOKEN", "env": "HF_TOKEN"}, {"name": "HF_TOKEN", "file": "token"}]
    bad = submit({"name": "HF_TOKEN", "env": "A"}, {"name": "hf_tokn", "env": "B"})
    assert (bad.status_code, bad.json()["code"]) == (422, "UNKNOWN_SECRET")
    assert bad.json()["errors"] == [
        {"pointer": "/spec/secrets/1/name", "message": "is no secret of this project", "fix": "HF_TOKEN"}
    ]
    theirs, absent = submit({"name": "THEIRS", "env": "A"}), submit({"name": "ABSENT", "env": "A"})
    assert theirs.json()["errors"] == absent.json()["errors"]
    for wrong in (
        [{"name": "HF_TOKEN"}],
        [{"name": "HF_TOKEN", "env": "A", "file": "a"}],
        [{"name": "HF_TOKEN", "env": "LD_PRELOAD"}],
        [{"name": "HF_TOKEN", "env": "BERTH_SECRETS"}],
        [{"name": "HF_TOKEN", "file": "../a"}],
        [{"name": "HF_TOKEN", "file": ".."}],
        [{"name": "HF_TOKEN", "env": "A"}, {"name": "HF_TOKEN", "env": "A"}],
        [{"name": "HF_TOKEN", "env": "A", "value": VALUE}],
    ):
        assert submit(*wrong).status_code == 422, wrong
    assert submit({"name": "HF_TOKEN", "env": "A"}, env={"A": "x"}).status_code == 422
    client.delete("/projects/ours/secrets/HF_TOKEN")
    again = client.post(f"/runs/{good.json()['id']}:rerun", json={})
    assert again.json()["code"] == "UNKNOWN_SECRET"


def test_values_are_opened_for_their_own_project_only_and_use_is_recorded(world: World) -> None:
    put(world, "A")
    put(world, "B")
    found = resolve(world.ours, "A", "gone")
    assert found.reveal() == {"A": VALUE}
    assert found.missing == {"gone": "it was deleted"}
    assert resolve(world.theirs, "A").reveal() == {}
    item = world.as_("viewer").get("/projects/ours/secrets/A").json()
    assert [run["name"].startswith("run") for run in item["last_runs"]] == [True]
    assert world.as_("viewer").get("/projects/ours/secrets/B").json()["last_runs"] == []
    with db.unit_of_work() as session:
        session.execute(
            text("update secret s set ciphertext = o.ciphertext from secret o where s.name='A' and o.name='B'")
        )
    assert resolve(world.ours, "A").missing == {"A": "what is stored of it is damaged"}


def test_reencryption_is_safe_to_repeat(world: World) -> None:
    for number in range(3):
        put(world, f"s{number}")

    def key_ids() -> set[str]:
        with db.read_session() as session:
            return set(session.scalars(text("select key_id from secret")))

    def reencrypt() -> Any:
        with db.unit_of_work() as session:
            return secrets.reencrypt(session)

    assert reencrypt() == (0, [], None)
    before = key_ids()
    add_generated_key(get_settings().home, "encryption_keys")
    assert resolve(world.ours, "s0").reveal() == {"s0": VALUE}, "a new key changes nothing for what is stored"
    assert reencrypt()[:2] == (3, [])
    assert reencrypt() == (0, [], None)
    assert key_ids().isdisjoint(before)
    assert resolve(world.ours, "s0", "s1", "s2").reveal() == dict.fromkeys(("s0", "s1", "s2"), VALUE)
    with db.unit_of_work() as session:
        session.execute(text("update secret set key_id = 'gone' where name = 's1'"))
    assert reencrypt()[:2] == (0, ["s1"])
    assert "not among the configured ones" in resolve(world.ours, "s1").missing["s1"]


def test_a_project_has_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "MAX_SECRETS", 1)
    assert put(world, "one").status_code == 201
    assert put(world, "two").json()["code"] == "TOO_MANY_SECRETS"
    assert put(world, "one").status_code == 200


def test_the_runs_that_used_one_last_are_read_by_an_index(world: World) -> None:
    put(world)
    for _ in range(7):
        resolve(world.ours, "HF_TOKEN")
    with db.read_session() as session:
        assert len(repository.get_secret(session, world.ours.id, "HF_TOKEN")["last_runs"]) == 5
