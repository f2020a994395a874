"""Where everything lies: what is kept between uses (binaries, images, Go's caches) and what one cluster makes.

Nothing lies in the repository, in the home's other folders or in the machine's own (`/var/lib`, `/etc`).
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SETTING = "BERTH_TESTCLUSTER_CACHE"
# The longest name that the kernel takes for a unix socket, less the longest that is made below the folder.
LONGEST_STATE = 107 - len("/kubelet/pod-resources/1234567890.sock")


def cache_folder() -> Path:
    """The folder that BERTH_TESTCLUSTER_CACHE names; else one in the user's cache folder."""
    named = os.environ.get(SETTING)
    if named:
        return Path(named).resolve()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "berth/testcluster"


def hash_of(*parts: Path | str) -> str:
    """12 hexadecimal digits that change with the content (and place) of the files, or with the texts."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode())
            continue
        files = [part] if part.is_file() else sorted(path for path in part.rglob("*") if path.is_file())
        for path in files:
            if "__pycache__" not in path.parts:
                total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]


@dataclass(frozen=True)
class Places:
    """The folders of cluster `number`. Several can be up at once, each with its own addresses and ports."""

    number: int = 0

    @property
    def state(self) -> Path:
        """All that one cluster writes; removed when it comes down."""
        return cache_folder() / f"up/{self.number}"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def audit(self) -> Path:
        """What Berth asked of the API server."""
        return self.state / "log/audit.log"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.state / "admin.kubeconfig"

    @property
    def bridge(self) -> str:
        """The network interface that pods and host share."""
        return f"berthtest{self.number}"

    @property
    def network(self) -> str:
        """The first two bytes of pods' addresses, a network of 65,534 addresses."""
        return f"10.{88 + self.number}"

    @property
    def address(self) -> str:
        """The machine's address on the bridge: the API server, the kubelet, DNS, and Berth itself for pods."""
        return f"{self.network}.0.1"

    @property
    def services(self) -> str:
        """The network of cluster addresses, in CIDR form."""
        return f"10.{188 + self.number}.0.0/16"

    @property
    def cgroup(self) -> str:
        return f"berthtest{self.number}"

    def port(self, of: int) -> int:
        """A port on 127.0.0.1 for the part with that place in the list of parts."""
        return 23000 + 20 * self.number + of
