"""All kinds of work, one line each."""

from typing import Any

from app.workloads.base import STORED, Spec, WorkloadKind
from app.workloads.kinds import job

KINDS: dict[str, WorkloadKind] = {"job": job}  # type: ignore[dict-item]  # a module is its own protocol


def read_spec(stored: dict[str, Any]) -> Spec:
    """A stored spec as its kind's model. Raises KeyError for an unknown kind, pydantic's error otherwise."""
    return KINDS[stored["kind"]].spec.model_validate(stored, context=STORED)
