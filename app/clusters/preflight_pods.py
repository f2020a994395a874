"""The two short pods of a check: one that looks names up and calls Berth, and one that a network policy cuts off.

They say what they found in their termination message, so that reading a log is not needed for it.
"""

import contextlib
import json
import time
from datetime import datetime
from typing import Any

from app.clusters.base import ClusterRejected, ClusterUnavailable
from app.clusters.kubernetes_api import AlreadyThere, Api, NotThere, Raw
from app.domain.preflight_facts import PodFacts

_POLL_SECONDS = 0.5
_CUT_OFF = "berth.dev/cut-off"
_PULLING = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_FINAL = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
# The policy may need a moment to reach the node of the pod that it is for.
_PROGRAM = """
import json, os, socket, sys, time, urllib.error, urllib.request
found = {}
time.sleep(float(os.environ["PAUSE"]))
try:
    socket.getaddrinfo("kubernetes.default.svc", 443)
    found["dns"] = ""
except OSError as error:
    found["dns"] = str(error)[:200]
if os.environ["URL"]:
    try:
        urllib.request.urlopen(os.environ["URL"] + "/livez", timeout=5)
        found["berth"] = ""
    except urllib.error.HTTPError:
        found["berth"] = ""
    except (OSError, ValueError) as error:
        found["berth"] = str(error)[:200]
open("/dev/termination-log", "w").write(json.dumps(found))
"""


def pod(name: str, image: str, pull_secret: str | None, url: str, *, is_cut_off: bool = False) -> Raw:
    """A pod that passes Pod Security "restricted"; `url` is the address of Berth to call, "" for none."""
    settings = {"PAUSE": "2" if is_cut_off else "0", "URL": "" if is_cut_off else url.rstrip("/")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {_CUT_OFF: str(is_cut_off).lower()}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "activeDeadlineSeconds": 300,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "dnsConfig": {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "2"}]},
            **({"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}),
            "containers": [
                {
                    "name": "check",
                    "image": image,
                    "command": ["python3", "-c", _PROGRAM],
                    "env": [{"name": key, "value": value} for key, value in settings.items()],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "64Mi"},
                    },
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def privileged(plain: Raw) -> Raw:
    """The same pod, with all rights on its node."""
    (container,) = plain["spec"]["containers"]
    return {
        **plain,
        "spec": {**plain["spec"], "containers": [{**container, "securityContext": {"privileged": True}}]},
    }


def run(api: Api, namespace: str, image: str, pull_secret: str | None, url: str, patience: float) -> PodFacts:
    """Makes both pods and returns what became of them, at the latest a while after `patience` seconds."""
    path = f"/api/v1/namespaces/{namespace}"
    try:
        is_policed = _cut_off(api, namespace)
        api.create(f"{path}/pods", pod("open", image, pull_secret, url))
        if is_policed:
            api.create(f"{path}/pods", pod("cut-off", image, pull_secret, url, is_cut_off=True))
        found = _follow(api, f"{path}/pods/open", image, patience)
        if is_policed and found.dns == "":
            other = _follow(api, f"{path}/pods/cut-off", image, patience)
            is_told = other.dns is not None
            found = PodFacts(**{**vars(found), "denied_reached": other.dns == "" if is_told else None})
    except (ClusterUnavailable, ClusterRejected, NotThere, AlreadyThere) as error:
        return PodFacts(image, patience=patience, trouble=str(error)[:500] or "it was removed")
    finally:
        for name in ("open", "cut-off"):
            with contextlib.suppress(ClusterUnavailable, ClusterRejected):
                api.delete(f"{path}/pods/{name}", gracePeriodSeconds=0)
    return found


def _cut_off(api: Api, namespace: str) -> bool:
    """Lets nothing out of pods with the label; whether that could be asked for."""
    spec = {"podSelector": {"matchLabels": {_CUT_OFF: "true"}}, "policyTypes": ["Egress"], "egress": []}
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    try:
        api.create(path, {"metadata": {"name": "cut-off"}, "spec": spec})
    except (ClusterUnavailable, ClusterRejected, NotThere):
        return False
    return True


def _follow(api: Api, path: str, image: str, patience: float) -> PodFacts:
    """What a pod came to: it ended, it cannot run, or the time is over."""
    end = time.monotonic() + patience
    while True:
        found = api.get(path)
        facts = _read(found, image, patience)
        if facts.dns is not None:
            return facts
        state = _state(found)
        is_final = "terminated" in state or state.get("waiting", {}).get("reason") in _FINAL
        # One that runs gets some time more to say what it found.
        over = time.monotonic() - end
        if is_final or over > (30.0 if "running" in state else 0.0):
            return facts
        time.sleep(_POLL_SECONDS)


def _read(found: Raw, image: str, patience: float) -> PodFacts:
    state = _state(found)
    ended = state.get("terminated", {})
    told = _told(str(ended.get("message", "")))
    started = ended.get("startedAt") or state.get("running", {}).get("startedAt")
    if told is not None and started:
        seconds = (_time(started) - _time(found["metadata"]["creationTimestamp"])).total_seconds()
        return PodFacts(image, max(seconds, 0.0), patience, dns=told.get("dns"), reaches_berth=told.get("berth"))
    waiting = state.get("waiting", {})
    reason = str(waiting.get("reason") or ended.get("reason") or "")
    message = str(waiting.get("message") or ended.get("message") or _unscheduled(found) or "")
    said = ": ".join(part for part in (reason, message) if part) or f"its phase is {found['status'].get('phase')}"
    return PodFacts(image, patience=patience, trouble=said[:500], is_pull_trouble=reason in _PULLING)


def _state(found: Raw) -> Raw:
    """The state of the only container."""
    for status in found.get("status", {}).get("containerStatuses", ()):
        state: Raw = status.get("state", {})
        return state
    return {}


def _unscheduled(found: Raw) -> str:
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return str(condition.get("message", ""))
    return ""


def _told(message: str) -> dict[str, Any] | None:
    try:
        found = json.loads(message)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
