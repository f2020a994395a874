"""What has to be thrown away now and then: old answers to repeated requests, sessions and links that ended, and
what deleted projects have left."""

import structlog
from sqlalchemy import text

from app.db import read_session, unit_of_work
from app.services import idempotency, project_deletion
from app.services.leases import Term, fence
from app.stores import objects

log = structlog.get_logger(__name__)


def tidy(term: Term) -> bool:
    """One round in small portions; whether there is more."""
    with unit_of_work() as session:
        fence(session, term)
        deleted = idempotency.forget_old(session)
        session.execute(text("delete from user_session where expires_at < now() - interval '1 day'"))
        session.execute(text("delete from one_time_link where expires_at < now() - interval '7 days'"))
    has_more = remove_deleted_projects(term)
    return deleted == 10_000 or has_more


def remove_deleted_projects(term: Term) -> bool:
    """Goes on with the removal of a deleted project: its runs, then its objects, then its row; whether there is more.

    Interrupted anywhere, the next round goes on from there. Its namespaces are asked to go once no run is left; the
    loop of clusters sees to that, and a cluster that is silent holds up nothing else.
    """
    with read_session() as session:
        project_id = project_deletion.find_deleted(session)
    if project_id is None:
        return False
    with unit_of_work() as session:
        fence(session, term)
        if project_deletion.remove_runs(session, project_id):
            return True
        if project_deletion.has_runs(session, project_id):
            return False  # their cluster has not let go of them yet
    removed = objects.of(project_id).delete_all()
    with unit_of_work() as session:
        fence(session, term)
        project_deletion.forget(session, project_id)
    log.info("a deleted project is removed", project=str(project_id), objects=removed)
    return True
