"""The objects of one attempt on Kubernetes: a Job of a pod for each replica, the Secret that they read, and what
several replicas find each other by.

Everything is built here, field by field, from Berth's own plan and the admin's description of the place; nothing that
a user wrote becomes a key, a name or a label. So what a manifest can hold is what stands in this file
(CVE-2026-31892, -42296 and -54526 of Argo Workflows are what filtering a submitted pod led to).

The pods pass Pod Security "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/) with
images whose user is root, too: they run under one uid of Berth's, with a home folder of their own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from app.domain.names import object_name
from app.domain.placement import gpu_toleration
from app.domain.quantities import parse_cpu, parse_memory
from app.domain.quota import Resources
from app.workloads import gangs
from app.workloads.plans import RunPlan, what_runs

Manifest = dict[str, Any]

LABEL = "berth.dev"
"""Domain of Berth's labels and annotations."""
SPEC_HASH = f"{LABEL}/spec-hash"
LIMITS = f"{LABEL}/limits"
"""Annotation: JSON of `timeout` (seconds or null), `grace` (seconds) and how many `secrets`, for whoever watches."""
END = f"{LABEL}/end"
"""Annotation: why and when Berth itself ends the attempt, as JSON; see clusters/kubernetes.py."""
MAIN, KEEPER, FILES, PACKAGES = "main", "keeper", "files", "packages"
UID = 1000
ROOT = "/berth"
CODE = f"{ROOT}/code"
FOLDERS = {
    "HOME": f"{ROOT}/home",
    "BERTH_OUTPUT": f"{ROOT}/output",
    "BERTH_CHECKPOINT": f"{ROOT}/checkpoint",
    "BERTH_SECRETS": f"{ROOT}/secrets",
}
KEEPER_SECONDS = 300
"""How long the keeper may take, after the program, to send what it left. A pod's grace is its program's and this."""
BACKSTOP_SECONDS = 6 * 3600
"""A time limit counts from the program's start, which is not known beforehand. The pod's own deadline is later by
this, and is brought forward when the program has started; so it ends also where Berth is away."""
_SDK = f"{ROOT}/sdk"
_VENV = f"{ROOT}/home/venv"
_TOKEN = "token"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the keeper holds and may use. A namespace with a quota refuses containers without either.
_KEEPER = {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
BESIDE = Resources(parse_cpu(_KEEPER["requests"]["cpu"]), parse_memory(_KEEPER["requests"]["memory"]))
"""What a pod asks for beside its program."""


@dataclass(frozen=True)
class Place:
    """Where an attempt goes, as the admin described it. All of it is Berth's own or an admin's, nothing a user's.

    `url` is where pods reach Berth. `gpu` is the resource that a GPU is counted by. `selector` and `tolerations` are
    those of the pool; `pull_secret` is the name of the project's registry credentials, if it has any.
    """

    install: str
    namespace: str
    url: str
    runtime_image: str
    default_image: str
    service_account: str = "default"
    pull_secret: str | None = None
    gpu: str = "nvidia.com/gpu"
    runtime_class: str | None = None
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()


def labels(place: Place, run_id: str, attempt: int, project_id: str) -> dict[str, str]:
    """What all objects of the attempt are found by."""
    return {
        "app.kubernetes.io/managed-by": "berth",
        f"{LABEL}/install": place.install,
        f"{LABEL}/project": project_id,
        f"{LABEL}/run": run_id,
        f"{LABEL}/attempt": str(attempt),
    }


def build_job(plan: RunPlan, place: Place) -> Manifest:
    """The Job. One attempt is one Job whose pods are never replaced: another try is another attempt.

    Its annotation `berth.dev/spec-hash` tells what the run asked for, so that a repeated start knows its own also
    after an upgrade of Berth or a change of the place.
    """
    tags = labels(place, plan.run_id, plan.attempt, plan.project_id)
    text = json.dumps(what_runs(asdict(plan)), sort_keys=True, separators=(",", ":"))
    limits = {"timeout": plan.timeout_seconds, "grace": plan.grace_seconds, "secrets": len(plan.secrets)}
    annotations = {SPEC_HASH: hashlib.sha256(text.encode()).hexdigest(), LIMITS: json.dumps(limits)}
    made = _job(object_name(plan.run_id, plan.attempt), place, tags, annotations, _pod(plan, place))
    if plan.replicas > 1:
        made["spec"] |= {
            "completionMode": "Indexed",
            "completions": plan.replicas,
            "parallelism": plan.replicas,
        }
    return made


def build_gang(plan: RunPlan, place: Place) -> dict[str, Manifest]:
    """What several replicas find and reach each other by, by the path at which each is made; nothing for one."""
    if plan.replicas == 1:
        return {}
    tags = labels(place, plan.run_id, plan.attempt, plan.project_id)
    selector = {key: tags[key] for key in (f"{LABEL}/run", f"{LABEL}/attempt")}
    name = object_name(plan.run_id, plan.attempt)

    def metadata() -> Manifest:
        return {"name": name, "namespace": place.namespace, "labels": tags}

    return {
        f"/api/v1/namespaces/{place.namespace}/services": gangs.build_service(metadata(), selector),
        f"/apis/networking.k8s.io/v1/namespaces/{place.namespace}/networkpolicies": gangs.build_policy(
            metadata(), selector
        ),
    }


def build_tombstone(run_id: str, attempt: int, project_id: str, place: Place, end: str) -> Manifest:
    """A Job that never makes a pod, under the name of an attempt that must never start. `end`: see END."""
    tags = labels(place, run_id, attempt, project_id)
    helper = {
        "name": MAIN,
        "image": place.runtime_image,
        "securityContext": _restricted(),
        "resources": _KEEPER,
    }
    pod = {"restartPolicy": "Never", "securityContext": _pod_security(), "containers": [helper]}
    made = _job(object_name(run_id, attempt), place, tags, {END: end}, pod)
    made["spec"]["suspend"] = True
    return made


def build_secret(plan: RunPlan, place: Place, values: Mapping[str, str]) -> Manifest:
    """The run's token and the values of its secrets, for this attempt only.

    `values` by the secret's name; each is kept under its place in `plan.secrets`, since names are the users'.
    """
    kept = {f"{number}": values[ref.name] for number, ref in enumerate(plan.secrets)}
    tags = labels(place, plan.run_id, plan.attempt, plan.project_id)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": object_name(plan.run_id, plan.attempt),
            "namespace": place.namespace,
            "labels": tags,
        },
        "type": "Opaque",
        "immutable": True,
        "stringData": {_TOKEN: plan.env["BERTH_TOKEN"], **kept},
    }


