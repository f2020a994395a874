"""Clusters as administrators work with them: adding, checking, new credentials, draining, removing.

Nothing here talks to a cluster: what is asked for is written down, and the controller's loop does it.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.clusters.kubeconfig import Connection, read_kubeconfig, runs_in_cluster
from app.domain.access import Action, Actor
from app.domain.clusters import CLUSTER_NAME, NAME_RULE, ClusterSettings, problems_of
from app.errors import N_, BadValue, Conflict, FieldError, Invalid, NotFound
from app.models import Cluster
from app.queue import wake_admission, wake_clusters
from app.repositories.clusters import LOCAL
from app.services import audit, cluster_credentials
from app.services.identity import require
from app.services.runs import forget_what_was_seen
from app.settings import get_settings

KUBERNETES = "kubernetes"
ACTIVE, DRAINING = "active", "draining"
MAX_KUBECONFIG = 256 << 10


class ClusterExists(Conflict):
    """Names are unique in the whole installation."""

    code = "CLUSTER_EXISTS"
    title = N_("There is a cluster by that name")
    detail = N_("A cluster or a pool named {name} exists already.")
    hint = N_("Choose another name. `berth cluster rotate` gives a cluster new credentials.")


class ClusterIsLocal(Conflict):
    """It is no cluster that an administrator added."""

    code = "CLUSTER_IS_LOCAL"
    title = N_("That is the machine that Berth runs on")
    detail = N_("Cluster {name} is this machine: it has no credentials and no settings, and is not checked or removed.")
    hint = N_("Drain it to let nothing new start there. BERTH_LOCAL__ENABLED=false takes it away.")


class ClusterInUse(Conflict):
    """Something runs or waits there, or may be submitted to it any moment."""

    code = "CLUSTER_IN_USE"
    title = N_("The cluster is in use")
    detail = N_("Cluster {name} is {state}; runs on it: {running}, waiting for it: {waiting}. Nothing was removed.")
    hint = N_("Drain it, and stop its runs or wait until they have ended; then remove it.")


@dataclass(frozen=True)
class Removal:
    """What goes with a cluster. Runs that are over, their logs and outputs stay."""

    running: int
    waiting: int
    pools: list[str]
    is_allowed: bool


def add_cluster(
    session: Session, actor: Actor, name: str, kubeconfig: str | None, settings: Mapping[str, str] | None = None
) -> uuid.UUID:
    """Keeps a cluster and asks for its check; its id. Without a kubeconfig it is the one that Berth runs in.

    Raises Invalid with pointers /name, /kubeconfig and /settings/…, ClusterExists.
    """
    require(actor, Action.CLUSTER_WRITE)
    errors = [] if CLUSTER_NAME.fullmatch(name) else [FieldError("/name", NAME_RULE)]
    made = ClusterSettings().changed(settings or {})
    errors += problems_of(made)
    connection = _read(kubeconfig, errors) if kubeconfig is not None else None
    if kubeconfig is None and not runs_in_cluster(get_settings().clusters.in_cluster_folder):
        errors.append(FieldError("/kubeconfig", N_("Berth itself runs in no cluster; give a kubeconfig")))
    if errors:
        raise Invalid(errors)
    key = uuid7()
    row: dict[str, Any] = {"id": key, "name": name, "kind": KUBERNETES, "settings": made.as_dict()}
    row |= {"credentials_version": 1, "credentials_at": func.now(), "check_due_at": func.now()}
    row |= {"created_by": actor.name}
    if kubeconfig is not None and connection is not None:
        row |= cluster_credentials.seal(key, kubeconfig) | {"server": connection.server}
    is_taken = name == LOCAL or session.scalar(text("select 1 from pool where name = :name"), {"name": name})
    try:
        with session.begin_nested():
            if is_taken:
                raise ClusterExists(name=name)
            session.execute(insert(Cluster).values(**row))
    except IntegrityError:
        raise ClusterExists(name=name) from None
    after = {"server": row.get("server"), "in_cluster": kubeconfig is None, "settings": made.as_dict()}
    audit.record(session, actor, "cluster.create", "cluster", name, after=after)
    wake_clusters(session)
    return key


def find_added(session: Session, name: str) -> uuid.UUID:
    """The id of one that an administrator added. Raises NotFound, ClusterIsLocal."""
    row = session.execute(select(Cluster.id, Cluster.kind).where(Cluster.name == name.replace("\0", ""))).one_or_none()
    if row is None:
        raise NotFound
    if row.kind == LOCAL:
        raise ClusterIsLocal(name=name)
    found: uuid.UUID = row.id
    return found


def update_settings(session: Session, actor: Actor, name: str, changes: Mapping[str, str]) -> None:
    """Changes settings; an empty text takes one back to its default. A check follows. Raises Invalid, NotFound."""
    require(actor, Action.CLUSTER_WRITE)
    row = _added(session, name)
    before = ClusterSettings.of(row.settings)
    after = before.changed(changes)
    if errors := problems_of(after):
        raise Invalid(errors)
    if after == before:
        return
    _write(session, row.id, settings=after.as_dict(), check_due_at=func.now())
    old, new = before.as_dict(), after.as_dict()
    changed = [key for key in new if old[key] != new[key]]
    audit.record(
        session,
        actor,
        "cluster.update",
        "cluster",
        name,
        before={key: old[key] for key in changed},
        after={key: new[key] for key in changed},
    )
    wake_clusters(session)


def rotate(session: Session, actor: Actor, name: str, kubeconfig: str) -> None:
    """Replaces the credentials in place; runs go on, and the next call to the cluster uses the new ones. A check
    follows. Raises Invalid with pointer /kubeconfig, NotFound."""
    require(actor, Action.CLUSTER_WRITE)
    row = _added(session, name)
    errors: list[FieldError] = []
    connection = _read(kubeconfig, errors)
    if connection is None:
        raise Invalid(errors)
    _write(
        session,
        row.id,
        **cluster_credentials.seal(row.id, kubeconfig),
        server=connection.server,
        credentials_version=Cluster.credentials_version + 1,
        credentials_at=func.now(),
        check_due_at=func.now(),
    )
    audit.record(
        session,
        actor,
        "cluster.rotate",
        "cluster",
        name,
        before={"server": row.server, "credentials_version": row.credentials_version},
        after={"server": connection.server, "credentials_version": row.credentials_version + 1},
    )
    wake_clusters(session)


def request_check(session: Session, actor: Actor, name: str) -> None:
    """Asks for a check; one that was asked for and has not ended is not asked for twice. Raises NotFound."""
    require(actor, Action.CLUSTER_WRITE)
    row = _added(session, name)
    if row.check_due_at is None:
        session.execute(update(Cluster).where(Cluster.id == row.id).values(check_due_at=func.now()))
        audit.record(session, actor, "cluster.check", "cluster", name)
    wake_clusters(session)


def set_draining(session: Session, actor: Actor, name: str, *, draining: bool) -> None:
    """Lets nothing new start there, or lets it again. What runs goes on. Raises NotFound."""
    require(actor, Action.CLUSTER_WRITE)
    row = _locked(session, name)
    wanted = DRAINING if draining else ACTIVE
    if row.state == wanted:
        return
    _write(session, row.id, state=wanted)
    verb = "cluster.drain" if draining else "cluster.undrain"
    audit.record(session, actor, verb, "cluster", name, before={"state": row.state}, after={"state": wanted})
    forget_what_was_seen()
    wake_admission(session)


_USE = text("""
select p.names as pools,
       (select count(*) from run r where r.state in ('starting', 'running') and r.pool = any(p.names))
         + (select count(*) from reservation v join run r on r.id = v.run_id
             where v.released_at is null and v.pool = any(p.names) and r.state not in ('starting', 'running'))
         as running,
       (select count(*) from run r where r.state = 'queued' and r.desired = 'running' and r.pool = any(p.names))
         as waiting
  from (select coalesce(array_agg(name order by name), '{}') as names from pool where cluster_id = :id) p
