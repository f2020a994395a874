"""What a pod's own status and events say of why it does not start, or why it ended: one code, with its evidence.

Pure: raw objects of the API server in, findings out. The words come from the kubelet, the scheduler and the API
server; the sources of each are named where they are read, since none of them is an API that keeps its promises. What
is not recognised keeps its message and gets the general code of its kind.
"""

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.pod_reasons import POD_REASONS
from app.domain.states import Cause
from app.workloads.pods import PACKAGES

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """`code` is one of SENTENCES, `args` its slots; `cause` says that the attempt is over.

    `is_hopeless`: by itself it never starts, however long one waits.
    """

    code: str
    args: dict[str, Any] = field(default_factory=dict)
    cause: Cause | None = None
    is_hopeless: bool = False


def why_not_started(pod: Raw, events: Sequence[Raw] = ()) -> Finding | None:
    """Why no container of the user's runs yet; None where nothing is wrong (it is being placed or pulled).

    `events` of the pod, the newest first.
    """
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return unschedulable(condition.get("message", ""))
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return _waiting(container, waiting, events)
    if _is_made(status):
        return None  # what events say of its making is over
    for event in events:
        # kubelet, pkg/kubelet/events/event.go
        if event.get("reason") in ("FailedMount", "FailedAttachVolume"):
            return Finding("VOLUME_NOT_MOUNTED", {"message": _short(event.get("message", ""))})
        if event.get("reason") == "FailedCreatePodSandBox":
            return Finding("SANDBOX_FAILED", {"message": _short(event.get("message", ""))})
    return None


