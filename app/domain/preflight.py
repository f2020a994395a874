"""What a cluster must be for runs: pure judgement of facts that app/clusters/preflight.py collected there.

Each check says what was found, by how much, and how to mend it. What could not be found out is said as such and is no
failure: a cluster may hide things from Berth and be fit all the same.
"""

from collections.abc import Callable, Sequence

from app.domain import preflight_server as server
from app.domain import preflight_tried as tried
from app.domain.preflight_facts import Facts, Finding, Status
from app.errors import N_


def judge(facts: Facts) -> list[Finding]:
    """All findings in a fixed order; only one where the cluster could not be asked anything."""
    reached = server.judge_reachable(facts)
    if reached.status is Status.FAIL:
        return [reached]
    return [reached, *(check(facts) for check in _CHECKS)]


def worst(findings: Sequence[Finding]) -> Status:
    """Of them all; what is unknown counts for little."""
    order = [Status.OK, Status.UNKNOWN, Status.WARN, Status.FAIL]
    return max((finding.status for finding in findings), key=order.index, default=Status.UNKNOWN)


_CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    server.judge_version,
    server.judge_permissions,
    server.judge_excess,
    server.judge_latency,
    server.judge_clock,
    server.judge_nodes,
    server.judge_gpus,
    server.judge_storage,
    tried.judge_pod_security,
    tried.judge_quota,
    tried.judge_pull_secret,
    tried.judge_pod_start,
    tried.judge_dns,
    tried.judge_callback,
    tried.judge_network_policy,
    tried.judge_clean,
)

TITLES: dict[str, str] = {
    "REACHABLE": N_("API server"),
    "VERSION": N_("Version"),
    "PERMISSIONS": N_("Rights that are needed"),
    "EXCESS": N_("Rights beyond that"),
    "LATENCY": N_("Speed of the API server"),
    "CLOCK": N_("Clock"),
    "NODES": N_("Nodes"),
    "GPU_PLUGIN": N_("GPUs"),
    "STORAGE_CLASS": N_("Storage class"),
    "POD_SECURITY": N_("Pod Security"),
    "QUOTA": N_("Quotas"),
    "PULL_SECRET": N_("Pull secret"),
    "POD_START": N_("Start of a pod"),
    "DNS": N_("Name service"),
    "BERTH_URL": N_("Way to Berth"),
    "NETWORK_POLICY": N_("Network policies"),
    "CLEAN_UP": N_("Clean-up"),
}
