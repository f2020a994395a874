"""Several replicas of one attempt: which pod is whose, which of them failed first, and which ended only for its sake.

Pure: raw pods of the API server in. Kubernetes tells times to the second, and a replica whose peer is gone often fails
in the same one. So the keeper beside each program notes when it ended (deploy/images/runtime/agent.py).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.clusters import pod_findings
from app.clusters.base import ReplicaStatus
from app.clusters.pod_findings import Finding, seconds
from app.domain.states import Cause
from app.workloads.gangs import INDEX
from app.workloads.pods import KEEPER, MAIN

Raw = dict[str, Any]

_WITH_OTHERS = "It was ended because another replica had failed."


def index_of(pod: Raw) -> int:
    """The number of the pod's replica; 0 where the Job has only one."""
    text = pod["metadata"].get("annotations", {}).get(INDEX, "0")
    return int(text) if text.isascii() and text.isdecimal() else 0


def first_failure(pods: Mapping[int, Raw]) -> tuple[int, Finding] | None:
    """The replica that failed first of those that have ended so far, and why; None while none has failed."""
    found = []
    for index, pod in pods.items():
        if pod.get("status", {}).get("phase") == "Failed" or _main(pod).get("terminated"):
            finding = pod_findings.why_ended(pod, MAIN, KEEPER)
            if finding is not None:
                found.append((finding.cause != Cause.LOST, ended_at(pod) or 0.0, index, finding))
    return min(found, key=lambda one: one[:3])[2:] if found else None


def ended_by_itself(pod: Raw, since: float) -> bool:
    """Whether the program had ended before Berth began to end the attempt, at `since`."""
    at = ended_at(pod)
    if at is None:  # it never ran; where nobody deleted its pod, what kept it from running is why
        return "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Failed"
    if _noted(pod) is not None or int(at) != int(since):
        return at < since
    return not _was_killed(pod)


def ended_with_others(replica: ReplicaStatus) -> ReplicaStatus:
    """The replica as one that another one's failure ended."""
    return replace(replica, phase="ended", cause=Cause.STOPPED, message=_WITH_OTHERS, finding=None, first_error=None)


def tell_apart(replicas: list[ReplicaStatus], pods: Mapping[int, Raw]) -> list[ReplicaStatus]:
    """The replicas of an attempt that Kubernetes ended, while Berth was away, when one had failed: whose pods were
    deleted and killed after that, or are not there any more, ended for its sake."""

    def was_killed(one: ReplicaStatus) -> bool:
        pod = pods.get(one.index)
        return pod is None or ("deletionTimestamp" in pod["metadata"] and _was_killed(pod))

    ends = [one.finished_at or 0.0 for one in replicas if one.cause and not was_killed(one)]
    if not ends:
        return replicas
    first = int(min(ends))
    return [
        ended_with_others(one) if was_killed(one) and (one.finished_at is None or one.finished_at > first) else one
        for one in replicas
    ]


def _was_killed(pod: Raw) -> bool:
    """Whether the program ended, or did not begin, as it does when its pod is deleted."""
    return _main(pod).get("terminated", {}).get("exitCode") in (None, 128 + 9, 128 + 15)


def ended_at(pod: Raw) -> float | None:
    """When the program ended, in seconds since the epoch: by its keeper's note where there is one that fits."""
    text = _main(pod).get("terminated", {}).get("finishedAt")
    if not text or (told := seconds(text)) <= 0:
        return None
    noted = _noted(pod)
    return noted if noted is not None and told - 1 < noted < told + 2 else told


def _noted(pod: Raw) -> float | None:
    for container in pod.get("status", {}).get("initContainerStatuses", []):
        if container.get("name") == KEEPER:
            try:
                found = json.loads(container["state"]["terminated"]["message"])
                return float(found["program_ended_at"])
            except (KeyError, TypeError, ValueError):
                return None
    return None


def _main(pod: Raw) -> dict[str, Any]:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container.get("name") == MAIN:
            state: dict[str, Any] = container.get("state", {})
            return state
    return {}