def placed_at(pod: Raw) -> float:
    """When it got its node, seconds since the epoch: before, nobody tried to pull its images or to mount its volumes.
    Without that, when it was made."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "True":
            return seconds(condition.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"])
    return seconds(pod["metadata"]["creationTimestamp"])


def _is_made(status: Raw) -> bool:
    """Whether the node has its volumes and its network (Kubernetes 1.29)."""
    conditions = status.get("conditions", [])
    return any(one.get("type") == "PodReadyToStartContainers" and one.get("status") == "True" for one in conditions)


# containerd, docker and the registries answer in these words; https://distribution.github.io/distribution/spec/api/
_NO_IMAGE = re.compile(r"not found|manifest unknown|name unknown|does not exist|no such manifest", re.I)
_REFUSED = re.compile(r"unauthorized|authentication required|denied|forbidden|\b40[13]\b|no basic auth", re.I)


_BACK_OFF = re.compile(r'Back-off pulling image "[^"]*"(?:: )?')


def _waiting(container: Raw, waiting: Raw, events: Sequence[Raw]) -> Finding:
    reason, message = waiting["reason"], waiting.get("message", "")
    image = container.get("image", "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"):
        # Before Kubernetes 1.31 the back-off says nothing of the cause: that stands in the event of the last try.
        tried = [
            _BACK_OFF.sub("", message),
            *(one.get("message", "") for one in events if one.get("reason") == "Failed"),
        ]
        said = next((text for text in tried if text and not text.startswith(("Error: ", "Back-off"))), message)
        missing = next((one for one in events if one.get("reason") == "FailedToRetrieveImagePullSecret"), None)
        if _REFUSED.search(said) and missing is not None:
            return Finding("PULL_SECRET_MISSING", {"image": image, "message": _short(missing.get("message", ""))})
        if _REFUSED.search(said):
            return Finding("REGISTRY_REFUSED", {"image": image, "message": _short(said)})
        if _NO_IMAGE.search(said):
            return Finding("IMAGE_NOT_FOUND", {"image": image})
        return Finding("IMAGE_NOT_PULLED", {"image": image, "message": _short(said)})
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        return Finding("IMAGE_NOT_FOUND", {"image": image}, is_hopeless=True)
    if reason == "CreateContainerConfigError":
        return Finding("CONTAINER_NOT_MADE", {"message": _short(message)})
    return Finding("START_FAILED", {"message": _short(message) or reason}, is_hopeless=True)


# kube-scheduler: "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint {gpu: }. preemption: …"
_PARTS = re.compile(r"(\d+) ((?:[^,.{}]|\{[^}]*\}|\.(?=\S))+)")
_RESOURCE = re.compile(r"Insufficient (\S+)")
_KINDS = (
    # A node that is held off by a later filter of the scheduler has passed those before it.
    (
        "NODES_FAR_FROM_VOLUME",
        re.compile(r"olume node affinity conflict|PersistentVolume's node affinity|no available volume zone"),
    ),
    ("NODES_SHORT_OF_CPU", re.compile(r"Insufficient cpu")),
    ("NODES_SHORT_OF_MEMORY", re.compile(r"Insufficient memory")),
    ("NODES_SHORT_OF_GPUS", re.compile(r"Insufficient \S+/\S*gpu\S*", re.I)),
    ("NODES_SHORT", re.compile(r"Insufficient \S+|Too many pods")),
    ("NODES_TAINTED", re.compile(r"untolerated taint")),
    ("NODES_NOT_MATCHING", re.compile(r"didn't match Pod's node affinity|(?<!volume )node affinity")),
    ("NODES_CORDONED", re.compile(r"were unschedulable")),
)
# What has nothing to do with nodes is said before them, or in place of them.
_NO_CLAIM = re.compile(
    r'persistentvolumeclaim "?([\w.-]+)"? (?:not found|is being deleted|bound to non-existent)', re.I
)
_UNBOUND = re.compile(r"unbound immediate PersistentVolumeClaims|find available persistent volumes to bind")


# What the scheduler says of pods that it might have put away instead tells nobody why this one waits.
_BESIDE = re.compile(
    r"(?:[.,\s]*no new claims to deallocate)?(?:[.,\s]*preemption:.*|(?<=not found)\. not found)?[.\s]*$", re.S
)


def unschedulable(message: str) -> Finding:
    """The scheduler's own sentence as a code: what holds off most nodes, and how many of how many."""
    message = _BESIDE.sub(".", message, count=1)
    if found := _NO_CLAIM.search(message):
        return Finding("VOLUME_MISSING", {"volume": found[1], "message": _short(message)})
    if _UNBOUND.search(message):
        return Finding("VOLUME_NOT_BOUND", {"message": _short(message)})
    of = re.match(r"0/(\d+) nodes", message)
    reasons = message.partition("available:")[2]
    counted = [(int(count), text.strip()) for count, text in _PARTS.findall(reasons)]
    if not counted or of is None:
        return Finding("UNSCHEDULABLE", {"message": _short(message)})
    # A node that the pod may not use at all is no news where another is only full.
    ranked = sorted(((_rank(text), -count, text) for count, text in counted))
    rank, count, text = ranked[0]
    code = _KINDS[rank][0] if rank < len(_KINDS) else "UNSCHEDULABLE"
    resource = _RESOURCE.search(text)
    return Finding(
        code,
        {
            "nodes": int(of[1]),
            "affected": -count,
            "resource": resource[1] if resource else "",
            "message": _short(message),
        },
    )


def _rank(text: str) -> int:
    return next((number for number, (_, pattern) in enumerate(_KINDS) if pattern.search(text)), len(_KINDS))


