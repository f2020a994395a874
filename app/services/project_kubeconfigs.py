"""Kubeconfigs that members of a project ask for, to look at its pods: asked for here, made by the controller, which
alone talks to clusters, and fetched once by whoever asked."""

import datetime
import uuid
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.domain.access import Action, Actor
from app.errors import N_, Conflict, FieldError, Invalid, NotFound
from app.queue import wake_clusters
from app.services import audit
from app.services.identity import require
from app.services.leases import Term, fence
from app.services.sealing import CannotOpen, KeyRing, Sealed
from app.settings import get_settings

HOURS, MOST_HOURS = 8, 24
_KEPT_MINUTES = 10  # until what nobody fetched is forgotten


class NoNamespace(Conflict):
    """No run of the project has started there yet."""

    code = "PROJECT_NOT_IN_CLUSTER"
    title = N_("The project is not in that cluster yet")
    detail = N_("Project {project} has no namespace in cluster {cluster}.")
    hint = N_("The first run that starts there makes it.")


class KubeconfigNotReady(Conflict):
    """It is not there yet, or not any more."""

    code = "KUBECONFIG_NOT_READY"
    title = N_("There is no kubeconfig to fetch")
    detail = N_("The state of this kubeconfig is {state}.")
    hint = N_("While it is requested it is being made; once fetched it is forgotten: ask for another one.")


class Kubeconfig(NamedTuple):
    """One that was asked for. `state` is requested, ready, failed, fetched or expired; `trouble` is why it failed."""

    id: uuid.UUID
    cluster: str
    state: str
    trouble: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime | None


class Asked(NamedTuple):
    """One to be made."""

    id: uuid.UUID
    namespace: str
    project: str
    hours: int


_WHERE = text("""
select c.id, n.name from cluster c
  left join project_namespace n on n.cluster_id = c.id and n.project_id = :project_id and n.fingerprint is not null
 where c.name = :cluster and c.kind = 'kubernetes'
""")
_FORGET = text("""
delete from project_kubeconfig where project_id = :project_id and created_at < now() - interval '1 day'
""")
_INSERT = text("""
insert into project_kubeconfig (id, project_id, cluster_id, user_id, hours)
values (:id, :project_id, :cluster_id, :user_id, :hours)
""")
_ONE = """
select k.id, c.name as cluster,
       case when k.fetched_at is not null then 'fetched' when k.trouble is not null then 'failed'
            when k.created_at < now() - make_interval(mins => :kept) then 'expired'
            when k.made_at is not null then 'ready' else 'requested' end as state, k.trouble,
       k.created_at, k.expires_at, k.key_id, k.wrapped_key, k.ciphertext
  from project_kubeconfig k join cluster c on c.id = k.cluster_id
 where k.id = :id and k.project_id = :project_id and k.user_id = :user_id
"""
_FIND, _LOCK = text(_ONE), text(f"{_ONE} for update of k")
_FETCHED = text("""
update project_kubeconfig set fetched_at = now(), key_id = null, wrapped_key = null, ciphertext = null where id = :id
""")
_CLUSTERS = text("""
select c.name from project_namespace n join cluster c on c.id = n.cluster_id
 where n.project_id = :project_id and n.fingerprint is not null and n.deleting_at is null order by c.name
""")
_ASKED = text("""
select k.id, n.name as namespace, p.name as project, k.hours
  from project_kubeconfig k join project p on p.id = k.project_id
  join project_namespace n on n.project_id = k.project_id and n.cluster_id = k.cluster_id
 where k.cluster_id = :cluster_id and k.made_at is null and k.trouble is null
   and k.created_at > now() - make_interval(mins => :kept) order by k.id limit 20
""")
_MADE = text("""
update project_kubeconfig set made_at = now(), expires_at = cast(:expires_at as timestamptz), key_id = :key_id,
       wrapped_key = :wrapped_key, ciphertext = :ciphertext where id = :id
""")
_FAILED = text("update project_kubeconfig set trouble = :trouble where id = :id")
# What was never fetched is forgotten with the next look at the cluster.
_WIPE = text("""
update project_kubeconfig set key_id = null, wrapped_key = null, ciphertext = null
 where cluster_id = :cluster_id and key_id is not null and created_at < now() - make_interval(mins => :kept)
""")


