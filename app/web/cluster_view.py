"""Clusters in the reader's words: pure, for the list and the page of one."""

from dataclasses import dataclass, field
from urllib.parse import quote

from markupsafe import Markup

from app.domain.clusters import Status
from app.domain.preflight import TITLES
from app.domain.preflight_facts import Finding
from app.domain.preflight_facts import Status as CheckStatus
from app.domain.quota import Resources
from app.errors import N_
from app.i18n import translate
from app.repositories.clusters import LOCAL, ClusterRow
from app.web import forms, statuses, tabs
from app.web.cluster_namespace_view import NamespaceParts
from app.web.deps import Visitor

_STATUS = {
    Status.READY: ("ok", "succeeded", N_("Ready")),
    Status.FAILING: ("bad", "failed", N_("Checks fail")),
    Status.DRAINING: ("warn", "hold", N_("Draining")),
    Status.CHECKING: ("wait", "queued", N_("Checking")),
    Status.AWAY: ("bad", "warn", N_("Not answering")),
}
_CHECK = {
    CheckStatus.OK: ("ok", "succeeded", N_("Well")),
    CheckStatus.WARN: ("warn", "warn", N_("Take care")),
    CheckStatus.FAIL: ("bad", "failed", N_("Fails")),
    CheckStatus.UNKNOWN: ("wait", "info", N_("Not known")),
}
_ORDER = [CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.UNKNOWN, CheckStatus.OK]
SETTINGS = {
    "berth_url": (
        N_("Address of Berth"),
        N_("Where pods of this cluster reach Berth, such as https://berth.example.com."),
    ),
    "runtime_image": (
        N_("Runtime image"),
        N_("Berth's own, which fetches code and sends outputs. The check runs it, too."),
    ),
    "default_image": (N_("Default image"), N_("That of runs which name none.")),
    "gpu_resource": (N_("GPU resource"), N_("What a GPU is counted by.")),
    "runtime_class": (
        N_("RuntimeClass"),
        N_("Of pods that hold GPUs, such as nvidia, where it is not what the nodes take by themselves."),
    ),
    "pull_secret": (N_("Pull secret"), N_("Namespace and name of registry credentials, such as berth/registry.")),
    "node_selector": (N_("Nodes"), N_("Labels that they must have, such as tier=train. Empty is all.")),
    "tolerations": (
        N_("Taints to tolerate"),
        N_("Such as dedicated=ml:NoSchedule, spot. That of GPUs is tolerated by runs that ask for some."),
    ),
    "namespace_prefix": (N_("Prefix of namespaces"), N_("What the namespaces of projects are named after.")),
    "egress": (
        N_("What pods may reach"),
        N_("Besides the name service and Berth: networks with ports, such as 192.0.2.0/24:443, 192.0.2.9:5000-5010."),
    ),
}


@dataclass(frozen=True)
class Chip:
    """A state: colour, icon, word."""

    kind: str
    sign: str
    word: str


@dataclass(frozen=True)
class ClusterLine:
    """A cluster of the list."""

    name: str
    url: str
    about: str
    chip: Chip
    trouble: str
    version: str
    nodes: str
    capacity: str
    running: int
    waiting: int
    seen: tabs.Stamp


@dataclass(frozen=True)
class CheckLine:
    """A check."""

    chip: Chip
    title: str
    says: str
    fix: str


@dataclass(frozen=True)
class RunLine:
    """A run that is on the cluster."""

    name: str
    url: str
    project: str
    chip: Markup
    started: tabs.Stamp


@dataclass(frozen=True)
class Setting:
    """A field of the settings."""

    name: str
    label: str
    help: str
    value: str


@dataclass
class ClusterListPage:
    """The list, and the form that adds one."""

    form: forms.Form
    settings: list[Setting]
    rows: list[ClusterLine] = field(default_factory=list)
    more_url: str = ""
    command: str = "berth cluster add NAME --kubeconfig FILE --wait"