def why_ended(pod: Raw, main: str, keeper: str = "keeper") -> Finding | None:
    """Why an ended pod ended other than well; None where its program ended with 0.

    Disruptions are read from the condition DisruptionTarget
    (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions).
    """
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return _disrupted(condition, pod.get("spec", {}).get("nodeName", ""))
    if status.get("reason") == "Evicted":
        return Finding("EVICTED", {"message": _short(status.get("message", ""))}, Cause.LOST)
    if status.get("reason") == "DeadlineExceeded":
        return Finding("TIMED_OUT", {}, Cause.TIMED_OUT)
    if status.get("reason") in ("NodeLost", "NodeAffinity", "Shutdown", "Terminated", "NodeShutdown"):
        return Finding("NODE_LOST", {"node": pod.get("spec", {}).get("nodeName", "")}, Cause.LOST)
    if status.get("reason") in ("UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods"):
        return Finding("NODE_REFUSED", {"message": _short(status.get("message", ""))}, Cause.LOST)
    if _was_deleted(pod, main):
        return Finding("POD_DELETED", {}, Cause.LOST)
    if (step := failed_step(pod, keeper)) is not None:
        ended = step["state"]["terminated"]
        code = "INIT_OOM_KILLED" if ended.get("reason") == "OOMKilled" else "INIT_FAILED"
        args = {"container": step["name"], "exit_code": ended["exitCode"], "message": _last_line(ended)}
        if step["name"] == PACKAGES and _NO_WAY_OUT.search(ended.get("message", "")):
            code = "NO_PACKAGE_INDEX"
        return Finding(code, args, Cause.START_FAILED)
    for container in status.get("containerStatuses", []):
        if container.get("name") == main:
            return _main_ended(container, pod.get("spec", {}).get("nodeName", ""))
    return Finding("POD_FAILED", {"message": _short(status.get("message", ""))}, Cause.LOST)


def failed_step(pod: Raw, keeper: str) -> Raw | None:
    """The status of the container before the program that failed, and is never started again; None where none did."""
    for container in pod.get("status", {}).get("initContainerStatuses", []):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode") and container.get("name") != keeper:
            found: Raw = container
            return found
    return None


# pip, by way of urllib3 and the C library.
_NO_WAY_OUT = re.compile(
    r"connection broken by|Failed to establish a new connection|name resolution|Name or service not known"
    r"|Network is unreachable|No route to host|timed out",
    re.I,
)


def deleted_at(pod: Raw) -> float | None:
    """When somebody asked for its deletion, whole seconds since the epoch: what is set is the time at which the grace
    ends. None where nobody did."""
    metadata = pod.get("metadata", {})
    if "deletionTimestamp" not in metadata:
        return None
    return seconds(metadata["deletionTimestamp"]) - float(metadata.get("deletionGracePeriodSeconds", 0))


def _was_deleted(pod: Raw, main: str) -> bool:
    """Whether the pod was deleted before its program had ended."""
    asked = deleted_at(pod)
    if asked is None:
        return False
    # Times are whole seconds: in the very same one only a signal tells that it did not end by itself.
    for container in pod.get("status", {}).get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated")
        if container.get("name") == main and ended and ended.get("finishedAt"):
            finished = seconds(ended["finishedAt"])
            return finished > asked or (finished == asked and ended.get("exitCode") in (143, 137))
    return True


