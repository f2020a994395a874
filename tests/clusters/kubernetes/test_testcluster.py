"""What the test cluster claims to be."""

import base64
import json
from typing import Any

import pytest

from deploy.testcluster import registry
from deploy.testcluster.api import ApiError
from deploy.testcluster.cluster import SIMULATED_NODES, Cluster
from deploy.testcluster.images import JOB, PYTHON
from deploy.testcluster.kwok import SIMULATED
from deploy.testcluster.node import NODE, PRIVATE_NAME
from tests.clusters.kubernetes.world import Namespace, job, on_gpu_node, pod, pod_spec

pytestmark = pytest.mark.cluster


def test_one_node_is_real_and_the_others_say_that_they_are_not(cluster: Cluster) -> None:
    assert cluster.api.get("/version")["gitVersion"] == "v1.34.4"
    nodes = {node["metadata"]["name"]: node for node in cluster.api.get("/api/v1/nodes")["items"]}
    assert set(nodes) == {NODE, *SIMULATED_NODES}
    assert SIMULATED not in nodes[NODE]["metadata"]["labels"]
    assert nodes[NODE]["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    for name in SIMULATED_NODES:
        assert nodes[name]["metadata"]["labels"][SIMULATED] == "true"
        assert nodes[name]["status"]["allocatable"]["nvidia.com/gpu"] == "8"


def test_a_job_runs_on_the_real_node_and_its_log_is_read_through_the_api(namespace: Namespace) -> None:
    namespace.add(job("hello", pod_spec("import os; print('hello from', os.getuid())")))
    assert namespace.wait_job("hello") == "Complete"
    (ran,) = namespace.pods_of("hello")
    assert ran["spec"]["nodeName"] == NODE
    assert namespace.log(ran["metadata"]["name"]) == "hello from 1000\n"


def test_too_much_memory_is_a_kill_by_the_kernel(namespace: Namespace) -> None:
    namespace.add(pod("greedy", "x = bytearray(200_000_000)"))
    ended = namespace.wait_phase("greedy", "Failed")
    terminated = ended["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


def test_restricted_refuses_root(namespace: Namespace) -> None:
    manifest = pod("root", "pass")
    manifest["spec"]["securityContext"] |= {"runAsUser": 0, "runAsNonRoot": False}
    with pytest.raises(ApiError, match="violates PodSecurity") as caught:
        namespace.add(manifest)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("annotations", "end", "reason"),
    [
        ({}, "Complete", "Completed"),
        (
            {"testcluster.berth.test/exit-code": "137", "testcluster.berth.test/reason": "OOMKilled"},
            "Failed",
            "OOMKilled",
        ),
    ],
    ids=["succeeds", "fails"],
)
def test_a_simulated_node_takes_a_job_for_gpus_and_ends_it(
    namespace: Namespace, annotations: dict[str, str], end: str, reason: str
) -> None:
    namespace.add(job("train", on_gpu_node(pod_spec("pass"), gpus=8), annotations))
    assert namespace.wait_job("train") == end
    (ran,) = namespace.pods_of("train")
    assert ran["spec"]["nodeName"] in SIMULATED_NODES
    assert ran["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == reason


MEET = """
import os, socket, time
if os.environ["JOB_COMPLETION_INDEX"] == "0":
    peer = socket.create_server(("", 29500)).accept()[0]
    print("0 got", peer.recv(99).decode())
else:
    while True:
        try:
            socket.create_connection(("pair-0.pair", 29500), 2).sendall(b"hello")
            break
        except OSError:
            time.sleep(0.2)
    print("1 sent")
"""


def test_two_pods_find_each_other_by_the_name_of_a_headless_service(namespace: Namespace) -> None:
    ports = [{"port": 29500}]
    service = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"job": "pair"}, "ports": ports}
    namespace.add({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "pair"}, "spec": service})
    spec = pod_spec(MEET, subdomain="pair")
    namespace.add(job("pair", spec, completions=2, parallelism=2, completionMode="Indexed"))
    assert namespace.wait_job("pair") == "Complete"
    assert sorted(namespace.log(one["metadata"]["name"]) for one in namespace.pods_of("pair")) == [
        "0 got hello\n",
        "1 sent\n",
    ]


def test_an_image_is_pulled_by_its_digest_also_after_the_tag_moved(cluster: Cluster, namespace: Namespace) -> None:
    port = cluster.registry_port
    by_digest = cluster.image_by_digest(PYTHON)
    digest = by_digest.partition("@")[2]
    assert registry.move_tag(port, "python", digest, "moving") == digest
    assert registry.move_tag(port, "python", "next", "moving") != digest
    namespace.add(pod("pinned", "print('pinned')", image=by_digest))
    ended = namespace.wait_phase("pinned", "Succeeded", "Failed")
    # The name before the digest may be that of another registry with the same image.
    assert ended["status"]["containerStatuses"][0]["imageID"].endswith(f"/python@{digest}")


def test_the_private_registry_asks_for_its_password(namespace: Namespace) -> None:
    image = PYTHON.replace("registry.berth.test", PRIVATE_NAME)
    namespace.add(pod("refused", "pass", image=image))
    path = f"{namespace.core}/pods/refused"
    namespace.cluster.api.wait(path, lambda found: waiting_for(found) in ("ErrImagePull", "ImagePullBackOff"), 30)

    login = base64.b64encode(f"{registry.PRIVATE_USER}:{registry.PRIVATE_PASSWORD}".encode()).decode()
    config = base64.b64encode(json.dumps({"auths": {PRIVATE_NAME: {"auth": login}}}).encode()).decode()
    secret = {
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": config},
    }
    namespace.cluster.api.post(f"{namespace.core}/secrets", secret)
    namespace.add(pod("let-in", "pass", image=image, imagePullSecrets=[{"name": "pull"}]))
    namespace.wait_phase("let-in", "Succeeded")


def test_the_image_of_our_own_dockerfile_has_the_client(namespace: Namespace) -> None:
    spec = pod_spec("import berth, os; print(berth.__name__, os.getuid(), os.getcwd())", image=JOB)
    del spec["securityContext"]["runAsUser"]  # the image's own user has to pass as "not root"
    namespace.add(job("client", spec))
    assert namespace.wait_job("client") == "Complete"
    assert namespace.log(namespace.pods_of("client")[0]["metadata"]["name"]) == "berth 1000 /home/berth\n"


def waiting_for(found: dict[str, Any]) -> str:
    statuses = found["status"].get("containerStatuses", [])
    return str(statuses[0]["state"].get("waiting", {}).get("reason", "")) if statuses else ""
