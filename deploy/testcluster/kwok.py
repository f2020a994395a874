"""Simulated GPU nodes: kwok answers for them as a kubelet would. No container runs there, and their labels say so.

What a pod on such a node does is told by its annotations (on a Job: those of its pod template):

    testcluster.berth.test/runs-for: "5s"      how long it runs, 1 s if not told
    testcluster.berth.test/exit-code: "3"      it then fails with that code
    testcluster.berth.test/reason: OOMKilled   and that reason
"""

import json
import sys
from pathlib import Path
from typing import Any

from deploy.testcluster.api import Api, ApiError
from deploy.testcluster.build import program
from deploy.testcluster.control_plane import KWOK, NODE_GRACE_SECONDS, SIMULATED_LOGS
from deploy.testcluster.places import HERE, Places
from deploy.testcluster.processes import Processes

MANAGED = "kwok.x-k8s.io/node"
SIMULATED = "testcluster.berth.test/simulated"
GPU = "nvidia.com/gpu"
GPUS_PER_NODE = 8

_ALIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_STARTED = """
{{ $now := Now }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: {{ $type }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
initContainerStatuses:
{{ range .spec.initContainers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
{{ $of := .metadata }}
podIP: {{ PodIPWith .spec.nodeName (or .spec.hostNetwork false) $of.uid $of.name $of.namespace | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""
_ENDED = """
{{ $now := Now }}
{{ $root := . }}
{{ $told := or .metadata.annotations dict }}
{{ $code := or ( index $told "testcluster.berth.test/exit-code" ) "0" }}
{{ $reason := or ( index $told "testcluster.berth.test/reason" ) ( or ( and ( eq $code "0" ) "Completed" ) "Error" ) }}
conditions:
{{ range $type := list "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "False", type: {{ $type }}, reason: PodCompleted}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: {{ $code }}
      reason: {{ $reason | Quote }}
      startedAt: {{ $root.status.startTime | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
phase: {{ if eq $code "0" }}Succeeded{{ else }}Failed{{ end }}
"""


def start_kwok(places: Places, processes: Processes) -> None:
    """Starts it for all nodes that carry its annotation."""
    stages = places.state / "stages.yaml"
    stages.write_text("\n---\n".join(json.dumps(stage) for stage in _stages()))
    processes.start(
        "kwok",
        [
            program("kwok"),
            f"--kubeconfig={places.kubeconfig}",
            f"--config={stages}",
            f"--manage-nodes-with-annotation-selector={MANAGED}=fake",
            f"--server-address=127.0.0.1:{places.port(KWOK)}",
            # Where the API server asks for the logs of these nodes.
            f"--node-ip={places.address}",
            f"--node-port={places.port(SIMULATED_LOGS)}",
            f"--node-lease-duration-seconds={NODE_GRACE_SECONDS}",
        ],
    )


def start_logs(places: Places, processes: Processes) -> None:
    """Starts what tells the logs of their containers."""
    words: list[str | Path] = [
        places.address,
        str(places.port(SIMULATED_LOGS)),
        places.pki / "server.crt",
        places.pki / "server.key",
    ]
    processes.start("simulated-logs", [sys.executable, HERE / "simulated_logs.py", *words])


def add_node(api: Api, name: str, gpus: int = GPUS_PER_NODE, labels: dict[str, str] | None = None) -> None:
    """Adds a simulated node with a taint for its GPUs, as real ones have. Fine when it is there."""
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    node: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MANAGED: "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                f"{GPU}.product": "NVIDIA-A100-SXM4-80GB",
                SIMULATED: "true",
                **(labels or {}),
            },
        },
        "spec": {"taints": [{"key": GPU, "value": "present", "effect": "NoSchedule"}]},
        "status": {"allocatable": amounts, "capacity": amounts},
    }
    try:
        api.post("/api/v1/nodes", node)
    except ApiError as error:
        if error.status != 409:
            raise


def _stages() -> list[dict[str, Any]]:
    phase = {"key": ".status.phase", "operator": "In"}
    of_job = {"key": ".metadata.ownerReferences.[].kind", "operator": "In", "values": ["Job"]}
    not_started = {"key": ".status.podIP", "operator": "DoesNotExist"}
    running = {**phase, "values": ["Running"]}
    told = '.metadata.annotations["testcluster.berth.test/runs-for"]'
    delay = {"durationMilliseconds": 1000, "durationFrom": {"expressionFrom": told}}
    deleted = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    return [
        _stage("pod-ready", [_ALIVE, not_started], {"statusTemplate": _STARTED}),
        _stage("pod-end", [_ALIVE, running, of_job], {"statusTemplate": _ENDED}, delay),
        _stage("pod-delete", [deleted], {"delete": True, "finalizers": {"empty": True}}),
    ]


def _stage(name: str, when: list[dict[str, Any]], then: dict[str, Any], delay: Any = None) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchExpressions": when},
        "next": then,
    }
    if delay:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
