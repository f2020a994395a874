"""Events of what does not start: only they tell why a Job can make no pod, or why a node cannot make it.

They are read for all of a namespace at once, where something has waited there for a while, and no more often than every
few seconds: a project whose pods all wait costs as much as one of them.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from app.clusters import job_status
from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubernetes_api import Api, Gone, NotThere, Raw
from app.clusters.kubernetes_objects import REMOVED, is_finished
from app.clusters.pod_findings import seconds

log = structlog.get_logger(__name__)

_AFTER_SECONDS = 5.0
_AGAIN_SECONDS = 10.0
_MOST_PAGES = 4


class PodEvents:
    """The warnings of namespaces, by the uid of what they are about, newest first."""

    def __init__(self, api: Api, now: Callable[[], float] = time.monotonic) -> None:
        self._api, self._now = api, now
        self._known: dict[str, tuple[float, Mapping[str, Sequence[Raw]]]] = {}

    def of(self, namespaces: set[str]) -> dict[str, Sequence[Raw]]:
        """Of these namespaces; what others had is forgotten. Never fails: without events a cause is less exact."""
        self._known = {name: known for name, known in self._known.items() if name in namespaces}
        found: dict[str, Sequence[Raw]] = {}
        for name in sorted(namespaces):
            read_at, _ = self._known.get(name, (float("-inf"), {}))
            if self._now() - read_at >= _AGAIN_SECONDS:
                self._known[name] = self._now(), self._read(name)
            found |= self._known[name][1]
        return found

    def _read(self, namespace: str) -> Mapping[str, Sequence[Raw]]:
        made: dict[str, list[Raw]] = {}
        try:
            pages = self._api.list_pages(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
            for _, page in zip(range(_MOST_PAGES), pages, strict=False):
                for event in page["items"]:
                    made.setdefault(event.get("involvedObject", {}).get("uid", ""), []).append(event)
        except (ClusterUnavailable, ClusterRejected, NotThere, Gone) as error:
            log.warning("events cannot be read", cluster=self._api.name, namespace=namespace, error=str(error))
        return {uid: sorted(events, key=_last_seen, reverse=True) for uid, events in made.items()}


def is_stuck(job: Raw, pods: Sequence[Raw], now: float) -> bool:
    """Whether only events can tell why nothing happens: pods are missing, or a node does nothing with one."""
    if REMOVED in job["metadata"].get("annotations", {}):
        return False
    ours = job_status.by_index(pods)
    is_missing = len(ours) < job_status.replicas_of(job) and not (job["spec"].get("suspend") or is_finished(job))
    return (is_missing and _is_old(job, now)) or any(_is_old(pod, now) and _waits(pod) for pod in ours.values())


def _is_old(found: Raw, now: float) -> bool:
    return now - seconds(found["metadata"]["creationTimestamp"]) >= _AFTER_SECONDS


def _waits(pod: Raw) -> bool:
    if job_status.is_over(pod) or not pod["spec"].get("nodeName") or job_status.main_state(pod).keys() - {"waiting"}:
        return False
    steps = pod["status"].get("initContainerStatuses", ())
    return not any("running" in one.get("state", {}) for one in steps)


def _last_seen(event: Raw) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
