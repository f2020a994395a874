"""Clusters on the wire. A kubeconfig comes in and never goes out: no model here for answers has a field for it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

from app.api.schemas.base import Body, Line, Moment, Page
from app.domain.clusters import CLUSTER_NAME
from app.domain.preflight import TITLES
from app.domain.preflight_facts import Finding
from app.i18n import translate
from app.repositories.clusters import ClusterRow
from app.services.clusters import MAX_KUBECONFIG

StateName = Literal["active", "draining"]
StatusName = Literal["ready", "failing", "draining", "checking", "away"]
CheckName = Literal["ok", "warn", "fail", "unknown"]
Name = Annotated[
    str,
    Field(max_length=100),
    WithJsonSchema({"type": "string", "pattern": f"^{CLUSTER_NAME.pattern}$", "maxLength": 32}),
]
Kubeconfig = Annotated[
    SecretStr,
    Field(
        max_length=MAX_KUBECONFIG,
        description="The text of a kubeconfig with everything in it: `kubectl config view --raw --flatten --minify`. "
        "Kept encrypted and never shown again.",
    ),
]
EXAMPLE_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: berth
contexts: [{name: berth, context: {cluster: east, user: berth}}]
clusters: [{name: east, cluster: {server: "https://east.example.com:6443"}}]
users: [{name: berth, user: {token: "eyJhbGciOi"}}]
"""


class ClusterSettingsWrite(Body):
    """What is left out stays; an empty text takes a value back to its default."""

    berth_url: Annotated[str | None, Field(max_length=500, description="Where pods of the cluster reach Berth.")] = None
    runtime_image: Annotated[Line | None, Field(description="Berth's own, which fetches code and sends outputs.")] = (
        None
    )
    default_image: Annotated[Line | None, Field(description="Of runs that name none.")] = None
    gpu_resource: Annotated[Line | None, Field(description="What a GPU is counted by.")] = None
    runtime_class: Annotated[Line | None, Field(description="The RuntimeClass of pods that hold GPUs.")] = None
    pull_secret: Annotated[Line | None, Field(description="namespace/name of registry credentials for projects.")] = (
        None
    )
    namespace_prefix: Annotated[Line | None, Field(description="What namespaces are named after.")] = None
    egress: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="What pods reach besides the name service and Berth: networks with ports, such as "
            "`192.0.2.0/24:443, 192.0.2.9:5000-5010, [2001:db8::/32]:53/udp`.",
        ),
    ] = None
    node_selector: Annotated[
        Line | None, Field(description="Labels of the nodes that pods go to: tier=train, zone=a")
    ] = None
    tolerations: Annotated[
        Line | None, Field(description="Taints of nodes that pods tolerate: dedicated=ml:NoSchedule, spot")
    ] = None

    def given(self) -> dict[str, str]:
        """What is not left out."""
        return {name: value for name, value in self.model_dump(exclude_unset=True).items() if value is not None}


class ClusterCreate(Body):
    """A cluster by its kubeconfig, or with `in_cluster` the one that Berth runs in; one of the two."""

    name: Name
    kubeconfig: Kubeconfig | None = None
    in_cluster: bool = False
    settings: ClusterSettingsWrite = ClusterSettingsWrite()

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "west",
                    "kubeconfig": EXAMPLE_KUBECONFIG,
                    "settings": {"berth_url": "https://berth.example.com", "runtime_image": "registry/berth-runtime:1"},
                }
            ]
        }
    )


class ClusterUpdate(Body):
    """Settings to change."""

    settings: ClusterSettingsWrite

    model_config = ConfigDict(json_schema_extra={"examples": [{"settings": {"gpu_resource": "amd.com/gpu"}}]})


class ClusterCredentials(Body):
    """What replaces the credentials that are in use."""

    kubeconfig: Kubeconfig

    model_config = ConfigDict(json_schema_extra={"examples": [{"kubeconfig": EXAMPLE_KUBECONFIG}]})


class ClusterSettingsRead(BaseModel):
    """What an administrator said of the cluster; empty is not set."""

    berth_url: str
    runtime_image: str
    default_image: str
    gpu_resource: str
    runtime_class: str
    pull_secret: str
    namespace_prefix: str
    egress: str
    node_selector: str
    tolerations: str


class FindingRead(BaseModel):
    """One check: what was found, and how to mend it where there is something to mend."""

    code: str
    title: str
    status: CheckName
    says: str
    fix: str | None


class CapacityRead(BaseModel):
    """Of all pools of the cluster together."""

    cpu_millis: int
    memory_bytes: int
    gpus: int


class ClusterRead(BaseModel):
    """A cluster. `status` is how it is in a word; `away_since` is set while it does not answer, and `trouble` says why.

    `running` counts runs that hold room there, `waiting` those in its lines. `checking`: a check is under way.
    """

    name: str
    kind: Literal["local", "kubernetes"]
    status: StatusName
    state: StateName
    server: str | None
    in_cluster: bool
    version: str | None
    nodes: int | None
    ready_nodes: int | None
    pools: list[str]
    capacity: CapacityRead
    running: int
    waiting: int
    seen_at: Moment | None
    away_since: Moment | None
    trouble: str | None
    checking: bool
    checked_at: Moment | None
    problems: int
    credentials_version: int
    credentials_at: Moment | None
    created_at: Moment
    created_by: str | None


class ClusterDetail(ClusterRead):
    """A cluster with its settings and what the last check found."""

    settings: ClusterSettingsRead
    findings: list[FindingRead]


class ClusterPage(Page):
    """By name."""

    items: list[ClusterRead]


class ClusterRemoved(BaseModel):
    """What goes, or would go, with a cluster. Runs that are over stay, with their logs and outputs.

    `allowed`: it is drained and empty, or never had a pool.
    """

    cluster: str
    removed: bool
    allowed: bool
    running: int
    waiting: int
    pools: list[str]


def cluster_item(row: ClusterRow) -> dict[str, Any]:
    """As in lists."""
    capacity = row.capacity
    return {
        "name": row.name,
        "kind": row.kind,
        "status": row.status,
        "state": row.state,
        "server": row.server,
        "in_cluster": row.in_cluster,
        "version": row.facts.get("version") if row.kind != "local" else None,
        "nodes": row.facts.get("nodes"),
        "ready_nodes": row.facts.get("ready_nodes"),
        "pools": row.pools,
        "capacity": {
            "cpu_millis": capacity.cpu_millis,
            "memory_bytes": capacity.memory_bytes,
            "gpus": capacity.gpus,
        },
        "running": row.running,
        "waiting": row.waiting,
        "seen_at": row.seen_at,
        "away_since": row.away_since,
        "trouble": row.trouble,
        "checking": row.is_checking,
        "checked_at": row.checked_at,
        "problems": sum(finding.status in ("fail", "warn") for finding in row.findings),
        "credentials_version": row.credentials_version,
        "credentials_at": row.credentials_at,
        "created_at": row.created_at,
        "created_by": row.created_by,
    }


def cluster_detail(row: ClusterRow) -> dict[str, Any]:
    """As by itself."""
    findings = [_finding(finding) for finding in row.findings]
    return cluster_item(row) | {"settings": row.settings.as_dict(), "findings": findings}


def _finding(finding: Finding) -> dict[str, Any]:
    title = TITLES.get(finding.code, finding.code)
    return {
        "code": finding.code,
        "title": translate("en", title),
        "status": finding.status,
        "says": translate("en", finding.says, **finding.slots),
        "fix": translate("en", finding.fix, **finding.slots) if finding.fix else None,
    }
