"""The loop that looks at clusters: one that is silent holds up no other, and only the leader writes."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app import db
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG
from app.clusters import preflight
from app.clusters.base import ClusterUnavailable
from app.clusters.kubernetes_api import NotThere
from app.domain.access import Actor
from app.domain.preflight_facts import Facts
from app.services import clusters, leases
from app.services.leases import Term
from app.settings import get_settings
from app.workers import cluster_looks
from app.workers.cluster_looks import Looker
from tests import factories


@pytest.fixture
def looker(clean_database: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Looker]:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")  # as in a pod, for the cluster that Berth runs in
    made = Looker()
    yield made
    made.close()


def _lead(holder: str = "test") -> Term:
    with db.unit_of_work() as session:
        term = leases.acquire(session, "clusters", holder, 60)
    assert term is not None
    return term


def _add(name: str, address: str | None) -> None:
    kubeconfig = EXAMPLE_KUBECONFIG.replace("east.example.com:6443", address) if address else None
    with db.unit_of_work() as session:
        user = factories.make_user(session, is_admin=True)
        clusters.add_cluster(session, Actor(user.id, user.name, is_admin=True), name, kubeconfig)


def _row(name: str) -> Any:
    with db.read_session() as session:
        return session.execute(
            text("select trouble, seen_at, checked_at, check_due_at, findings from cluster where name = :name"),
            {"name": name},
        ).one()


def _wait(look: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_that_is_silent_holds_up_no_other(looker: Looker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
        closed.close()
        _add("a-silent", f"127.0.0.1:{silent.getsockname()[1]}")
        _add("refusing", f"127.0.0.1:{port}")
        _add("inside", None)
        assert looker.work(_lead()) is False
        _wait(lambda: all(_row(name).trouble and _row(name).checked_at for name in ("refusing", "inside")))
        assert _row("a-silent").trouble is None, "it is waited for still"
        assert "refused" in _row("refusing").trouble
        assert "service account" in _row("inside").trouble
        finding = _row("refusing").findings["findings"][0]
        assert (finding["code"], finding["status"]) == ("REACHABLE", "fail")
        assert _row("refusing").check_due_at is None
        assert _row("refusing").seen_at is None
        looker.wait_idle(30)
        assert _row("a-silent").trouble


class _Server:
    """An API server that answers or not."""

    is_silent = True
    checks = 0

    def get_version(self) -> tuple[str, str, float]:
        if self.is_silent:
            raise ClusterUnavailable("it does not answer")
        return "v1.34.1", "", 1.0

    def list_pages(self, path: str) -> Any:
        raise NotThere(path)

    def close(self) -> None:
        """Nothing is open."""

    def collect(self, *_: object) -> Facts:
        self.checks += 1
        return Facts(trouble="it does not answer") if self.is_silent else Facts(version="v1.20.0")


def test_one_that_is_back_is_checked_again_once(looker: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server()
    monkeypatch.setattr(cluster_looks, "connect", lambda *_: (server, 1, False))
    monkeypatch.setattr(preflight, "collect", server.collect)
    monkeypatch.setattr(get_settings().convergence, "sweep_seconds", 0.001)
    _add("east", "192.0.2.1:6443")
    term = _lead()

    def rounds(number: int = 4) -> None:
        for _ in range(number):
            looker.work(term)
            looker.wait_idle(10)
            time.sleep(0.01)

    def of_findings() -> list[str]:
        return [one["code"] for one in _row("east").findings["findings"] if one["status"] == "fail"]

    rounds()
    assert (of_findings(), server.checks) == (["REACHABLE"], 1)
    server.is_silent = False
    rounds()
    assert server.checks == 1, "not at once: a look may get through where a check does not"
    with db.unit_of_work() as session:
        session.execute(text("update cluster set checked_at = now() - interval '1 minute'"))
    rounds()
    assert server.checks == 2
    assert "REACHABLE" not in of_findings()
    assert "VERSION" in of_findings(), "found while it answers: no reason to look again"
    server.is_silent = True
    rounds()
    server.is_silent = False
    rounds()
    assert server.checks == 3, "it may have failed because the cluster fell silent meanwhile"
    assert _row("east").check_due_at is None


def test_who_leads_no_more_writes_nothing(looker: Looker) -> None:
    _add("inside", None)
    term = _lead()
    with db.unit_of_work() as session:
        leases.release(session, term)
    _lead("another")
    looker.work(term)
    looker.wait_idle(20)
    assert _row("inside").trouble is None
    assert _row("inside").check_due_at is not None


def test_without_such_clusters_the_client_is_not_loaded() -> None:
    program = "import sys, app.workers.controller, app.main; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
