"""What somebody changed in clusters of what Berth applies: kept for administrators, the newest hundred of a cluster."""

import datetime
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.workloads.namespace_drift import Difference

KEPT = 100

_AGAIN = text("""
update namespace_drift set times = times + 1, last_at = now(), trouble = :trouble
 where cluster_id = :cluster_id and namespace = :namespace and object = :object and field = :field
   and was = :was and should = :should
""")
_NEW = text("""
insert into namespace_drift (cluster_id, project_id, namespace, object, field, was, should, trouble)
values (:cluster_id, :project_id, :namespace, :object, :field, :was, :should, :trouble)
""")
_TRIM = text("""
delete from namespace_drift where id in (
  select id from namespace_drift where cluster_id = :cluster_id order by last_at desc, id desc offset :kept)
""")
_LIST = text("""
select d.namespace, p.name as project, d.object, d.field, d.was, d.should, d.trouble, d.times, d.first_at, d.last_at
  from namespace_drift d left join project p on p.id = d.project_id and p.deleted_at is null
 where d.cluster_id = :cluster_id order by d.last_at desc, d.id desc limit :kept
""")


class Drift(NamedTuple):
    """A field that was changed, and put right but for where `trouble` says why not. `project` is None for one that is
    deleted; `field` and both values are empty where the whole object was gone."""

    namespace: str
    project: str | None
    object: str
    field: str
    was: str
    should: str
    trouble: str | None
    times: int
    first_at: datetime.datetime
    last_at: datetime.datetime


def record(
    session: Session,
    cluster_id: uuid.UUID,
    project_id: uuid.UUID,
    namespace: str,
    found: Iterable[tuple[Difference, str]],
) -> None:
    """Adds what was found with why it could not be put right; what was found before is counted."""
    where = {"cluster_id": cluster_id, "project_id": project_id, "namespace": namespace}
    is_any = False
    for one, trouble in found:
        values = where | {"object": one.object, "field": one.field, "was": one.was, "should": one.should}
        again = session.execute(_AGAIN, values | {"trouble": trouble or None})
        if not again.rowcount:  # type: ignore[attr-defined]
            session.execute(_NEW, values | {"trouble": trouble or None})
        is_any = True
    if is_any:
        session.execute(_TRIM, {"cluster_id": cluster_id, "kept": KEPT})


def list_drift(session: Session, cluster_id: uuid.UUID) -> list[Drift]:
    """The newest first, at most a hundred."""
    return [Drift(*row) for row in session.execute(_LIST, {"cluster_id": cluster_id, "kept": KEPT})]
