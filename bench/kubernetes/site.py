"""What is measured: a cluster, a Berth of its own to which it was added, and what the cluster wrote down of Berth."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

import berth
from app.clusters.kubeconfig import read_kubeconfig
from app.clusters.kubernetes_api import Api
from app.trial.demo_server import DemoServer
from app.trial.embedded import find
from app.trial.state import running_record
from deploy.testcluster import images, kwok
from deploy.testcluster.cluster import Cluster
from deploy.testcluster.demo import account, own_home

NAME = "bench"
PROJECT = "demo"
SIMULATED = {
    "node_selector": f"{kwok.SIMULATED}=true",
    "tolerations": f"{kwok.GPU}=present:NoSchedule",
}


@dataclass(frozen=True)
class Call:
    """One answer of the API server to Berth. Times are seconds since the epoch, by the server's clock."""

    verb: str
    resource: str  # with its subresource
    namespace: str
    name: str
    status: int
    agent: str
    received: float
    answered: float

    @property
    def is_stream(self) -> bool:
        """A watch, or a log that is followed."""
        return self.verb == "watch" or self.resource == "pods/log"


@dataclass
class Audit:
    """Reads what the API server writes down, from where it was read before."""

    path: Path
    _at: int = 0
    _rest: bytes = b""

    def skip(self) -> None:
        """What was written until now is not told."""
        self._at, self._rest = self.path.stat().st_size, b""

    def read(self) -> Iterator[Call]:
        """What is new."""
        with self.path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            entry = json.loads(line)
            if entry["stage"] != "ResponseStarted":
                yield _call(entry)


@dataclass
class Site:
    """Where measuring happens. `pids` are those of Berth's processes by name, and of its Postgres."""

    cluster: Cluster
    server: DemoServer
    client: berth.Client
    kubeconfig: Path
    database_url: str
    pids: dict[str, int]
    audit: Audit
    log: Path = field(default_factory=Path)

    def bare(self, agent: str = "bench") -> Api:
        """A client with the rights of Berth's account, and nothing of Berth's in its way."""
        made = Api(NAME, read_kubeconfig(self.kubeconfig.read_text()))
        made._headers["User-Agent"] = agent
        return made

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of Berth's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def use_simulated_nodes(self, more: int = 0) -> None:
        """From now on runs go to simulated nodes, of which `more` are added, and to no real one."""
        for number in range(more):
            kwok.add_node(self.cluster.api, f"bench-{number}")
        for number in range(more):
            self.cluster.wait_node_ready(f"bench-{number}")
        self.client.clusters.update(NAME, SIMULATED)
        self.client.clusters.wait(NAME, 120)


@contextmanager
def site(cluster: Cluster, say: Callable[[str], None] = lambda _: None) -> Iterator[Site]:
    """A Berth with that cluster added and checked. Afterwards neither it nor its namespaces are left."""
    with account(cluster) as kubeconfig, own_home(cluster), DemoServer(say) as server, server.client(PROJECT) as client:
        settings = {
            "berth_url": server.url,
            "runtime_image": cluster.image_by_digest(images.RUNTIME),
            "default_image": cluster.image_by_digest(images.PYTHON),
        }
        client.clusters.add(NAME, kubeconfig.read_text(), settings)
        checked = client.clusters.wait(NAME, 180).raw
        if checked["status"] != "ready":
            raise RuntimeError(f"the cluster was not taken: {checked['findings']}")
        record = running_record(server.home)
        assert record is not None, "it runs"
        servers = find(server.home, server.home / "processes")
        pids = {name: int(child["pid"]) for name, child in record["children"].items()}
        with psycopg.connect(servers.database_url) as connection:
            (data,) = connection.execute("show data_directory").fetchone() or ("",)
        pids["postgres"] = int((Path(data) / "postmaster.pid").read_text().split()[0])
        audit = Audit(cluster.places.audit)
        audit.skip()
        yield Site(cluster, server, client, kubeconfig, servers.database_url, pids, audit, server.home / "processes")


def count(calls: Sequence[Call]) -> dict[str, int]:
    """How many of each verb and resource, the most frequent first."""
    return dict(Counter(f"{call.verb} {call.resource}" for call in calls).most_common())


def _call(entry: dict[str, Any]) -> Call:
    of = entry.get("objectRef", {})
    resource = of.get("resource", entry["requestURI"].partition("?")[0])
    return Call(
        verb=entry["verb"],
        resource=f"{resource}/{of['subresource']}" if "subresource" in of else resource,
        namespace=of.get("namespace", ""),
        name=of.get("name", ""),
        status=int(entry.get("responseStatus", {}).get("code", 0)),
        agent=entry.get("userAgent", ""),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
