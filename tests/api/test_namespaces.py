"""Registries, drift and read-only kubeconfigs through the API, and what is kept of them."""

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from app import db
from app.domain.access import Role
from app.home import add_generated_key
from app.services import cluster_registries, namespace_drift, project_deletion, project_kubeconfigs, project_namespaces
from app.services.sealing import CannotOpen
from app.settings import get_settings
from app.workers.housekeeping import tidy
from app.workloads.namespace_drift import Difference
from tests import factories
from tests.api.conftest import World
from tests.api.test_clusters import _term
from tests.api.test_secrets import all_rows

PASSWORD = "canary-of-the-registry"


@pytest.fixture
def cluster(world: World) -> Any:
    with db.unit_of_work() as session:
        return factories.make_cluster(session, "east")


def _set(world: World, server: str = "registry.example.com:5000", **body: Any) -> Any:
    path = f"/clusters/east/registries/{server}"
    return world.as_("admin").put(path, json={"username": "puller", "password": PASSWORD} | body)


def test_registries_are_kept_sealed_and_become_a_pull_secret(world: World, cluster: Any) -> None:
    assert [_set(world).status_code, _set(world).status_code, _set(world, "other").status_code] == [201, 200, 201]
    found = world.as_("admin").get("/clusters/east/registries")
    assert [(one["server"], one["username"], one["updated_by"]) for one in found.json()["items"]] == [
        ("other", "puller", "admin"),
        ("registry.example.com:5000", "puller", "admin"),
    ]
    assert PASSWORD not in found.text
    assert PASSWORD not in all_rows()
    with db.read_session() as session:
        first = cluster_registries.open_pull_secret(session, cluster.id)
    assert first is not None
    assert first.type == "kubernetes.io/dockerconfigjson"
    assert PASSWORD not in first.stamp
    with db.unit_of_work() as session:
        session.execute(text("update cluster_registry set server = 'evil.example' where server = 'other'"))
        with pytest.raises(CannotOpen):
            cluster_registries.open_pull_secret(session, cluster.id)
        session.rollback()
    assert world.as_("admin").delete("/clusters/east/registries/other").status_code == 204
    assert world.as_("admin").delete("/clusters/east/registries/other").status_code == 404
    with db.read_session() as session:
        second = cluster_registries.open_pull_secret(session, cluster.id)
    assert second is not None
    assert second.stamp != first.stamp
    verbs = [entry["verb"] for entry in world.as_("admin").get("/audit?object_type=cluster").json()["items"]]
    assert verbs == ["cluster.registry.remove", *["cluster.registry.set"] * 3]


@pytest.mark.parametrize(
    ("server", "body", "pointer"),
    [
        ("Registry", {}, "/server"),
        ("re gistry", {}, "/server"),
        ("ghcr.io%2Fteam", {}, "/server"),
        ("ghcr.io/team/", {}, "/server"),
        ("https:%2F%2Fghcr.io", {}, "/server"),
        ("x", {"username": ""}, "/username"),
        ("x", {"username": "a:b"}, "/username"),
        ("x", {"password": ""}, "/password"),
        ("x", {"password": "a\nb"}, "/password"),
    ],
)
def test_registries_that_are_refused(
    world: World, cluster: Any, server: str, body: dict[str, str], pointer: str
) -> None:
    answer = _set(world, server, **body)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


def test_a_new_key_seals_them_anew(world: World, cluster: Any) -> None:
    _set(world)
    settings = get_settings()
    add_generated_key(settings.home, "encryption_keys")
    get_settings.cache_clear()
    with db.unit_of_work() as session:
        assert cluster_registries.reseal(session) == (1, [])
        assert cluster_registries.reseal(session) == (0, [])
        assert cluster_registries.open_pull_secret(session, cluster.id) is not None


def test_drift_is_counted_bounded_and_shown(world: World, cluster: Any) -> None:
    changed = Difference("ResourceQuota berth", ("spec", "hard", "pods"), '"1"', '"5k"')
    gone = Difference("NetworkPolicy berth", (), "", "")
    with db.unit_of_work() as session:
        for found in ([(changed, "")], [(changed, "refused"), (gone, "")]):
            namespace_drift.record(session, cluster.id, world.ours.id, "berth-1", found)
    answer = world.as_("admin").get("/clusters/east/drift").json()
    assert answer["deleting"] == []
    shown = {one["object"]: one for one in answer["items"]}
    assert shown["NetworkPolicy berth"]["repaired"]
    quota = shown["ResourceQuota berth"]
    assert (quota["project"], quota["field"], quota["was"], quota["should"]) == (
        "ours",
        "spec.hard.pods",
        '"1"',
        '"5k"',
    )
    assert (quota["times"], quota["repaired"], quota["trouble"]) == (2, False, "refused")
    with db.unit_of_work() as session:
        many = [(Difference("Role r", ("rules", number), "", "x"), "") for number in range(150)]
        namespace_drift.record(session, cluster.id, world.ours.id, "berth-1", many)
    assert len(world.as_("admin").get("/clusters/east/drift").json()["items"]) == namespace_drift.KEPT
    assert world.as_("admin").get("/clusters/local/drift").status_code == 404