""")


def find_removal(session: Session, name: str) -> Removal:
    """What would go with the cluster, and whether it may. Raises NotFound, ClusterIsLocal."""
    row = _added(session, name)
    return _removal(session, row.id, row.state)


def remove(session: Session, actor: Actor, name: str) -> Removal:
    """Forgets the cluster with its pools and credentials; nothing is deleted in it. Raises NotFound, ClusterIsLocal,
    ClusterInUse where it has pools and is not drained, or is not empty."""
    require(actor, Action.CLUSTER_WRITE)
    row = _added(session, name)
    # As admission does: nothing is admitted to these pools until this transaction has ended.
    session.execute(text("select 1 from pool where cluster_id = :id order by name for update"), {"id": row.id})
    found = _removal(session, row.id, row.state)
    if not found.is_allowed:
        raise ClusterInUse(name=name, state=row.state, running=found.running, waiting=found.waiting)
    # What ended runs held is kept with the pool only, and nothing reads it any more.
    session.execute(text("delete from reservation where pool = any(:pools)"), {"pools": found.pools})
    session.execute(text("delete from cluster where id = :id"), {"id": row.id})
    before = {"server": row.server, "settings": row.settings, "pools": found.pools}
    audit.record(session, actor, "cluster.delete", "cluster", name, before=before)
    forget_what_was_seen()
    wake_clusters(session)
    return found


def _removal(session: Session, cluster_id: uuid.UUID, state: str) -> Removal:
    use = session.execute(_USE, {"id": cluster_id}).one()
    is_empty = not use.running and not use.waiting
    return Removal(use.running, use.waiting, list(use.pools), is_empty and (state == DRAINING or not use.pools))


def _read(kubeconfig: str, errors: list[FieldError]) -> Connection | None:
    try:
        if len(kubeconfig) > MAX_KUBECONFIG:
            raise BadValue(N_("is larger than a kubeconfig can be"))
        return read_kubeconfig(kubeconfig)
    except BadValue as error:
        errors.append(FieldError("/kubeconfig", error.message, slots=error.slots))
        return None


def _locked(session: Session, name: str) -> Any:
    row = session.execute(
        select(
            Cluster.id,
            Cluster.kind,
            Cluster.state,
            Cluster.server,
            Cluster.settings,
            Cluster.credentials_version,
            Cluster.check_due_at,
        )
        .where(Cluster.name == name.replace("\0", ""))
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound
    return row


def _added(session: Session, name: str) -> Any:
    """The row of one that an administrator added."""
    row = _locked(session, name)
    if row.kind == LOCAL:
        raise ClusterIsLocal(name=name)
    return row


def _write(session: Session, cluster_id: uuid.UUID, **values: Any) -> None:
    session.execute(update(Cluster).where(Cluster.id == cluster_id).values(version=Cluster.version + 1, **values))
