# ruff: noqa: E501 - messages of others stand as they came
"""What statuses and messages of real clusters are taken for. Each message is one that a kubelet, a scheduler or an API
server of Kubernetes 1.34 (or containerd 1.6 and 2.0) wrote, shortened."""

from typing import Any

import pytest

from app.clusters.pod_findings import (
    SENTENCES,
    Finding,
    placed_at,
    seconds,
    sentence,
    unschedulable,
    why_ended,
    why_not_made,
    why_not_started,
)
from app.domain.states import Cause

NOW, LATER = "2026-11-22T20:00:00Z", "2026-11-22T20:00:30Z"


def waiting(reason: str, message: str = "", image: str = "registry/x:1") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"status": {"containerStatuses": [{"name": "main", "image": image, "state": state}]}}


@pytest.mark.parametrize(
    ("pod", "code"),
    [
        ({"status": {}}, None),
        (waiting("ContainerCreating"), None),
        (waiting("PodInitializing"), None),
        (
            waiting("ErrImagePull", 'rpc error: code = NotFound desc = failed to pull: "registry/x:1": not found'),
            "IMAGE_NOT_FOUND",
        ),
        (waiting("ErrImagePull", "failed to resolve reference: manifest unknown"), "IMAGE_NOT_FOUND"),
        (waiting("ErrImagePull", "failed to authorize: 401 Unauthorized"), "REGISTRY_REFUSED"),
        (waiting("ErrImagePull", "pull access denied, repository does not exist"), "REGISTRY_REFUSED"),
        (waiting("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout"), "IMAGE_NOT_PULLED"),
        (waiting("InvalidImageName", "couldn't parse image"), "IMAGE_NOT_FOUND"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), "CONTAINER_NOT_MADE"),
        (waiting("CreateContainerError", "context deadline exceeded"), "START_FAILED"),
    ],
)
def test_why_not_started(pod: dict[str, Any], code: str | None) -> None:
    found = why_not_started(pod)
    assert (found.code if found else None) == code


def test_patience_begins_with_the_node() -> None:
    """A pod that waited for a node has had nobody to pull its image."""
    made, placed = "2026-11-22T20:00:00Z", "2026-11-22T20:10:00Z"
    pod: dict[str, Any] = {"metadata": {"creationTimestamp": made}, "status": {}}
    assert placed_at(pod) == seconds(made)
    pod["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": placed}]}
    assert placed_at(pod) == seconds(made)
    pod["status"] = {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": placed}]}
    assert placed_at(pod) == seconds(placed)


def test_what_is_behind_a_back_off_is_in_the_events() -> None:
    pod = waiting("ImagePullBackOff", 'Back-off pulling image "registry/x:1"')
    tried = {"reason": "Failed", "message": "Failed to pull image: 403 Forbidden"}
    missing = {"reason": "FailedToRetrieveImagePullSecret", "message": 'secrets "pull" not found'}
    found = [why_not_started(pod, events) for events in ([], [tried], [tried, missing])]
    assert [one.code for one in found if one] == ["IMAGE_NOT_PULLED", "REGISTRY_REFUSED", "PULL_SECRET_MISSING"]


@pytest.mark.parametrize(
    ("message", "code", "affected"),
    [
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
            "NODES_SHORT_OF_CPU",
            1,
        ),
        (
            "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
            "NODES_SHORT_OF_MEMORY",
            1,
        ),
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: x", "NODES_SHORT_OF_GPUS", 3),
        ("0/2 nodes are available: 2 Insufficient ephemeral-storage.", "NODES_SHORT", 2),
        ("0/2 nodes are available: 2 Too many pods.", "NODES_SHORT", 2),
        (
            "0/2 nodes are available: 2 node(s) had untolerated taint {nvidia.com/gpu: true}. preemption: x",
            "NODES_TAINTED",
            2,
        ),
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: x",
            "NODES_NOT_MATCHING",
            3,
        ),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "NODES_CORDONED", 1),
        ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", "NODES_FAR_FROM_VOLUME", 1),
        ('0/1 nodes are available: persistentvolumeclaim "data" not found.', "VOLUME_MISSING", None),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "VOLUME_NOT_BOUND", None),
        ("no nodes available to schedule pods", "UNSCHEDULABLE", None),
    ],
)
def test_unschedulable(message: str, code: str, affected: int | None) -> None:
    found = unschedulable(message)
    assert (found.code, found.args.get("affected")) == (code, affected)
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    assert why_not_started({"status": {"conditions": [condition]}}) == found


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). no new claims to "
            "deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).",
        ),
        (
            '0/3 nodes are available: persistentvolumeclaim "data" not found. not found',
            '0/3 nodes are available: persistentvolumeclaim "data" not found.',
        ),
        ("0/1 nodes are available: 1 Too many pods.", "0/1 nodes are available: 1 Too many pods."),
        ("no nodes available to schedule pods", "no nodes available to schedule pods."),
    ],
)
def test_what_the_scheduler_says_beside_it_is_left_out(message: str, told: str) -> None:
    assert unschedulable(message).args["message"] == told


