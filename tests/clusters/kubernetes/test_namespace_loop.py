"""The loop that looks after namespaces, on a real cluster and a real database: a private image is pulled, drift is put
right and shown, a kubeconfig is made, and a deleted project's namespace goes."""

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app import db
from app.clusters.base import ClusterUnavailable
from app.clusters.kubeconfig import read_kubeconfig
from app.clusters.kubernetes_api import Api
from app.domain.access import Actor, Role
from app.domain.clusters import ClusterSettings
from app.repositories.clusters import Target
from app.services import (
    cluster_registries,
    clusters,
    leases,
    namespace_drift,
    project_kubeconfigs,
    project_namespaces,
)
from app.settings import get_settings
from app.workers.cluster_looks import Looker
from app.workers.clusters import _Places
from app.workloads.namespaces import ACCOUNT
from deploy.testcluster import registry
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.images import PYTHON
from deploy.testcluster.node import PRIVATE_NAME
from tests import factories
from tests.clusters.kubernetes.test_add_a_cluster import kubeconfig as kubeconfig
from tests.clusters.kubernetes.world import Namespace, pod

pytestmark = pytest.mark.cluster

SETTINGS = {"berth_url": "http://10.0.0.1:8800", "runtime_image": "runtime:1", "egress": "10.20.0.0/16:443"}


@pytest.fixture
def looker(clean_database: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Looker]:
    """Each round of it resyncs."""
    monkeypatch.setattr(get_settings().convergence, "resync_seconds", 0.001)
    made = Looker()
    yield made
    made.close()


@pytest.fixture
def actor(clean_database: Engine) -> Actor:
    with db.unit_of_work() as session:
        user = factories.make_user(session, is_admin=True)
        return Actor(user.id, user.name, is_admin=True)


def _place(cluster_id: uuid.UUID, kubeconfig: Path, project_id: uuid.UUID) -> Any:
    """As a worker makes it before a start."""
    with db.unit_of_work() as session:
        install = project_namespaces.install_id(session)
    with contextlib.closing(Api("east", read_kubeconfig(kubeconfig.read_text()))) as api:
        target = Target(cluster_id, "east", "kubernetes", 1, ClusterSettings().changed(SETTINGS))
        places = _Places(api, target, install)
        return _wait(lambda: _unless_counting(lambda: places.of(str(project_id))))


def _unless_counting(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except ClusterUnavailable as error:
        assert error.retry_after == 1.0, error  # while the quota is being counted
        return None


def _wait(look: Callable[[], Any], seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def test_namespaces_are_looked_after(looker: Looker, actor: Actor, cluster: Cluster, kubeconfig: Path) -> None:
    with db.unit_of_work() as session:
        project = factories.make_project(session, "vision")
        factories.make_member(session, project, Role.OWNER, factories.make_user(session, "ada"))
        east = clusters.add_cluster(session, actor, "east", kubeconfig.read_text(), SETTINGS)
        session.execute(text("update cluster set check_due_at = null"))
        term = leases.acquire(session, "clusters", "test", 600)
    assert term is not None

    def round_of_the_loop() -> None:
        looker.work(term)
        looker.wait_idle(60)

    place = _place(east, kubeconfig, project.id)
    assert place.pull_secret is None
    inside = Namespace(cluster, place.namespace)
    policy = f"/apis/networking.k8s.io/v1/namespaces/{place.namespace}/networkpolicies/berth"
    quota = f"{inside.core}/resourcequotas/berth"
    assert {"to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 443}]} in (
        cluster.api.get(policy)["spec"]["egress"]
    )
    round_of_the_loop()
    with db.unit_of_work() as session:
        assert namespace_drift.list_drift(session, east) == []
        # What Berth itself wants anew is no drift.
        given = PRIVATE_NAME, registry.PRIVATE_USER, registry.PRIVATE_PASSWORD
        cluster_registries.set_registry(session, actor, (east, "east"), *given)
    round_of_the_loop()
    private = pod("private", "print('pulled')", image=PYTHON.replace("registry.berth.test", PRIVATE_NAME))
    private["spec"]["serviceAccountName"] = ACCOUNT
    private["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    inside.add(private)

    cluster.api.delete(policy)
    cluster.api.patch(quota, {"spec": {"hard": {"pods": "1"}}})
    round_of_the_loop()
    with db.read_session() as session:
        drift = {(one.object, one.field): one for one in namespace_drift.list_drift(session, east)}
    assert set(drift) == {("NetworkPolicy berth", ""), ("ResourceQuota berth", "spec.hard.pods")}
    shown = drift["ResourceQuota berth", "spec.hard.pods"]
    assert (shown.project, shown.was, shown.should, shown.trouble) == ("vision", '"1"', '"5k"', None)
    assert cluster.api.get(policy)["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert cluster.api.get(quota)["spec"]["hard"]["pods"] == "5k"

    with db.unit_of_work() as session:
        asked = project_kubeconfigs.request(session, actor, (project.id, "vision"), "east", 1)
    round_of_the_loop()
    with db.unit_of_work() as session:
        content = project_kubeconfigs.fetch(session, actor, (project.id, "vision"), asked.id)
    assert json.loads(content)["contexts"][0]["context"]["namespace"] == place.namespace
    inside.wait_phase("private", "Succeeded")
    with contextlib.closing(Api("viewer", read_kubeconfig(content))) as viewer:
        assert [one["metadata"]["name"] for one in viewer.get(f"{inside.core}/pods")["items"]] == ["private"]
        assert b"".join(viewer.stream(f"{inside.core}/pods/private/log")) == b"pulled\n"

    with db.unit_of_work() as session:
        project_namespaces.begin_deletion(session, project.id)

    def is_gone() -> bool:
        round_of_the_loop()
        with db.read_session() as session:
            return not project_namespaces.list_deleting(session, east)

    _wait(is_gone, 60)
    names = [one["metadata"]["name"] for one in cluster.api.get("/api/v1/namespaces")["items"]]
    assert place.namespace not in names
    with db.read_session() as session:
        kept = session.execute(text("select name, gone_at is not null from project_namespace")).one()
        assert tuple(kept) == (place.namespace, True)
        assert len(namespace_drift.list_drift(session, east)) == 2
