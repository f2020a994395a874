"""Manifests of runs: two of them whole, and that nothing but the fields of the allow-list can be in any.

`python -m tests.unit.workloads.test_pods` writes the golden files anew; look at the difference.
"""

import dataclasses
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workloads import pods
from app.workloads.plans import RunPlan, SecretRef, VolumeRef
from app.workloads.pods import Place

GOLDEN = Path(__file__).parent / "golden"
DIGEST = "0" * 64
PLACE = Place(
    install="i-7f3k",
    namespace="berth-p-7f3k",
    url="https://berth.example.org",
    runtime_image=f"registry.example.org/berth-runtime@sha256:{DIGEST}",
    default_image="docker.io/library/python:3.11-slim-bookworm",
)
FULL_PLACE = dataclasses.replace(
    PLACE,
    pull_secret="pull",
    runtime_class="nvidia",
    selector={"pool": "gpu"},
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists"},),
)
PLAN = RunPlan(
    run_id="r-7f3k2m9qwa",
    attempt=1,
    project_id="0198c0de-0000-7000-8000-000000000001",
    replicas=1,
    command=["python", "train.py"],
    env={"BERTH_RUN_ID": "r-7f3k2m9qwa", "BERTH_TOKEN": "the-token"},
    snapshot_digest=None,
    python="/home/ada/venv/bin/python",
    requirements=None,
    cpu_millis=1000,
    memory_bytes=1 << 30,
    timeout_seconds=None,
    grace_seconds=30,
    log_bytes=1 << 20,
)
FULL = dataclasses.replace(
    PLAN,
    attempt=2,
    command=["sh", "-c", "echo $(HOME) $$ $HOME"],
    env={**PLAN.env, "LR": "0.1", "PYTHONPATH": "src", "PASSWORD": "is overridden by the secret", "ODD": "$(LR) $$"},
    snapshot_digest=DIGEST,
    requirements="requirements.txt",
    timeout_seconds=3600,
    image="registry.example.org/train:1",
    volumes=[VolumeRef("data", "/mnt/a"), VolumeRef("data", "/mnt/b", True), VolumeRef("models", "/mnt/c", True)],
    gpus=2,
    shared_memory_bytes=8 << 30,
    secrets=[SecretRef("db password", env="PASSWORD"), SecretRef("tls", file="key.pem")],
)
VALUES = {"db password": "value of db", "tls": "value of tls"}
GANG = dataclasses.replace(
    PLAN,
    replicas=2,
    env={**PLAN.env, "BERTH_REPLICAS": "2", "MASTER_PORT": "4000"},
    secrets=[SecretRef("rank", env="RANK")],
)
CASES = {"least": (PLAN, PLACE), "full": (FULL, FULL_PLACE), "gang": (GANG, PLACE)}


def manifests(name: str) -> str:
    plan, place = CASES[name]
    made = [
        pods.build_job(plan, place),
        *pods.build_gang(plan, place).values(),
        pods.build_secret(plan, place, {**VALUES, "rank": "7"}),
    ]
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    assert manifests(name) == (GOLDEN / f"{name}.json").read_text()


def test_nothing_secret_is_in_the_job() -> None:
    text = json.dumps(pods.build_job(FULL, FULL_PLACE))
    assert "the-token" not in text
    assert not any(value in text for value in VALUES.values())
    assert "is overridden" not in text


def test_the_hash_is_of_what_the_run_asked_for() -> None:
    def spec_hash(plan: RunPlan, place: Place = PLACE) -> str:
        found: str = pods.build_job(plan, place)["metadata"]["annotations"][pods.SPEC_HASH]
        return found

    same = dataclasses.replace(FULL, env={**FULL.env, "BERTH_TOKEN": "other", "BERTH_URL": "x"}, log_bytes=1)
    assert spec_hash(same, FULL_PLACE) == spec_hash(FULL)
    changes: list[dict[str, Any]] = [
        {"image": "other"},
        {"memory_bytes": 1},
        {"command": ["x"]},
        {"secrets": []},
        {"gpus": 1},
    ]
    for change in changes:
        assert spec_hash(dataclasses.replace(FULL, **change)) != spec_hash(FULL)


def test_a_tombstone_makes_no_pod() -> None:
    made = pods.build_tombstone(PLAN.run_id, 1, PLAN.project_id, PLACE, "{}")
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["name"] == pods.build_job(PLAN, PLACE)["metadata"]["name"]


