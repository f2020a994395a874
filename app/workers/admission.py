"""The admission loop: the only writer of reservations."""

from app.db import unit_of_work
from app.faults import crash_point
from app.services import admission
from app.services.leases import Term
from app.settings import get_settings


def work(term: Term) -> bool:
    """One round; whether something was admitted, so that another round may admit more."""
    with unit_of_work() as session:
        admitted = admission.admit(session, term, get_settings().convergence.away_seconds)
        if admitted:
            crash_point("admission.before_commit")
    if admitted:
        crash_point("admission.after_commit")
    return admitted > 0
