"""The contract of all clusters, in real pods."""

from collections.abc import Iterator

import pytest

from tests.clusters.contract import Contract
from tests.clusters.kubernetes.pod_world import PodWorld
from tests.clusters.kubernetes.world import Namespace

pytestmark = pytest.mark.cluster


class TestKubernetes(Contract):
    slack = 20.0

    @pytest.fixture
    def world(self, namespace: Namespace) -> Iterator[PodWorld]:
        made = PodWorld.create(namespace)
        yield made
        made.close()