def test_what_replicas_know_of_each_other() -> None:
    """Names by which the attempt's own Service is asked; of torch's variables only those that are free."""
    job = pods.build_job(GANG, PLACE)
    pod = job["spec"]["template"]["spec"]
    (main,) = pod["containers"]
    found = {one["name"]: one.get("value") for one in main["env"]}
    name = job["metadata"]["name"]
    assert pod["subdomain"] == name
    assert found["BERTH_PEERS"] == f"{name}-0.{name},{name}-1.{name}"
    assert (found["MASTER_ADDR"], found["MASTER_PORT"], found["WORLD_SIZE"]) == (f"{name}-0.{name}", "4000", "2")
    (rank,) = [one for one in main["env"] if one["name"] == "RANK"]
    assert "secretKeyRef" in rank["valueFrom"]
    alone = {one["name"] for one in pods.build_job(PLAN, PLACE)["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert not alone & {"BERTH_PEERS", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"}


@pytest.mark.parametrize(
    ("image", "policy"), [("a:1", "Always"), ("a", "Always"), (f"a@sha256:{DIGEST}", "IfNotPresent")]
)
def test_pull_policy(image: str, policy: str) -> None:
    assert pods.pull_policy(image) == policy


TEXT = st.text(max_size=30)
NAME = st.text(string.ascii_letters + "_", min_size=1, max_size=12)
NASTY = st.sampled_from(
    ["hostPath", "privileged", "$(X)", "---\nkind: Pod", '{"hostNetwork": true}', "runAsUser: 0", "../..", "\x00"]
)
PLANS = st.builds(
    RunPlan,
    run_id=st.just("r-7f3k2m9qwa"),
    attempt=st.integers(1, 99),
    project_id=st.just(PLAN.project_id),
    replicas=st.sampled_from([1, 1, 2, 128]),
    command=st.lists(TEXT | NASTY, min_size=1, max_size=4),
    env=st.dictionaries(NAME | NASTY, TEXT | NASTY, max_size=5).map(lambda env: {**env, "BERTH_TOKEN": "t"}),
    snapshot_digest=st.none() | st.just(DIGEST),
    python=st.none() | TEXT,
    requirements=st.none() | TEXT | NASTY,
    cpu_millis=st.integers(1, 10**6),
    memory_bytes=st.integers(1, 1 << 50),
    timeout_seconds=st.none() | st.integers(1, 10**6),
    grace_seconds=st.integers(0, 3600),
    log_bytes=st.just(1),
    image=st.none() | TEXT | NASTY,
    gpus=st.integers(0, 16),
    shared_memory_bytes=st.none() | st.integers(1, 1 << 40),
    secrets=st.lists(st.builds(SecretRef, NAME, st.none() | NAME, st.none() | NAME), max_size=3),
)
# Paths of all fields that a Job of ours may have; [] stands for any item.
ALLOWED = set(
    """
apiVersion kind
metadata.name metadata.namespace metadata.labels.* metadata.annotations.*
spec.backoffLimit spec.completions spec.parallelism spec.completionMode spec.podReplacementPolicy
spec.template.metadata.labels.*
POD.restartPolicy POD.serviceAccountName POD.automountServiceAccountToken POD.shareProcessNamespace
POD.enableServiceLinks POD.subdomain POD.terminationGracePeriodSeconds POD.activeDeadlineSeconds POD.runtimeClassName
POD.nodeSelector.pool POD.tolerations[].key POD.tolerations[].operator POD.imagePullSecrets[].name
POD.securityContext.runAsNonRoot POD.securityContext.runAsUser POD.securityContext.runAsGroup
POD.securityContext.fsGroup POD.securityContext.fsGroupChangePolicy POD.securityContext.seccompProfile.type
POD.volumes[].name POD.volumes[].emptyDir.medium POD.volumes[].emptyDir.sizeLimit
POD.volumes[].secret.secretName POD.volumes[].secret.defaultMode
POD.volumes[].secret.items[].key POD.volumes[].secret.items[].path
ONE.name ONE.image ONE.imagePullPolicy ONE.command[] ONE.args[] ONE.workingDir ONE.restartPolicy
ONE.env[].name ONE.env[].value ONE.env[].valueFrom.secretKeyRef.name ONE.env[].valueFrom.secretKeyRef.key
ONE.env[].valueFrom.fieldRef.fieldPath ONE.resources.requests.* ONE.resources.limits.* ONE.terminationMessagePolicy
ONE.securityContext.allowPrivilegeEscalation ONE.securityContext.capabilities.drop[]
ONE.securityContext.readOnlyRootFilesystem
ONE.volumeMounts[].name ONE.volumeMounts[].mountPath ONE.volumeMounts[].readOnly
""".split()  # noqa: SIM905 - a table to read
)


def fields(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {found for key, one in value.items() for found in fields(one, f"{path}.{key}".lstrip("."))}
    if isinstance(value, list):
        return {found for one in value for found in fields(one, f"{path}[]")}
    return {path}


def is_allowed(path: str) -> bool:
    pod = path.replace("spec.template.spec", "POD", 1)
    one = pod.replace("POD.initContainers[]", "ONE", 1).replace("POD.containers[]", "ONE", 1)
    starred = [entry.removesuffix("*") for entry in ALLOWED if entry.endswith(".*")]
    return one in ALLOWED or any(one.startswith(entry) for entry in starred)


@given(PLANS)
def test_no_plan_leads_to_another_field(plan: RunPlan) -> None:
    job = pods.build_job(plan, FULL_PLACE)
    assert {path for path in fields(job) if not is_allowed(path)} == set()
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsUser"] == pods.UID
    for container in pod["initContainers"] + pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert {mount["name"] for mount in container["volumeMounts"]} <= {"berth", "shm", "secrets"}
        names = [variable["name"] for variable in container["env"]]
        assert len(names) == len(set(names)) or len(plan.secrets) > 1
    gang = pods.build_gang(plan, FULL_PLACE)
    assert len(gang) == (2 if plan.replicas > 1 else 0)
    assert plan.image is None or len(plan.image) < 5 or plan.image not in json.dumps(gang)
    labels = job["metadata"]["labels"]
    assert set(labels.values()) <= {"berth", FULL_PLACE.install, plan.project_id, plan.run_id, str(plan.attempt)}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        (GOLDEN / f"{case}.json").write_text(manifests(case))
