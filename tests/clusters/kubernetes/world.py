"""Manifests as plain as can be, and waiting for what becomes of them."""

import contextlib
from typing import Any

from deploy.testcluster.api import ApiError
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.images import PYTHON

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def pod_spec(program: str, *, image: str = PYTHON, **more: Any) -> dict[str, Any]:
    """The spec of a pod that runs a Python program and passes Pod Security "restricted"."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": image,
                "command": ["python3", "-u", "-c", program],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        **more,
    }


def pod(name: str, program: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(program, **more)}


def job(name: str, spec: dict[str, Any], annotations: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"job": name}, "annotations": annotations or {}}, "spec": spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template, **more},
    }


def on_gpu_node(spec: dict[str, Any], gpus: int = 1) -> dict[str, Any]:
    """The same spec for the simulated nodes."""
    spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = str(gpus)
    spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    return spec


class Namespace:
    """One namespace of a test."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.core = f"/api/v1/namespaces/{name}"
        self.jobs = f"/apis/batch/v1/namespaces/{name}/jobs"

    def create(self) -> None:
        """Returns once pods can be made in it."""
        self.cluster.api.post("/api/v1/namespaces", {"metadata": {"name": self.name, "labels": RESTRICTED}})
        self.cluster.api.wait(f"{self.core}/serviceaccounts/default", bool, 20)

    def delete(self) -> None:
        """Without waiting for the end, except of its pods."""
        with contextlib.suppress(ApiError):
            now = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
            self.cluster.api.delete(f"{self.core}/pods", now)
            self.cluster.api.delete(f"/api/v1/namespaces/{self.name}")

    def add(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Creates a pod, a Job or a Service. ApiError when it is refused."""
        paths = {"Job": self.jobs, "Pod": f"{self.core}/pods", "Service": f"{self.core}/services"}
        made: dict[str, Any] = self.cluster.api.post(paths[manifest["kind"]], manifest)
        return made

    def pod(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.api.get(f"{self.core}/pods/{name}")
        return found

    def wait_phase(self, name: str, *phases: str, seconds: float = 60.0) -> dict[str, Any]:
        """The pod, once its phase is one of these."""
        found: dict[str, Any] = self.cluster.api.wait(
            f"{self.core}/pods/{name}", lambda pod: pod["status"].get("phase") in phases, seconds
        )
        return found

    def wait_job(self, name: str, seconds: float = 60.0) -> str:
        """The type of the condition that ended the Job: Complete or Failed."""

        def ends(found: dict[str, Any]) -> list[str]:
            conditions = found.get("status", {}).get("conditions", [])
            return [one["type"] for one in conditions if one["type"] in ("Complete", "Failed")]

        return ends(self.cluster.api.wait(f"{self.jobs}/{name}", ends, seconds))[0]

    def pods_of(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.api.get(f"{self.core}/pods?labelSelector=job%3D{job}")["items"]
        return found

    def log(self, pod: str) -> str:
        return str(self.cluster.api.get(f"{self.core}/pods/{pod}/log"))
