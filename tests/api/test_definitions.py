"""Job definitions through the API: made, changed, compared, archived and run, and refused with places."""

from typing import Any

import pytest
from sqlalchemy import text

from app import db
from tests import factories
from tests.api.conftest import World

JOBS = "/projects/ours/jobs"
YAML = {"content-type": "application/yaml"}
DIGITS = """\
# Trains the classifier; ask before you change it.
name: digits
title: Train the digits classifier
parameters:
  lr:            # the one that matters
    type: number
    title: Learning rate
    default: 0.1
    minimum: 0.0001
  optimizer: {enum: [sgd, adam], default: sgd}
  note: {type: string}
spec:
  name: digits ${{ params.lr }}
  command: [python3, train.py, --lr, "${{ params.lr }}", "--note=${{ params.note }}"]
  cpu: "1"       # enough
"""


@pytest.fixture
def made(world: World) -> World:
    """With the definition `digits` in the project `ours`, and a pool to run in."""
    with db.unit_of_work() as session:
        factories.make_pool(session)
    answer = world.as_("editor").post(JOBS, content=DIGITS, headers=YAML)
    assert answer.status_code == 201, answer.text
    return world


def test_what_is_sent_as_yaml_comes_back_byte_for_byte(made: World) -> None:
    viewer = made.as_("viewer")
    read = viewer.get(f"{JOBS}/digits").json()
    assert read["source"] == DIGITS
    assert viewer.get(f"{JOBS}/digits/versions/1/source").content == DIGITS.encode()
    assert read["parameters"]["required"] == ["note"]
    assert read["parameters"]["properties"]["lr"] == {
        "type": "number",
        "title": "Learning rate",
        "default": 0.1,
        "minimum": 0.0001,
    }
    assert (read["version"], read["archived"], read["last_run"]) == (1, False, None)


SECRET_JOB = """\
name: fetch
parameters:
  token: {type: secret, default: HF_TOKEN}
spec:
  command: [python3, fetch.py]
  secrets:
    - {name: "${{ params.token }}", env: TOKEN}
"""


def test_a_parameter_may_be_the_name_of_a_secret(made: World) -> None:
    editor = made.as_("editor")
    assert editor.post(JOBS, content=SECRET_JOB, headers=YAML).status_code == 201
    properties = editor.get(f"{JOBS}/fetch").json()["parameters"]["properties"]
    assert properties == {"token": {"type": "string", "format": "secret", "default": "HF_TOKEN"}}
    missing = editor.post(f"{JOBS}/fetch:run", json={"parameters": {}}).json()
    assert [one["pointer"] for one in missing["errors"]] == ["/parameters/token"]
    editor.put("/projects/ours/secrets/HF_TOKEN", json={"value": "canary-secret-parameter"})
    made.as_("stranger").put("/projects/theirs/secrets/THEIRS", json={"value": "another-tenants"})
    for wrong, fix in (("HF_TOKN", "HF_TOKEN"), ("THEIRS", None), ("no name", None), (7, None)):
        answer = editor.post(f"{JOBS}/fetch:run", json={"parameters": {"token": wrong}})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["pointer"], error.get("fix")) == ("/parameters/token", fix)
    run = editor.post(f"{JOBS}/fetch:run", json={"parameters": {}}).json()
    spec = editor.get(f"/runs/{run['id']}").json()["spec"]
    assert spec["secrets"] == [{"name": "HF_TOKEN", "env": "TOKEN"}]
    assert "canary-secret-parameter" not in str(spec)
    wrong = SECRET_JOB.replace("default: HF_TOKEN", "default: no name").replace("fetch", "other", 1)
    (error,) = editor.post(JOBS, content=wrong, headers=YAML).json()["errors"]
    assert (error["pointer"], error["line"]) == ("/parameters/token/default", 3)


