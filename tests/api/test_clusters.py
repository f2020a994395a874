"""Clusters through the API: added, looked at, given new credentials, drained, removed; and what is kept of them."""

import datetime
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import db
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG as KUBECONFIG
from app.domain import preflight
from app.domain.pool_sizes import Node, facts_of
from app.domain.preflight_facts import Facts
from app.domain.quota import Resources
from app.home import add_generated_key
from app.models import Cluster, Pool
from app.models.cluster import Reservation
from app.services import admission, cluster_credentials, cluster_looks, leases
from app.services.cluster_looks import Look
from app.services.leases import Term
from app.services.runs import forget_what_was_seen
from app.services.sealing import CannotOpen
from app.settings import get_settings
from tests import factories
from tests.api.conftest import World
from tests.api.test_secrets import all_rows

TOKEN = "eyJhbGciOi"
SPEC = {"spec": {"name": "x", "command": ["true"], "pool": "east"}}


def _add(world: World, name: str = "east", **body: Any) -> Any:
    return world.as_("admin").post("/clusters", json={"name": name, "kubeconfig": KUBECONFIG} | body)


def _term(session: Session, name: str = "clusters") -> Term:
    term = leases.acquire(session, name, "test", 60)
    assert term is not None
    return term


def _look(session: Session, name: str = "east") -> Look:
    return next(look for look in cluster_looks.list_looks(session) if look.name == name)


def _with_pool(world: World, name: str = "east") -> None:
    """The cluster has a pool by its name, and was seen."""
    with db.unit_of_work() as session:
        row = session.query(Cluster).where(Cluster.name == name).one()
        row.seen_at = row.passed_at = datetime.datetime.now(datetime.UTC)
        session.add(Pool(name=name, cluster_id=row.id, cpu_millis=4000, memory_bytes=8 << 30, gpus=0))
    forget_what_was_seen()


def _verbs(world: World) -> list[str]:
    entries = world.as_("admin").get("/audit?object_type=cluster").json()["items"]
    return [entry["verb"] for entry in reversed(entries)]


