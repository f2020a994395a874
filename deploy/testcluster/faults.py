"""What can go wrong with a cluster, on demand: each lever really does it and can be undone.

Pairs are methods, for experiments that do something in between at their own time, and context managers, for tests.
"""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.testcluster import control_plane, kwok, node
from deploy.testcluster.api import Api, ApiError
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.proxy import Proxy

# A part and not an amount: the kubelet does not start with a reservation beyond what the machine has.
_PRESSURE = {"memory.available": "99%"}


class Faults:
    """The levers of one cluster. Afterwards `mend` puts everything back that a lever changed."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._places = cluster.places
        self._processes = cluster.processes

    # The API server

    def stop_api_server(self) -> None:
        """No API server: connections are refused. Pods and the kubelet go on."""
        self._processes.kill("kube-apiserver")

    def start_api_server(self) -> None:
        """Returns once it is ready and the control plane goes on."""
        control_plane.start_api_server(self._places, self._processes)
        self.cluster.start_all_but_containers()

    def freeze_api_server(self) -> None:
        """It takes connections and answers nothing."""
        self._processes.signal("kube-apiserver", signal.SIGSTOP)

    def thaw_api_server(self) -> None:
        self._processes.signal("kube-apiserver", signal.SIGCONT)

    @contextlib.contextmanager
    def api_server_away(self) -> Iterator[None]:
        self.stop_api_server()
        try:
            yield
        finally:
            self.start_api_server()

    @contextlib.contextmanager
    def api_calls(self, token: str | None = None) -> Iterator[Proxy]:
        """A proxy before the API server that delays, fails or cuts calls. Its `kubeconfig` is the way through it;
        callers are known by the bearer token in it: `token`, or one with all rights."""
        api = self.cluster.api
        proxy = Proxy(self._places.state / "admin.kubeconfig", self._places.pki, token or all_rights(api))
        with proxy:
            yield proxy

    # The node

    def kill_kubelet(self) -> None:
        """As a crash would: pods go on running, nobody reports."""
        self._processes.kill("kubelet")

    def start_kubelet(self) -> None:
        """Returns once the node is Ready."""
        if not self._processes.is_alive("kubelet"):
            node.start_kubelet(self._places, self._processes)
        self.cluster.wait_node_ready()

    @contextlib.contextmanager
    def kubelet_away(self) -> Iterator[None]:
        self.kill_kubelet()
        try:
            yield
        finally:
            self.start_kubelet()

    def lose_node(self, seconds: float = 60.0) -> None:
        """node1 falls silent; returns once the cluster calls it unreachable (about 12 s). Its pods go on running:
        that is what makes a lost node dangerous. `find_node` brings it back."""
        self._processes.signal("kubelet", signal.SIGSTOP)
        self._wait_condition(node.NODE, "Unknown", seconds)

    def find_node(self) -> None:
        """Returns once node1 is Ready."""
        self._processes.signal("kubelet", signal.SIGCONT)
        self.cluster.wait_node_ready()

    @contextlib.contextmanager
    def node_lost(self) -> Iterator[None]:
        self.lose_node()
        try:
            yield
        finally:
            self.find_node()

    def lose_simulated_node(self, name: str) -> None:
        """A simulated node says at once that it is not ready, and nobody answers for it."""
        api = self.cluster.api
        api.patch(f"/api/v1/nodes/{name}", {"metadata": {"annotations": {kwok.MANAGED: None}}})
        silent = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "lost on demand"}
        api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [silent]}}, "strategic")
        api.wait(f"/api/v1/nodes/{name}", lambda found: "taints" in found["spec"] and _unreachable(found), 30)

    def find_simulated_node(self, name: str) -> None:
        """Returns once it is Ready."""
        self.cluster.api.patch(f"/api/v1/nodes/{name}", {"metadata": {"annotations": {kwok.MANAGED: "fake"}}})
        self.cluster.wait_node_ready(name)

    # Pods

    def evict(self, namespace: str, pod: str) -> None:
        """Eviction through the API, as `kubectl drain` does it: it asks, and the pod gets its grace period."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        self.cluster.api.post(f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)

    @contextlib.contextmanager
    def memory_pressure(self) -> Iterator[None]:
        """The kubelet takes the node for short of memory: it evicts pods (phase Failed, reason Evicted), one after
        the other, and takes no new ones without memory requests."""
        self._processes.stop("kubelet")
        node.start_kubelet(self._places, self._processes, _PRESSURE)
        try:
            yield
        finally:
            self._processes.stop("kubelet")
            self.start_kubelet()

    def remove_behind_everyone(self, namespace: str, pod: str) -> None:
        """Deletes a pod from the API at once, without grace."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self.cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod}", body)

    # etcd

    def take_snapshot(self) -> Path:
        """A copy of etcd's data as of now, as a crash would leave it. Returns the folder; gone with the cluster."""
        kept = self._places.state / "snapshots"
        kept.mkdir(exist_ok=True)
        target = kept / str(len(list(kept.iterdir())) + 1)
        self._processes.signal("etcd", signal.SIGSTOP)
        try:
            shutil.copytree(self._places.state / "etcd", target)
        finally:
            self._processes.signal("etcd", signal.SIGCONT)
        return target

    def restore_snapshot(self, snapshot: Path) -> None:
        """The cluster's memory is that of the snapshot: what was made since is unknown, resource versions go back.
        As the manuals of etcd and Kubernetes ask, every part is started anew; the containers go on running."""
        for name in ("kubelet", "kwok", "coredns"):
            self._processes.kill(name)
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            self._processes.kill(name)
        shutil.rmtree(self._places.state / "etcd")
        shutil.copytree(snapshot, self._places.state / "etcd")
        self.cluster.start_all_but_containers()
        self.cluster.wait_node_ready()

    def mend(self) -> None:
        """Puts back what levers changed: everything runs, nothing is frozen, node1 is Ready."""
        for name in self._processes.names():
            if self._processes.is_alive(name):
                self._processes.signal(name, signal.SIGCONT)
        self.cluster.start_all_but_containers()
        self.cluster.wait_node_ready()

    def _wait_condition(self, name: str, status: str, seconds: float) -> None:
        def said(found: Any) -> bool:
            conditions = found["status"].get("conditions", [])
            return any(one["type"] == "Ready" and one["status"] == status for one in conditions)

        self.cluster.api.wait(f"/api/v1/nodes/{name}", said, seconds)


def all_rights(api: Api) -> str:
    """A token of a service account with all rights, good for a day."""
    name, namespace = "testcluster-admin", "kube-system"
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
    for path, body in (
        (accounts, {"metadata": {"name": name}}),
        ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding),
    ):
        try:
            api.post(path, body)
        except ApiError as error:
            if error.status != 409:
                raise
    return token_of(api, namespace, name)


def token_of(api: Api, namespace: str, account: str, seconds: int = 86400) -> str:
    """A bearer token of a service account."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    answer = api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", asked)
    return str(answer["status"]["token"])


def _unreachable(found: Any) -> bool:
    return any(taint["key"] == "node.kubernetes.io/unreachable" for taint in found["spec"]["taints"])
