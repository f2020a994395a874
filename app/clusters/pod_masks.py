"""What the output of a run's program must not show: the values of its secrets, which the cluster itself has, and
tokens of runs, which are known by their form."""

import base64
import re

from app.clusters import job_status
from app.clusters.base import ClusterUnavailable, ObjectStatus
from app.clusters.kubernetes_api import Api, NotThere, Raw
from app.clusters.local_wrapper.capture import MASK
from app.clusters.local_wrapper.private import masks
from app.clusters.pod_logs import Masks, hide_tokens

_MOST = 5_000


class PodMasks:
    """The masks of a cluster's attempts, by Job; each Secret is read once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, Masks] = {}

    def of(self, job: Raw) -> Masks:
        """What is to be written as `***` besides tokens; None where there is nothing. Raises ClusterUnavailable."""
        uid = job["metadata"]["uid"]
        if uid not in self._known and job_status.limits_of(job).secrets:
            place = f"/api/v1/namespaces/{job['metadata']['namespace']}/secrets/{job['metadata']['name']}"
            try:
                secret = self._api.get(place)
            except NotThere:
                raise ClusterUnavailable("the secrets to mask in the log are not there", retry_after=1.0) from None
            kept = {key: value for key, value in secret["data"].items() if key.isdigit()}
            values = masks({key: base64.b64decode(value).decode() for key, value in kept.items()})
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[uid] = re.compile(b"|".join(map(re.escape, values))) if values else None
        return self._known.get(uid)

    def applied(self, job: Raw, status: ObjectStatus) -> ObjectStatus:
        """The status of an attempt that is gone, with its program's words masked; without them where the secrets are
        not to be had."""
        if not status.gone:
            return status
        try:
            hidden = self.of(job)
        except ClusterUnavailable:
            return job_status.mask(status, lambda _: "")

        def masked(text: str) -> str:
            return hide_tokens(hidden.sub(MASK, text.encode()) if hidden else text.encode()).decode()

        return job_status.mask(status, masked)
