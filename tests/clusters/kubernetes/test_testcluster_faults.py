"""Each lever of the fault experiments does what it says, and the cluster is whole afterwards."""

import http.client
import time

import pytest

from deploy.testcluster.api import Api, ApiError
from deploy.testcluster.cluster import SIMULATED_NODES, Cluster
from deploy.testcluster.faults import Faults
from deploy.testcluster.node import NODE
from deploy.testcluster.processes import wait_until
from deploy.testcluster.proxy import Rule
from tests.clusters.kubernetes.world import Namespace, job, on_gpu_node, pod, pod_spec

pytestmark = pytest.mark.cluster

SLEEP = "import time; time.sleep(600)"


def test_without_the_api_server_pods_go_on(cluster: Cluster, faults: Faults, namespace: Namespace) -> None:
    namespace.add(pod("goes-on", SLEEP))
    before = namespace.wait_phase("goes-on", "Running")
    with faults.api_server_away(), pytest.raises(ConnectionRefusedError):
        cluster.api.get("/readyz")
    after = namespace.pod("goes-on")
    assert (
        after["status"]["containerStatuses"][0]["containerID"]
        == before["status"]["containerStatuses"][0]["containerID"]
    )


def test_a_frozen_api_server_answers_nothing(cluster: Cluster, faults: Faults) -> None:
    faults.freeze_api_server()
    with pytest.raises(TimeoutError):
        cluster.api.get("/readyz", timeout=0.5)
    faults.thaw_api_server()
    cluster.api.wait("/readyz", lambda said: said == "ok", 20)


def test_without_the_kubelet_the_end_of_a_pod_is_told_later(faults: Faults, namespace: Namespace) -> None:
    namespace.add(pod("ends", "import time; time.sleep(2)"))
    namespace.wait_phase("ends", "Running")
    with faults.kubelet_away():
        assert not faults.cluster.processes.is_alive("kubelet")
        assert namespace.pod("ends")["status"]["phase"] == "Running"
    namespace.wait_phase("ends", "Succeeded")


def test_a_lost_node_is_unreachable_while_its_pods_run(cluster: Cluster, faults: Faults, namespace: Namespace) -> None:
    namespace.add(job("runs-on", pod_spec(SLEEP)))
    wait_until("the pod is there", lambda: namespace.pods_of("runs-on"))
    name = namespace.pods_of("runs-on")[0]["metadata"]["name"]
    namespace.wait_phase(name, "Running")
    with faults.node_lost():
        deleted = "metadata", "deletionTimestamp"
        cluster.api.wait(f"{namespace.core}/pods/{name}", lambda found: deleted[1] in found[deleted[0]], 30)
        # Marked for deletion, and still there: nobody can tell whether it ended.
        assert namespace.pod(name)["status"]["phase"] == "Running"
    wait_until("the pod is gone", lambda: name not in [one["metadata"]["name"] for one in namespace.pods_of("runs-on")])


def test_a_simulated_node_is_lost_and_found(cluster: Cluster, faults: Faults, namespace: Namespace) -> None:
    name = SIMULATED_NODES[1]
    faults.lose_simulated_node(name)
    spec = on_gpu_node(pod_spec("pass"), gpus=8) | {"nodeSelector": {"kubernetes.io/hostname": name}}
    namespace.add({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waits"}, "spec": spec})
    cluster.api.wait(f"{namespace.core}/pods/waits", lambda found: "Unschedulable" in str(found["status"]), 20)
    faults.find_simulated_node(name)
    namespace.wait_phase("waits", "Running")


def test_a_pod_is_evicted_through_the_api(faults: Faults, namespace: Namespace) -> None:
    namespace.add(pod("drained", SLEEP))
    namespace.wait_phase("drained", "Running")
    faults.evict(namespace.name, "drained")
    wait_until("the pod is gone", lambda: not is_there(namespace, "drained"), 30)


def test_a_node_short_of_memory_evicts(cluster: Cluster, faults: Faults, namespace: Namespace) -> None:
    namespace.add(pod("squeezed", SLEEP))
    namespace.wait_phase("squeezed", "Running")
    with faults.memory_pressure():
        ended = namespace.wait_phase("squeezed", "Failed", seconds=60)
        assert ended["status"]["reason"] == "Evicted"
    cluster.wait_node_ready(NODE)


def test_a_pod_disappears_behind_everyone(faults: Faults, namespace: Namespace) -> None:
    namespace.add(pod("gone", SLEEP))
    namespace.wait_phase("gone", "Running")
    faults.remove_behind_everyone(namespace.name, "gone")
    assert not is_there(namespace, "gone")


def test_etcd_goes_back_to_a_snapshot(cluster: Cluster, faults: Faults, namespace: Namespace) -> None:
    maps = f"{namespace.core}/configmaps"
    cluster.api.post(maps, {"metadata": {"name": "before"}})
    snapshot = faults.take_snapshot()
    later = cluster.api.post(maps, {"metadata": {"name": "after"}})
    faults.restore_snapshot(snapshot)
    names = [one["metadata"]["name"] for one in cluster.api.get(maps)["items"]]
    assert "before" in names
    assert "after" not in names
    assert int(cluster.api.get(f"{maps}/before")["metadata"]["resourceVersion"]) < int(
        later["metadata"]["resourceVersion"]
    )
    namespace.add(pod("works", "pass"))
    namespace.wait_phase("works", "Succeeded")


def test_calls_are_delayed_failed_cut_and_lost(faults: Faults, namespace: Namespace) -> None:
    with faults.api_calls() as proxy:
        through = Api(proxy.kubeconfig)
        maps = f"{namespace.core}/configmaps"
        assert through.get(maps)["kind"] == "ConfigMapList"

        slow = proxy.add(Rule(method="GET", path="/configmaps", delay=0.3, times=1))
        began = time.monotonic()
        through.get(maps)
        assert time.monotonic() - began >= 0.3
        assert slow.hits == 1

        proxy.add(Rule(path="/configmaps", status=503, times=1))
        with pytest.raises(ApiError) as caught:
            through.get(maps)
        assert caught.value.status == 503
        through.get(maps)

        proxy.add(Rule(method="POST", cut="before", times=1))
        with pytest.raises(OSError, match="RemoteDisconnected"):
            through.post(maps, {"metadata": {"name": "never-came"}})
        proxy.add(Rule(method="POST", cut="after", times=1))
        with pytest.raises(OSError, match="RemoteDisconnected"):
            through.post(maps, {"metadata": {"name": "came"}})
        names = [one["metadata"]["name"] for one in through.get(maps)["items"]]
        assert "came" in names
        assert "never-came" not in names
        assert ("POST", maps) in proxy.calls


def test_a_watch_streams_through_the_proxy(faults: Faults, namespace: Namespace) -> None:
    with faults.api_calls() as proxy:
        through = Api(proxy.kubeconfig)
        maps = f"{namespace.core}/configmaps"
        version = through.get(maps)["metadata"]["resourceVersion"]
        connection, answer = through.stream(f"{maps}?watch=true&resourceVersion={version}&timeoutSeconds=20")
        try:
            faults.cluster.api.post(maps, {"metadata": {"name": "seen"}})
            assert isinstance(answer, http.client.HTTPResponse)
            assert b'"ADDED"' in answer.readline()
        finally:
            connection.close()


def is_there(namespace: Namespace, name: str) -> bool:
    try:
        namespace.pod(name)
    except ApiError as error:
        assert error.status == 404
        return False
    return True
