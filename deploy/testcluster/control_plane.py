"""etcd, the API server, the controller manager, the scheduler and CoreDNS: how each is started."""

import json
import socket
from typing import Any

from deploy.testcluster.api import Api, ApiError
from deploy.testcluster.build import program
from deploy.testcluster.places import Places
from deploy.testcluster.processes import Processes

# A place in this list is a port: see Places.port.
ETCD, ETCD_PEER, MANAGER, SCHEDULER, REGISTRY, PRIVATE, KWOK, READY, KUBELET_HEALTH, SIMULATED_LOGS = range(10)
# Much shorter than a real cluster's 40 s and 300 s, so that a test of a lost node takes seconds.
NODE_GRACE_SECONDS = 12
UNREACHABLE_SECONDS = 5
BERTH_USER = "system:serviceaccount:berth:berth"
# What Berth asks of the API server, one line of JSON for each answer; nothing of anybody else.
_AUDIT: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [BERTH_USER]}, {"level": "None"}],
}
# Calls a second of the controllers and the scheduler: their defaults, 20 and 50, would hold up thousands of Jobs.
_RATE = ("--kube-api-qps=500", "--kube-api-burst=1000")


def start_etcd(places: Places, processes: Processes) -> None:
    """Without fsync: what a crash of the machine would lose is a test's."""
    client, peer = (f"http://127.0.0.1:{places.port(of)}" for of in (ETCD, ETCD_PEER))
    processes.start(
        "etcd",
        [
            program("etcd"),
            f"--data-dir={places.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
    )
    processes.wait_ready("etcd", lambda: _listens("127.0.0.1", places.port(ETCD)))


def start_api_server(places: Places, processes: Processes, seconds: float = 90.0) -> None:
    """Returns once it says that it is ready."""
    pki = places.pki
    policy = places.state / "audit.yaml"
    policy.write_text(json.dumps(_AUDIT))
    processes.start(
        "kube-apiserver",
        [
            program("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{places.port(ETCD)}",
            f"--bind-address={places.address}",
            "--secure-port=6443",
            f"--advertise-address={places.address}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--cert-dir={pki}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'sa.key'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-cluster-ip-range={places.services}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-client-certificate={pki / 'admin.crt'}",
            f"--kubelet-client-key={pki / 'admin.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--default-not-ready-toleration-seconds={UNREACHABLE_SECONDS}",
            f"--default-unreachable-toleration-seconds={UNREACHABLE_SECONDS}",
            # A stopped API server should be away at once; watches are not waited for.
            "--shutdown-delay-duration=0s",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={places.audit}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=1",
        ],
    )
    api = Api(places.kubeconfig)

    def ready() -> bool:
        try:
            return bool(api.get("/readyz") == "ok")
        except ApiError:
            return False

    processes.wait_ready("kube-apiserver", ready, seconds)


def start_controllers(places: Places, processes: Processes) -> None:
    """The controller manager and the scheduler, alone, so without an election."""
    common = ["--leader-elect=false", "--bind-address=127.0.0.1", f"--cert-dir={places.pki}"]
    if not processes.is_alive("kube-controller-manager"):
        processes.start(
            "kube-controller-manager",
            [
                program("kube-controller-manager"),
                *common,
                *_RATE,
                f"--kubeconfig={places.state / 'kcm.kubeconfig'}",
                f"--secure-port={places.port(MANAGER)}",
                f"--service-account-private-key-file={places.pki / 'sa.key'}",
                f"--root-ca-file={places.pki / 'ca.crt'}",
                "--use-service-account-credentials",
                f"--flex-volume-plugin-dir={places.state / 'volume-plugins'}",
                f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
                "--node-monitor-period=1s",
            ],
        )
    if not processes.is_alive("kube-scheduler"):
        kubeconfig = f"--kubeconfig={places.state / 'scheduler.kubeconfig'}"
        port = f"--secure-port={places.port(SCHEDULER)}"
        processes.start("kube-scheduler", [program("kube-scheduler"), *common, *_RATE, kubeconfig, port])


def start_dns(places: Places, processes: Processes) -> None:
    """Answers for cluster.local on the bridge; other names are not known, as nothing else can be reached."""
    pki = places.pki
    (places.state / "Corefile").write_text(
        f".:53 {{\n  bind {places.address}\n  errors\n  ready 127.0.0.1:{places.port(READY)}\n"
        f"  kubernetes cluster.local {{\n    endpoint https://{places.address}:6443\n"
        f"    tls {pki / 'admin.crt'} {pki / 'admin.key'} {pki / 'ca.crt'}\n    ttl 1\n  }}\n}}\n"
    )
    processes.start("coredns", [program("coredns"), "-conf", places.state / "Corefile"])


def _listens(address: str, port: int) -> bool:
    with socket.create_connection((address, port), timeout=1):
        return True
