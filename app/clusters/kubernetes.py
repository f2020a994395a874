"""Runs as pods: one Job for each attempt, of a pod for each replica, in the namespace of its project.

What exists is read from mirrors (clusters/mirror.py), so that asking for statuses costs the API server nothing. Objects
are made by POST under the name of run and attempt: the API server itself sees to it that there is never a second one.

A program is ended by deleting its pod with the program's grace; what has not begun, by suspending the Job. Why is
written on the Job first. How a deleted pod ended is read from the watch, its log by whoever followed it until then.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from app.clusters import gangs, job_status, pod_findings
from app.clusters.base import (
    NO_SECRETS,
    ClusterRejected,
    ClusterUnavailable,
    LogPiece,
    ObjectStatus,
    OutputFile,
    SecretValues,
)
from app.clusters.gang_errors import GangErrors
from app.clusters.job_status import End, Events
from app.clusters.kubernetes_api import AlreadyThere, Api, NotThere, Raw
from app.clusters.kubernetes_objects import (
    NEVER,
    REMOVED,
    TOMBSTONE_SECONDS,
    by_key,
    cut,
    is_finished,
    jobs_path,
    key_of,
    path_of,
    removal,
    tells_how_it_ended,
)
from app.clusters.mirror import Mirror
from app.clusters.pod_events import PodEvents, is_stuck
from app.clusters.pod_logs import OVER, PodLogs, lost
from app.clusters.pod_masks import PodMasks
from app.domain.names import object_name
from app.domain.states import Cause
from app.workloads import pods
from app.workloads.plans import RunPlan
from app.workloads.pods import END, KEEPER, LABEL, MAIN, SPEC_HASH, Place

log = structlog.get_logger(__name__)

_FRESH_SECONDS = 120.0
_LATE_SECONDS = 60
"""By so much the kubelet's deadline is later than Berth's own end of a time limit: for when Berth is away."""
_HOPE_SECONDS = {
    "IMAGE_NOT_FOUND": 60.0,
    "IMAGE_NOT_PULLED": 600.0,
    "PULL_SECRET_MISSING": 300.0,
    "REGISTRY_REFUSED": 300.0,
    "CONTAINER_NOT_MADE": 120.0,
    "START_FAILED": 120.0,
    "POD_NOT_MADE": 600.0,
}
"""How long a pod may be in such a state before the attempt is given up; what is not here waits."""


def hope_of(image_seconds: float) -> dict[str, float]:
    """The same, with an image that cannot be pulled given up after so long at most."""
    images = ("IMAGE_NOT_FOUND", "IMAGE_NOT_PULLED", "PULL_SECRET_MISSING", "REGISTRY_REFUSED")
    bounded = {code: min(_HOPE_SECONDS[code], image_seconds) for code in images}
    return _HOPE_SECONDS | bounded | {"IMAGE_NOT_PULLED": image_seconds}


class KubernetesCluster:
    """One cluster. `place_of` gives the place of a project, by its id. See app/clusters/base.py for the methods."""

    def __init__(
        self,
        name: str,
        api: Api,
        install: str,
        place_of: Callable[[str], Place],
        hope_seconds: dict[str, float] | None = None,
    ) -> None:
        self.name = name
        self._api, self._place_of = api, place_of
        self._selector = f"{LABEL}/install={install}"
        self._hope = hope_seconds or _HOPE_SECONDS
        self._changed = threading.Event()
        self._done: set[str] = set()
        self._masks = PodMasks(api)
        self._errors = GangErrors(api)
        self._opening = threading.Lock()
        self._opened: tuple[Mirror, Mirror] | None = None
        self._logs = PodLogs(api)
        self._events = PodEvents(api)

    def start(self, plan: RunPlan, secrets: SecretValues = NO_SECRETS) -> dict[str, Any]:
        """The Job first: its pods wait for the Secret, which belongs to the Job from its first moment on."""
        place = self._place_of(plan.project_id)
        if not (plan.image or place.default_image):
            raise ClusterRejected(f"the run names no image, and cluster {self.name} has none for such runs")
        job = pods.build_job(plan, place)
        collection, name = jobs_path(place.namespace), job["metadata"]["name"]
        known = None
        if secrets.missing:
            known = self._find(f"{collection}/{name}")
            if known is None:
                missing, why = min(secrets.missing.items())
                raise ClusterRejected(f"the secret {missing} cannot be given to it: {why}")
        try:
            known = known or self._api.create(collection, job)
        except AlreadyThere:  # another worker was faster, or the answer to an earlier call was lost
            known = self._find(f"{collection}/{name}")
            if known is None:
                raise ClusterUnavailable(f"{name} was there and is gone", retry_after=1.0) from None
        except NotThere as error:
            raise ClusterUnavailable(f"{self.name}: {error}") from error
        handle = {"namespace": place.namespace, "name": name, "uid": known["metadata"]["uid"]}
        annotations = known["metadata"].get("annotations", {})
        if REMOVED in annotations:
            raise ClusterRejected(f"attempt {plan.attempt} of {plan.run_id} was run and removed before")
        if SPEC_HASH not in annotations and END in annotations:
            return handle  # it was stopped before it began
        if annotations.get(SPEC_HASH) != job["metadata"]["annotations"][SPEC_HASH]:
            # Not a refusal: what is there may be alive, and must not be shown as ended.
            raise ClusterUnavailable(f"attempt {plan.attempt} of {plan.run_id} exists here with another plan", 60.0)
        if not secrets.missing and not is_finished(known):
            self._give_what_it_needs(plan, place, known, secrets)
        return handle

    def stop(self, run_id: str, attempt: int, grace_seconds: int, project_id: str = "") -> None:
        """What runs is deleted with its grace; what has not begun is ended by suspending the Job."""
        end = End(Cause.STOPPED, time.time(), grace_seconds)
        job = self._job(run_id, attempt)
        if job is None:
            if project_id:
                self._bury(run_id, attempt, project_id, end)
            return
        ours = job_status.by_index(self._pods_of(run_id, attempt))
        begun = [pod for pod in ours.values() if "terminated" in job_status.main_state(pod) or job_status.is_over(pod)]
        if is_finished(job) or len(begun) == job_status.replicas_of(job):
            return
        known = job_status.end_of(job)
        if known is not None:
            if known.at + known.grace > end.at + end.grace:
                self._write_end(job, replace(known, at=end.at, grace=end.grace))
            return
        if not any("running" in job_status.main_state(pod) for pod in ours.values()):
            self._write_end(job, end, suspend=True)
            return
        self._write_end(job, end)
        self._carry_out(job, ours, end)

    def refresh(self) -> None:
        for mirror in self._mirrors:
            mirror.refresh()

    def statuses(self) -> list[ObjectStatus]:
        """Read from the mirrors, which are at most two minutes behind; ClusterUnavailable where they are more.

        Sees to it, too, that what was asked for ends: time limits, graces, and hope for what never starts.
        """
        jobs, found = self._mirrors[0].objects(_FRESH_SECONDS), by_key(self._mirrors[1].objects(_FRESH_SECONDS))
        now = time.time()
        made = []
        keyed = [(job, key, found.get(key, [])) for job in jobs if (key := key_of(job)) is not None]
        stuck = {job["metadata"]["namespace"] for job, _, ours in keyed if is_stuck(job, ours, now)}
        told = self._events.of(stuck)
        for job, key, ours in keyed:
            self._see_to(job, job_status.by_index(ours), now, told)
            if REMOVED not in job["metadata"].get("annotations", {}):
                status = job_status.read_status(*key, job, ours, now, told)
                made.append(self._masks.applied(job, self._errors_of(status, ours)))
        return made

    def wait_for_change(self, timeout: float) -> None:
        if self._changed.wait(timeout):
            self._changed.clear()

    def read_log(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:
        """`offset` is the time of the last line, in nanoseconds since the epoch (clusters/pod_logs.py). Where what
        comes before the program failed, its log is that of the run."""
        key = run_id, attempt
        job = next(iter(by_key(self._mirrors[0].objects(_FRESH_SECONDS)).get(key, [])), None)
        found = by_key(self._mirrors[1].objects(_FRESH_SECONDS)).get(key, [])
        if job is None or REMOVED in job["metadata"].get("annotations", {}):
            return LogPiece(b"", offset)
        pod = job_status.by_index(found).get(replica)
        if pod is None:
            had_one = job["status"].get("failed", 0) + job["status"].get("succeeded", 0) > len(found)
            if offset == OVER or not had_one or not job_status.read_status(*key, job, found, time.time()).gone:
                return LogPiece(b"", offset)
            return lost("its pod is gone, and with it what nobody had read of its log")
        state = job_status.main_state(pod)
        ended = state.get("terminated", {})
        container, over = MAIN, job_status.is_over(pod) or bool(ended)
        if "running" not in state and (not ended or pod_findings.seconds(ended.get("startedAt") or NEVER) == 0):
            step = pod_findings.failed_step(pod, KEEPER)
            if step is None:
                return LogPiece(b"", offset)  # it never began
            container, over = step["name"], True
        return self._logs.read(path_of(pod), container, offset, limit, is_over=over, masks=self._masks.of(job))

    def read_usage(self, run_id: str, attempt: int, replica: int, offset: int, limit: int) -> LogPiece:  # noqa: ARG002
        return LogPiece(b"", offset)

    def outputs(self, run_id: str, attempt: int) -> Iterator[OutputFile] | None:  # noqa: ARG002
        """None: the pod's own keeper sends them."""
        return None

    def environment(self, run_id: str, attempt: int) -> dict[str, Any] | None:  # noqa: ARG002
        return None

    def clean_up(self, run_id: str, attempt: int, *, last: bool) -> None:  # noqa: ARG002
        """Removes the pod and the Secret. The Job itself stays for an hour, so that its name is not used again.

        Raises ClusterUnavailable while the attempt lives.
        """
        found = self._pods_of(run_id, attempt)
        name = object_name(run_id, attempt)
        if found and all(map(job_status.is_over, found)):
            namespace = found[0]["metadata"]["namespace"]  # as nearly always: the Job need not be asked for
        else:
            job = self._job(run_id, attempt)
            if job is None:
                return
            # A Job is called finished only when all its pods have ended (Kubernetes 1.31). With one that is marked as
            # removed an earlier call may have come so far only.
            is_removed = REMOVED in job["metadata"].get("annotations", {})
            if found and not is_finished(job) and not is_removed:
                raise ClusterUnavailable(f"{run_id} attempt {attempt} is still running", retry_after=1.0)
            namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        patched = self._patch(f"{jobs_path(namespace)}/{name}", removal())
        for pod in found:  # one by one: Berth has no right to delete whole collections
            self._api.delete(path_of(pod))
        self._api.delete(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if patched is not None and job_status.replicas_of(patched) > 1:  # its policy goes with the Job
            self._api.delete(f"/api/v1/namespaces/{namespace}/services/{name}")

    def close(self) -> None:
        """Ends the watches and all that is read."""
        with self._opening:
            for mirror in self._opened or ():
                mirror.close()
        self._logs.close()
        self._api.close()

    @property
    def _mirrors(self) -> tuple[Mirror, Mirror]:
        """Of Jobs and of pods. Whoever only starts and stops needs none."""
        with self._opening:
            if self._opened is None:
                jobs = Mirror(self._api, "/apis/batch/v1/jobs", self._selector, self._changed, cut)
                of_pods = Mirror(
                    self._api, "/api/v1/pods", self._selector, self._changed, cut, keeps=tells_how_it_ended
                )
                self._opened = jobs, of_pods
            return self._opened

    def _errors_of(self, status: ObjectStatus, found: list[Raw]) -> ObjectStatus:
        try:
            return self._errors.applied(status, job_status.by_index(found))
        except ClusterUnavailable as error:
            log.warning(
                "cannot tell which replica failed first", cluster=self.name, run=status.run_id, error=str(error)
            )
            return status

    def _give_what_it_needs(self, plan: RunPlan, place: Place, job: Raw, secrets: SecretValues) -> None:
        made = pods.build_gang(plan, place)
        # Last: pods begin when they have it.
        made[f"/api/v1/namespaces/{place.namespace}/secrets"] = pods.build_secret(plan, place, secrets.reveal())
        owner = {"apiVersion": "batch/v1", "kind": "Job", "blockOwnerDeletion": False}
        owner |= {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
        for collection, manifest in made.items():
            manifest["metadata"]["ownerReferences"] = [owner]
            try:
                self._api.create(collection, manifest)
            except AlreadyThere:
                continue
            except NotThere as error:
                raise ClusterUnavailable(f"{self.name}: {error}") from error

    def _bury(self, run_id: str, attempt: int, project_id: str, end: End) -> None:
        place = self._place_of(project_id)
        tombstone = pods.build_tombstone(run_id, attempt, project_id, place, end.text())
        try:
            self._api.create(jobs_path(place.namespace), tombstone)
        except (AlreadyThere, NotThere) as error:
            raise ClusterUnavailable(f"{run_id} attempt {attempt} was started meanwhile", retry_after=0.5) from error

    def _see_to(self, job: Raw, ours: dict[int, Raw], now: float, told: Events) -> None:
        """What Berth itself has to end or remove. Never fails: the next look tries again."""
        try:
            if REMOVED in job["metadata"].get("annotations", {}):
                self._prune(job, now)
                return
            if len(ours) < job_status.replicas_of(job) and not is_finished(job):
                self._give_up(job, None, None, now, told)
            living = {index: pod for index, pod in ours.items() if not job_status.is_over(pod)}
            for index, pod in living.items():
                self._see_to_pod(job, index, pod, now, told)
            if living and job_status.replicas_of(job) > 1:
                self._see_to_gang(job, ours, now)
        except (ClusterUnavailable, ClusterRejected) as error:
            log.warning("cannot see to a job", cluster=self.name, job=job["metadata"]["name"], error=str(error))

    def _see_to_gang(self, job: Raw, ours: dict[int, Raw], now: float) -> None:
        """One replica's failure ends the others. The Job's own limit of failures does so, too, when all of that
        replica's pod has ended, but with the grace of pods that end by themselves."""
        self._errors.note(ours)
        end = job_status.end_of(job)
        if end is None and (failed := gangs.first_failure(ours)):
            index, finding = failed
            end = End(
                finding.cause or Cause.FAILED, now, job_status.limits_of(job).grace, finding.code, finding.args, index
            )
            self._once(job, "a replica failed", lambda: self._end_for(job, ours, end))
        elif end is not None:
            self._carry_out(job, ours, end)

    def _end_for(self, job: Raw, ours: dict[int, Raw], end: End) -> None:
        known = self._find(path_of(job))
        if known is not None and job_status.end_of(known) is None:  # the mirror may be behind what a stop has written
            self._write_end(job, end)
            self._carry_out(job, ours, end)

    def _carry_out(self, job: Raw, ours: dict[int, Raw], end: End) -> None:
        """Ends what runs of several replicas, and keeps from running what has not begun."""
        for pod in ours.values():
            if "running" in job_status.main_state(pod) and "deletionTimestamp" not in pod["metadata"]:
                self._once(pod, "end", partial(self._delete, pod, end.grace))
        begun = sum(1 for pod in ours.values() if job_status.main_state(pod).keys() & {"running", "terminated"})
        failed = ours.get(end.replica) if end.replica is not None else None
        if failed is not None and (job_status.is_over(failed) or "terminated" in job_status.main_state(failed)):
            return  # the Job counts it and ends the rest by itself
        if begun < job_status.replicas_of(job) and not is_finished(job) and not job["spec"].get("suspend"):
            self._once(job, "suspend", lambda: self._patch(path_of(job), {"spec": {"suspend": True}}))

    def _see_to_pod(self, job: Raw, index: int, pod: Raw, now: float, told: Events) -> None:
        end, limits, state = job_status.end_of(job), job_status.limits_of(job), job_status.main_state(pod)
        if "running" in state and limits.timeout is not None and end is None:
            began = pod_findings.seconds(state["running"]["startedAt"])
            placed = pod_findings.seconds(pod["status"]["startTime"])
            deadline = math.ceil(began - placed) + limits.timeout + _LATE_SECONDS
            if (pod["spec"].get("activeDeadlineSeconds") or math.inf) > deadline:
                body = {"spec": {"activeDeadlineSeconds": deadline}}
                self._once(pod, "deadline", lambda: self._patch(path_of(pod), body))
            if now >= began + limits.timeout:
                end = End(Cause.TIMED_OUT, now, limits.grace)
                self._once(job, "time limit", lambda: self._write_end(job, end))
        if end is not None and "running" in state and "deletionTimestamp" not in pod["metadata"]:
            self._once(pod, "end", lambda: self._delete(pod, end.grace))
        if end is None and not state.get("running") and not state.get("terminated"):
            self._give_up(job, index, pod, now, told)

    def _give_up(self, job: Raw, index: int | None, pod: Raw | None, now: float, told: Events) -> None:
        """Of a pod that does not start, or, without one, of a Job that does not get all of its pods."""
        events = told.get((pod or job)["metadata"]["uid"], ())
        finding = pod_findings.why_not_started(pod, events) if pod else job_status.why_no_pod(job, events)
        if finding is None:
            return
        hope = 0.0 if finding.is_hopeless else self._hope.get(finding.code)
        since = pod_findings.placed_at(pod) if pod else pod_findings.seconds(job["metadata"]["creationTimestamp"])
        if hope is not None and now - since > hope:
            is_one = job_status.replicas_of(job) == 1
            grace = 0 if is_one else job_status.limits_of(job).grace
            end = End(Cause.START_FAILED, now, grace, finding.code, finding.args, None if is_one else index)
            # What runs of others is ended with its grace before the rest is: what a suspended Job deletes has more.
            self._once(job, "give up", lambda: self._write_end(job, end, suspend=is_one))

    def _prune(self, job: Raw, now: float) -> None:
        """Finished Jobs go by themselves (ttlSecondsAfterFinished); suspended ones never finish."""
        removed = pod_findings.seconds(job["metadata"]["annotations"][REMOVED])
        if now - removed > TOMBSTONE_SECONDS:
            self._once(job, "prune", lambda: self._api.delete(path_of(job), propagationPolicy="Background"))

    def _once(self, found: Raw, what: str, act: Callable[[], object]) -> None:
        """The mirror lags behind what was done."""
        key = f"{found['metadata']['uid']} {found['metadata']['resourceVersion']} {what}"
        if key not in self._done:
            if len(self._done) > 10_000:
                self._done.clear()
            self._done.add(key)
            try:
                act()
            except ClusterUnavailable:
                self._done.discard(key)
                raise

    def _delete(self, pod: Raw, grace: int) -> None:
        self._api.delete(path_of(pod), gracePeriodSeconds=max(grace, 1))  # 0 would not wait for the kubelet

    def _write_end(self, job: Raw, end: End, *, suspend: bool = False) -> None:
        body: Raw = {"metadata": {"annotations": {END: end.text()}}}
        if suspend:
            body["spec"] = {"suspend": True}
        self._patch(path_of(job), body)

    def _patch(self, path: str, body: Raw) -> Raw | None:
        """The object as it is then; None where there is none."""
        try:
            return self._api.patch(path, body)
        except NotThere:
            return None

    def _find(self, path: str) -> Raw | None:
        try:
            return self._api.get(path)
        except NotThere:
            return None

    def _labels_of(self, run_id: str, attempt: int) -> str:
        if not re.fullmatch(r"[a-z0-9-]{1,50}", run_id) or attempt < 1:
            raise ClusterRejected(f"{run_id!r} attempt {attempt} is not a name for an attempt")
        return f"{self._selector},{LABEL}/run={run_id},{LABEL}/attempt={int(attempt)}"

    def _job(self, run_id: str, attempt: int) -> Raw | None:
        """As it is now: whoever acts does not trust a mirror."""
        found = self._api.get("/apis/batch/v1/jobs", labelSelector=self._labels_of(run_id, attempt))["items"]
        return next((job for job in found if key_of(job) == (run_id, attempt)), None)

    def _pods_of(self, run_id: str, attempt: int) -> list[Raw]:
        found: list[Raw] = self._api.get("/api/v1/pods", labelSelector=self._labels_of(run_id, attempt))["items"]
        return [pod for pod in found if key_of(pod) == (run_id, attempt)]
