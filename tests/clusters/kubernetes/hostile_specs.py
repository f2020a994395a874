"""Specs that try to get a field of Kubernetes into the pod that Berth makes of them: as keys where keys are not known,
and as text wherever a spec takes text."""

import json
import random
from collections.abc import Iterator
from typing import Any

# What no user may set, with a value that would do harm.
FORBIDDEN: dict[str, Any] = {
    "activeDeadlineSeconds": 10**9,
    "affinity": {"nodeAffinity": {}},
    "allowPrivilegeEscalation": True,
    "annotations": {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
    "automountServiceAccountToken": True,
    "capabilities": {"add": ["SYS_ADMIN"]},
    "configMap": {"name": "platform"},
    "csi": {"driver": "secrets-store.csi.k8s.io"},
    "dnsConfig": {"nameservers": ["10.0.0.1"]},
    "dnsPolicy": "Default",
    "envFrom": [{"secretRef": {"name": "platform"}}],
    "ephemeralContainers": [{"name": "main", "image": "x"}],
    "fieldRef": {"fieldPath": "spec.nodeName"},
    "finalizers": ["example.org/never"],
    "fsGroup": 0,
    "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["registry"]}],
    "hostIPC": True,
    "hostNetwork": True,
    "hostPID": True,
    "hostPath": {"path": "/"},
    "hostPort": 22,
    "hostUsers": True,
    "imagePullSecrets": [{"name": "platform"}],
    "initContainers": [{"name": "first", "image": "x", "securityContext": {"privileged": True}}],
    "iscsi": {"lun": 0},
    "labels": {"berth.dev/project": "another"},
    "lifecycle": {"postStart": {"exec": {"command": ["sh"]}}},
    "livenessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}},
    "namespace": "kube-system",
    "nfs": {"server": "10.0.0.1", "path": "/"},
    "nodeName": "node1",
    "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
    "ownerReferences": [{"kind": "Namespace", "name": "default"}],
    "persistentVolumeClaim": {"claimName": "of-another"},
    "priorityClassName": "system-node-critical",
    "privileged": True,
    "procMount": "Unmasked",
    "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
    "resourceClaims": [{"name": "gpu"}],
    "runAsNonRoot": False,
    "runAsUser": 0,
    "runtimeClassName": "host",
    "schedulerName": "mine",
    "seLinuxOptions": {"type": "spc_t"},
    "seccompProfile": {"type": "Unconfined"},
    "secretKeyRef": {"name": "platform", "key": "password"},
    "serviceAccountName": "cluster-admin",
    "shareProcessNamespace": "no",
    "subPath": "../..",
    "subPathExpr": "$(HOME)/..",
    "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [],
    "volumeDevices": [{"name": "disk", "devicePath": "/dev/sda"}],
    "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    "windowsOptions": {"hostProcess": True},
}
_AS_KEY = ("", "pod", "template", "securityContext", "resources", "env", "parameters", "secrets", "volumes")
_ODD = (
    "",
    " ",
    "$(BERTH_TOKEN)",
    "$$(HOME)",
    "\u202e",
    "…" * 40,
    "'\"`",
    "${x}",
    "{{ x }}",
    "../..",
    "-",
    "\t",
    "&a *a !!x",
)


def generate(seed: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """`count` pairs of a forbidden field, each in turn, and a spec that has it somewhere."""
    chance = random.Random(seed)
    names = list(FORBIDDEN)
    for number in range(count):
        name = names[number % len(names)]
        spec = _plain(chance)
        as_key = chance.random() < 0.3
        (_put_key if as_key else _put_text)(chance, spec, name)
        yield name, spec


def _plain(chance: random.Random) -> dict[str, Any]:
    """What would be accepted."""
    made: dict[str, Any] = {
        "kind": "job",
        "name": f"run {chance.randrange(1000)}",
        "command": ["python3", "-c", chance.choice(_ODD) or "pass"],
        "cpu": chance.choice(["1", "250m", "0.5", "16"]),
        "memory": chance.choice(["64Mi", "1Gi", "1.5Gi"]),
        "gpus": chance.choice([0, 0, 1, 8]),
        "image": chance.choice(["train:1", "registry.example.org/team/train@sha256:" + "0" * 64]),
        "env": {"A": chance.choice(_ODD), "_b9": chance.choice(_ODD)},
        "parameters": {"lr": chance.choice([0.1, 1e-300, True, "x"])},
        "grace": chance.choice(["0s", "30s"]),
    }
    if chance.random() < 0.5:
        made["snapshot"] = "ab" * 32
        made["requirements"] = chance.choice(["requirements.txt", "a b/c.txt"])
    if chance.random() < 0.5:
        made["timeout"] = chance.choice(["1m", "8h"])
    if chance.random() < 0.5:
        made["secrets"] = [{"name": "HF_TOKEN", "env": "TOKEN"}, {"name": "key", "file": "key.json"}]
    if chance.random() < 0.3:
        made["pool"] = "east"
        made["volumes"] = [
            {"claim": "data", "path": "/mnt/data"},
            {"claim": "models", "path": "/mnt/models", "read_only": True},
        ]
    if chance.random() < 0.3:
        made["tags"] = ["a/b", "c.d"]
    return made


def _put_key(chance: random.Random, spec: dict[str, Any], name: str) -> None:
    """As a field, at the top or within another one."""
    place, value = chance.choice(_AS_KEY), FORBIDDEN[name]
    if not place:
        spec[name] = value
    elif place == "secrets":
        spec[place] = [{"name": "HF_TOKEN", "env": "TOKEN", name: value}]
    elif place == "volumes":
        spec["pool"] = "east"
        spec[place] = [{"claim": "data", "path": "/mnt/data", name: value}]
    elif place in ("env", "parameters"):
        spec[place] = {name: value}
    else:
        spec[place] = {name: value}


def _put_text(chance: random.Random, spec: dict[str, Any], name: str) -> None:
    """As what a template or a reader of YAML would take for a field, where the spec takes text."""
    value = json.dumps(FORBIDDEN[name])
    lines = chance.choice(
        [
            f"x\n{name}: {value}\n",
            f'x", "{name}": {value}, "y": "',
            f"x'\n      {name}: {value}\n      y: '",
            f"---\n{name}: {value}",
            f"$({name})",
            f"{{{{ {name} }}}}",
        ]
    )
    line = lines.replace("\n", chance.choice([" ", "\u2028", "; "]))
    match chance.randrange(9):
        case 0:
            spec["env"]["HOSTILE"] = lines
        case 1:
            spec["env"][name] = str(FORBIDDEN[name])
        case 2:
            spec["command"].append(lines)
        case 3:
            spec["command"] = ["sh", "-c", lines]
        case 4:
            spec["parameters"]["hostile"] = lines
        case 5:
            spec["parameters"][name] = "x"
        case 6:
            spec["name"] = line[:200]
        case 7:
            spec["tags"] = [name]
            spec["experiment"] = name
        case 8:
            odd = chance.choice(["image", "requirements", "pool", "tags", "secrets"])
            text = chance.choice([line, f"{name}\n{value}", f"-{name}", f"../{name}"])
            spec[odd] = [{"name": text, "file": text}] if odd == "secrets" else [text] if odd == "tags" else text
            spec["env"][name] = value
