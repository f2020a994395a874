"""The OpenAPI document, believed: every operation's example is sent, and what comes back is what it promises.

The seeded installation is the one that the examples speak of: the project `sandbox`, Ada who owns it, Grace, the
run r-7f3k2m9qwa. A route whose example names something else gets 404 here, so examples stay of one world.
"""

import datetime
import hashlib
import io
import itertools
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app import db
from app.api.router import EXAMPLE_ID, openapi_document
from app.domain.access import Actor, Role
from app.domain.capsule import digest_of
from app.models import (
    ApiToken,
    Capsule,
    Output,
    RetentionPlan,
    RetentionPlanRun,
    SavedView,
    User,
    UserSession,
)
from app.services import definitions, links, passwords, terminals, throttle
from app.services.runs import forget_what_was_seen, manifest_of
from app.stores import objects
from app.workloads.kinds.job import JobSpec
from tests import factories
from tests.api.client import Api

document: dict[str, Any] = openapi_document()
NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=100)
PASSWORD = "a long sentence"
DEFINITION = "name: digits\nparameters:\n  lr: {type: number, default: 0.1}\nspec: {command: ['true']}\n"
# What is written as "…" in examples: keys that work once, so that no document could have them.
ONE_TIME = ("key", "device_code")


@dataclass(frozen=True)
class Case:
    """One example of one operation."""

    method: str
    path: str
    operation: dict[str, Any] = field(repr=False)
    media_type: str | None = None
    body: Any = None
    number: int = 0

    @property
    def name(self) -> str:
        more = f" {self.media_type.partition('/')[2]}" if self.media_type else ""
        return f"{self.method} {self.path.removeprefix('/api/v1')}{more}" + (f" {self.number}" if self.number else "")

    def names(self, noun: str) -> bool:
        """Whether the address names such an object, or lists may show it."""
        return self.method == "GET" or "{" + noun + "}" in self.path

    def parameters(self, place: str) -> dict[str, Any]:
        """The examples of its parameters in the path or the query."""
        found = {}
        for parameter in self.operation.get("parameters", ()):
            given = [parameter["example"]] if "example" in parameter else parameter["schema"].get("examples", ())
            known = [value for value in given if value is not None]
            if parameter["in"] == place and known:
                found[parameter["name"]] = known[0]
            assert known or not (parameter["in"] == place == "path"), f"{self.name}: {parameter['name']} has no example"
        return found


def cases() -> Iterator[Case]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            found = False
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                for number, body in enumerate(examples_of(content)):
                    found = True
                    yield Case(method.upper(), path, operation, media_type, body, number)
            if not found:
                yield Case(method.upper(), path, operation)


def examples_of(content: dict[str, Any]) -> list[Any]:
    described = content.get("schema", {})
    if "$ref" in described:
        described = document["components"]["schemas"][described["$ref"].rsplit("/", 1)[1]]
    given = [each["value"] for each in content.get("examples", {}).values()]
    return [*described.get("examples", ()), *([content["example"]] if "example" in content else ()), *given]


