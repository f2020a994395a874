"""The short form of the fault experiments that tell most, where runs are pods. All of them, and the long form:
`python -m tests.chaos --kubernetes`; see docs/reliability.md."""

from collections.abc import Iterator

import pytest

from deploy.testcluster.cluster import Cluster
from tests.chaos.catalogue import ON_KUBERNETES
from tests.chaos.experiment import HEADER, row, run
from tests.chaos.servers import Servers

pytestmark = pytest.mark.cluster


@pytest.fixture
def servers(cluster: Cluster) -> Iterator[Servers]:
    made = Servers()
    made.use_cluster(cluster)
    yield made
    made.close()


def test_faults(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """All that can be short, in one world: processes killed, answers lost, calls failed, the API server away."""
    result = run(ON_KUBERNETES["F33"], servers, full=False, guarded=True)
    with capsys.disabled():
        print(f"\n{HEADER}\n{row(result)}", end="")
    assert result.complaints() == []