def test_a_cluster_is_added_and_its_credentials_are_never_shown(world: World) -> None:
    made = _add(world, settings={"berth_url": "https://berth.example.com", "runtime_image": "registry/runtime:1"})
    assert made.status_code == 201, made.text
    found = world.as_("admin").get("/clusters/east").json()
    assert found == made.json()
    assert (found["status"], found["state"], found["checking"]) == ("checking", "active", True)
    assert (found["server"], found["in_cluster"], found["created_by"]) == (
        "https://east.example.com:6443",
        False,
        "admin",
    )
    assert found["settings"]["gpu_resource"] == "nvidia.com/gpu"
    assert found["settings"]["runtime_image"] == "registry/runtime:1"
    assert [one["name"] for one in world.as_("admin").get("/clusters").json()["items"]] == ["east"]
    assert TOKEN not in made.text
    assert TOKEN not in all_rows()
    with db.read_session() as session:
        assert cluster_credentials.open_kubeconfig(session, _look(session).id) == (KUBECONFIG, 1)
    assert _verbs(world) == ["cluster.create"]
    assert _add(world).json()["code"] == "CLUSTER_EXISTS"
    assert _add(world, "local").json()["code"] == "CLUSTER_EXISTS"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kubeconfig": "{}"}, "/kubeconfig"),
        ({"kubeconfig": KUBECONFIG.replace("token:", "exec:")}, "/kubeconfig"),
        ({"kubeconfig": KUBECONFIG.replace("https:", "http:")}, "/kubeconfig"),
        ({"kubeconfig": KUBECONFIG.replace("east.example.com:6443", "169.254.169.254")}, "/kubeconfig"),
        ({"kubeconfig": KUBECONFIG.replace("east.example.com:6443", "0xa9fea9fe")}, "/kubeconfig"),
        ({"kubeconfig": KUBECONFIG.replace("east.example.com:6443", "[::ffff:169.254.169.254]")}, "/kubeconfig"),
        ({"in_cluster": True}, "/kubeconfig"),
        ({"kubeconfig": None}, "/kubeconfig"),
        ({"kubeconfig": None, "in_cluster": True}, "/kubeconfig"),  # Berth runs in none
        ({"name": "East"}, "/name"),
        ({"settings": {"runtime_image": "a b"}}, "/settings/runtime_image"),
        ({"settings": {"berth_url": "ftp://x"}}, "/settings/berth_url"),
        ({"settings": {"pull_secret": "one"}}, "/settings/pull_secret"),
        ({"settings": {"gpu_resource": "gpu"}}, "/settings/gpu_resource"),
        ({"settings": {"runtime_class": "NVIDIA runtime"}}, "/settings/runtime_class"),
        ({"settings": {"namespace_prefix": "-"}}, "/settings/namespace_prefix"),
    ],
)
def test_what_cannot_be_a_cluster_is_refused_where_it_is_wrong(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    answer = _add(world, **body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert TOKEN not in answer.text
    assert world.as_("admin").get("/clusters").json()["items"] == []


def test_settings_are_changed_by_who_read_them(world: World) -> None:
    tag = _add(world).headers["etag"]
    client = world.as_("admin")
    body = {"settings": {"gpu_resource": "amd.com/gpu"}}
    assert client.patch("/clusters/east", json=body).status_code == 428
    changed = client.patch("/clusters/east", json=body, headers={"if-match": tag})
    assert changed.json()["settings"]["gpu_resource"] == "amd.com/gpu"
    late = client.patch("/clusters/east", json=body, headers={"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "PRECONDITION_FAILED")
    back = {"settings": {"gpu_resource": ""}}
    again = client.patch("/clusters/east", json=back, headers={"if-match": changed.headers["etag"]})
    assert again.json()["settings"]["gpu_resource"] == "nvidia.com/gpu"
    assert _verbs(world) == ["cluster.create", "cluster.update", "cluster.update"]


def test_credentials_are_rotated_in_place_and_so_is_the_key(world: World) -> None:
    _add(world)
    with db.read_session() as session:
        old = _look(session)
    new = KUBECONFIG.replace(TOKEN, "another").replace("east.example", "new.example")
    answer = world.as_("admin").put("/clusters/east/credentials", json={"kubeconfig": new})
    assert (answer.json()["credentials_version"], answer.json()["server"]) == (2, "https://new.example.com:6443")
    assert _verbs(world) == ["cluster.create", "cluster.rotate"]
    with db.unit_of_work() as session:
        assert cluster_credentials.open_kubeconfig(session, old.id) == (new, 2)
        # What was found with the credentials before says nothing of the new ones.
        assert not cluster_looks.record_findings(session, _term(session), old, preflight.judge(Facts(trouble="x")))
        assert cluster_credentials.reseal(session) == (0, [], None)
    add_generated_key(get_settings().home, "encryption_keys")
    with db.unit_of_work() as session:
        assert cluster_credentials.reseal(session)[:2] == (1, [])
        assert cluster_credentials.open_kubeconfig(session, old.id) == (new, 2)
        assert cluster_credentials.reseal(session) == (0, [], None)
        session.execute(text("update cluster set key_id = 'gone'"))
    with db.unit_of_work() as session:
        assert cluster_credentials.reseal(session)[:2] == (0, ["east"])
        with pytest.raises(CannotOpen, match="not among the configured ones"):
            cluster_credentials.open_kubeconfig(session, old.id)


def test_what_a_look_and_a_check_found_is_shown(world: World) -> None:
    _add(world)
    client = world.as_("admin")
    with db.unit_of_work() as session:
        term, look = _term(session), _look(session)
        cluster_looks.record_away(session, term, look, "connection refused")
    found = client.get("/clusters/east").json()
    assert (found["status"], found["trouble"]) == ("away", "connection refused")
    assert found["away_since"] == found["created_at"]
    with db.unit_of_work() as session:
        cluster_looks.record_seen(session, term, look, {"version": "v1.34.1", "nodes": 3, "ready_nodes": 2})
        cluster_looks.record_seen(session, term, look, {"version": "v1.34.2"})
        assert cluster_looks.record_findings(session, term, look, preflight.judge(Facts(version="v1.28.0")))
    found = client.get("/clusters/east").json()
    assert (found["status"], found["checking"], found["trouble"]) == ("failing", False, None)
    assert (found["version"], found["nodes"], found["ready_nodes"]) == ("v1.34.2", 3, 2)
    assert found["findings"][1]["code"] == "VERSION"
    assert found["findings"][1]["says"].startswith("Kubernetes v1.28.0 is older than")
    assert len(found["findings"]) == len(preflight.TITLES)
    asked = client.post("/clusters/east:check")
    assert (asked.status_code, asked.json()["checking"]) == (202, True)
    with db.unit_of_work() as session:
        before = _look(session)
        # Asked for once more while it is under way: it is still due then.
        session.execute(text("update cluster set check_due_at = now() + interval '1 second'"))
        assert cluster_looks.record_findings(session, term, before, preflight.judge(Facts(version="v1.34.0")))
    assert client.get("/clusters/east").json()["checking"]
    assert _verbs(world) == ["cluster.create", "cluster.checked", "cluster.check", "cluster.checked"]


def test_several_replicas_go_to_clusters_only(world: World) -> None:
    """All together hold their room; this machine runs one of a run."""
    _add(world)
    _with_pool(world)
    with db.unit_of_work() as session:
        factories.make_pool(session, "local", cpu_millis=64_000, memory_bytes=64 << 30)
    forget_what_was_seen()
    owner = world.as_("owner")
    spec = {"name": "x", "command": ["true"], "cpu": "1", "memory": "1Gi", "replicas": 3}
    made = owner.post("/projects/ours/runs", json={"spec": {**spec, "pool": "east"}})
    assert made.status_code == 202, made.text
    assert (made.json()["replicas"], made.json()["cpu"], made.json()["memory"]) == (3, "3", "3Gi")
    for path, body in (("runs", {"spec": spec}), ("runs:plan", {"spec": spec})):
        refused = owner.post(f"/projects/ours/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "ONE_REPLICA_ONLY"), refused.text
        assert [(one["pointer"], one["fix"]) for one in refused.json()["errors"]] == [("/spec/replicas", "1")]
    large = owner.post("/projects/ours/runs", json={"spec": {**spec, "pool": "east", "replicas": 5}})
    assert (large.status_code, large.json()["code"]) == (422, "NEVER_FITS")
    for wrong in (0, 129, True, "2"):
        answer = owner.post("/projects/ours/runs", json={"spec": {**spec, "pool": "east", "replicas": wrong}})
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["pointer"] == "/spec/replicas"


def test_what_no_node_holds_is_refused_by_all_alike(world: World) -> None:
    """The sum of the nodes has it; the only one that takes runs without GPUs is small."""
    _add(world)
    nodes = [Node(Resources(2000, 8 << 30, 0)), Node(Resources(64_000, 256 << 30, 8), is_for_gpus=True)]
    total = nodes[0].room + nodes[1].room * 2
    with db.unit_of_work() as session:
        facts = {**asdict(total), **facts_of(nodes, nodes[0].room)}
        cluster_looks.record_seen(session, _term(session), _look(session), facts)
    forget_what_was_seen()
    owner = world.as_("owner")
    cases: list[tuple[dict[str, Any], str, list[tuple[str, str]]]] = [
        ({"cpu": "64"}, "2 CPU, 8Gi", [("/spec/cpu", "2")]),
        ({"cpu": "4", "gpus": 12}, "64 CPU, 256Gi, 8 GPU", [("/spec/gpus", "8")]),
    ]
    for asked, largest, fixes in cases:
        spec = {"name": "x", "command": ["true"], "memory": "1Gi", "pool": "east", **asked}
        for path in ("runs", "runs:plan"):
            refused = owner.post(f"/projects/ours/{path}", json={"spec": spec})
            assert (refused.status_code, refused.json()["code"]) == (422, "NEVER_FITS"), refused.text
            assert refused.json()["capacity"] == largest
            assert [(one["pointer"], one["fix"]) for one in refused.json()["errors"]] == fixes
    spec = {"name": "x", "command": ["true"], "cpu": "64", "memory": "1Gi", "pool": "east", "gpus": 1}
    run = owner.post("/projects/ours/runs", json={"spec": spec})
    assert run.status_code == 202, run.text
    with db.unit_of_work() as session:
        session.execute(text("update run set state = 'failed', finished_at = now()"))
        facts |= facts_of(nodes[:1], nodes[0].room)  # the list is shorter: what is kept must not be the old
        cluster_looks.record_seen(session, _term(session), _look(session), facts)
    forget_what_was_seen()
    again = owner.post("/projects/ours/runs:rerun-failed", json={"ids": [run.json()["id"]]})
    assert again.json()["items"][0]["code"] == "NEVER_FITS", again.text


def test_a_draining_cluster_takes_nothing_new_and_is_removed_once_it_is_empty(world: World) -> None:
    _add(world)
    _with_pool(world)
    admin, owner = world.as_("admin"), world.as_("owner")
    waiting = owner.post("/projects/ours/runs", json=SPEC).json()["id"]
    with db.unit_of_work() as session:
        run = factories.make_run(session, world.ours, world.users["owner"], state="running", pool="east")
        factories.make_attempt(session, run, state="running")
        session.add(Reservation(run_id=run.id, attempt=1, pool="east", cpu_millis=1, memory_bytes=1, gpus=0))
    dry = admin.delete("/clusters/east", params={"dry_run": True}).json()
    assert dry == {
        "cluster": "east",
        "removed": False,
        "allowed": False,
        "running": 1,
        "waiting": 1,
        "pools": ["east"],
    }
    assert admin.post("/clusters/east:drain").json()["state"] == "draining"
    assert admin.post("/clusters/east:drain").status_code == 200
    refused = owner.post("/projects/ours/runs", json=SPEC)
    assert (refused.status_code, refused.json()["code"]) == (422, "POOL_DRAINING")
    with db.unit_of_work() as session:
        assert admission.admit(session, _term(session, "admission"), 60) == 0
    assert owner.get(f"/runs/{waiting}").json()["reason"]["code"] == "CLUSTER_DRAINING"
    shown = admin.get("/clusters/east").json()
    assert (shown["running"], shown["waiting"], shown["capacity"]["cpu_millis"]) == (1, 1, 4000)
    in_use = admin.delete("/clusters/east").json()
    assert (in_use["code"], in_use["running"], in_use["waiting"]) == ("CLUSTER_IN_USE", 1, 1)
    with db.unit_of_work() as session:
        session.execute(text("update run set state = 'stopped'"))
        session.execute(text("update reservation set released_at = now()"))
    assert admin.delete("/clusters/east").json()["removed"]
    assert admin.get("/clusters/east").status_code == 404
    assert _verbs(world) == ["cluster.create", "cluster.drain", "cluster.delete"]
    assert owner.get(f"/runs/{waiting}").status_code == 200, "runs stay"


def test_draining_ends_and_runs_start_again(world: World) -> None:
    _add(world)
    _with_pool(world)
    admin = world.as_("admin")
    admin.post("/clusters/east:drain")
    assert admin.post("/clusters/east:undrain").json()["state"] == "active"
    assert world.as_("owner").post("/projects/ours/runs", json=SPEC).status_code == 202
    with db.unit_of_work() as session:
        assert admission.admit(session, _term(session, "admission"), 60) == 1
    answer = admin.delete("/clusters/east").json()
    assert (answer["code"], answer["state"]) == ("CLUSTER_IN_USE", "active")


def test_this_machine_is_drained_and_not_removed(world: World) -> None:
    with db.unit_of_work() as session:
        pool = factories.make_pool(session)
        name = session.get_one(Cluster, pool.cluster_id).name
    admin = world.as_("admin")
    for answer in (
        admin.delete(f"/clusters/{name}"),
        admin.post(f"/clusters/{name}:check"),
        admin.put(f"/clusters/{name}/credentials", json={"kubeconfig": KUBECONFIG}),
    ):
        assert answer.json()["code"] == "CLUSTER_IS_LOCAL"
    assert admin.post(f"/clusters/{name}:drain").json()["state"] == "draining"
