"""What the objects of one attempt say together: a Job, its pods, and what Berth wrote on the Job when it ended it.

Pure: raw objects of the API server in, a status out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.clusters import gangs, pod_findings
from app.clusters.base import ObjectStatus, ReplicaStatus
from app.clusters.local_wrapper.capture import FirstError
from app.clusters.pod_findings import Finding, seconds
from app.domain.images import what_ran
from app.domain.states import Cause
from app.workloads.pods import END, KEEPER, LIMITS, MAIN

Raw = dict[str, Any]
Events = Mapping[str, Sequence[Raw]]
"""Warnings by the uid of what they are about, newest first."""

# A Job may be seen before its pod is, since each kind is watched by itself: its absence is believed only then.
_BELIEVED_AFTER = 5.0
_FORCED = " It did not end within its grace and was killed."


@dataclass(frozen=True)
class End:
    """Why Berth ends the attempt, since when (seconds since the epoch), and with how many seconds of grace.

    Written only while the program has not ended by itself, so it is why the attempt ended. Of several replicas,
    `replica` is the one for whose sake the others are ended, None where all of them are.
    """

    cause: str
    at: float
    grace: int = 0
    code: str = ""
    args: Mapping[str, Any] | None = None
    replica: int | None = None

    def text(self) -> str:
        """As the Job's annotation has it."""
        made = {"cause": self.cause, "at": round(self.at, 3), "grace": self.grace, "code": self.code}
        made |= {"args": dict(self.args or {})}
        return json.dumps(made if self.replica is None else made | {"replica": self.replica})


@dataclass(frozen=True)
class Limits:
    """What the attempt asked for that somebody has to see to: seconds, and how many secrets it was given."""

    timeout: int | None = None
    grace: int = 0
    secrets: int = 0


def end_of(job: Raw) -> End | None:
    """What Berth wrote; None where nothing, or nothing that it can have written."""
    found: End | None = _read(job, END, End)
    return found


def limits_of(job: Raw) -> Limits:
    """What the attempt asked for; nothing where the Job does not say."""
    found: Limits | None = _read(job, LIMITS, Limits)
    return found or Limits()


def _read(job: Raw, name: str, kind: Any) -> Any:
    try:
        return kind(**json.loads(job["metadata"].get("annotations", {})[name]))
    except (KeyError, TypeError, ValueError):
        return None


def replicas_of(job: Raw) -> int:
    """How many replicas the attempt has."""
    found: int = job.get("spec", {}).get("completions", 1)
    return found


def by_index(pods: Sequence[Raw]) -> dict[int, Raw]:
    """The pod of each replica that has one, in the order of their numbers."""
    made: dict[int, list[Raw]] = {}
    for pod in pods:
        made.setdefault(gangs.index_of(pod), []).append(pod)
    return {index: found for index in sorted(made) if (found := newest(made[index])) is not None}


def newest(pods: Sequence[Raw]) -> Raw | None:
    """The pod of one replica that counts. There is one, but for a Job that somebody has suspended and resumed."""
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)


def main_state(pod: Raw) -> dict[str, Any]:
    """`state` of the program's container; empty before it is made."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container.get("name") == MAIN:
            state: dict[str, Any] = container.get("state", {})
            return state
    return {}


def image_of(pod: Raw) -> str | None:
    """What the program's container got, by digest; None while no node has told."""
    asked = next((one["image"] for one in pod.get("spec", {}).get("containers", []) if one["name"] == MAIN), "")
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container.get("name") == MAIN and container.get("imageID"):
            return what_ran(asked, container["imageID"])
    return None


def mask(status: ObjectStatus, masked: Callable[[str], str]) -> ObjectStatus:
    """The status with all that may come from the program's own output changed by `masked`."""
    replicas = []
    for replica in status.replicas:
        finding = {
            key: masked(value) if isinstance(value, str) and key != "code" else value
            for key, value in (replica.finding or {}).items()
        }
        first_error = replica.first_error and masked(replica.first_error)
        replicas.append(
            replace(replica, first_error=first_error, message=masked(replica.message), finding=finding or None)
        )
    return replace(status, replicas=replicas)


