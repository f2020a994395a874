"""How long one thing takes: from a submission to its Job, and from the end of a program to the run's final state."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.clusters.base import ClusterUnavailable
from app.clusters.kubernetes_api import Api
from app.domain.names import object_name
from bench.kubernetes.site import NAME, PROJECT, Call, Site

_PATIENCE = 120.0
_REST_SECONDS = 2.0
_FINAL = ("succeeded", "failed", "stopped")


@dataclass(frozen=True)
class Submission:
    """Seconds, counted from sending the request: until its answer, the admission, the Job's arrival at the API server
    and that one's answer. `bare`: from sending to the API server's answer, of the same Job by a bare client."""

    answered: float
    admitted: float
    arrived: float
    accepted: float
    bare: float


@dataclass(frozen=True)
class Ending:
    """Seconds, counted from the last thing that a program does: until a bare watch tells that its container ended, that
    the pod did (with the container that sends its outputs), and until the run's final state is answered by the API."""

    container: float
    pod: float
    final: float


class Submitter:
    """One connection to Berth that is kept while it is used; the server closes one that rests."""

    def __init__(self, site: Site) -> None:
        url = urlsplit(site.server.url)
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        self._headers = {"Authorization": f"Bearer {site.server.token}", "Content-Type": "application/json"}
        self._used_at = 0.0

    def submit(self, name: str, command: Sequence[str] = ("true",)) -> tuple[str, float, float]:
        """(the run's id, when the request was sent, when it was answered), seconds since the epoch."""
        spec = {"name": name, "command": list(command), "pool": NAME, "cpu": "100m", "memory": "64Mi", "grace": "2s"}
        sent = time.time()
        answer = self._ask("POST", f"/api/v1/projects/{PROJECT}/runs", {"spec": spec})
        return str(answer["id"]), sent, time.time()

    def state(self, run: str) -> str:
        return str(self._ask("GET", f"/api/v1/runs/{run}")["state"])

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        if time.monotonic() - self._used_at > _REST_SECONDS:
            self._connection.close()
        self._used_at = time.monotonic()
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:500]!r}")
        made: dict[str, Any] = json.loads(data)
        return made


def measure_submissions(site: Site, runs: int) -> list[Submission]:
    """Submits runs one by one, and after each lets a bare client post the Job that Berth made of it."""
    submitter, bare = Submitter(site), site.bare()
    submitter.submit("first")  # makes what is made once
    wait_until(lambda: not _unfinished(site))
    made = [_submission(site, submitter, bare, f"paced-{number}") for number in range(runs)]
    submitter.close()
    bare.close()
    return made


def _submission(site: Site, submitter: Submitter, bare: Api, name: str) -> Submission:
    site.audit.skip()
    run, sent, answered = submitter.submit(name)
    of_berth = _wait_for_job(site, object_name(run, 1), "berth")
    ((admitted,),) = site.query(
        "select extract(epoch from at)::float8 from run_event join run on run.id = run_id"
        " where public_id = %s and code = 'admitted'",
        run,
    )
    jobs = f"/apis/batch/v1/namespaces/{of_berth.namespace}/jobs"
    copy = _again(bare.get(f"{jobs}/{of_berth.name}"))
    wait_until(lambda: not _unfinished(site))
    begun = time.time()
    bare.create(jobs, copy)
    of_bare = _wait_for_job(site, copy["metadata"]["name"], "bench")
    bare.delete(f"{jobs}/{copy['metadata']['name']}", propagationPolicy="Background")
    return Submission(
        answered - sent,
        admitted - sent,
        of_berth.received - sent,
        of_berth.answered - sent,
        of_bare.answered - begun,
    )


def _again(job: dict[str, Any]) -> dict[str, Any]:
    """The Job as Berth sent it, but for its name and for what Berth's watch would take it for."""
    spec = {key: value for key, value in job["spec"].items() if key not in ("selector", "manualSelector")}
    tags = {key: value for key, value in job["metadata"]["labels"].items() if key.startswith("app.")}
    template = {"metadata": {"labels": tags}, "spec": spec["template"]["spec"]}
    metadata = {"name": f"{job['metadata']['name']}-bare", "labels": tags}
    metadata["annotations"] = job["metadata"]["annotations"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {**spec, "template": template}}


def _wait_for_job(site: Site, name: str, agent: str) -> Call:
    found: list[Call] = []

    def look() -> bool:
        found.extend(
            call
            for call in site.audit.read()
            if (call.verb, call.resource, call.name, call.agent) == ("create", "jobs", name, agent)
        )
        return bool(found)

    wait_until(look, every=0.01)
    return found[0]


class _Ends:
    """A bare watch of pods: when it was told that a run's program, and its pod, had ended."""

    def __init__(self, site: Site) -> None:
        self._api = site.bare()
        self.of_container: dict[str, float] = {}
        self.of_pod: dict[str, float] = {}
        self._selector = {"labelSelector": "berth.dev/run"}
        self._version = self._api.get("/api/v1/pods", **self._selector)["metadata"]["resourceVersion"]
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        self._api.close()

    def _follow(self) -> None:
        try:
            for event in self._api.watch("/api/v1/pods", self._version, **self._selector):
                now = time.time()
                if event["type"] == "BOOKMARK":
                    continue
                run, status = event["object"]["metadata"]["labels"]["berth.dev/run"], event["object"]["status"]
                if any("terminated" in one["state"] for one in status.get("containerStatuses", ())):
                    self.of_container.setdefault(run, now)
                if status.get("phase") in ("Succeeded", "Failed"):
                    self.of_pod.setdefault(run, now)
        except ClusterUnavailable:
            return


def measure_endings(site: Site, runs: int, at_once: int = 2) -> list[Ending]:
    """Runs real programs that say what time it is and end."""
    ends = _Ends(site)
    try:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda number: _ending(site, ends, number), range(runs)))
    finally:
        ends.close()


def _ending(site: Site, ends: _Ends, number: int) -> Ending:
    submitter = Submitter(site)
    run, _, _ = submitter.submit(f"ending-{number}", ["sh", "-c", "date +%s.%N"])
    wait_until(lambda: run in ends.of_container, every=0.005)
    wait_until(lambda: submitter.state(run) in _FINAL, every=0.02)
    final = time.time()
    submitter.close()
    (line,) = site.client.runs.logs(run)
    ended = float(line.text)
    return Ending(ends.of_container[run] - ended, ends.of_pod[run] - ended, final - ended)


def _unfinished(site: Site) -> bool:
    return bool(site.query("select 1 from run where state not in ('succeeded', 'failed', 'stopped') limit 1"))


def wait_until(look: Callable[[], bool], patience: float = _PATIENCE, every: float = 0.2) -> None:
    """Returns when `look()` is true. Raises TimeoutError."""
    deadline = time.monotonic() + patience
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError("what is measured did not happen in time")
        time.sleep(every)


def quantiles(figures: Sequence[float]) -> tuple[float, float]:
    """The median and the 95th percentile, which for few figures is the largest."""
    ordered = sorted(figures)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]


def parts(figures: Sequence[Submission]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Where the time from a submission to its Job goes: the name of each part, and its quantiles in seconds."""
    yield "submission sent -> answered", quantiles([one.answered for one in figures])
    yield "sent -> admitted", quantiles([one.admitted for one in figures])
    yield "admitted -> the Job arrives at the API server", quantiles([one.arrived - one.admitted for one in figures])
    yield "it arrives -> it is accepted", quantiles([one.accepted - one.arrived for one in figures])
