"""What a Job that reached the API server may hold: an allow-list of its own, written without a look at the builder.

A Job is laid out as paths with their values, and each path must be here with a value that it may have. What users
write stands in four kinds of places only: arguments of their program, values of variables, the image, volume claims.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

_NAME = r"r-[a-z0-9]{10}-\d+"
_LABELS = {
    "app.kubernetes.io/managed-by": "berth",
    "berth.dev/install": r"[a-z0-9-]+",
    "berth.dev/project": r"[0-9a-f-]{36}",
    "berth.dev/run": r"r-[a-z0-9]{10}",
    "berth.dev/attempt": r"\d+",
}
_TEXT = r"(?s).*"
_CONTAINER = {
    "name": "main|files|packages|keeper",
    "image": r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}",
    "imagePullPolicy": "Always|IfNotPresent",
    "command[]": _TEXT,
    "args[]": "prepare|keep",
    "workingDir": "/berth/code",
    "restartPolicy": "Always",
    "env[].name": r"[A-Za-z_][A-Za-z0-9_]*",
    "env[].value": _TEXT,
    "env[].valueFrom.secretKeyRef.name": _NAME,
    "env[].valueFrom.secretKeyRef.key": r"token|\d+",
    "securityContext.allowPrivilegeEscalation": "False",
    "securityContext.readOnlyRootFilesystem": "True",
    "securityContext.capabilities.drop[]": "ALL",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "volumeMounts[].name": r"berth|shm|secrets|volume-\d+",
    "volumeMounts[].mountPath": r"/berth|/dev/shm|/berth/secrets|/mnt/(data|models)",
    "volumeMounts[].readOnly": "True",
}
_AMOUNTS = {"cpu": r"\d+m?", "memory": r"\d+(Ki|Mi|Gi)?", "nvidia.com/gpu": r"\d+"}
_POD = {
    "restartPolicy": "Never",
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "automountServiceAccountToken": "False",
    "shareProcessNamespace": "True",
    "enableServiceLinks": "False",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": r"\d+",
    "activeDeadlineSeconds": r"\d{1,8}",
    "securityContext.runAsNonRoot": "True",
    "securityContext.(runAsUser|runAsGroup|fsGroup)": "1000",
    "securityContext.fsGroupChangePolicy": "OnRootMismatch",
    "securityContext.seccompProfile.type": "RuntimeDefault",
    # The taint of GPUs and no other, see `forbidden`.
    "tolerations[].key": "nvidia.com/gpu",
    "tolerations[].operator": "Exists",
    "volumes[].name": r"berth|shm|secrets|volume-\d+",
    # The claims that the specs name where it is allowed to.
    "volumes[].persistentVolumeClaim.claimName": "data|models",
    "volumes[].persistentVolumeClaim.readOnly": "True",
    "volumes[].emptyDir": r"\{\}",
    "volumes[].emptyDir.medium": "Memory",
    "volumes[].emptyDir.sizeLimit": r"\d+(Ki|Mi|Gi)?",
    "volumes[].secret.secretName": _NAME,
    "volumes[].secret.defaultMode": "288",
    "volumes[].secret.items[].key": r"\d+",
    "volumes[].secret.items[].path": r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}",
}
_JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata.name": _NAME,
    "metadata.uid": r"[0-9a-f-]{36}",
    "metadata.generation": "1",
    "metadata.creationTimestamp": r"[0-9TZ:-]+",
    "metadata.annotations.berth.dev/spec-hash": "[0-9a-f]{64}",
    "metadata.annotations.berth.dev/limits": r'\{"timeout": (null|\d+), "grace": \d+, "secrets": \d+\}',
    "spec.backoffLimit": "0",
    "spec.(completions|parallelism)": "1",
    "spec.completionMode": "NonIndexed",
    "spec.podReplacementPolicy": "Failed",
    "spec.suspend": "False",
    "spec.manualSelector": "False",
    "spec.selector.matchLabels.batch.kubernetes.io/controller-uid": "[0-9a-f-]{36}",
    "status": r"\{\}",
}
_MADE_BY_THE_SERVER = {
    r"(batch.kubernetes.io/)?controller-uid": "[0-9a-f-]{36}",
    r"(batch.kubernetes.io/)?job-name": _NAME,
}


def _rules() -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
    amounts = {f"resources.(requests|limits).{name}": value for name, value in _AMOUNTS.items()}
    made = dict(_JOB)
    made |= {f"metadata.labels.{name}": value for name, value in _LABELS.items()}
    made |= {f"spec.template.metadata.labels.{n}": v for n, v in {**_LABELS, **_MADE_BY_THE_SERVER}.items()}
    made |= {f"spec.template.spec.{name}": value for name, value in _POD.items()}
    containers = "spec.template.spec.(containers|initContainers)[]"
    made |= {f"{containers}.{name}": value for name, value in {**_CONTAINER, **amounts}.items()}
    return [(re.compile(name.replace("[]", r"\[\]")), re.compile(value)) for name, value in made.items()]


_RULES = _rules()


def forbidden(job: dict[str, Any], namespace: str) -> list[str]:
    """What the Job must not hold, as `path = value`; empty for a good one of this namespace."""
    tolerations = job["spec"]["template"]["spec"].get("tolerations", [])
    found = [f"tolerations = {one!r}" for one in tolerations if one != {"key": "nvidia.com/gpu", "operator": "Exists"}]
    for path, value in _leaves(job, ""):
        if path.startswith("metadata.managedFields") or (path, value) == ("metadata.namespace", namespace):
            continue
        if not any(allowed.fullmatch(str(value)) for allowed in _allowed(path)):
            found.append(f"{path} = {value!r}")
    return found


@functools.cache
def _allowed(path: str) -> list[re.Pattern[str]]:
    return [allowed for name, allowed in _RULES if name.fullmatch(path)]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, f"{path}[]")
    else:
        yield path, value
