"""The world of the contract (tests/clusters/world.py) on a real cluster, in a namespace of the test's own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.clusters.kubeconfig import read_kubeconfig
from app.clusters.kubernetes import KubernetesCluster
from app.clusters.kubernetes_api import Api
from app.workloads.plans import RunPlan
from app.workloads.pods import Place
from deploy.testcluster.images import PYTHON, RUNTIME
from tests.clusters.kubernetes.run_server import RunServer
from tests.clusters.kubernetes.world import Namespace
from tests.clusters.world import World


@dataclass
class PodWorld(World):
    """`place` may be changed before a run is started."""

    namespace: Namespace = field(kw_only=True)
    server: RunServer = field(kw_only=True)
    place: Place = field(kw_only=True)
    hope: dict[str, float] | None = None
    made: list[KubernetesCluster] = field(default_factory=list)  # type: ignore[assignment]

    @classmethod
    def create(cls, namespace: Namespace) -> "PodWorld":
        server = RunServer(namespace.cluster.places.address)
        place = Place(
            install=namespace.name,
            namespace=namespace.name,
            url=server.url,
            runtime_image=namespace.cluster.image_by_digest(RUNTIME),
            default_image=namespace.cluster.image_by_digest(PYTHON),
        )
        return cls(Path("/"), namespace=namespace, server=server, place=place)

    def new_cluster(self) -> KubernetesCluster:  # type: ignore[override]
        connection = read_kubeconfig(self.namespace.cluster.places.kubeconfig.read_text())
        cluster = KubernetesCluster(
            "test", Api("test", connection), self.place.install, lambda _: self.place, self.hope
        )
        self.made.append(cluster)
        return cluster

    @property
    def cluster(self) -> KubernetesCluster:  # type: ignore[override]
        return self.made[0] if self.made else self.new_cluster()

    def plan(self, program: str = "", **changes: Any) -> RunPlan:
        run_id = changes.setdefault("run_id", f"r-{self.namespace.name[-4:]}{self.count + 1:04}")
        changes = {"python": None, "command": ["python3", "main.py"], "cpu_millis": 300} | changes
        made = super().plan(program, **changes)
        if made.snapshot_digest in self.archives:
            self.server.archives[run_id] = self.archives[made.snapshot_digest]
        return made

    def pod(self, plan: RunPlan) -> dict[str, Any]:
        """The attempt's pod as the API server has it."""
        query = f"labelSelector=berth.dev/run%3D{plan.run_id},berth.dev/attempt%3D{plan.attempt}"
        (found,) = self.namespace.cluster.api.get(f"{self.namespace.core}/pods?{query}")["items"]
        made: dict[str, Any] = found
        return made

    def close(self) -> None:
        for cluster in self.made:
            cluster.close()
        self.server.close()
