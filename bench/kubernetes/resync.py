"""What a controller needs to list everything anew: `python -m bench.kubernetes.resync KUBECONFIG INSTALL`, a process of
its own, so that its memory is nothing else's. Writes one line of JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.clusters.kubeconfig import read_kubeconfig
from app.clusters.kubernetes import KubernetesCluster
from app.clusters.kubernetes_api import Api
from app.workloads import pods
from app.workloads.plans import RunPlan
from app.workloads.pods import Place
from bench.kubernetes.site import NAME

INSTALL = "bench-resync"
NAMESPACE = "berth-bench-resync"
_AT_ONCE = 4


@dataclass(frozen=True)
class Resync:
    """Seconds, CPU-seconds and resident MiB: of the first list, of listing it all anew beside what is held, and of
    making statuses from it."""

    objects: int
    rest_mib: float
    list_seconds: float
    list_cpu: float
    held_mib: float
    relist_seconds: float
    relist_cpu: float
    peak_mib: float
    statuses_cpu: float
    statuses: int


@contextmanager
def objects(kubeconfig: Path, number: int) -> Iterator[None]:
    """Half Jobs as Berth makes them, half pods of theirs. No controller and no scheduler heeds them."""
    client = Api(NAME, read_kubeconfig(kubeconfig.read_text()))
    client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda one: _make(client, one), range(number // 2)))
        yield
    finally:
        for kind in ("/api/v1/namespaces/{}/pods", "/apis/batch/v1/namespaces/{}/jobs"):
            client.delete(kind.format(NAMESPACE), gracePeriodSeconds=0, propagationPolicy="Background")
        client.delete(f"/api/v1/namespaces/{NAMESPACE}")
        client.close()


def measure(kubeconfig: Path) -> Resync:
    """Of the objects that are there, by a process of its own."""
    command = [sys.executable, "-m", "bench.kubernetes.resync", str(kubeconfig), INSTALL]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return Resync(**json.loads(done.stdout.splitlines()[-1]))


def _make(client: Api, number: int) -> None:
    run = f"r-bench{number}"
    place = Place(INSTALL, NAMESPACE, "http://berth:8800", "berth-runtime:dev", "python:3.11")
    job = pods.build_job(_plan(run), place)
    pod = dict(job["spec"]["template"]["spec"])
    job["spec"]["managedBy"] = "bench.berth.test/nobody"
    made = client.create(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", job)
    owner = {"apiVersion": "batch/v1", "kind": "Job", **{key: made["metadata"][key] for key in ("name", "uid")}}
    metadata = {"name": f"{job['metadata']['name']}-abcde", "labels": job["metadata"]["labels"]}
    pod |= {"schedulingGates": [{"name": "bench.berth.test/never"}]}
    body = {"metadata": {**metadata, "ownerReferences": [owner]}, "spec": pod}
    client.create(f"/api/v1/namespaces/{NAMESPACE}/pods", body)


def _plan(run: str) -> RunPlan:
    env = {f"NAME_{number}": "some value of a variable" for number in range(12)} | {"BERTH_TOKEN": "token"}
    return RunPlan(
        run_id=run,
        attempt=1,
        project_id="8f9a4a41-9b0c-4d3c-9d0e-3a6b1f6f3a10",
        replicas=1,
        command=["python", "train.py", "--lr", "0.1"],
        env=env,
        snapshot_digest=None,
        python=None,
        requirements=None,
        cpu_millis=1000,
        memory_bytes=1 << 30,
        timeout_seconds=None,
        grace_seconds=30,
        log_bytes=1 << 20,
    )


def _resident(field: str) -> float:
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{field}:")) / 1024


def main(kubeconfig: str, install: str) -> None:
    """Measures itself."""

    def nowhere(_: str) -> Place:
        raise NotImplementedError("nothing is started here")

    api = Api(NAME, read_kubeconfig(Path(kubeconfig).read_text()))
    cluster = KubernetesCluster(NAME, api, install, nowhere)
    rest = _resident("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    mirrors = cluster._mirrors
    held = [len(mirror.objects(60.0)) for mirror in mirrors]
    listed, listed_cpu = time.perf_counter() - wall, time.process_time() - cpu
    held_mib = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    wall, cpu = time.perf_counter(), time.process_time()
    for mirror in mirrors:
        mirror.refresh()
    again, again_cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _resident("VmHWM")
    cluster.statuses()  # asks once for the events of pods that do not start
    cpu = time.process_time()
    statuses = cluster.statuses()
    statuses_cpu = time.process_time() - cpu
    cluster.close()
    made: dict[str, Any] = {"objects": sum(held), "rest_mib": rest, "list_seconds": listed, "list_cpu": listed_cpu}
    made |= {"held_mib": held_mib, "relist_seconds": again, "relist_cpu": again_cpu, "peak_mib": peak}
    print(json.dumps(made | {"statuses_cpu": statuses_cpu, "statuses": len(statuses)}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