def seconds(time: str) -> float:
    """A time of the API as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


_DISRUPTIONS = {
    "PreemptionByScheduler": "PREEMPTED",
    "DeletionByTaintManager": "NODE_LOST",
    "DeletionByPodGC": "NODE_LOST",
    "EvictionByEvictionAPI": "EVICTED",
    "TerminationByKubelet": "EVICTED",
}


def _disrupted(condition: Raw, node: str) -> Finding:
    code = _DISRUPTIONS.get(condition.get("reason", ""), "EVICTED")
    args = {"node": node} if code == "NODE_LOST" else {"message": _short(condition.get("message", ""))}
    return Finding(code, args, Cause.LOST)


def why_uncertain(pod: Raw) -> Finding | None:
    """Why nobody knows whether a pod that ran still does; None where its node tells.

    The API server keeps the pod until the node answers, is removed, or is tainted as out of service by somebody who
    knows that it is off (https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/).
    """
    for condition in pod.get("status", {}).get("conditions", []):
        if condition.get("type") == "DisruptionTarget" and condition.get("reason") == "DeletionByTaintManager":
            return Finding("NODE_SILENT", {"node": pod.get("spec", {}).get("nodeName", "")})
    return None


# runc: exec: "trian": executable file not found in $PATH; exec /x/y: no such file or directory
_NO_PROGRAM = re.compile(
    r'exec: "([^"]+)": (?:executable file not found|stat [^:]+: no such file|permission denied)'
    r"|exec (\S+): no such file or directory"
)


def _main_ended(container: Raw, node: str) -> Finding | None:
    ended = container.get("state", {}).get("terminated")
    if ended is None:
        return Finding("POD_DELETED", {}, Cause.LOST)
    exit_code = ended.get("exitCode", 0)
    if ended.get("reason") == "OOMKilled":
        return Finding("OOM_KILLED", {}, Cause.OOM_KILLED)
    # containerd gives 128 and these reasons where the program never ran.
    if ended.get("reason") in ("ContainerCannotRun", "StartError"):
        if found := _NO_PROGRAM.search(ended.get("message", "")):
            return Finding("PROGRAM_NOT_FOUND", {"program": found[1] or found[2]}, Cause.START_FAILED)
        return Finding("START_FAILED", {"message": _short(ended.get("message", ""))}, Cause.START_FAILED)
    if ended.get("reason") == "ContainerStatusUnknown":
        return Finding("NODE_LOST", {"node": node}, Cause.LOST)
    if exit_code == 0:
        return None
    if exit_code > 128 and ended.get("signal", exit_code - 128) in range(1, 65):
        return Finding(
            "SIGNALLED",
            {"signal": exit_code - 128, "signal_name": _signal_name(exit_code - 128), "exit_code": exit_code},
            Cause.FAILED,
        )
    return Finding("EXIT_CODE", {"exit_code": exit_code}, Cause.FAILED)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# The Job controller's events where a pod cannot even be made; the API server's words (apimachinery, plugin/quota).
_QUOTA = re.compile(r"exceeded quota: ([\w.-]+), requested: (.+?), used: (.+?), limited: (.+)")


# Webhooks, policies, and a LimitRange (plugin/pkg/admission/limitranger).
_POLICY = re.compile(
    r"denied the request|ValidatingAdmissionPolicy|(?:maximum|minimum) [\w./-]+ (?:usage|limit|request)"
)
# Each try has another name, which would make each another reason.
_TRIED = re.compile(r'^Error creating: (?:pods "[^"]*" is forbidden: )?')


def why_not_made(message: str) -> Finding:
    """What the API server said when the Job's pod was to be made."""
    if found := _QUOTA.search(message):
        args = dict(zip(("quota", "asked", "used", "limit"), found.groups(), strict=True))
        return Finding("NAMESPACE_QUOTA", args)
    said = _short(_TRIED.sub("", message))
    if "violates PodSecurity" in message:
        return Finding("POD_SECURITY_REFUSED", {"message": said}, is_hopeless=True)
    if _POLICY.search(message):
        return Finding("ADMISSION_REFUSED", {"message": said}, is_hopeless=True)
    return Finding("POD_NOT_MADE", {"message": said})


def _last_line(ended: Raw) -> str:
    lines = [line for line in ended.get("message", "").splitlines() if line.strip()]
    return _short(lines[-1]) if lines else ""


def _short(message: str) -> str:
    """One line of at most 500 characters: it is shown beside the code's own sentence."""
    line = " ".join(message.split())
    return line if len(line) <= 500 else line[:499] + "…"


SENTENCES = {code: texts[1] for code, texts in POD_REASONS.items()} | {
    "EXIT_CODE": "It ended with exit code {exit_code}.",
    "OOM_KILLED": "It used more memory than it asked for.",
    "START_FAILED": "The program cannot be started: {message}",
    "STOPPED": "It was stopped.",
    "TIMED_OUT": "It ran longer than its limit of {timeout} s.",
}
"""What each code says in English, with its evidence in the slots; pages say it as domain/reasons.py has it."""


def sentence(finding: Finding) -> str:
    """The finding in words. A slot without evidence stays empty."""
    return SENTENCES[finding.code].format_map(_Slots(finding.args)).rstrip(": ")


class _Slots(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return ""
