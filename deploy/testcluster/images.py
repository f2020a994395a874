"""Container images without a container engine: a Debian root file system by mmdebstrap, the project's own Dockerfiles
by buildah, and all of it in the storage of a registry that each cluster gets a copy of.

Kept by the hash of what goes in.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.testcluster.build import only_one
from deploy.testcluster.places import ROOT, cache_folder, hash_of
from deploy.testcluster.processes import Processes
from deploy.testcluster.registry import start_registry

# The registry's name in images. containerd knows where it is; no name service does.
REGISTRY = "registry.berth.test"
PAUSE = f"{REGISTRY}/pause:1"
PYTHON = f"{REGISTRY}/python:3.11"
JOB = f"{REGISTRY}/berth-job:dev"
RUNTIME = f"{REGISTRY}/berth-runtime:dev"
# The job image once more, under the name of the other: for tests in which a tag moves.
NEXT = f"{REGISTRY}/python:next"
SUITE = "bookworm"
PACKAGES = "python3-minimal,libpython3.11-stdlib,python3-venv,busybox-static,passwd,ca-certificates"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
BUILDAH_CACHE = Path("/var/lib/containers")
# Name of the image: its Dockerfile and what the Dockerfile copies from the repository.
DOCKERFILES = {
    JOB: ("deploy/docker/job/Dockerfile", ("berth",)),
    RUNTIME: (
        "deploy/images/runtime/Dockerfile",
        (
            "berth",
            "deploy/images/runtime/agent.py",
            "app/domain/archives.py",
            "app/clusters/local_wrapper/unpack.py",
        ),
    ),
}


def base_archive() -> Path:
    """Debian with Python as one layer, in the cache."""
    return cache_folder() / f"base/{hash_of(SUITE, PACKAGES, *LEFT_OUT)}/rootfs.tar"


def registry_storage() -> Path:
    """The storage of a registry that holds all images, in the cache."""
    sources = [ROOT / name for file, copied in DOCKERFILES.values() for name in (file, *copied)]
    return cache_folder() / f"images/{hash_of(base_archive().parent.name, Path(__file__), *sources)}"


def has_base() -> bool:
    """Whether what takes a minute is there; the rest is built anew in seconds whenever Berth's code changes."""
    return base_archive().exists()


def build_images(say: Callable[[str], None]) -> None:
    """Builds the images that are not there. About a minute the first time, a few seconds when Berth's code changed."""
    make_storage(registry_storage(), lambda scratch, registry: _fill(scratch, registry, say), say)


def make_storage(result: Path, fill: Callable[[Path, str], None], say: Callable[[str], None]) -> None:
    """Makes the storage of a registry in the cache, where it is not there, out of what `fill`, given a scratch folder
    and the address of a registry, pushes."""
    if result.exists():
        return
    with only_one("images"):
        if result.exists():
            return
        _make_base(say)
        cache_folder().joinpath("images").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="half-", dir=cache_folder() / "images") as name:
            scratch = Path(name)
            processes = Processes(scratch)
            port = start_registry(processes, scratch / "storage")
            try:
                fill(scratch, f"127.0.0.1:{port}")
            finally:
                processes.stop("registry")
                with contextlib.suppress(OSError):
                    BUILDAH_CACHE.rmdir()  # made as a place to mount on; other people's is not empty
            (scratch / "storage").rename(result)


def copy_storage(target: Path) -> None:
    """Gives a cluster a registry storage of its own, to which it may push and in which it may move tags."""
    shutil.copytree(registry_storage(), target)


def write_image(archive: Path, layer: Path, command: list[str]) -> str:
    """Writes a docker archive of one layer, which buildah and containerd read. Returns the layer's digest."""
    with layer.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "history": [{"created_by": "berth testcluster"}],
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        for name, content in (("config.json", config), ("manifest.json", manifest)):
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        tar.add(layer, "layer.tar")
    return digest


def _make_base(say: Callable[[str], None]) -> None:
    base = base_archive()
    if base.exists():
        return
    say("  base image by mmdebstrap")
    base.parent.mkdir(parents=True, exist_ok=True)
    half = base.with_suffix(".half")
    exclude = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    words = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={PACKAGES}", *exclude, SUITE]
    subprocess.run([*words, str(half)], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    half.rename(base)


def _fill(scratch: Path, registry: str, say: Callable[[str], None]) -> None:
    """Builds all images in `scratch` and pushes them to the registry at that address."""
    buildah = Buildah(scratch)
    (scratch / "pause/bin").mkdir(parents=True)
    shutil.copy2("/bin/busybox", scratch / "pause/bin/busybox")
    (scratch / "pause/bin/sleep").symlink_to("busybox")
    with tarfile.open(scratch / "pause.tar", "w") as tar:
        tar.add(scratch / "pause/bin", "bin")
    write_image(scratch / "pause-image.tar", scratch / "pause.tar", ["/bin/sleep", "infinity"])
    buildah.add(scratch / "pause-image.tar", PAUSE)
    buildah.add_base()
    for image in (PAUSE, PYTHON):
        buildah.push(image, registry)
    for image, (file, _) in DOCKERFILES.items():
        say(f"  {image} by buildah")
        buildah.build(image, file)
        buildah.push(image, registry)
    buildah("tag", JOB, NEXT)
    buildah.push(NEXT, registry)


class Buildah:
    """buildah with a storage of its own and without namespaces that a container may not make."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._storage = ["--root", str(scratch / "buildah"), "--runroot", str(scratch / "buildah-run")]
        self._environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "HOME": str(scratch)}
        # As root it keeps a cache in /var/lib/containers, whatever it is told: a mount of our own goes before it.
        (scratch / "buildah-cache").mkdir()
        self._alone = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mkdir -p "$1" && mount --bind "$0" "$1" && shift && exec "$@"',
        ]
        self._alone += [str(scratch / "buildah-cache"), str(BUILDAH_CACHE)]

    def __call__(self, command: str, *words: str) -> str:
        """Runs it and returns what it printed. CalledProcessError, with what it said as a note."""
        done = subprocess.run(
            [*self._alone, "buildah", *self._storage, "--storage-driver", "vfs", command, *words],
            env=self._environment,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, f"buildah {command}")
            error.add_note(done.stderr[-2000:])
            raise error
        return done.stdout

    def add(self, archive: Path, image: str) -> None:
        """Gives the image of a docker archive that name."""
        identity = self("pull", "--quiet", f"docker-archive:{archive}").split()[-1]
        self("tag", identity, image)

    def add_base(self) -> None:
        """Debian with Python, as PYTHON."""
        archive = self._scratch / "base-image.tar"
        write_image(archive, base_archive(), ["python3"])
        self.add(archive, PYTHON)

    def build(self, image: str, file: str, *words: str) -> None:
        """Builds a Dockerfile of the repository on PYTHON; its context is the repository."""
        context = ["--build-arg", f"BASE={PYTHON}", *words, "--file", str(ROOT / file), str(ROOT)]
        self("build", "--quiet", "--pull-never", "--network", "host", "--tag", image, *context)

    def push(self, image: str, registry: str) -> None:
        """Uncompressed: a cluster unpacks it at once, and no line is between."""
        target = image.replace(REGISTRY, registry)
        self("push", "--quiet", "--disable-compression", "--tls-verify=false", image, f"docker://{target}")