def _job(name: str, place: Place, tags: dict[str, str], annotations: dict[str, str], pod: Manifest) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": place.namespace, "labels": tags, "annotations": annotations},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            # The Job controller then keeps a deleted pod's object until the kubelet has said that it ended, and
            # makes no other: that nothing of an attempt is alive is known, not assumed.
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": tags}, "spec": pod},
        },
    }


def _pod(plan: RunPlan, place: Place) -> Manifest:
    pod: Manifest = {
        "restartPolicy": "Never",
        "serviceAccountName": place.service_account,
        "automountServiceAccountToken": False,
        # So that the program is not process 1, which the kernel lets ignore SIGTERM unless it has a handler for it.
        "shareProcessNamespace": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.grace_seconds + KEEPER_SECONDS,
        "securityContext": _pod_security(),
        "initContainers": _helpers(plan, place),
        "containers": [_main(plan, place)],
        "volumes": _volumes(plan),
    }
    if plan.replicas > 1:
        pod["subdomain"] = object_name(plan.run_id, plan.attempt)
    if plan.timeout_seconds is not None:
        pod["activeDeadlineSeconds"] = plan.timeout_seconds + BACKSTOP_SECONDS
    if place.selector:
        pod["nodeSelector"] = dict(place.selector)
    of_gpus = [gpu_toleration(place.gpu)] if plan.gpus else []
    if tolerations := [*place.tolerations, *(one for one in of_gpus if one not in place.tolerations)]:
        pod["tolerations"] = [dict(one) for one in tolerations]
    if place.pull_secret:
        pod["imagePullSecrets"] = [{"name": place.pull_secret}]
    if plan.gpus and place.runtime_class:
        pod["runtimeClassName"] = place.runtime_class
    return pod


def _main(plan: RunPlan, place: Place) -> Manifest:
    image = plan.image or place.default_image
    return {
        "name": MAIN,
        "image": image,
        "imagePullPolicy": pull_policy(image),
        "command": [_literal(part) for part in plan.command],
        "workingDir": CODE,
        "env": _environment(plan, place),
        "resources": _resources(plan, place),
        "securityContext": _restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(plan, is_main=True),
    }


def _resources(plan: RunPlan, place: Place) -> Manifest:
    """Requests equal to limits, so that nobody lives off what others asked for, and is evicted for it."""
    amounts: dict[str, str] = {"cpu": f"{plan.cpu_millis}m", "memory": str(plan.memory_bytes)}
    if plan.gpus:
        amounts[place.gpu] = str(plan.gpus)
    return {"requests": amounts, "limits": amounts}


def _environment(plan: RunPlan, place: Place) -> list[Manifest]:
    name = object_name(plan.run_id, plan.attempt)
    own = {**FOLDERS, "BERTH_URL": place.url, "PYTHONPATH": _SDK}
    if plan.replicas == 1:
        own["BERTH_REPLICA"] = "0"
    # Programs ask who they are, and no image knows the uid.
    given = {"PYTHONUNBUFFERED": "1", "USER": "berth", "LOGNAME": "berth"}
    if plan.requirements:
        given |= {"VIRTUAL_ENV": _VENV, "PATH": f"{_VENV}/bin:{_PATH}"}
    if "PYTHONPATH" in plan.env:
        own["PYTHONPATH"] = f"{_SDK}:{plan.env['PYTHONPATH']}"
    values = {**given, **plan.env, **own}
    values.pop("BERTH_TOKEN", None)
    secret = [_from_secret("BERTH_TOKEN", name, _TOKEN)]
    secret += [_from_secret(ref.env, name, str(number)) for number, ref in enumerate(plan.secrets) if ref.env]
    hidden = {one["name"] for one in secret}
    found: list[Manifest] = [
        {"name": key, "value": _literal(value)} for key, value in sorted(values.items()) if key not in hidden
    ]
    if plan.replicas > 1:
        found += gangs.environment(name, plan.replicas, values.keys() | hidden)
    return found + secret


