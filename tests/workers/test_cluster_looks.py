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
from app.domain.access import Actor
from app.services import clusters, leases
from app.services.leases import Term
from app.workers.cluster_looks import Looker
from tests import factories


@pytest.fixture
def looker(clean_database: Engine) -> Iterator[Looker]:
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