@dataclass
class ClusterPage:
    """One cluster. `is_polled` while a check is under way; `removal` is what keeps it from being removed, or ""."""

    line: ClusterLine
    is_local: bool
    is_draining: bool
    is_checking: bool
    in_cluster: bool
    server: str
    pools: str
    created: tabs.Stamp
    created_by: str
    credentials: str
    credentials_at: tabs.Stamp
    checked: tabs.Stamp
    audit_url: str
    version: int
    checks: list[CheckLine]
    summary: str
    runs: list[RunLine]
    settings: list[Setting]
    removal: str
    inside: NamespaceParts = field(default_factory=NamespaceParts)
    sent: dict[str, forms.Form] = field(default_factory=dict)

    def form(self, name: str) -> forms.Form:
        """The form of that name, as it was sent or empty."""
        return self.sent.get(name) or forms.Form()


def cluster_line(visitor: Visitor, row: ClusterRow) -> ClusterLine:
    """A row of the list."""
    say = visitor.language
    kind, sign, word = _STATUS[row.status]
    text = translate(say, word)
    if row.away_since is not None:
        since = tabs.stamp(visitor, row.away_since).text
        text = translate(say, N_("Not answering since {time}"), time=since)
    about = row.server or ""
    if row.kind == LOCAL:
        about = translate(say, N_("this machine"))
    elif row.in_cluster:
        about = translate(say, N_("the cluster that Berth runs in"))
    nodes = row.facts.get("nodes")
    return ClusterLine(
        row.name,
        f"/admin/clusters/{quote(row.name)}",
        about,
        Chip(kind, sign, text),
        (row.trouble or "") if row.away_since is not None else "",
        str(row.facts.get("version", "–")) if row.kind != LOCAL else "–",
        f"{row.facts.get('ready_nodes', nodes)} / {nodes}" if nodes is not None else "–",
        _capacity(row),
        row.running,
        row.waiting,
        tabs.stamp(visitor, row.seen_at),
    )


def _capacity(row: ClusterRow) -> str:
    if row.pools:
        found = row.capacity
    else:
        found = Resources(*(int(row.facts.get(name, 0)) for name in ("cpu_millis", "memory_bytes", "gpus")))
    return str(found) if found != Resources() else "–"


def check_lines(language: str, findings: list[Finding]) -> list[CheckLine]:
    """What needs care first."""
    lines = []
    for finding in sorted(findings, key=lambda finding: _ORDER.index(finding.status)):
        kind, sign, word = _CHECK[finding.status]
        lines.append(
            CheckLine(
                Chip(kind, sign, translate(language, word)),
                translate(language, TITLES.get(finding.code, finding.code)),
                translate(language, finding.says, **finding.slots),
                translate(language, finding.fix, **finding.slots) if finding.fix else "",
            )
        )
    return lines


def summary_of(language: str, findings: list[Finding]) -> str:
    """How many checks failed and need care."""
    failed = sum(finding.status is CheckStatus.FAIL for finding in findings)
    warned = sum(finding.status is CheckStatus.WARN for finding in findings)
    if not findings:
        return ""
    if not failed and not warned:
        return translate(language, N_("All is well."))
    return translate(language, N_("Fail: {failed}, need care: {warned}."), failed=failed, warned=warned)


def settings_of(language: str, values: dict[str, str]) -> list[Setting]:
    """The fields of the form."""
    return [
        Setting(name, translate(language, label), translate(language, said), values.get(name, ""))
        for name, (label, said) in SETTINGS.items()
    ]


def run_lines(visitor: Visitor, rows: list[dict[str, object]]) -> list[RunLine]:
    """The runs that hold room."""
    lines = []
    for row in rows:
        project, public_id = str(row["project"]), str(row["public_id"])
        url = f"/projects/{quote(project)}/runs/{public_id}"
        chip = statuses.chip(visitor.language, str(row["state"]))
        started = tabs.stamp(visitor, row["started_at"])  # type: ignore[arg-type]
        lines.append(RunLine(str(row["name"]), url, project, chip, started))
    return lines
