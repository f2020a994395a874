"""What a submit would do, said before it is done: start at once, wait and for what, or never."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain import admission
from app.domain.access import Action, Actor
from app.domain.quota import Resources
from app.domain.reasons import Reason
from app.repositories import pools
from app.repositories.pools import Room
from app.services import runs
from app.services.identity import require
from app.settings import get_settings
from app.workloads.base import PRIORITIES, Spec

_AHEAD = 200  # as far as one round of admission looks
_NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True)
class Plan:
    """`reason` is why it would wait, None where it would start at once; `place` its place in line, None where that
    is far back. `room` is None while no cluster has said what it has."""

    asked: Resources
    room: Room | None
    reason: Reason | None = None
    place: int | None = None


def list_rooms(session: Session) -> Sequence[Room]:
    """The pools and what is free in them now."""
    return pools.list_rooms(session, get_settings().convergence.away_seconds)


def plan_run(session: Session, actor: Actor, project_id: uuid.UUID, spec: Spec, rooms: Sequence[Room]) -> Plan:
    """What submitting this now would lead to, by the rules of admission. Nothing is written or held.

    Raises what a submit would: NeverFits, UnknownPool, OneReplicaOnly, UnknownSnapshot, UnknownSecret.
    """
    require(actor, Action.RUN_WRITE, project_id)
    runs.check_possible(session, project_id, spec)
    asked = spec.resources
    room = next((one for one in rooms if one.name == spec.pool), None)
    if room is None:
        return Plan(asked, None)
    ahead = pools.list_ahead(session, spec.pool, PRIORITIES[spec.priority], _AHEAD)
    decision = admission.decide(room.with_line([*ahead, admission.Waiting(_NOBODY, "", asked)]))
    before = sum(one.id in decision.reasons for one in ahead)
    place = before + 1 if len(ahead) < _AHEAD else None
    return Plan(asked, room, decision.reasons.get(_NOBODY), place)