def test_a_kubeconfig_is_asked_for_made_and_fetched_once(world: World, cluster: Any) -> None:
    editor, owner = world.as_("editor"), world.as_("owner")
    path = "/projects/ours/kubeconfigs"
    refused = editor.post(path, json={"cluster": "east"})
    assert (refused.status_code, refused.json()["code"]) == (409, "PROJECT_NOT_IN_CLUSTER")
    assert editor.post(path, json={"cluster": "west"}).status_code == 422
    assert editor.post(path, json={"cluster": "east", "hours": 25}).status_code == 422
    with db.unit_of_work() as session:
        namespace = factories.make_namespace(session, world.ours.id, cluster)
    made = editor.post(path, json={"cluster": "east", "hours": 2})
    assert (made.status_code, made.json()["state"]) == (202, "requested")
    own = f"{path}/{made.json()['id']}"
    early = editor.post(f"{own}:fetch")
    assert (early.status_code, early.json()["code"]) == (409, "KUBECONFIG_NOT_READY")
    assert owner.get(own).status_code == 404, "it is of whoever asked for it"
    with db.unit_of_work() as session:
        (asked,) = project_kubeconfigs.list_asked(session, cluster.id)
        assert (asked.namespace, asked.project, asked.hours) == (namespace.name, "ours", 2)
        until = "2031-01-01T00:00:00Z"
        project_kubeconfigs.record_made(session, _term(session), asked.id, '{"token": "canary"}', until)
        assert project_kubeconfigs.list_asked(session, cluster.id) == []
    assert "canary" not in all_rows()
    assert editor.get(own).json()["state"] == "ready"
    assert owner.post(f"{own}:fetch").status_code == 404
    fetched = editor.post(f"{own}:fetch")
    assert (fetched.status_code, fetched.json()) == (200, {"kubeconfig": '{"token": "canary"}'})
    assert editor.get(own).json()["state"] == "fetched"
    assert editor.post(f"{own}:fetch").status_code == 409
    with db.read_session() as session:
        row = session.execute(text("select ciphertext, wrapped_key from project_kubeconfig")).one()
    assert tuple(row) == (None, None)
    verbs = [entry["verb"] for entry in owner.get("/projects/ours/audit").json()["items"]]
    assert verbs[:2] == ["project.kubeconfig.fetch", "project.kubeconfig.request"]


def test_what_nobody_fetches_is_forgotten(world: World, cluster: Any) -> None:
    with db.unit_of_work() as session:
        made = factories.make_kubeconfig(session, world.ours.id, world.users["editor"].id, cluster)
        failed = factories.make_kubeconfig(
            session, world.ours.id, world.users["editor"].id, cluster, made_at=None, trouble="refused"
        )
        session.execute(
            text("update project_kubeconfig set created_at = now() - interval '11 minutes' where id = :id"),
            {"id": made.id},
        )
        project_kubeconfigs.forget_old(session, cluster.id)
    editor = world.as_("editor")
    assert editor.get(f"/projects/ours/kubeconfigs/{made.id}").json()["state"] == "expired"
    shown = editor.get(f"/projects/ours/kubeconfigs/{failed.id}").json()
    assert (shown["state"], shown["trouble"]) == ("failed", "refused")
    with db.read_session() as session:
        row = session.execute(text("select ciphertext from project_kubeconfig where id = :id"), {"id": made.id})
    assert row.scalar_one() is None


def test_a_deleted_project_leaves_its_namespaces_to_be_deleted_and_their_names(world: World, cluster: Any) -> None:
    with db.unit_of_work() as session:
        empty = factories.make_project(session, "empty")
        factories.make_member(session, empty, Role.OWNER, world.users["owner"])
        namespace = factories.make_namespace(session, empty.id, cluster, name="berth-of-empty")
    told = world.as_("owner").delete("/projects/empty?dry_run=true").json()
    assert told["namespaces"] == ["east/berth-of-empty"]
    assert world.as_("owner").delete("/projects/empty").json()["deleted"]
    assert world.as_("owner").get("/projects/empty").status_code == 404
    with db.unit_of_work() as session:
        term = _term(session, "housekeeping")
    while tidy(term):
        pass
    with db.unit_of_work() as session:
        assert project_deletion.find_deleted(session) is None
        assert project_namespaces.list_deleting(session, cluster.id) == ["berth-of-empty"]
        assert project_namespaces.list_applied(session, cluster.id) == []
    assert world.as_("admin").get("/clusters/east/drift").json()["deleting"] == ["berth-of-empty"]
    with db.unit_of_work() as session:
        project_namespaces.record_gone(session, namespace.name)
        assert project_namespaces.list_deleting(session, cluster.id) == []
        kept = session.scalar(text("select count(*) from project_namespace where name = 'berth-of-empty'"))
    assert kept == 1
    assert uuid.UUID(str(namespace.project_id)) == empty.id
