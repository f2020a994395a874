"""Where the runs of the demo run: as processes of this machine, or as pods of a cluster."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import berth
from app.trial.demo_report import DemoFailedError

EXAMPLE = Path(__file__).parent / "example"
DATA = "digits.csv.gz"
UNFIT = {
    "checking": "was not checked yet",
    "failing": "failed its check",
    "draining": "takes nothing new",
    "away": "does not answer",
}


@dataclass(frozen=True)
class Place:
    """What `berth run submit` is told so that a run runs there: the folder of its code, flags, and the program."""

    folder: Path
    flags: tuple[str, ...]
    program: tuple[str, ...]
    is_cluster: bool = False


def on_this_machine() -> Place:
    """Processes with the Python that runs the demo, which has what the training needs."""
    return Place(EXAMPLE, ("--python", sys.executable), ("python", "train.py"))


@contextmanager
def on_cluster(client: berth.Client, name: str) -> Iterator[Place]:
    """Pods of the cluster's default image, which needs python3 with numpy. The data, which come with scikit-learn,
    are sent with the code. Raises DemoFailedError, BerthError where the cluster cannot be used."""
    unfit = why_unfit(client.clusters.get(name).raw)
    if unfit:
        raise DemoFailedError(unfit)
    with tempfile.TemporaryDirectory(prefix="berth-demo-") as folder:
        code = Path(folder)
        shutil.copy2(EXAMPLE / "train.py", code)
        shutil.copy2(data_file(), code / DATA)
        flags = ("--cluster", name)
        yield Place(code, flags, ("python3", "train.py", "--data", DATA), is_cluster=True)


def why_unfit(cluster: Mapping[str, Any]) -> str | None:
    """Why the demo cannot run on a cluster, as the API tells it, and what to do; None where it can."""
    name, status = cluster["name"], cluster["status"]
    if status != "ready":
        return f"the cluster {name} {UNFIT[status]}; `berth cluster check {name}` says more"
    if not cluster["settings"].get("default_image"):
        return (
            f"the cluster {name} has no default image; `berth cluster set {name} --default-image IMAGE` "
            "names one that has python3 with numpy"
        )
    return None


def data_file() -> Path:
    """The handwritten digits as scikit-learn brings them; nothing of it is imported."""
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise DemoFailedError("the data come with scikit-learn: pip install scikit-learn")
    return Path(found.origin).parent / "datasets" / "data" / DATA