def test_a_new_version_of_changed_fields_keeps_the_comments(made: World) -> None:
    changes = {"parameters": {"lr": {"default": 0.2}}, "spec": {"cpu": "2", "memory": "2Gi"}}
    answer = made.as_("editor").post(f"{JOBS}/digits/versions", json={"changes": changes, "based_on": 1})
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    expected = DIGITS.replace("default: 0.1", "default: 0.2").replace('cpu: "1"', 'cpu: "2"') + "  memory: 2Gi\n"
    assert answer.json()["source"] == expected
    assert made.as_("viewer").get(f"{JOBS}/digits/versions/1").json()["source"] == DIGITS


def test_the_same_text_makes_no_new_version(made: World) -> None:
    editor = made.as_("editor")
    assert editor.post(f"{JOBS}/digits/versions", content=DIGITS, headers=YAML).status_code == 200
    answer = editor.post(f"{JOBS}?if_exists=version", content=DIGITS + "# more\n", headers=YAML)
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    assert editor.post(JOBS, content=DIGITS, headers=YAML).json()["code"] == "DEFINITION_EXISTS"
    assert [one["version"] for one in editor.get(f"{JOBS}/digits/versions").json()["items"]] == [2, 1]
    first = editor.get(f"{JOBS}/digits/versions?limit=1").json()
    rest = editor.get(f"{JOBS}/digits/versions?limit=1&after={first['next']}").json()
    assert [one["version"] for one in rest["items"]] == [1]