def is_over(pod: Raw) -> bool:
    """Whether nothing of the pod can be alive: the kubelet has said so of all containers (since Kubernetes 1.27 the
    phase says so), or no node ever had it."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return True
    return "deletionTimestamp" in pod["metadata"] and not pod.get("spec", {}).get("nodeName")


def why_no_pod(job: Raw, events: Sequence[Raw]) -> Finding | None:
    """Why the Job lacks one that it should have; None where nobody has said so, or Berth ended it."""
    made = sum(job.get("status", {}).get(name) or 0 for name in ("active", "terminating", "succeeded", "failed"))
    if end_of(job) is not None or job.get("spec", {}).get("suspend") or made >= replicas_of(job):
        return None
    # The Job controller's (pkg/controller/controller_utils.go).
    said = next((one.get("message", "") for one in events if one.get("reason") == "FailedCreate"), None)
    return None if said is None else pod_findings.why_not_made(said)


def read_status(
    run_id: str, attempt: int, job: Raw, pods: Sequence[Raw], now: float, told: Events | None = None
) -> ObjectStatus:
    """The attempt's status at `now`, in seconds since the epoch. `told` are events of
    pods that wait, and of Jobs that wait for theirs."""
    told = told or {}
    end, count, ours = end_of(job), replicas_of(job), by_index(pods)
    gone = all(map(is_over, pods)) and (len(ours) >= count or _makes_no_more(job, end, now))
    replicas = []
    for index in range(count):
        pod = ours.get(index)
        if pod is None:
            why = None if gone else why_no_pod(job, told.get(job["metadata"].get("uid", ""), ()))
            replicas.append(_without_pod(index, end) if gone else _starting(index, why))
        elif gone or (count > 1 and is_over(pod)):
            replicas.append(_ended(index, pod, job, end))
        else:
            replicas.append(_alive(index, pod, told.get(pod["metadata"].get("uid", ""), ())))
    if gone and count > 1 and end is None:
        replicas = gangs.tell_apart(replicas, ours)
    image = next((image for _, pod in sorted(ours.items()) if (image := image_of(pod))), None)
    return ObjectStatus(run_id, attempt, replicas, gone=gone, image=image)


def _makes_no_more(job: Raw, end: End | None, now: float) -> bool:
    """Whether there will be no pods but those that there are."""
    status = job.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", []) if one.get("status") == "True"}
    if status.get("active") or status.get("terminating"):
        return False
    if end is not None and "Suspended" in conditions:
        return True
    over = conditions.get("Failed") or conditions.get("Complete")
    return over is not None and now - seconds(over["lastTransitionTime"]) > _BELIEVED_AFTER


def _without_pod(index: int, end: End | None) -> ReplicaStatus:
    if end is None:
        finding = Finding("POD_DELETED", {}, Cause.LOST)
        return _with(ReplicaStatus(index, "lost", cause=Cause.LOST), finding)
    if end.replica not in (None, index):
        return gangs.ended_with_others(ReplicaStatus(index, "ended"))
    return _by_berth(ReplicaStatus(index, "ended"), end, Limits())


def _starting(index: int, finding: Finding | None) -> ReplicaStatus:
    starting = ReplicaStatus(index, "starting")
    return starting if finding is None else _with(starting, finding)


def _alive(index: int, pod: Raw, events: Sequence[Raw]) -> ReplicaStatus:
    state = main_state(pod)
    begun = state.get("running") or state.get("terminated")
    if begun:
        name = pod["metadata"].get("name")
        running = ReplicaStatus(index, "running", started_at=_time(begun.get("startedAt")), pod=name)
        silent = pod_findings.why_uncertain(pod)
        return running if silent is None else _with(running, silent)
    return _starting(index, pod_findings.why_not_started(pod, events))


def _ended(index: int, pod: Raw, job: Raw, end: End | None) -> ReplicaStatus:
    ended = main_state(pod).get("terminated", {})
    started = _time(ended.get("startedAt"))
    code = ended.get("exitCode") if started else None
    finished = gangs.ended_at(pod) if replicas_of(job) > 1 else _time(ended.get("finishedAt"))
    replica = ReplicaStatus(index, "ended", code, started_at=started, finished_at=finished)
    if end is not None and not (replicas_of(job) > 1 and gangs.ended_by_itself(pod, end.at)):
        if end.replica not in (None, index):
            return gangs.ended_with_others(replica)
        return _by_berth(replica, end, limits_of(job))
    finding = pod_findings.why_ended(pod, MAIN, KEEPER)
    if finding is None:
        return replica
    if finding.code == "TIMED_OUT":
        finding = replace(finding, args={"timeout": limits_of(job).timeout or ""})
    replica = replace(replica, phase="lost" if finding.cause == Cause.LOST else "ended", cause=finding.cause)
    if finding.cause in (Cause.FAILED, Cause.OOM_KILLED):
        replica = replace(replica, first_error=_first_error(str(ended.get("message", ""))))
    if finding.code == "PROGRAM_NOT_FOUND":
        replica = replace(replica, first_error=pod_findings.sentence(finding))
    return _with(replica, finding)


def _by_berth(replica: ReplicaStatus, end: End, limits: Limits) -> ReplicaStatus:
    codes = {Cause.STOPPED: "STOPPED", Cause.TIMED_OUT: "TIMED_OUT"}
    args = {"timeout": limits.timeout or "", **(end.args or {})}
    finding = Finding(end.code or codes.get(Cause(end.cause), "STOPPED"), args)
    replica = _with(replace(replica, cause=Cause(end.cause)), finding)
    return replace(replica, message=replica.message + _FORCED) if replica.exit_code == 137 else replica


def _with(replica: ReplicaStatus, finding: Finding) -> ReplicaStatus:
    return replace(replica, message=pod_findings.sentence(finding), finding={"code": finding.code, **finding.args})


def first_error_of(pod: Raw) -> str | None:
    """What the program of a pod said last of an error, where it has ended other than well."""
    ended = main_state(pod).get("terminated", {})
    return _first_error(str(ended.get("message", ""))) if ended.get("exitCode") else None


def _first_error(message: str) -> str | None:
    """The line that tells most, of the end of the log as the kubelet keeps it (2 KiB or 80 lines)."""
    reader = FirstError()
    reader.feed(b"e", [line.encode() for line in message.splitlines() if line.strip()])
    return reader.line


def _time(text: str | None) -> float | None:
    """None for what the runtime gives where nothing ever ran: the year 1970."""
    found = seconds(text) if text else 0.0
    return found or None