def list_clusters(session: Session, project_id: uuid.UUID) -> list[str]:
    """The clusters in which the project has a namespace."""
    return list(session.scalars(_CLUSTERS, {"project_id": project_id}))


def request(session: Session, actor: Actor, project: tuple[uuid.UUID, str], cluster: str, hours: int) -> Kubeconfig:
    """Asks for a kubeconfig for a project, given by its id and name. Raises Invalid with pointers /cluster and /hours,
    NoNamespace."""
    project_id, name = project
    require(actor, Action.PROJECT_KUBECONFIG, project_id)
    if not 1 <= hours <= MOST_HOURS:
        raise Invalid([FieldError("/hours", N_("must be from 1 to {most}"), slots={"most": MOST_HOURS})])
    values = {"project_id": project_id, "cluster": cluster.replace("\0", "")}
    found = session.execute(_WHERE, values).one_or_none()
    if found is None:
        raise Invalid([FieldError("/cluster", N_("is no cluster that is a Kubernetes"))])
    if found.name is None:
        raise NoNamespace(project=name, cluster=cluster)
    key = uuid7()
    session.execute(_FORGET, values)
    values |= {"id": key, "cluster_id": found.id, "user_id": actor.user_id, "hours": hours}
    session.execute(_INSERT, values)
    after = {"cluster": cluster, "namespace": found.name, "hours": hours}
    audit.record(session, actor, "project.kubeconfig.request", "project", name, project_id, after=after)
    wake_clusters(session)
    return find(session, actor, project_id, key)


def find(session: Session, actor: Actor, project_id: uuid.UUID, key: uuid.UUID) -> Kubeconfig:
    """One that this actor has asked for. Raises NotFound."""
    return Kubeconfig(*_row(session, _FIND, actor, project_id, key)[:6])


def fetch(session: Session, actor: Actor, project: tuple[uuid.UUID, str], key: uuid.UUID) -> str:
    """The text of the kubeconfig, which is forgotten with that. Raises NotFound, KubeconfigNotReady."""
    project_id, name = project
    require(actor, Action.PROJECT_KUBECONFIG, project_id)
    row = _row(session, _LOCK, actor, project_id, key)
    if row.state != "ready":
        raise KubeconfigNotReady(state=row.state)
    try:
        found = _ring().open(Sealed(row.key_id, row.wrapped_key, row.ciphertext), _context(key))
    except CannotOpen:
        raise KubeconfigNotReady(state="failed") from None
    session.execute(_FETCHED, {"id": key})
    after = {"cluster": row.cluster, "expires_at": row.expires_at.isoformat()}
    audit.record(session, actor, "project.kubeconfig.fetch", "project", name, project_id, after=after)
    return found


def list_asked(session: Session, cluster_id: uuid.UUID) -> list[Asked]:
    """Those of a cluster that are to be made now."""
    values = {"cluster_id": cluster_id, "kept": _KEPT_MINUTES}
    return [Asked(*row) for row in session.execute(_ASKED, values)]


def record_made(session: Session, term: Term, key: uuid.UUID, content: str, expires_at: str) -> None:
    """It was made. Raises FenceLost."""
    fence(session, term)
    sealed = _ring().seal(content, _context(key))._asdict()
    session.execute(_MADE, sealed | {"id": key, "expires_at": expires_at})


def record_failed(session: Session, term: Term, key: uuid.UUID, trouble: str) -> None:
    """It cannot be made. Raises FenceLost."""
    fence(session, term)
    session.execute(_FAILED, {"id": key, "trouble": trouble[:500]})


def forget_old(session: Session, cluster_id: uuid.UUID) -> None:
    """Forgets the content of those that nobody has fetched."""
    session.execute(_WIPE, {"cluster_id": cluster_id, "kept": _KEPT_MINUTES})


def _row(session: Session, query: Any, actor: Actor, project_id: uuid.UUID, key: uuid.UUID) -> Any:
    values = {"id": key, "project_id": project_id, "user_id": actor.user_id, "kept": _KEPT_MINUTES}
    row = session.execute(query, values).one_or_none()
    if row is None:
        raise NotFound
    return row


def _context(key: uuid.UUID) -> str:
    return f"kubeconfig/{key}"


def _ring() -> KeyRing:
    return KeyRing(get_settings().load_encryption_keys())
