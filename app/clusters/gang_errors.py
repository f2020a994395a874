"""When replicas that failed together told their errors: who told it first is why the others failed.

A program says what is wrong, takes a while to end, and closes its connections on the way; its peers may be faster to
end. So the times of ends do not order failures, and those of the lines do. Costs one call for each replica that
failed by itself, as soon as it has: a moment later Kubernetes may have removed its pod, for another one's failure.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from app.clusters import job_status
from app.clusters.base import ClusterRejected, ObjectStatus
from app.clusters.kubernetes_api import Api, NotThere, Raw
from app.clusters.kubernetes_objects import path_of
from app.clusters.pod_logs import read_line
from app.domain.loglines import first_error
from app.domain.states import Cause
from app.workloads.pods import MAIN

_LINES = 200
_MOST = 1_000


class GangErrors:
    """Of one cluster. What was read of a pod is kept."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: OrderedDict[str, float | None] = OrderedDict()

    def note(self, pods: Mapping[int, Raw]) -> None:
        """Reads the errors of those that have failed so far. Raises ClusterUnavailable."""
        for pod in pods.values():
            error = job_status.first_error_of(pod)
            if error:
                self._time_of(pod, error)

    def applied(self, status: ObjectStatus, pods: Mapping[int, Raw]) -> ObjectStatus:
        """The status of an attempt that is gone, with the times of the errors where several replicas failed by
        themselves. Raises ClusterUnavailable."""
        rivals = [one for one in status.replicas if one.cause == Cause.FAILED and one.first_error]
        if not status.gone or len(rivals) < 2:
            return status
        found = {
            one.index: self._time_of(pods[one.index], one.first_error or "") for one in rivals if one.index in pods
        }
        return replace(status, replicas=[replace(one, failed_at=found.get(one.index)) for one in status.replicas])

    def _time_of(self, pod: Raw, error: str) -> float | None:
        if first_error(b"0 e " + error.encode()) is None:
            return None  # only the last that it said
        uid = pod["metadata"]["uid"]
        if uid not in self._known:
            self._known[uid] = self._read(path_of(pod), error.strip()[:80])
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return self._known[uid]

    def _read(self, path: str, error: str) -> float | None:
        query = {"container": MAIN, "timestamps": "true", "tailLines": _LINES}
        try:
            data = b"".join(self._api.stream(f"{path}/log", **query))
        except (NotThere, ClusterRejected):  # its pod is gone
            return None
        lines = [line for line in map(read_line, data.splitlines()) if line is not None]
        return next((at / 1e9 for at, text in lines[::-1] if error in text.decode(errors="replace")), None)
