"""Images that not every cluster needs: built when somebody asks for them, and then given to a cluster that is up.

Their Dockerfiles call pip, which the base image does not have: the pip of the Python that calls this, and what it was
told about package indexes, are mounted for the time of the build. Kept by the hash of what goes in.
"""

import ast
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.testcluster.build import CannotBuild
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.images import REGISTRY, Buildah, base_archive, make_storage
from deploy.testcluster.places import ROOT, cache_folder, hash_of

# Where the base image's Python looks for modules.
_MODULES = "/usr/lib/python3/dist-packages"


@dataclass(frozen=True)
class Extra:
    """An image, its Dockerfile, what that copies from the repository, and build arguments."""

    name: str
    file: str
    copied: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    @property
    def storage(self) -> Path:
        """The storage of a registry that holds it, in the cache."""
        sources = [ROOT / name for name in (self.file, *self.copied)]
        return cache_folder() / f"images/{hash_of(base_archive().parent.name, *self.arguments, *sources)}"


# The image of jobs with what the demo's training imports.
DEMO = Extra(f"{REGISTRY}/berth-job:demo", "deploy/docker/job/Dockerfile", ("berth",), ("PACKAGES=numpy",))

# Berth itself, and the servers that the chart can bring along.
BERTH = Extra(f"{REGISTRY}/berth:dev", "deploy/Dockerfile", ("deploy/requirements.lock", "app", "berth", "migrations"))
SERVERS = Extra(
    f"{REGISTRY}/servers:dev",
    "deploy/testcluster/servers/Dockerfile",
    ("requirements.lock", "deploy/testcluster/servers/serve.py"),
)


def provide(cluster: Cluster, extra: Extra, say: Callable[[str], None] = lambda _: None) -> str:
    """Builds the image where it is not there, and puts it into the registry of a cluster that is up. Returns its name.
    A minute at most the first time. CannotBuild, CalledProcessError."""

    def fill(scratch: Path, registry: str) -> None:
        say(f"building {extra.name}")
        buildah = Buildah(scratch)
        buildah.add_base()
        words = [word for argument in extra.arguments for word in ("--build-arg", argument)]
        buildah.build(extra.name, extra.file, *words, *_pip(scratch))
        buildah.push(extra.name, registry)

    storage = extra.storage
    make_storage(storage, fill, say)
    storage.touch()  # still in use
    shutil.copytree(storage, cluster.places.state / "registry-storage", dirs_exist_ok=True)
    return extra.name


def _pip(scratch: Path) -> list[str]:
    """Mounts for a build: pip, its settings, and the files that they name."""
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise CannotBuild(f"{sys.executable} has no pip; `make setup` makes .venv, whose Python has it")
    mounts = {Path(found.origin).parent: f"{_MODULES}/pip"}
    settings = {}
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    for line in told.stdout.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    for value in settings.values():
        if value.startswith("/") and Path(value).exists():
            mounts[Path(value)] = value
    file = scratch / "pip.conf"
    file.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
    mounts[file] = "/etc/pip.conf"
    return [word for source, target in mounts.items() for word in ("--volume", f"{source}:{target}:ro")]
