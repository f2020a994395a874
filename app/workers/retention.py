"""The loop that announces which outputs will be removed, and removes what was announced when its time has come."""

from app.db import unit_of_work
from app.services import retention
from app.services.leases import Term, fence


def work(term: Term) -> bool:
    """One round in small portions; whether there is more."""
    with unit_of_work() as session:
        fence(session, term)
        has_announced = retention.announce_next(session) is not None
    with unit_of_work() as session:
        fence(session, term)
        has_removed = retention.carry_out_next(session)
    has_more = retention.free()
    return has_announced or has_removed or has_more
