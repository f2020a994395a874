"""What a submit would lead to, as the API says it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from app.api.schemas.runs import ReasonRead, reason
from app.domain.quantities import format_cpu, format_memory
from app.domain.quota import Resources
from app.services.plans import Plan
from app.workloads.kinds.job import JobSpec


class PlanAsk(BaseModel):
    """A run that is thought about."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"spec": {"name": "hello", "command": ["true"], "cpu": "1"}}]},
    )

    spec: JobSpec


class AmountRead(BaseModel):
    """An amount of each resource."""

    cpu: str
    memory: str
    gpus: int


class PlanRead(BaseModel):
    """`starts` is "now", "later" (then `reason` says why, and `place` where in line, if that is not far back), or
    "unknown" while no cluster has said what it has. `free` is what nobody holds in the pool at the moment."""

    starts: str
    pool: str
    asked: AmountRead
    free: AmountRead | None
    place: int | None
    reason: ReasonRead | None


def plan_read(plan: Plan, pool: str, language: str) -> dict[str, Any]:
    """A plan, as PlanRead has it."""
    starts = "unknown" if plan.room is None else "now" if plan.reason is None else "later"
    return {
        "starts": starts,
        "pool": pool,
        "asked": _amount(plan.asked),
        "free": _amount(plan.room.free) if plan.room else None,
        "place": plan.place if starts == "later" else None,
        "reason": reason(plan.reason.code, dict(plan.reason.args), language) if plan.reason else None,
    }


def _amount(resources: Resources) -> dict[str, Any]:
    return {
        "cpu": format_cpu(resources.cpu_millis),
        "memory": format_memory(resources.memory_bytes),
        "gpus": resources.gpus,
    }
