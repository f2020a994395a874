"""What has to be thrown away now and then: old answers to repeated requests, sessions and links that ended."""

from sqlalchemy import text

from app.db import unit_of_work
from app.services import idempotency
from app.services.leases import Term, fence


def tidy(term: Term) -> bool:
    """One round in small portions; whether there is more."""
    with unit_of_work() as session:
        fence(session, term)
        deleted = idempotency.forget_old(session)
        session.execute(text("delete from user_session where expires_at < now() - interval '1 day'"))
        session.execute(text("delete from one_time_link where expires_at < now() - interval '7 days'"))
    return deleted == 10_000