def test_somebody_was_faster(made: World) -> None:
    editor = made.as_("editor")
    tag = editor.get(f"{JOBS}/digits").headers["etag"]
    newer = DIGITS.replace("0.1", "0.3")
    assert editor.post(f"{JOBS}/digits/versions", content=newer, headers=YAML | {"if-match": tag}).status_code == 201
    other = DIGITS.replace("0.1", "0.4")
    late = editor.post(f"{JOBS}/digits/versions", content=other, headers=YAML | {"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "PRECONDITION_FAILED")
    stale = editor.post(f"{JOBS}/digits/versions", json={"source": other, "based_on": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "DEFINITION_CHANGED")


def test_a_definition_as_json(made: World) -> None:
    definition = {"name": "hello", "spec": {"script": "echo hello\necho again\n"}}
    answer = made.as_("editor").post(JOBS, json={"definition": definition})
    assert answer.status_code == 201, answer.text
    assert answer.json()["source"] == "name: hello\nspec:\n  script: |\n    echo hello\n    echo again\n"


def test_two_versions_compared(made: World) -> None:
    editor = made.as_("editor")
    changed = DIGITS.replace("default: 0.1", "default: 0.2").replace("  cpu:", "  gpus: 0\n  cpu:")
    editor.post(f"{JOBS}/digits/versions", content=changed, headers=YAML)
    diff = editor.get(f"{JOBS}/digits/diff?from=1&to=2").json()
    assert [(one["pointer"], one["text"]) for one in diff["changes"]] == [
        ("/parameters/lr/default", "default of parameter lr was 0.1 and is 0.2"),
        ("/spec/gpus", "gpus is new: 0"),
    ]
    assert "-    default: 0.1\n+    default: 0.2\n" in diff["unified"]
    chinese = editor.get(f"{JOBS}/digits/diff?from=1&to=2", headers={"accept-language": "zh"}).json()
    assert chinese["changes"][0]["text"] != diff["changes"][0]["text"]
    assert editor.get(f"{JOBS}/digits/diff?from=1&to=9").status_code == 404


def test_a_run_records_definition_version_and_parameters(made: World) -> None:
    editor = made.as_("editor")
    headers = {"idempotency-key": "once"}
    body = {"parameters": {"lr": 0.5, "note": "a b"}}
    answer = editor.post(f"{JOBS}/digits:run", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    run = answer.json()
    assert run["definition"] == {"name": "digits", "version": 1}
    assert run["name"] == "digits 0.5"
    assert run["spec"]["command"] == ["python3", "train.py", "--lr", "0.5", "--note=a b"]
    assert run["spec"]["parameters"] == {"lr": 0.5, "optimizer": "sgd", "note": "a b"}
    assert editor.post(f"{JOBS}/digits:run", json=body, headers=headers).json()["id"] == run["id"]
    assert editor.get(f"/runs/{run['id']}").json()["definition"] == {"name": "digits", "version": 1}
    again = editor.post(f"/runs/{run['id']}:rerun", json={}).json()
    assert again["definition"] == {"name": "digits", "version": 1}
    assert editor.get(f"{JOBS}/digits").json()["last_run"]["id"] == again["id"]

    def found(q: str) -> list[str]:
        answer = editor.get("/projects/ours/runs", params={"q": q, "fields": "id,definition"})
        return [item["id"] for item in answer.json()["items"]]

    assert found("definition:digits") == [again["id"], run["id"]]
    assert found("definition:nothing") == []
    other = editor.post("/projects/ours/runs", json={"spec": {"name": "x", "command": ["true"]}}).json()
    assert other["definition"] is None
    assert found("-definition:digits") == [other["id"]]


def test_a_run_of_an_older_version_with_changes(made: World) -> None:
    editor = made.as_("editor")
    editor.post(f"{JOBS}/digits/versions", content=DIGITS.replace("0.1", "0.3"), headers=YAML)
    body = {"parameters": {"note": "x"}, "version": 1, "changes": {"cpu": "2", "command": ["true"]}}
    run = editor.post(f"{JOBS}/digits:run", json=body).json()
    assert (run["definition"]["version"], run["cpu"], run["spec"]["command"]) == (1, "2", ["true"])
    assert run["spec"]["parameters"]["lr"] == 0.1
    assert editor.post(f"{JOBS}/digits:run", json=body | {"version": 9}).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer", "message", "fix"),
    [
        ({"parameters": {}}, "/parameters/note", "is required", None),
        ({"parameters": {"note": "x", "lr": "fast"}}, "/parameters/lr", "must be a number", None),
        ({"parameters": {"note": "x", "lr": 0}}, "/parameters/lr", "must be at least 0.0001", "0.0001"),
        ({"parameters": {"note": "x", "lr": True}}, "/parameters/lr", "must be a number", None),
        (
            {"parameters": {"note": "x", "optimizer": "adm"}},
            "/parameters/optimizer",
            "must be one of sgd, adam",
            "adam",
        ),
        (
            {"parameters": {"note": "x", "l": 1}},
            "/parameters/l",
            "is no parameter of this definition; did you mean lr?",
            None,
        ),
        ({"parameters": {"note": "x\x00"}}, "/parameters/note", None, None),
        (
            {"parameters": {"note": "x" * 5000}},
            "/parameters/note",
            "the number of characters must be at most 4096",
            None,
        ),
        ({"parameters": {"note": "x"}, "changes": {"cpu": "lots"}}, "/changes/cpu", None, None),
        (
            {"parameters": {"note": "x"}, "changes": {"cpus": 1}},
            "/changes/cpus",
            "is not a field here; did you mean cpu?",
            None,
        ),
        ({"parameters": {"note": "x"}, "changes": {"parameters": {}}}, "/changes/parameters", None, None),
    ],
)
def test_what_a_run_is_refused_for(
    made: World, body: dict[str, Any], pointer: str, message: str | None, fix: str | None
) -> None:
    answer = made.as_("editor").post(f"{JOBS}/digits:run", json=body)
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert error["pointer"] == pointer
    assert message is None or error["message"] == message
    assert error.get("fix") == fix
    with db.read_session() as session:
        assert session.scalar(text("select count(*) from run")) == 0


@pytest.mark.parametrize(
    ("old", "new", "line", "pointer"),
    [
        ('cpu: "1"', "cpu: lots", 15, "/spec/cpu"),
        ("default: 0.1", "default: x", 8, "/parameters/lr/default"),
        ("${{ params.lr }}\n", "${{ params.l }}\n", 13, "/spec/name"),
        ("name: digits\n", "name: digits\nname: digits\n", 3, "/name"),
        ("    minimum", "\tminimum", 9, ""),
        ("title: Train", "title: \x00", 3, ""),
        ("{type: string}", "*alias", 11, "/parameters/note"),
    ],
)
def test_a_definition_with_a_mistake_changes_nothing(made: World, old: str, new: str, line: int, pointer: str) -> None:
    answer = made.as_("editor").post(f"{JOBS}/digits/versions", content=DIGITS.replace(old, new, 1), headers=YAML)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_DEFINITION")
    assert [(error["line"], error["pointer"]) for error in answer.json()["errors"]] == [(line, pointer)]
    assert made.as_("viewer").get(f"{JOBS}/digits").json()["version"] == 1


def test_other_bodies(made: World) -> None:
    editor = made.as_("editor")
    assert editor.post(JOBS, content=b"name: \xff", headers=YAML).json()["errors"][0]["line"] == 1
    assert editor.post(JOBS, content=DIGITS, headers={"content-type": "text/plain"}).status_code == 415
    assert editor.post(JOBS, json={}).status_code == 422
    assert editor.post(JOBS, json={"source": DIGITS, "definition": {}}).status_code == 422
    assert editor.post(JOBS, content="a: " + "x" * 200_000, headers=YAML).status_code == 422
    other = DIGITS.replace("name: digits\n", "name: digits-2\n")
    answer = editor.post(f"{JOBS}/digits/versions", content=other, headers=YAML)
    assert answer.json()["errors"][0] == {
        "pointer": "/name",
        "message": "must stay digits; another name is another definition",
        "fix": "digits",
        "line": 2,
    }


def test_an_archived_one_is_read_and_not_offered(made: World) -> None:
    editor = made.as_("editor")
    assert editor.patch(f"{JOBS}/digits", json={"archived": True}).status_code == 428
    tag = editor.get(f"{JOBS}/digits").headers["etag"]
    answer = editor.patch(f"{JOBS}/digits", json={"archived": True}, headers={"if-match": tag})
    assert (answer.status_code, answer.json()["archived"]) == (200, True)
    assert editor.patch(f"{JOBS}/digits", json={"archived": True}, headers={"if-match": tag}).status_code == 412
    assert editor.get(JOBS).json()["items"] == []
    assert [one["name"] for one in editor.get(f"{JOBS}?archived=true").json()["items"]] == ["digits"]
    assert editor.get(f"{JOBS}/digits/versions/1").status_code == 200
    for path, body in ((":run", {"parameters": {"note": "x"}}), ("/versions", {"source": DIGITS + "#\n"})):
        assert editor.post(f"{JOBS}/digits{path}", json=body).json()["code"] == "DEFINITION_ARCHIVED"
    assert editor.patch(f"{JOBS}/digits", json={"archived": False}, headers={"if-match": "*"}).status_code == 200
    with db.read_session() as session:
        verbs = session.execute(text("select verb from audit_entry where object_type = 'definition' order by id"))
        assert [verb for (verb,) in verbs] == ["definition.create", "definition.archive", "definition.archive"]


def test_another_projects_definition_is_not_there(made: World) -> None:
    stranger = made.as_("stranger")
    assert stranger.get(f"{JOBS}/digits").status_code == 404
    for path in ("", "/versions", "/versions/1", "/versions/1/source", "/diff?from=1&to=1"):
        assert stranger.get(f"/projects/theirs/jobs/digits{path}").status_code == 404
    assert stranger.post("/projects/theirs/jobs/digits:run", json={}).status_code == 404
    assert stranger.get("/projects/theirs/runs", params={"q": "definition:digits"}).json()["items"] == []


def test_pages_of_the_list(made: World) -> None:
    editor = made.as_("editor")
    for name in ("a", "b", "c"):
        editor.post(JOBS, json={"definition": {"name": name, "spec": {"command": ["true"]}}})
    first = editor.get(f"{JOBS}?limit=3").json()
    rest = editor.get(f"{JOBS}?limit=3&after={first['next']}").json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["a", "b", "c", "digits"]
