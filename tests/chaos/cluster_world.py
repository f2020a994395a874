"""The same installation with a real Kubernetes as its only cluster: runs are pods, and the API server is met through a
proxy that fails on demand."""

import contextlib
import socketserver
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import berth
from deploy.testcluster.api import ApiError
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.faults import Faults
from deploy.testcluster.images import PYTHON, RUNTIME
from tests.chaos.oracle import Key, Mark, Oracle, Process, scan
from tests.chaos.servers import Servers
from tests.chaos.world import Plan, Timing, World, clocks, make_admin
from tests.clusters.kubernetes.berth_account import make_account

POOL = "east"
_OURS = "app.kubernetes.io/managed-by%3Dberth"


class ClusterOracle(Oracle):
    """Programs in pods report by TCP; what is alive is read from /proc all the same, as node1 is this machine. Pods
    are counted at the API server itself, not through the proxy."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.pods: dict[Key, set[str]] = defaultdict(set)
        super().__init__(folder)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words = self.rfile.readline(500).decode(errors="replace").split()
                if len(words) == 4 and words[2].isdigit():
                    outer.marks.append(Mark(time.monotonic(), words[0], words[1], int(words[2]), words[3]))
                    self.wfile.write(b"heard\n")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128  # who finds it full waits a minute for its turn

        self._server = Server((cluster.places.address, 0), Handler)
        self.address = "/dev/tcp/{}/{}".format(*self._server.server_address)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve, self._count_pods)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._server.shutdown()
        super().close()
        for thread in self._threads:
            thread.join(10)
        self._server.server_close()

    def starts(self) -> dict[Key, set[str]]:
        """Of each attempt the programs that began or, where these are more, the pods that it had."""
        found = super().starts()
        for key, uids in list(self.pods.items()):
            if len(uids) > max(1, len(found.get(key, ()))):
                found[key] = set(uids)
        return found

    def scan(self, known: set[str]) -> dict[Key, set[Process]]:
        living = ((key, {one for one in found if _is_program(one[0])}) for key, found in scan(known).items())
        return {key: found for key, found in living if found}

    def left(self) -> set[str]:
        """Pods and Secrets of Berth's in the cluster."""
        try:
            return {
                f"{kind[:-1]} {one['metadata']['name']}"
                for kind in ("pods", "secrets")
                for one in self.cluster.api.get(f"/api/v1/{kind}?labelSelector={_OURS},berth.dev/run")["items"]
            }
        except (OSError, ApiError) as error:
            return {f"the cluster does not answer: {error}"}

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def _count_pods(self) -> None:
        while not self._stop.wait(0.5):
            with contextlib.suppress(OSError, ApiError, ValueError):
                for pod in self.cluster.api.get(f"/api/v1/pods?labelSelector={_OURS},berth.dev/run", timeout=3)[
                    "items"
                ]:
                    labels = pod["metadata"]["labels"]
                    key = labels["berth.dev/run"], int(labels["berth.dev/attempt"])
                    self.pods[key].add(pod["metadata"]["uid"])


def _is_program(pid: int) -> bool:
    """Not a helper beside it: only the program is told where its outputs go."""
    with contextlib.suppress(OSError):
        return b"\0BERTH_OUTPUT=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    return False


class ClusterWorld(World):
    """A world whose runs are pods. `faults` are the levers of the cluster, `proxy` is what Berth sees of it."""

    # A pod takes some seconds to start, and two cores do all of it.
    SHORT = Timing(clocks(1, 4, 4, 5, 3), stuck_after=75, patience=120)
    FULL = Timing({}, stuck_after=200, patience=420)
    CPU_MILLIS = 50
    PROBE_SECONDS = 120.0

    def __init__(self, servers: Servers, timing: Timing, plan: Plan, until: str = "") -> None:
        self.cluster = servers.cluster
        self.faults = Faults(self.cluster)
        self._inside = contextlib.ExitStack()
        super().__init__(servers, timing, plan, until)
        self.proxy = self._inside.enter_context(self.faults.api_calls(make_account(self.cluster)))

    def make_oracle(self) -> ClusterOracle:
        return ClusterOracle(self.folder, self.cluster)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"BERTH_LOCAL__ENABLED": "false"}

    def start_web(self, number: int, port: int) -> None:
        self.fleet.web(number, port, self.chaos("web"), host="0.0.0.0")

    def start_fleet(self) -> None:
        """Also adds the cluster as an administrator does; returns when it was checked."""
        super().start_fleet()
        settings = {
            "berth_url": f"http://{self.cluster.places.address}:{self.ports[0]}",
            "runtime_image": self.cluster.image_by_digest(RUNTIME),
            "default_image": self.cluster.image_by_digest(PYTHON),
        }
        self.client = berth.Client(f"http://127.0.0.1:{self.ports[0]}", make_admin(self.database_url), "chaos")
        self.client.clusters.add(POOL, self.proxy.kubeconfig.read_text(), settings)
        found = self.client.clusters.wait(POOL, 120).raw
        assert found["status"] == "ready", found

    def submit(self, **job: Any) -> str:
        """Submits a job of `make_pod_job`; the run's id."""
        assert isinstance(self.oracle, ClusterOracle)
        return self.ledger.submit(make_pod_job(self.oracle.address, **job))

    def close(self, *, failed: bool) -> None:
        """What a fault left is put back first: all of Berth's namespaces go, and with them what lives."""
        self.proxy.clear()
        self.proxy.events = None
        with contextlib.suppress(Exception):
            self.faults.mend()
        super().close(failed=failed)
        for namespace in self.cluster.api.get("/api/v1/namespaces?labelSelector=berth.dev%2Fproject")["items"]:
            with contextlib.suppress(ApiError, OSError):
                now = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
                name = namespace["metadata"]["name"]
                self.cluster.api.delete(f"/api/v1/namespaces/{name}/pods", now)
                self.cluster.api.delete(f"/api/v1/namespaces/{name}")
        self._inside.close()


_numbers = "for i in {{0..49}}; do seq $((i*{last}/50+1)) $(((i+1)*{last}/50)); sleep {pause}; done"


def make_pod_job(
    oracle: str,
    *,
    seconds: float = 0.3,
    code: int = 0,
    output: bool = False,
    stubborn: bool = False,
    lines: int = 0,
    pace: float = 0.0,
    retry: dict[str, int] | None = None,
) -> dict[str, Any]:
    """A spec. The program tells the oracle when it begins and ends, and waits until it was heard; `lines` of output
    are numbered from 1, and take `pace` seconds."""
    # An oracle that is hard pressed is asked again soon: TCP by itself would ask more and more seldom.
    told = "'\"$BERTH_RUN_ID $BERTH_ATTEMPT $nonce\"'"
    ask = f"exec 3<>{oracle}; echo %s {told} >&3; read -r _ <&3"
    tell = f"until timeout -s KILL 3 bash -c '{ask}'; do :; done"
    program = [
        "trap '' TERM" if stubborn else ":",
        "read -r nonce < /proc/sys/kernel/random/uuid",
        tell % "start",
        _numbers.format(last=lines, pause=pace / 50) if lines else ":",
        'echo result > "$BERTH_OUTPUT/result"' if output else ":",
        f"sleep {seconds}",
        tell % "end",
        f"exit {code}",
    ]
    return {
        "name": "chaos",
        "command": ["/bin/bash", "-c", "\n".join(program)],
        "pool": POOL,
        "cpu": f"{ClusterWorld.CPU_MILLIS}m",
        "memory": "32Mi",
        "grace": "1s",
        "retry": {"lost": 2} if retry is None else retry,
    }
