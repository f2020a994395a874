"""Deleting a project: it is gone for everybody at once, and what was in it is removed in small portions.

The row stays until the end, as the note that there is work to do. Its objects go after the runs, so that
nothing ever names an object that is not there, and before the row, so that none is forgotten.
"""

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.errors import N_, Conflict
from app.models import ApiToken, Membership, Project, Snapshot, User
from app.queue import wake_clusters
from app.services import audit, project_namespaces, users

RUNS_AT_ONCE = 100
POINTS_AT_ONCE = 100_000


class ProjectInUse(Conflict):
    """Something still runs, or waits to run, in the project."""

    code = "PROJECT_IN_USE"
    title = N_("Runs of this project are not over")
    detail = N_("Runs of project {project} that are running or waiting: {count}. Nothing was deleted.")
    hint = N_("Stop them first, or wait until they have ended.")


@dataclass(frozen=True)
class Contents:
    """What is in a project, and would go with it. `live_runs` are those that keep it from being deleted.

    `namespaces` are "cluster/name"; `kept_pods` is how many attempts have something in them still.
    """

    live_runs: int
    runs: int
    log_bytes: int
    outputs: int
    output_bytes: int
    snapshots: int
    snapshot_bytes: int
    members: int
    service_accounts: int
    tokens: int
    namespaces: list[str]
    kept_pods: int


_CONTENTS = text("""
select
  (select count(*) from run where project_id = :id and state in ('queued', 'starting', 'running')) as live_runs,
  (select count(*) from run where project_id = :id) as runs,
  (select coalesce(sum(c.bytes), 0) from log_chunk c join run r on r.id = c.run_id where r.project_id = :id)::bigint
    as log_bytes,
  o.files as outputs, o.bytes as output_bytes, s.files as snapshots, s.bytes as snapshot_bytes,
  (select count(*) from membership m join "user" u on u.id = m.user_id
    where m.project_id = :id and u.kind = 'person') as members,
  (select count(*) from "user" where project_id = :id) as service_accounts,
  (select count(*) from api_token t where t.revoked_at is null and t.project_id = :id)
    + (select count(*) from api_token t join "user" u on u.id = t.user_id
        where t.revoked_at is null and u.project_id = :id and t.project_id is null) as tokens,
  (select coalesce(array_agg(c.name || '/' || n.name order by c.name), '{}') from project_namespace n
     join cluster c on c.id = n.cluster_id where n.project_id = :id) as namespaces,
  (select count(*) from attempt a join run r on r.id = a.run_id join pool on pool.name = r.pool
     join cluster c on c.id = pool.cluster_id
    where r.project_id = :id and a.cleaned_at is null and c.kind = 'kubernetes') as kept_pods
from (select count(*) as files, coalesce(sum(bytes), 0)::bigint as bytes from output
        where run_id in (select id from run where project_id = :id)) o,
     (select count(*) as files, coalesce(sum(bytes), 0)::bigint as bytes from snapshot where project_id = :id) s
""")


def find_contents(session: Session, project_id: uuid.UUID) -> Contents:
    """What the project holds now; sizes in bytes."""
    return Contents(*session.execute(_CONTENTS, {"id": project_id}).one())


def delete_project(session: Session, actor: Actor, project_id: uuid.UUID) -> Contents:
    """Takes the project away from everybody and leaves its removal to housekeeping; returns what goes.

    Its name is free at once; tokens of it and its service accounts stop working. Raises ProjectInUse.
    """
    # No run can begin under this lock: a submit holds the same row.
    project = session.execute(select(Project.name, Project.title).where(Project.id == project_id).with_for_update())
    name, title = project.one()
    contents = find_contents(session, project_id)
    if contents.live_runs:
        raise ProjectInUse(count=contents.live_runs, project=name)
    for account in session.scalars(select(User.id).where(User.project_id == project_id).order_by(User.id)).all():
        session.execute(
            update(User).where(User.id == account, User.disabled_at.is_(None)).values(disabled_at=func.now())
        )
        users.end_credentials(session, account)
    session.execute(
        update(ApiToken)
        .where(ApiToken.project_id == project_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    session.execute(delete(Membership).where(Membership.project_id == project_id))
    session.execute(
        update(Project)
        .where(Project.id == project_id)
        .values(name=f"#{project_id}", deleted_at=func.now(), version=Project.version + 1)
    )
    before = {"title": title} | asdict(contents)
    audit.record(session, actor, "project.delete", "project", name, project_id, before=before)
    return contents


def find_deleted(session: Session) -> uuid.UUID | None:
    """A deleted project of which something is left, the longest deleted first."""
    statement = select(Project.id).where(Project.deleted_at.is_not(None)).order_by(Project.deleted_at, Project.id)
    return session.scalar(statement.limit(1))


_PORTION = text("""
select r.id from run r where r.project_id = :id
   and not exists (select 1 from attempt a where a.run_id = r.id and a.cleaned_at is null)
   and not exists (select 1 from reservation v where v.run_id = r.id and v.released_at is null)
 order by r.id limit :limit
""")
# Points are many and refer to nothing, so they go first, and no more of them than a statement has time for.
_REMOVE_POINTS = text("""
delete from metric_point where ctid = any(array(
  select p.ctid from metric_point p join metric_series s on s.id = p.series_id
   where s.run_id = any(:runs) limit :limit))
""")
_REMOVE_RUNS = text("delete from run where id = any(:runs)")


def remove_runs(session: Session, project_id: uuid.UUID) -> bool:
    """Removes a portion of a deleted project's runs with their history; whether there may be more to remove now.

    A run of which something is left in its cluster stays until that is cleaned up.
    """
    runs = list(session.scalars(_PORTION, {"id": project_id, "limit": RUNS_AT_ONCE}))
    if not runs:
        return False
    done: Any = session.execute(_REMOVE_POINTS, {"runs": runs, "limit": POINTS_AT_ONCE})
    if done.rowcount < POINTS_AT_ONCE:
        session.execute(_REMOVE_RUNS, {"runs": runs})
    return True


def has_runs(session: Session, project_id: uuid.UUID) -> bool:
    """Whether a run is left."""
    return session.scalar(text("select 1 from run where project_id = :id limit 1"), {"id": project_id}) is not None


def forget(session: Session, project_id: uuid.UUID) -> None:
    """Removes the row of a deleted project whose runs and objects are gone, with what still refers to it."""
    project_namespaces.begin_deletion(session, project_id)
    session.execute(delete(Snapshot).where(Snapshot.project_id == project_id))
    session.execute(delete(Project).where(Project.id == project_id, Project.deleted_at.is_not(None)))
    wake_clusters(session)