def ended(code: int, reason: str = "Error", message: str = "", **more: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": NOW}}
    return {"status": {"phase": "Failed", "containerStatuses": [{"name": "main", "state": state}], **more}}


def failed_init(code: int, name: str = "files", reason: str = "Error") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": "one\nwhy it failed\n"}}
    return {"status": {"initContainerStatuses": [{"name": name, "state": state}]}}


def disrupted(reason: str) -> dict[str, Any]:
    return ended(137, conditions=[{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m"}])


def deleted(grace: int, when: str) -> dict[str, Any]:
    return ended(143) | {"metadata": {"deletionTimestamp": when, "deletionGracePeriodSeconds": grace}}


@pytest.mark.parametrize(
    ("pod", "code", "cause"),
    [
        (ended(0, "Completed"), None, None),
        (ended(3), "EXIT_CODE", Cause.FAILED),
        (ended(139), "SIGNALLED", Cause.FAILED),
        (ended(137), "SIGNALLED", Cause.FAILED),
        (ended(255), "EXIT_CODE", Cause.FAILED),
        (ended(137, "OOMKilled"), "OOM_KILLED", Cause.OOM_KILLED),
        (
            ended(128, "StartError", 'exec: "trian": executable file not found in $PATH: unknown'),
            "PROGRAM_NOT_FOUND",
            Cause.START_FAILED,
        ),
        (
            ended(128, "StartError", 'exec: "/x/y": stat /x/y: no such file or directory: unknown'),
            "PROGRAM_NOT_FOUND",
            Cause.START_FAILED,
        ),
        (ended(128, "StartError", "exec format error"), "START_FAILED", Cause.START_FAILED),
        (ended(137, "ContainerStatusUnknown"), "NODE_LOST", Cause.LOST),
        (
            ended(137, reason="Error") | {"status": {"reason": "Evicted", "message": "low on memory"}},
            "EVICTED",
            Cause.LOST,
        ),
        ({"status": {"reason": "DeadlineExceeded"}}, "TIMED_OUT", Cause.TIMED_OUT),
        ({"status": {"reason": "OutOfcpu", "message": "m"}}, "NODE_REFUSED", Cause.LOST),
        ({"status": {"reason": "NodeLost"}}, "NODE_LOST", Cause.LOST),
        (failed_init(1), "INIT_FAILED", Cause.START_FAILED),
        (failed_init(137, reason="OOMKilled"), "INIT_OOM_KILLED", Cause.START_FAILED),
        (failed_init(1, "keeper"), "POD_FAILED", Cause.LOST),
        (disrupted("PreemptionByScheduler"), "PREEMPTED", Cause.LOST),
        (disrupted("DeletionByTaintManager"), "NODE_LOST", Cause.LOST),
        (disrupted("EvictionByEvictionAPI"), "EVICTED", Cause.LOST),
        (deleted(30, LATER), "EXIT_CODE", Cause.FAILED),  # it had ended before the deletion was asked for
        (deleted(300, LATER), "POD_DELETED", Cause.LOST),
        ({"status": {}}, "POD_FAILED", Cause.LOST),
    ],
)
def test_why_ended(pod: dict[str, Any], code: str | None, cause: Cause | None) -> None:
    if code == "EXIT_CODE" and "metadata" in pod:
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 1
    found = why_ended(pod, "main")
    assert (found and found.code, found and found.cause) == (code, cause)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            'pods "x" is forbidden: exceeded quota: berth, requested: cpu=2, used: cpu=3, limited: cpu=4',
            "NAMESPACE_QUOTA",
        ),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged', "POD_SECURITY_REFUSED"),
        ('admission webhook "policy.example.org" denied the request: no', "ADMISSION_REFUSED"),
        ("serviceaccount not found", "POD_NOT_MADE"),
    ],
)
def test_why_not_made(message: str, code: str) -> None:
    assert why_not_made(message).code == code


def test_sentences_bear_with_missing_and_hostile_evidence() -> None:
    for code in SENTENCES:
        assert sentence(Finding(code))
    assert sentence(Finding("START_FAILED", {"message": "{0.__class__}"})).endswith("{0.__class__}")
    assert sentence(Finding("NODES_SHORT_OF_CPU", {"affected": 1, "nodes": 3, "message": "m"})).startswith("1 of 3")