class Sandbox:
    """The installation of the examples, with what one of them needs."""

    def __init__(self, session: Session, case: Case) -> None:
        self.case = case
        self.keys: dict[str, str] = {}
        self.token = ""
        if case.path.endswith("/setup"):
            self.keys["key"] = links.create(session, links.SETUP)
            return
        self.project = factories.make_project(session, "sandbox")
        needs_password = case.path.endswith(("/session", "/me/password")) and case.body is not None
        password = passwords.hash_password(PASSWORD) if needs_password else None
        ada = factories.make_user(session, "ada", is_admin=True, password_hash=password)
        self.ada = factories.make_member(session, self.project, Role.OWNER, ada)
        self.actor = Actor(ada.id, "ada", is_admin=True, roles={self.project.id: Role.OWNER})
        self.token = factories.make_token(session, ada)
        factories.make_pool(session)
        self._people(session)
        self._runs(session)
        self._others(session)

    def _people(self, session: Session) -> None:
        case, project = self.case, self.project
        if case.names("user"):
            factories.make_member(session, project, Role.VIEWER, factories.make_user(session, "grace"))
        account: User | None = None
        if case.names("account"):
            account = factories.make_service_account(session, project, Role.EDITOR, "nightly")
        if case.names("token"):
            values = {"id": uuid.UUID(EXAMPLE_ID), "name": "ci", "hint": "berth_u_abcd", "scope": "write"}
            of_project = {"project_id": project.id} if "/projects/" in case.path and account is None else {}
            owner = account if account is not None and "{account}" in case.path else self.ada
            hashed = hashlib.sha256(b"ci").digest()
            session.add(ApiToken(user_id=owner.id, token_hash=hashed, **values, **of_project))
        if case.names("session_id"):
            hashed = bytes.fromhex("9f86d081884c7d65" + "00" * 24)
            expires = NOW + datetime.timedelta(hours=1)
            session.add(UserSession(token_hash=hashed, user_id=self.ada.id, address="", agent="", expires_at=expires))
        if case.path.endswith("invitations:accept"):
            invited = factories.make_user(session, "grace")
            self.keys["key"] = links.create(session, links.INVITATION, user_id=invited.id)
        if case.path.endswith("terminal-logins:poll"):
            self.keys["device_code"] = terminals.start(session, address="127.0.0.1").device_code

    def _runs(self, session: Session) -> None:
        if "run" not in self.case.path and self.case.method != "GET":
            return
        pool = "local"
        if self.case.path.endswith(":debug"):  # this machine has no pods
            pool = factories.make_pool(session, "east").name
            forget_what_was_seen()
        for public_id in ("r-7f3k2m9qwa", "r-6xqkp2aaaa"):
            run = factories.make_run(
                session,
                self.project,
                self.ada,
                public_id=public_id,
                state="succeeded",
                finished_at=LONG_AGO,
                experiment="digits",
                pool=pool,
                spec={"name": "train", "command": ["true"], "parameters": {"lr": 0.1}},
            )
            manifest = manifest_of(JobSpec.model_validate(run.spec), None)
            session.add(Capsule(run_id=run.id, manifest=manifest, digest=digest_of(manifest)))
            factories.make_attempt(session, run, state="succeeded", outputs_stored_at=LONG_AGO)
            key, data = objects.output_key(self.project.id, run.id, 1, "model.bin"), b"weights"
            objects.of(self.project.id).put(key, data)
            row = {"path": "model.bin", "attempt": 1, "bytes": len(data), "object_key": key}
            session.add(Output(run_id=run.id, sha256=hashlib.sha256(data).hexdigest(), **row))
        if self.case.method == "GET":
            self._announce(session, run.id)

    def _announce(self, session: Session, run_id: uuid.UUID) -> None:
        sums = {"runs": 1, "files": 1, "bytes": 7, "freed_runs": 0, "freed_files": 0, "freed_bytes": 0}
        times = {"announced_at": NOW, "due_at": NOW + datetime.timedelta(days=1)}
        rules: dict[str, Any] = {"keep_days": 30, "keep_last": None, "keep_tags": [], "keep_experiments": []}
        key = uuid.UUID(EXAMPLE_ID)
        session.add(RetentionPlan(id=key, project_id=self.project.id, rules=rules, state="announced", **sums, **times))
        session.flush()
        session.add(RetentionPlanRun(plan_id=key, run_id=run_id, files=1, bytes=7))

    def _others(self, session: Session) -> None:
        case, key = self.case, uuid.UUID(EXAMPLE_ID)
        if case.names("secret"):
            factories.make_secret(session, self.project, "HF_TOKEN")
        if case.names("name"):
            definitions.create_definition(session, self.actor, self.project.id, DEFINITION)
        if case.names("cluster") or "kubeconfig" in case.path:
            cluster = factories.make_cluster(session, "east", server="https://east.example.com:6443")
            factories.make_registry(session, cluster, "registry.example.com:5000")
            factories.make_namespace(session, self.project.id, cluster)
            factories.make_kubeconfig(session, self.project.id, self.ada.id, cluster, id=key)
        if case.names("view"):
            owner = {"project_id": self.project.id, "user_id": self.ada.id}
            session.add(SavedView(id=key, name="Mine", q="", sort="-created", is_shared=False, **owner))
        if case.names("notification"):
            whose = {"user_id": self.ada.id} if "/me/" in case.path else {"project_id": self.project.id}
            notification = factories.make_notification(session, id=key, **whose)
            factories.make_delivery(session, notification, message_id=key, state="failed")


def archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("train.py"), io.BytesIO())
    return made.getvalue()


@pytest.mark.parametrize("case", [*cases()], ids=lambda case: case.name)
def test_an_example_does_what_the_document_says(case: Case, api: Api, clean_database: Engine) -> None:
    throttle.forget()
    with db.unit_of_work() as session:
        sandbox = Sandbox(session, case)
    client = api.client(sandbox.token or None)
    values = case.parameters("path")
    content = archive()
    if "{digest}" in case.path:
        # No example can be both a digest and somebody's archive.
        values["digest"] = hashlib.sha256(content).hexdigest()
    if "{digest}" in case.path and case.method == "GET":
        kept = client.put(f"/projects/sandbox/snapshots/{values['digest']}", content=content, headers=GZIP)
        assert kept.status_code == 201
    answers = [
        send(client, case, values, query, sandbox, content)
        for query in itertools.islice(({}, case.parameters("query")), 2 if case.method == "GET" else 1)
        if required(case) | NEEDED.get(case.name, set()) <= set(query)
    ]
    assert answers
    for answer in answers:
        assert 200 <= answer.status_code < 300, (answer.status_code, answer.text)
        check(case, answer)


# Not required for the framework, because their absence has a problem of its own (COMPARE_COUNT).
NEEDED = {"GET /projects/{project}/runs:compare": {"ids"}}
GZIP = {"content-type": "application/gzip"}


def required(case: Case) -> set[str]:
    return {
        each["name"] for each in case.operation.get("parameters", ()) if each["in"] == "query" and each.get("required")
    }


def send(
    client: httpx.Client, case: Case, values: dict[str, Any], query: dict[str, Any], sandbox: Sandbox, content: bytes
) -> httpx.Response:
    headers = {"if-match": "*"} if case.method == "PATCH" else {}
    path = case.path.removeprefix("/api/v1").format(**values)
    if "{digest}" in case.path and case.method == "PUT":
        return client.request(case.method, path, content=content, headers=GZIP)
    if case.media_type == "application/yaml":
        headers["content-type"] = case.media_type
        return client.request(case.method, path, content=case.body, headers=headers, params=query)
    body = case.body
    if isinstance(body, dict):
        body = body | {name: sandbox.keys[name] for name in ONE_TIME if body.get(name) == "…"}
    return client.request(case.method, path, json=body, headers=headers, params=query)


def check(case: Case, answer: httpx.Response) -> None:
    """That the status, the media type and the content are promised."""
    promised = case.operation["responses"]
    assert str(answer.status_code) in promised, f"{answer.status_code} is not in the document"
    content = promised[str(answer.status_code)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not answer.content:
        assert not content or answer.status_code == 204
        return
    assert kind in content, f"{kind} is not in the document, which has {list(content)}"
    if kind == "application/json":
        described = {**content[kind].get("schema", {}), "components": document["components"]}
        wrong = [error.message for error in Draft202012Validator(described).iter_errors(answer.json())]
        assert wrong == []


def test_every_operation_is_here() -> None:
    listed = {(case.method, case.path) for case in cases()}
    assert len(listed) == sum(len(operations) for operations in document["paths"].values())
