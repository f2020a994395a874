"""The one real node, `node1`: containerd with runc, the network of its pods, the kubelet."""

import json
import subprocess

from deploy.testcluster.build import program
from deploy.testcluster.control_plane import KUBELET_HEALTH, NODE_GRACE_SECONDS, PRIVATE, REGISTRY
from deploy.testcluster.images import PAUSE
from deploy.testcluster.images import REGISTRY as REGISTRY_NAME
from deploy.testcluster.places import Places
from deploy.testcluster.processes import Processes

NODE = "node1"
PRIVATE_NAME = "private.berth.test"
EVICTION = {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"}

_CONTAINERD = """version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE, as in many containers, a sandbox with a lower score does not start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{state}/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{state}/runc"
"""


def start_containerd(places: Places, processes: Processes) -> None:
    """Returns once it answers."""
    state = places.state
    values = {"state": str(state), "socket": str(places.containerd_socket), "pause": PAUSE}
    config = state / "containerd.toml"
    config.write_text(_CONTAINERD.format_map(values))
    for name, of in ((REGISTRY_NAME, REGISTRY), (PRIVATE_NAME, PRIVATE)):
        folder = state / "registries" / name
        folder.mkdir(parents=True, exist_ok=True)
        address = f"http://127.0.0.1:{places.port(of)}"
        (folder / "hosts.toml").write_text(f'server = "{address}"\n[host."{address}"]\n')
    (state / "cni").mkdir(exist_ok=True)
    (state / "cni/10-berth.conflist").write_text(json.dumps(_network(places)))
    processes.start("containerd", ["containerd", "--config", config, "--log-level", "warn"])
    processes.wait_ready("containerd", lambda: _answers(places))


def start_kubelet(places: Places, processes: Processes, eviction: dict[str, str] | None = None) -> None:
    """Starts the kubelet; that the node is Ready is for the caller to see. `eviction` are thresholds of its own."""
    config = places.state / "kubelet.yaml"
    config.write_text(json.dumps(_kubelet(places, eviction or EVICTION), indent=1))
    processes.start(
        "kubelet",
        [
            program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={places.state / 'kubelet.kubeconfig'}",
            f"--root-dir={places.state / 'kubelet'}",
            f"--cert-dir={places.pki}",
            f"--hostname-override={NODE}",
            # An address of the loopback is refused, and then no log can be read.
            f"--node-ip={places.address}",
            "--node-labels=berth.test/real=true",
        ],
    )


def _answers(places: Places) -> bool:
    asked = ["ctr", "--address", str(places.containerd_socket), "--timeout", "10s", "version"]
    return places.containerd_socket.exists() and subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _network(places: Places) -> dict[str, object]:
    """Pods reach each other and the host, and nothing else: no address of theirs is known outside."""
    return {
        "cniVersion": "0.4.0",
        "name": "berth",
        "plugins": [
            {
                "type": "bridge",
                "bridge": places.bridge,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(places.state / "ipam"),
                    "ranges": [[{"subnet": f"{places.network}.0.0/16"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(places: Places, eviction: dict[str, str]) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(places.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": places.address,
        "healthzPort": places.port(KUBELET_HEALTH),
        "tlsCertFile": str(places.pki / "server.crt"),
        "tlsPrivateKeyFile": str(places.pki / "server.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{places.cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [places.address],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
        # The machine's own name servers and search list are not for pods: they could not reach them.
        "resolvConf": "",
        "podLogsDir": str(places.state / "podlogs"),
        "volumePluginDir": str(places.state / "volume-plugins"),
        # What is rotated away can be read no more, whoever was about to. By default that is after 10Mi.
        "containerLogMaxSize": "100Mi",
        "evictionHard": eviction,
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": NODE_GRACE_SECONDS,
        "syncFrequency": "10s",
    }
