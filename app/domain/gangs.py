"""Which of several replicas is why an attempt failed. Pure."""

from collections.abc import Mapping
from typing import Any

from app.domain.states import Cause

Order = tuple[bool, bool, float]


def order_of_failure(replica: Mapping[str, Any]) -> Order:
    """Orders replicas that failed, by their statuses as clusters tell them (app/clusters/base.py:ReplicaStatus): the
    first is the cause of all.

    Those that were ended for another's sake come last. One whose pod was lost comes first: the others miss it and
    fail. Else the earliest error counts, which is not always the earliest end: a program that takes its time to end
    is outrun by those that lost it.
    """
    at = replica.get("failed_at") or replica.get("finished_at") or 0.0
    return replica.get("cause") == Cause.STOPPED, replica.get("phase") != "lost", at


def which(replica: Mapping[str, Any], replicas: list[dict[str, Any]]) -> dict[str, Any]:
    """Which of several replicas it is, for a reason's evidence; nothing for a single one."""
    return {"replica": replica["index"], "replicas": len(replicas)} if len(replicas) > 1 else {}
