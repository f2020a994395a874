"""A real cluster per test process, and its levers. Where there is none the tests are skipped in one line; with
CI=true it is built, and whatever fails then is a failure.

Tests of other folders take the fixtures by `from tests.clusters.kubernetes.conftest import cluster, faults, ...`.
"""

import os
import uuid
from collections.abc import Generator, Iterator

import pytest

from deploy.testcluster.cluster import Cluster, build_all, cannot
from deploy.testcluster.faults import Faults
from tests.clusters.kubernetes.world import Namespace


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """That there is no cluster is said once and not once for each test: pytest puts equal places together."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and "test cluster" in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def built() -> None:
    """That a cluster can be started here."""
    in_ci = os.environ.get("CI") == "true"
    reason = cannot(build_it=in_ci)
    if reason and not in_ci:
        pytest.skip(reason)
    if in_ci:
        build_all(print)


@pytest.fixture(scope="session")
def session_cluster(built: None, worker_id: str) -> Iterator[Cluster]:
    """The cluster of this test process, up for as long as it. Number 0 is left to the developer; who runs tests in
    two clones at once gives one of them other numbers by BERTH_TESTCLUSTER_FIRST."""
    first = int(os.environ.get("BERTH_TESTCLUSTER_FIRST", "1"))
    made = Cluster(first + int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 0))
    made.up()
    yield made
    made.down()  # and fails when anything stays behind


@pytest.fixture
def cluster(session_cluster: Cluster) -> Cluster:
    """The cluster, with all its parts running. Tests share it: what they make lies in a namespace of their own."""
    for name in session_cluster.processes.names():
        assert session_cluster.processes.is_alive(name), session_cluster.processes.last_lines(name)
    return session_cluster


@pytest.fixture
def faults(cluster: Cluster) -> Iterator[Faults]:
    """The levers. Afterwards the cluster is whole again."""
    made = Faults(cluster)
    yield made
    made.mend()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """An empty namespace with Pod Security "restricted", which goes away afterwards."""
    made = Namespace(cluster, f"test-{uuid.uuid4().hex[:8]}")
    made.create()
    yield made
    made.delete()
