"""Why runs do not start, and why they end: each cause on a real cluster, how it came about, and what is said of it.

Those that need no lever are all started at once.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.clusters import pod_events
from app.domain.states import Cause
from app.web import reasons
from app.workloads.plans import RunPlan, VolumeRef
from deploy.testcluster.api import ApiError
from deploy.testcluster.faults import Faults
from deploy.testcluster.images import PYTHON, REGISTRY
from deploy.testcluster.kwok import SIMULATED
from deploy.testcluster.node import NODE
from tests.clusters.contract import SLEEP, TALK
from tests.clusters.kubernetes.pod_world import PodWorld
from tests.clusters.kubernetes.world import Namespace, pod
from tests.clusters.world import MIB, wait_for

pytestmark = pytest.mark.cluster

PRIVATE = PYTHON.replace(REGISTRY, "private.berth.test")
FORBIDDEN = f"{REGISTRY}/python:forbidden"
START, FAILED, LOST = Cause.START_FAILED, Cause.FAILED, Cause.LOST
_SMALL = {"cpu_millis": 150, "memory_bytes": 64 * MIB}


@dataclass(frozen=True)
class Row:
    """How a cause is brought about: fields of the plan and of the place, and what is done to the running pod.

    `cause` is that of the attempt's end; None where it waits. `evidence` must be in the sentence.
    """

    code: str
    how: str
    cause: Cause | None = None
    evidence: tuple[str, ...] = ()
    plan: dict[str, Any] = field(default_factory=dict)
    place: dict[str, Any] = field(default_factory=dict)
    act: Callable[[Namespace, str], object] | None = None


def _delete(namespace: Namespace, name: str) -> None:
    namespace.cluster.api.delete(f"{namespace.core}/pods/{name}")


def _evict(namespace: Namespace, name: str) -> None:
    Faults(namespace.cluster).evict(namespace.name, name)


def _volume(claim: str) -> dict[str, Any]:
    return {"program": TALK, "volumes": [VolumeRef(claim, "/mnt/data")]}


GROWS = "held = []\nwhile True:\n    held.append(bytearray(8 << 20))\n"
ROWS = [
    Row("IMAGE_NOT_FOUND", "a tag that nobody pushed", START, (":gone",), {"image": f"{REGISTRY}/python:gone"}),
    Row("IMAGE_NOT_FOUND", "a name that is none", START, ("A//b",), {"image": "A//b"}),
    Row("IMAGE_NOT_PULLED", "a registry that does not exist", START, ("no.test/x:1",), {"image": "no.test/x:1"}),
    Row("REGISTRY_REFUSED", "a private registry without credentials", START, (PRIVATE,), {"image": PRIVATE}),
    Row(
        "PULL_SECRET_MISSING",
        "credentials that are not there",
        START,
        (PRIVATE, "nobody"),
        {"image": PRIVATE},
        {"pull_secret": "nobody"},
    ),
    Row("NODES_SHORT_OF_CPU", "900 cores", None, ("1 of 3", "Insufficient cpu"), {"cpu_millis": 900_000}),
    Row("NODES_SHORT_OF_MEMORY", "16 TiB", None, ("1 of 3", "Insufficient memory"), {"memory_bytes": 1 << 44}),
    Row("NODES_SHORT_OF_GPUS", "64 GPUs", None, ("3 of 3", "nvidia.com/gpu"), {"gpus": 64}),
    Row(
        "NODES_TAINTED", "nodes with GPUs, and none asked for", None, ("2 of 3",), {}, {"selector": {SIMULATED: "true"}}
    ),
    Row(
        "NODES_NOT_MATCHING",
        "a label that no node has",
        None,
        ("3 of 3",),
        {},
        {"selector": {"nobody": "has"}, "tolerations": ({"operator": "Exists"},)},
    ),
    Row("VOLUME_MISSING", "a claim that nobody made", None, ("nothing",), _volume("nothing")),
    Row("VOLUME_NOT_BOUND", "a claim without a volume", None, ("unbound",), _volume("unbound")),
    Row("NODES_FAR_FROM_VOLUME", "a volume of another machine", None, ("1 of 3",), _volume("elsewhere")),
    Row("VOLUME_NOT_MOUNTED", "a folder that is not there", None, ("hostPath",), _volume("broken")),
    Row("NAMESPACE_QUOTA", "more than the quota", None, ("small", "=101", "=100"), {"gpus": 101}),
    Row("ADMISSION_REFUSED", "a policy of the cluster", START, ("not welcome here",), {"image": FORBIDDEN}),
    Row("POD_NOT_MADE", "a service account that is not there", START, ("nobody",), {}, {"service_account": "nobody"}),
    Row("INIT_FAILED", "code that was never sent", START, ("object store",), {"snapshot_digest": "0" * 64}),
    Row("NO_PACKAGE_INDEX", "packages, and no way out", START, ("nowhere-to-be-had",), {"requirements": "needs.txt"}),
    Row("PROGRAM_NOT_FOUND", "a word misspelt", START, ("'trian'",), {"command": ["trian"]}),
    Row("OOM_KILLED", "a program that grows", Cause.OOM_KILLED, ("64Mi",), {"program": GROWS}),
    Row("EXIT_CODE", "a program that fails", FAILED, ("7",), {"program": "raise SystemExit(7)"}),
    Row(
        "SIGNALLED", "a fault of the program", FAILED, ("SIGSEGV",), {"program": "import os; os.kill(os.getpid(), 11)"}
    ),
    Row("TIMED_OUT", "a time limit", Cause.TIMED_OUT, ("2",), {"program": SLEEP, "timeout_seconds": 2}),
    Row("POD_DELETED", "kubectl delete pod", LOST, (), {"program": SLEEP}, act=_delete),
    Row("EVICTED", "kubectl drain", LOST, ("viction",), {"program": SLEEP}, act=_evict),
]


@pytest.fixture
def world(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[PodWorld]:
    monkeypatch.setattr(pod_events, "_AFTER_SECONDS", 1.0)
    monkeypatch.setattr(pod_events, "_AGAIN_SECONDS", 2.0)
    made = PodWorld.create(namespace)
    images = {"IMAGE_NOT_FOUND": 1.0, "IMAGE_NOT_PULLED": 1.0, "REGISTRY_REFUSED": 15.0, "PULL_SECRET_MISSING": 1.0}
    made.hope = images | {"POD_NOT_MADE": 1.0}
    yield made
    made.close()


def test_every_cause_has_its_code_its_sentence_and_its_evidence(world: PodWorld, hindrances: None) -> None:
    place = world.place
    plans: list[tuple[Row, RunPlan]] = []
    for row in ROWS:
        asked: dict[str, Any] = _SMALL | {"program": TALK, "grace_seconds": 1} | row.plan
        if "requirements" in asked:
            files: dict[str, str | bytes] = {"main.py": TALK, "needs.txt": "nowhere-to-be-had==1\n"}
            asked |= {"snapshot_digest": world.upload(files), "memory_bytes": 256 * MIB, "cpu_millis": 600}
            asked["env"] = {"PIP_RETRIES": "1"}
        plan = world.plan(asked.pop("program") if "snapshot_digest" not in asked else "", **_without(asked, "program"))
        world.place = dataclasses.replace(place, **row.place)
        world.cluster.start(plan)
        plans.append((row, plan))
    left = list(plans)

    def look() -> bool:
        statuses = {one.run_id: one for one in world.cluster.statuses()}
        for row, plan in list(left):
            status = statuses.get(plan.run_id)
            if status is None:
                continue
            (replica,) = status.replicas
            is_told = status.gone if row.cause else (replica.finding or {}).get("code") == row.code
            if is_told:
                assert (replica.finding or {}).get("code") == row.code, (row.how, replica)
                assert replica.cause == row.cause, (row.how, replica)
                _check_sentence(row, plan, dict(replica.finding or {}))
                left.remove((row, plan))
            elif row.act and replica.phase == "running" and "deletionTimestamp" not in world.pod(plan)["metadata"]:
                row.act(world.namespace, world.pod(plan)["metadata"]["name"])
        return not left

    try:
        wait_for(look, 100)
    except AssertionError as error:
        error.add_note(str([(row.code, row.how, world.status(plan)) for row, plan in left]))
        raise
    waiting = [plan for row, plan in plans if row.cause is None]
    for plan in waiting:
        world.cluster.stop(plan.run_id, 1, 5)
    for plan in waiting:
        assert world.wait_end(plan).cause == Cause.STOPPED


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _check_sentence(row: Row, plan: RunPlan, finding: dict[str, Any]) -> None:
    """In both languages, with what the cluster said filled in."""
    code = finding.pop("code")
    # What services/transitions.py takes from the spec.
    args = {"memory": f"{plan.memory_bytes // MIB}Mi", "timeout": plan.timeout_seconds, **finding}
    english, chinese = (reasons.sentence(language, code, args) for language in ("en", "zh_CN"))
    assert english != chinese, row.how
    for text in (english, chinese):
        assert text, row.how
        assert "{" not in text.replace("taint {", "").replace("taint(s) {", ""), (row.how, text)
    for word in row.evidence:
        if " of " in word:
            assert word in english, (row.how, english)
        else:
            assert word in english, (row.how, english)
            assert word in chinese, (row.how, chinese)


@pytest.fixture
def hindrances(namespace: Namespace) -> Iterator[None]:
    """A quota, a policy and volumes that keep pods from starting."""
    api = namespace.cluster.api
    api.post(
        f"{namespace.core}/resourcequotas",
        {"metadata": {"name": "small"}, "spec": {"hard": {"requests.nvidia.com/gpu": "100"}}},
    )
    for name in ("unbound", "elsewhere", "broken"):
        add_claim(namespace, name)
    hosts = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["elsewhere"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [hosts]}]}}
    volumes = [
        add_volume(namespace, "elsewhere", {"path": "/nonexistent"}, nodeAffinity=affinity),
        add_volume(namespace, "broken", {"path": "/nonexistent/folder", "type": "Directory"}),
    ]
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}}
    on_pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    rule = f"object.spec.containers.all(one, one.image != '{FORBIDDEN}')"
    api.post(
        policies,
        {
            "metadata": {"name": namespace.name},
            "spec": {
                "matchConstraints": {"resourceRules": [on_pods], **here},
                "validations": [{"expression": rule, "message": "this image is not welcome here"}],
            },
        },
    )
    bound = {"policyName": namespace.name, "validationActions": ["Deny"], "matchResources": here}
    api.post(f"{policies.removesuffix('ies')}ybindings", {"metadata": {"name": namespace.name}, "spec": bound})
    probe = pod("probe", "pass", image=FORBIDDEN)
    wait_for(lambda: _is_refused(namespace, probe), 30)
    yield
    api.delete(f"{policies.removesuffix('ies')}ybindings/{namespace.name}")
    api.delete(f"{policies}/{namespace.name}")
    for name in volumes:
        api.delete(f"/api/v1/persistentvolumes/{name}")


def _is_refused(namespace: Namespace, manifest: dict[str, Any]) -> bool:
    try:
        namespace.cluster.api.post(f"{namespace.core}/pods?dryRun=All", manifest)
    except ApiError as error:
        return "not welcome" in str(error)
    return False


def add_claim(namespace: Namespace, name: str) -> None:
    """A claim for the volume of the same name in this namespace; "unbound" is for none."""
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "resources": {"requests": {"storage": "1Mi"}},
        "volumeName": "" if name == "unbound" else f"{namespace.name}-{name}",
    }
    manifest = {"metadata": {"name": name}, "spec": spec}
    namespace.cluster.api.post(f"{namespace.core}/persistentvolumeclaims", manifest)


def add_volume(namespace: Namespace, name: str, folder: dict[str, str], **more: Any) -> str:
    """A folder of this machine as the volume of that claim. There is no StorageClass to provide one."""
    spec = {
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": "1Mi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": folder,
        "claimRef": {"namespace": namespace.name, "name": name},
        **more,
    }
    made = f"{namespace.name}-{name}"
    namespace.cluster.api.post("/api/v1/persistentvolumes", {"metadata": {"name": made}, "spec": spec})
    return made


def _start(world: PodWorld, **changes: Any) -> RunPlan:
    """A program that sleeps, once it runs."""
    plan = world.plan(SLEEP, **changes)
    world.cluster.start(plan)
    wait_for(lambda: world.status(plan).replicas[0].phase == "running")  # type: ignore[union-attr]
    return plan


def test_a_pod_of_higher_priority_takes_its_place(world: PodWorld) -> None:
    plan = _start(world, cpu_millis=1200)
    api, classes = world.namespace.cluster.api, "/apis/scheduling.k8s.io/v1/priorityclasses"
    name = world.namespace.name
    api.post(classes, {"metadata": {"name": name}, "value": 1_000_000})
    try:
        first = pod("first", "pass", priorityClassName=name, nodeSelector={"kubernetes.io/hostname": NODE})
        first["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1200m"
        world.namespace.add(first)
        _check_end(world, plan, Row("PREEMPTED", "a pod of higher priority", LOST, ("preempt",)))
        world.namespace.wait_phase("first", "Succeeded")
    finally:
        api.delete(f"{classes}/{name}")


def test_a_node_short_of_memory_evicts(world: PodWorld, faults: Faults) -> None:
    # Small: the kubelet starts anew with far less to give, and refuses what does not fit into that.
    plan = _start(world, memory_bytes=64 * MIB)
    with faults.memory_pressure():
        _check_end(world, plan, Row("EVICTED", "too little memory on its node", LOST, ("memory",)))


def test_an_attempt_on_a_lost_node_is_over_only_when_that_is_certain(world: PodWorld, faults: Faults) -> None:
    """Its node is silent and its pod marked for deletion, while the program runs on: another attempt would be a second
    one. An administrator who knows that the machine is off says so by a taint."""
    plan = _start(world)
    name, api = world.pod(plan)["metadata"]["name"], world.namespace.cluster.api
    with faults.node_lost():
        api.wait(f"{world.namespace.core}/pods/{name}", lambda found: "deletionTimestamp" in found["metadata"], 30)
        wait_for(lambda: (world.status(plan).replicas[0].finding or {}).get("code") == "NODE_SILENT")  # type: ignore[union-attr]
        status = world.status(plan)
        assert status is not None
        assert (status.gone, status.replicas[0].phase) == (False, "running")
        taint = {"key": "node.kubernetes.io/out-of-service", "value": "off", "effect": "NoExecute"}
        before = api.get(f"/api/v1/nodes/{NODE}")["spec"].get("taints", [])
        api.patch(f"/api/v1/nodes/{NODE}", {"spec": {"taints": [*before, taint]}})
        try:
            _check_end(world, plan, Row("NODE_LOST", "a machine that is off", LOST, (NODE,)))
        finally:
            taints = api.get(f"/api/v1/nodes/{NODE}")["spec"].get("taints", [])
            api.patch(
                f"/api/v1/nodes/{NODE}", {"spec": {"taints": [one for one in taints if one["key"] != taint["key"]]}}
            )


def _check_end(world: PodWorld, plan: RunPlan, row: Row) -> None:
    replica = world.wait_end(plan)
    finding = dict(replica.finding or {})
    assert (replica.phase, replica.cause, finding["code"]) == ("lost", row.cause, row.code), replica
    _check_sentence(row, plan, finding)
