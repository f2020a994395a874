"""`make demo-kubernetes`: the demo in real pods, from nothing and back to nothing.

Brings up the test cluster and a Berth of its own, adds the one to the other as docs/guides/add-a-cluster.md does, has
`berth demo` run its jobs there, and takes everything down. A cluster that was up already stays up, as it was.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from app.trial.demo import PROJECT
from app.trial.demo_report import DemoFailedError
from app.trial.demo_server import DemoServer
from app.trial.embedded import find
from deploy.testcluster import build, images
from deploy.testcluster.api import Api, ApiError
from deploy.testcluster.cluster import Cluster, build_all, cannot
from deploy.testcluster.faults import token_of
from deploy.testcluster.more_images import DEMO, provide
from deploy.testcluster.pki import write_kubeconfig
from deploy.testcluster.places import ROOT
from deploy.testcluster.processes import NotUp

MANIFESTS = ROOT / "deploy/kubernetes"
NAME = "testcluster"
_BERTH = [sys.executable, "-P", "-m", "berth"]
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/berth/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def run(number: int, say: Callable[[str], None]) -> int:
    """The exit code of the demo in cluster `number`. NotUp, CannotBuild, CalledProcessError."""
    reason = cannot(build_it=True)
    if reason:
        raise NotUp(f"{reason}; `make demo` does the same with processes of this machine")
    if cannot():
        build.go_environment()  # says at once that Go is missing
        say("building the test cluster; this is done once and takes about 10 minutes on two quiet cores")
        build_all(say)
    cluster = Cluster(number)
    was_up = cluster.is_up()
    if was_up:
        say(f"using the test cluster that is up; KUBECONFIG={cluster.places.kubeconfig}")
    else:
        images.build_images(say)
        say("starting a Kubernetes on this machine")
        cluster.up()
        say(f"it is up after {cluster.seconds['all ready']:.0f} s, with one real node")
    try:
        image = provide(cluster, DEMO, say)
        with account(cluster) as kubeconfig, own_home(cluster), DemoServer(say) as server:
            _add_cluster(server, kubeconfig, image, say)
            words = [*_BERTH, "demo", "--cluster", NAME]
            code = subprocess.run(words, env=server.environment(PROJECT), check=False).returncode
    except DemoFailedError as error:
        print(f"error: the demo failed: {error}", file=sys.stderr)
        code = 1
    finally:
        if not was_up:
            cluster.down()
    say("Berth has ended; nothing of it is left." if was_up else "Berth and the cluster have ended; nothing is left.")
    return code


@contextmanager
def own_home(cluster: Cluster) -> Iterator[None]:
    """A home for Berth for as long as this takes, and its web process on the address by which pods reach this machine
    and nobody outside of it does."""
    folder = Path(tempfile.mkdtemp(prefix="berth-k-"))
    told = {"BERTH_HOME": str(folder), "BERTH_WEB__HOST": cluster.places.address, "BERTH_LOCAL__ENABLED": "false"}
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if not name.startswith("BERTH_")}
    try:
        os.environ.clear()
        os.environ.update(kept | told)
        yield
    finally:
        servers = find(folder, folder)
        for each in (servers.postgres, servers.valkey):
            if each is not None:
                each.stop()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def account(cluster: Cluster) -> Iterator[Path]:
    """The account of the guide. Yields a kubeconfig for it; afterwards all that was made in the cluster is gone."""
    api = cluster.api
    texts = [path.read_text() for path in sorted(MANIFESTS.glob("*.yaml"))]
    manifests: list[dict[str, Any]] = [one for text in texts for one in YAML(typ="safe", pure=True).load_all(text)]
    before = _projects(api)
    made = []
    with tempfile.TemporaryDirectory(prefix="berth-k-") as folder:
        try:
            for manifest in manifests:
                path = _PATHS[manifest["kind"]]
                try:
                    api.post(path, manifest)
                    made.append(f"{path}/{manifest['metadata']['name']}")
                except ApiError as error:
                    if error.status != 409:
                        raise
            kubeconfig = Path(folder) / "kubeconfig"
            token = token_of(api, "berth", "berth")
            write_kubeconfig(kubeconfig, api.server, api.authority, {"token": token})
            yield kubeconfig
        finally:
            made += [f"/api/v1/namespaces/{name}" for name in _projects(api) - before]
            for path in reversed(made):
                with suppress(ApiError):
                    api.delete(path)


def _projects(api: Api) -> set[str]:
    """The namespaces of projects, of whichever Berth."""
    found = api.get("/api/v1/namespaces?labelSelector=berth.dev%2Fproject")["items"]
    return {one["metadata"]["name"] for one in found}


def _add_cluster(server: DemoServer, kubeconfig: Path, image: str, say: Callable[[str], None]) -> None:
    """`berth cluster add`, and its check. DemoFailedError says what that found."""
    say("adding the cluster to Berth with an account of limited rights, and checking it")
    began = time.monotonic()
    words = [*_BERTH, "cluster", "add", NAME, "--kubeconfig", str(kubeconfig), "--wait"]
    words += ["--berth-url", server.url, "--runtime-image", images.RUNTIME, "--default-image", image]
    done = subprocess.run(words, env=server.environment(PROJECT), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoFailedError(f"the cluster was not taken:\n{done.stdout}{done.stderr}")
    say(f"it passed its check after {time.monotonic() - began:.0f} s")
