"""What stands in the slots of texts where they are shown as examples: on the pages of codes and in the API's document.

`of` is the only way in. A value has the type that the real answer has. What a code's own sentence needs, so that it is
true of itself, stands in `_OF`.
"""

import string
from typing import Any

_RUN = "r-7f3k2m9qwa"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

_USUAL: dict[str, Any] = {
    "bytes": 4096,
    "count": 3,
    "error_id": "3f1c9a2b7d40",
    "limit": 1000,
    "most": 1000,
    "name": "alice",
    "pool": "local",
    "project": "vision",
    "run": _RUN,
    "holders": _RUN,
}
_OF: dict[str, dict[str, Any]] = {
    "BAD_ARCHIVE": {"reason": "the archive ends too early"},
    "BEHIND_IN_LINE": {"asked": "4 CPU, 8Gi", "capacity": "8 CPU, 16Gi"},
    "BODY_TOO_LARGE": {"limit": 1_048_576},
    "CLUSTER_AWAY": {"cluster": "local", "since": "14:02"},
    "CLUSTER_DRAINING": {"cluster": "east", "pool": "east"},
    "CLUSTER_UNCHECKED": {"cluster": "east", "pool": "east"},
    "CLUSTER_EXISTS": {"name": "east"},
    "CLUSTER_IN_USE": {"name": "east", "state": "active", "running": 3, "waiting": 1},
    "CLUSTER_IS_LOCAL": {"name": "local"},
    "KUBECONFIG_NOT_READY": {"state": "fetched"},
    "PROJECT_NOT_IN_CLUSTER": {"project": "vision", "cluster": "east"},
    "COMPARE_COUNT": {"given": 0, "fewest": 2, "most": 20},
    "CPU_BUSY": {"asked": "4", "free": "2", "capacity": "8"},
    "DEFINITION_ARCHIVED": {"name": "nightly"},
    "DEFINITION_CHANGED": {"based_on": 3, "newest": 5},
    "DEFINITION_EXISTS": {"name": "nightly"},
    "DIGEST_MISMATCH": {
        "actual": _SHA256,
        "announced": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    },
    "EXIT_CODE": {"exit_code": 1},
    "GPU_BUSY": {"asked": "4", "free": "1", "capacity": "8"},
    "MALFORMED_JSON": {"line": 1, "column": 2, "reason": "Expecting property name enclosed in double quotes"},
    "MEMORY_BUSY": {"asked": "8Gi", "free": "4Gi", "capacity": "16Gi"},
    "METHOD_NOT_ALLOWED": {"method": "PUT", "allow": ["GET", "POST"]},
    "NEVER_FITS": {"asked": "16 CPU, 8Gi", "capacity": "8 CPU, 16Gi", "nearest": "8 CPU, 8Gi"},
    "OOM_KILLED": {"memory": "1Gi"},
    "OUTPUT_REMOVED": {"removed_on": "2026-03-01", "rule": "keep 30 days", "sha256": _SHA256},
    "OUTPUTS_LOST": {"lost": 2, "all": 12, "names": "model.bin, train.log"},
    "PROJECT_EXISTS": {"name": "vision"},
    "RANGE_NOT_SATISFIABLE": {"size": 4096},
    "REJECTED": {"message": "the image's name is not valid"},
    "RUNS_NOT_FOUND": {"ids": _RUN},
    "SECRET_EXISTS": {"name": "HF_TOKEN"},
    "SERVICE_ACCOUNT_EXISTS": {"name": "nightly"},
    "START_FAILED": {"message": "there is no program train.py"},
    "STOPPED": {"by": "alice"},
    "TIMED_OUT": {"timeout": "8h"},
    "TOKEN_TOO_NARROW": {"scope": "write"},
    "TOO_COMPLEX": {"depth": 64, "keys": 20_000, "digits": 400},
    "TOO_MANY_NOTIFICATIONS": {"limit": 50},
    "TOO_MANY_SECRETS": {"limit": 500},
    "TOO_MANY_SERIES": {"new": 12},
    "TOO_MANY_TESTS": {"limit": 6},
    "DEBUG_NEEDS_CLUSTER": {"run": "r-7f3k2m9qwa", "pool": "local"},
    "ONE_REPLICA_ONLY": {"replicas": 4, "pool": "local"},
    "POOL_DRAINING": {"pool": "east"},
    "TOO_MANY_TOKENS": {"limit": 200},
    "TOO_MANY_VIEWS": {"limit": 100},
    "UNKNOWN_POOL": {"pool": "gpus", "pools": "local"},
    "UNKNOWN_SECRET": {"name": "HF_TOKEN"},
    "UNSUPPORTED_MEDIA_TYPE": {"expected": "application/json"},
    "ADMISSION_REFUSED": {"message": "admission webhook 'images.example.com' denied the request"},
    "CONTAINER_NOT_MADE": {"message": "secret 'tokens' not found"},
    "EVICTED": {"message": "The node was low on resource: memory"},
    "IMAGE_NOT_FOUND": {"image": "registry.example.com/train:2"},
    "IMAGE_NOT_PULLED": {"image": "registry.example.com/train:2", "message": "i/o timeout"},
    "INIT_FAILED": {"container": "packages", "exit_code": 1, "message": "No matching distribution found for torch"},
    "INIT_OOM_KILLED": {"container": "packages"},
    "NAMESPACE_QUOTA": {"quota": "team", "asked": "cpu=4", "used": "cpu=6", "limit": "cpu=8"},
    "NODES_CORDONED": {"affected": 2, "nodes": 3, "message": "2 node(s) were unschedulable"},
    "NODES_FAR_FROM_VOLUME": {"affected": 2, "nodes": 3, "message": "2 node(s) had volume node affinity conflict"},
    "NODES_NOT_MATCHING": {"affected": 2, "nodes": 3, "message": "2 node(s) didn't match Pod's node affinity"},
    "NODES_SHORT": {"affected": 2, "nodes": 3, "resource": "ephemeral-storage", "message": "2 Insufficient storage"},
    "NODES_SHORT_OF_CPU": {"affected": 2, "nodes": 3, "message": "2 Insufficient cpu"},
    "NODES_SHORT_OF_GPUS": {"affected": 2, "nodes": 3, "message": "2 Insufficient nvidia.com/gpu"},
    "NODES_SHORT_OF_MEMORY": {"affected": 2, "nodes": 3, "message": "2 Insufficient memory"},
    "NODES_TAINTED": {"affected": 2, "nodes": 3, "message": "2 node(s) had untolerated taint"},
    "NODE_LOST": {"node": "gpu-7"},
    "NODE_SILENT": {"node": "gpu-7"},
    "NODE_REFUSED": {"message": "Node didn't have enough resource: cpu"},
    "NO_PACKAGE_INDEX": {"message": "No matching distribution found for torch"},
    "POD_FAILED": {"message": "the pod was rejected"},
    "POD_NOT_MADE": {"message": "the object is not valid"},
    "POD_SECURITY_REFUSED": {"message": "violates PodSecurity 'restricted:latest'"},
    "PREEMPTED": {"message": "preempted by a pod of higher priority"},
    "PROGRAM_NOT_FOUND": {"program": "trian.py"},
    "PULL_SECRET_MISSING": {"image": "registry.example.com/train:2", "message": "berth-registry was not found"},
    "REGISTRY_REFUSED": {"image": "registry.example.com/train:2", "message": "401 Unauthorized"},
    "SANDBOX_FAILED": {"message": "failed to set up the network"},
    "SIGNALLED": {"signal_name": "SIGSEGV"},
    "UNSCHEDULABLE": {"message": "no nodes available"},
    "VOLUME_MISSING": {"volume": "data", "message": "persistentvolumeclaim 'data' not found"},
    "VOLUME_NOT_BOUND": {"message": "pod has unbound immediate PersistentVolumeClaims"},
    "VOLUME_NOT_MOUNTED": {"message": "timed out waiting for the volume"},
    "VIEW_EXISTS": {"name": "failed this week"},
}


def of(code: str, *texts: str) -> dict[str, Any]:
    """What fills the slots of these texts of a code, with all that its answers have beside them."""
    named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
    return {name: value for name, value in _USUAL.items() if name in named} | _OF.get(code, {})
