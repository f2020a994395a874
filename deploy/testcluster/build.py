"""Builds the programs of the cluster from Go modules, once: kept by the hash of what says how they are built.

The versions are those of `modules/*/go.mod`, checked against go.sum. Go's own caches lie beside the results, so that
an empty HOME does not throw them away.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.testcluster.places import HERE, SETTING, cache_folder, hash_of

KUBERNETES = "v1.34.4"
_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR = KUBERNETES[1:].split(".")[:2]
# Without a version of its own a Kubernetes built this way calls itself v0.0.0. No DWARF: nobody debugs these, and
# the compiler is a tenth faster without.
_LINK = f"-s -w -X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor={_MAJOR} -X {_VERSION}.gitMinor={_MINOR}"
_FLAGS = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", _LINK]
OLDEST_GO = (1, 21)


class CannotBuild(Exception):
    """What is missing for the build, and how to have it."""


@dataclass(frozen=True)
class Module:
    """One go.mod and the programs made from it: name -> package."""

    name: str
    programs: dict[str, str]
    starts_cluster: bool = True  # whether a cluster cannot be up without it

    @property
    def folder(self) -> Path:
        return HERE / "modules" / self.name

    @property
    def result(self) -> Path:
        """The folder of the built programs."""
        key = hash_of(self.folder, *_FLAGS, *self.programs.values())
        return cache_folder() / f"bin/{self.name}-{key}"


MODULES = (
    Module(
        "kubernetes",
        {
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
            "kubelet": "k8s.io/kubernetes/cmd/kubelet",
            "etcd": "go.etcd.io/etcd/server/v3",
            "coredns": "./dns",
        },
    ),
    # A module of its own: kwok does not compile beside the staging modules of Kubernetes 1.34.
    Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    # Installs Berth's chart. Its libraries are those of the same Kubernetes, so half of it is compiled already.
    Module("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}, starts_cluster=False),
)


def program(name: str) -> Path:
    """Where a built program lies, or will lie."""
    return next(module.result / name for module in MODULES if name in module.programs)


def unbuilt(*, all_of_them: bool = True) -> list[str]:
    """The programs that are not there yet; without `all_of_them` those that a cluster cannot be started without."""
    modules = [module for module in MODULES if all_of_them or module.starts_cluster]
    return [name for module in modules for name in module.programs if not (module.result / name).exists()]


def build_programs(say: Callable[[str], None]) -> None:
    """Builds what is not there. About 10 minutes of two cores the first time. CannotBuild, CalledProcessError."""
    missing = unbuilt()
    if not missing:
        return
    environment = go_environment()
    with only_one("build"):
        for module in MODULES:
            module.result.mkdir(parents=True, exist_ok=True)
            for name, package in module.programs.items():
                if (module.result / name).exists():
                    continue
                began = time.monotonic()
                half = module.result / f"{name}.half"
                words = ["go", "build", "-p", str(os.cpu_count() or 2), *_FLAGS, "-o", str(half), package]
                subprocess.run(["nice", "-n", "10", *words], cwd=module.folder, env=environment, check=True)
                half.rename(module.result / name)
                say(f"  {name}: {time.monotonic() - began:.0f} s")


def go_environment() -> dict[str, str]:
    """The environment for Go: its caches in our folder, nothing of the user's settings. CannotBuild without Go."""
    go = shutil.which("go")
    if go is None:
        raise CannotBuild(f"Go is missing: install Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later, https://go.dev/dl/")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True, cwd="/").stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    if version and (int(version[1]), int(version[2])) < OLDEST_GO:
        raise CannotBuild(f"{said.strip()} is too old: Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later is needed")
    caches = cache_folder() / "go"
    return {
        **os.environ,
        "GOMODCACHE": str(caches / "mod"),
        "GOCACHE": str(caches / "build"),
        # Folders of modules are read-only by default: a cache folder should go away with `rm -r`.
        "GOFLAGS": "-modcacherw -mod=readonly -buildvcs=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        # The compiler collects its garbage less often: a tenth of the time for about 1 GB more of memory.
        "GOGC": "400",
    }


@contextlib.contextmanager
def only_one(what: str) -> Iterator[None]:
    """Whoever else builds the same waits, and then finds it there."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_unused(used: list[Path], pattern: str, days: float = 7.0) -> None:
    """Removes results that nobody used for so long: what matches the pattern in the cache folder. Other clones of the
    repository use the same folder, so what is not used here may still be in use."""
    for folder in used:
        os.utime(folder)
    for folder in cache_folder().glob(pattern):
        if folder.stat().st_mtime < time.time() - days * 86400:
            shutil.rmtree(folder, ignore_errors=True)


def hint() -> str:
    """One line on how to have the cluster."""
    return f"`make cluster-build` builds it (Linux, root, Go; about 10 minutes once; {SETTING} names the folder)"
