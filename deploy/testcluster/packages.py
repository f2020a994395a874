"""The Debian packages that the cluster is made of besides what is built: asked for, installed, or named."""

import os
import shutil
import subprocess
from pathlib import Path

# Package: a file that it brings. Those of /usr/lib/cni are not on the PATH.
WANTED = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "iproute2": "ip",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "busybox-static": "/bin/busybox",
    "docker-registry": "docker-registry",
    "openssl": "openssl",
}
NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def missing_packages() -> list[str]:
    """Those whose file is not there."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return [name for name, file in WANTED.items() if shutil.which(file, path=path) is None]


def install_packages(names: list[str]) -> None:
    """Installs packages by apt-get, without starting the services that they bring. CalledProcessError when it fails."""
    own_policy = not NO_SERVICES.exists()
    if own_policy:
        NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        NO_SERVICES.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *names]):
            subprocess.run(["apt-get", *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    finally:
        if own_policy:
            NO_SERVICES.unlink(missing_ok=True)