def _from_secret(variable: str, secret: str, key: str) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _helpers(plan: RunPlan, place: Place) -> list[Manifest]:
    """What comes before the program - its files, its packages - and the container that stores what it leaves.

    That one is a sidecar (restartPolicy Always among the init containers, Kubernetes 1.29): it is ended after the
    program, so that the last outputs are stored however the program ended.
    """
    # Before the program, and so at no cost beside it: a pod asks for the most of its steps, not for their sum.
    found = [_helper(FILES, plan, place, "prepare", {"resources": _resources(plan, place)})]
    if plan.requirements:
        # In the program's own image: packages must fit its interpreter.
        install = f'python3 -m venv --system-site-packages {_VENV} && {_VENV}/bin/pip install --no-input -r "$0"'
        command = ["/bin/sh", "-ec", install, _literal(plan.requirements)]
        found.append({**_main(plan, place), "name": PACKAGES, "command": command})
    return [*found, _helper(KEEPER, plan, place, "keep", {"resources": _KEEPER, "restartPolicy": "Always"})]


def _helper(name: str, plan: RunPlan, place: Place, what: str, more: Manifest) -> Manifest:
    values = {"BERTH_URL": place.url, "BERTH_RUN_ID": plan.run_id, "BERTH_ATTEMPT": str(plan.attempt)}
    if plan.snapshot_digest:
        values["BERTH_SNAPSHOT"] = plan.snapshot_digest
    numbers: list[Manifest] = []
    if plan.replicas > 1:
        values["BERTH_PEERS"] = ",".join(gangs.peers(object_name(plan.run_id, plan.attempt), plan.replicas))
        numbers.append(gangs.number("BERTH_REPLICA"))
    return {
        "name": name,
        "image": place.runtime_image,
        "imagePullPolicy": pull_policy(place.runtime_image),
        "args": [what],
        "env": [
            *({"name": key, "value": _literal(value)} for key, value in values.items()),
            *numbers,
            _from_secret("BERTH_TOKEN", object_name(plan.run_id, plan.attempt), _TOKEN),
        ],
        "securityContext": {**_restricted(), "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(plan, is_main=False),
        **more,
    }


def _pod_security() -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "fsGroup": UID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _restricted() -> Manifest:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _mounts(plan: RunPlan, *, is_main: bool) -> list[Manifest]:
    found: list[Manifest] = [{"name": "berth", "mountPath": ROOT}]
    if is_main:
        found.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - a mount of the pod's own
        claims = _claims(plan)
        for volume in plan.volumes:
            more = {"readOnly": True} if volume.read_only else {}
            found.append({"name": f"volume-{claims.index(volume.claim)}", "mountPath": volume.path, **more})
        if any(ref.file for ref in plan.secrets):
            found.append({"name": "secrets", "mountPath": FOLDERS["BERTH_SECRETS"], "readOnly": True})
    return found


def _volumes(plan: RunPlan) -> list[Manifest]:
    name = object_name(plan.run_id, plan.attempt)
    shared = plan.shared_memory_bytes or plan.memory_bytes // 2
    found: list[Manifest] = [
        {"name": "berth", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(shared)}},
    ]
    for number, wanted in enumerate(_claims(plan)):
        # Of the pod's own namespace, which is the project's: a claim of another cannot be named.
        is_read = all(volume.read_only for volume in plan.volumes if volume.claim == wanted)
        claim = {"claimName": wanted, **({"readOnly": True} if is_read else {})}
        found.append({"name": f"volume-{number}", "persistentVolumeClaim": claim})
    items = [{"key": str(number), "path": ref.file} for number, ref in enumerate(plan.secrets) if ref.file]
    if items:
        found.append({"name": "secrets", "secret": {"secretName": name, "items": items, "defaultMode": 0o440}})
    return found


def _claims(plan: RunPlan) -> list[str]:
    """Each once: a kubelet waits for ever for a claim that two volumes of a pod name."""
    return list(dict.fromkeys(volume.claim for volume in plan.volumes))


def pull_policy(image: str) -> str:
    """IfNotPresent for a digest, which never changes what it means; Always for a tag, which may."""
    return "IfNotPresent" if "@sha256:" in image else "Always"


def _literal(text: str) -> str:
    """The text as Kubernetes gives it on: `$(NAME)` would be replaced by a variable's value, `$$` is a plain `$`."""
    return text.replace("$", "$$")
