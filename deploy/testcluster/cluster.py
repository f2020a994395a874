"""One cluster: brought up, asked, taken down. What the command, the fixtures and the fault experiments share."""

import contextlib
import http.client
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable

from deploy.testcluster import build, control_plane, images, kwok, machine, node, packages, pki, registry
from deploy.testcluster.api import Api, ApiError
from deploy.testcluster.places import LONGEST_STATE, Places
from deploy.testcluster.processes import NotUp, Processes, wait_until

SIMULATED_NODES = ("gpu-1", "gpu-2")


def cannot(*, build_it: bool = False) -> str | None:
    """Why there can be no cluster here, in one line; None when there can. `build_it`: it may still be built."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the test cluster needs Linux and root"
    if build_it:
        return None
    missing = build.unbuilt(all_of_them=False) + packages.missing_packages()
    if missing or not images.has_base():
        return f"the test cluster is not built; {build.hint()}"
    return None


def build_all(say: Callable[[str], None]) -> None:
    """Packages, programs, images: what is missing of them. CannotBuild says what the user must do."""
    missing = packages.missing_packages()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"packages: {' '.join(missing)}")
        packages.install_packages(missing)
    elif missing:
        raise build.CannotBuild(f"as root: apt-get install --no-install-recommends {' '.join(missing)}")
    if os.geteuid() != 0:
        raise build.CannotBuild("images and the cluster need root")
    say("programs")
    build.build_programs(say)
    say("images")
    images.build_images(say)
    note_use()


def note_use() -> None:
    """What is used now stays in the cache folder; what nobody used for a week goes."""
    build.remove_unused([module.result for module in build.MODULES], "bin/*")
    build.remove_unused([images.registry_storage()], "images/*")
    build.remove_unused([images.base_archive().parent], "base/*")


class Cluster:
    """Cluster `number`: 0 is the one of `make cluster-up`, tests take others."""

    def __init__(self, number: int = 0) -> None:
        self.places = Places(number)
        self.processes = Processes(self.places.state)
        self.seconds: dict[str, float] = {}

    @property
    def api(self) -> Api:
        """A client with all rights."""
        return Api(self.places.kubeconfig)

    @property
    def registry_port(self) -> int:
        """The open registry's port on 127.0.0.1; images call it registry.berth.test."""
        return self.places.port(control_plane.REGISTRY)

    @property
    def private_port(self) -> int:
        """The port of the registry that wants a password; images call it private.berth.test."""
        return self.places.port(control_plane.PRIVATE)

    def up(self) -> None:
        """Starts it, from nothing, and waits for all of it. What an earlier one left is removed. NotUp."""
        reason = cannot()
        if reason:
            raise NotUp(reason)
        if self.places.state.exists() or machine.left_behind(self.places):
            self.down()
        if len(str(self.places.state)) > LONGEST_STATE:
            raise NotUp(f"{self.places.state}: too long for unix sockets")
        images.build_images(lambda _: None)
        note_use()
        self.places.state.mkdir(parents=True, mode=0o711)
        try:
            machine.mount_state(self.places)
            self._up()
        except BaseException:
            if not os.environ.get("BERTH_TESTCLUSTER_KEEP"):
                self.down()
            raise

    def down(self) -> None:
        """Ends all and gives back what was taken; fine in any state. NotUp when something stays behind."""
        # All of it is thrown away, so nothing is asked to end: that is quick, and works in any state.
        names = self.processes.names()
        for name in sorted(names, key=lambda name: name != "kubelet"):
            self.processes.kill(name)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            # Stopped first, so that none of them starts another one in between.
            for pid, _ in machine.processes(self.places):
                if pid != os.getpid():
                    _send(pid, number)
        wait_until("all processes end", lambda: not machine.processes(self.places, but=os.getpid()), 10)
        machine.give_back(self.places)
        shutil.rmtree(self.places.state, ignore_errors=True)
        left = machine.left_behind(self.places)
        if left:
            raise NotUp("left behind: " + "; ".join(left))

    def is_up(self) -> bool:
        try:
            return bool(self.api.get("/readyz", timeout=3) == "ok")
        except (OSError, ApiError):
            return False

    def wait_node_ready(self, name: str = node.NODE, seconds: float = 60.0) -> None:
        """Returns once the node says Ready and takes pods."""
        self.api.wait(f"/api/v1/nodes/{name}", lambda found: _ready(found) and not _tainted(found), seconds, every=0.1)

    def image_by_digest(self, image: str) -> str:
        """An image of the open registry by its digest: `registry.berth.test/name@sha256:...`. KeyError."""
        name, tag = image.removeprefix(f"{images.REGISTRY}/").split(":")
        return f"{images.REGISTRY}/{name}@{registry.digest_of(self.registry_port, name, tag)}"

    def start_all_but_containers(self) -> None:
        """Control plane, kubelet, DNS and kwok, as far as they do not run."""
        if not self.processes.is_alive("etcd"):
            control_plane.start_etcd(self.places, self.processes)
        if not self.processes.is_alive("kube-apiserver"):
            control_plane.start_api_server(self.places, self.processes)
        control_plane.start_controllers(self.places, self.processes)
        for name, start in (
            ("kubelet", node.start_kubelet),
            ("coredns", control_plane.start_dns),
            ("kwok", kwok.start_kwok),
            ("simulated-logs", kwok.start_logs),
        ):
            if not self.processes.is_alive(name):
                start(self.places, self.processes)

    def _up(self) -> None:
        began = time.monotonic()
        machine.prepare(self.places)
        pki.make_certificates(self.places)
        storage = self.places.state / "registry-storage"
        images.copy_storage(storage)
        beside = _Beside(self._start_node_parts)
        control_plane.start_etcd(self.places, self.processes)
        control_plane.start_api_server(self.places, self.processes)
        self.seconds["API server ready"] = time.monotonic() - began
        beside.join()
        self.start_all_but_containers()
        for name in SIMULATED_NODES:
            kwok.add_node(self.api, name)
        for name in (node.NODE, *SIMULATED_NODES):
            self.wait_node_ready(name)
        port = self.places.port(control_plane.READY)
        wait_until("CoreDNS is ready", lambda: _dns_ready(port), 30)
        self.api.wait("/api/v1/namespaces/default/serviceaccounts/default", bool, 30)
        self.seconds["all ready"] = time.monotonic() - began

    def _start_node_parts(self) -> None:
        storage = self.places.state / "registry-storage"
        registry.start_registry(self.processes, storage, port=self.registry_port)
        registry.start_registry(self.processes, storage, name="private", port=self.private_port)
        node.start_containerd(self.places, self.processes)


class _Beside:
    """A function that runs in a thread; `join` returns when it ended and raises what it raised."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._function = function
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:
            self._error = error


def _ready(found: dict[str, object]) -> bool:
    status = found.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _tainted(found: dict[str, object]) -> bool:
    spec = found.get("spec")
    taints = spec.get("taints", []) if isinstance(spec, dict) else []
    return any(taint["key"].startswith("node.kubernetes.io/") for taint in taints)


def _dns_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
