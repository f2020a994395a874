"""Reading raw Jobs and pods of the API server, and where they are in it. Pure."""

import re
from datetime import UTC, datetime
from typing import Any

from app.clusters import job_status
from app.domain.names import object_name
from app.workloads.pods import LABEL, MAIN

Raw = dict[str, Any]

TOMBSTONE_SECONDS = 3600
"""How long a Job keeps its name after it was cleaned up."""
REMOVED = f"{LABEL}/removed"
"""Annotation of a Job that was cleaned up: it keeps its name from being used again for a while."""

NEVER = "1970-01-01T00:00:00Z"


def jobs_path(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def path_of(found: Raw) -> str:
    """Of a Job or a pod, which a list does not tell apart but by what a Job has."""
    metadata = found["metadata"]
    if "completions" in found["spec"]:
        return f"{jobs_path(metadata['namespace'])}/{metadata['name']}"
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def removal() -> Raw:
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "metadata": {"annotations": {REMOVED: stamp}},
        "spec": {"ttlSecondsAfterFinished": TOMBSTONE_SECONDS},
    }


_KEPT = ("nodeName", "suspend", "completions", "activeDeadlineSeconds")


def cut(found: Raw) -> Raw:
    """What is kept in memory of an object: managed fields and the program's environment are most of it."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    spec = {key: found["spec"][key] for key in _KEPT if key in found.get("spec", {})}
    if main := [one for one in found.get("spec", {}).get("containers", ()) if one["name"] == MAIN]:
        spec["containers"] = [{"name": MAIN, "image": main[0].get("image", "")}]
    return {"metadata": metadata, "spec": spec, "status": found.get("status", {})}


def tells_how_it_ended(pod: Raw) -> bool:
    """Whether a pod that is gone still tells how it ended."""
    return job_status.is_over(pod) and bool(pod["spec"].get("nodeName"))


def by_key(found: list[Raw]) -> dict[tuple[str, int], list[Raw]]:
    made: dict[tuple[str, int], list[Raw]] = {}
    for one in found:
        if key := key_of(one):
            made.setdefault(key, []).append(one)
    return made


def key_of(found: Raw) -> tuple[str, int] | None:
    """Run and attempt; None for an object whose name is not the one that its labels lead to."""
    tags = found["metadata"].get("labels", {})
    run, attempt = tags.get(f"{LABEL}/run", ""), tags.get(f"{LABEL}/attempt", "")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", attempt):
        return None
    is_named = found["metadata"]["name"].startswith(object_name(run, int(attempt)))
    return (run, int(attempt)) if is_named else None


def is_finished(job: Raw) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)
