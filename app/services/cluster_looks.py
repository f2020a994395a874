"""What the controller's loop reads and writes of clusters: whom to look at, and what was found."""

import datetime
import json
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.clusters import ClusterSettings
from app.domain.preflight import worst
from app.domain.preflight_facts import Finding, Status
from app.queue import wake_admission
from app.services import audit
from app.services.leases import Term, fence


class Look(NamedTuple):
    """A cluster to look at, and whether a check was asked for and when."""

    id: uuid.UUID
    name: str
    credentials_version: int
    settings: ClusterSettings
    check_due_at: datetime.datetime | None
    has_requests: bool  # for kubeconfigs, or for the end of namespaces


_SIZES = {"cpu_millis", "memory_bytes", "gpus"}
_CLUSTERS = text("""
select id, name, credentials_version, settings, check_due_at,
       exists (select from project_kubeconfig k where k.cluster_id = c.id and k.made_at is null and k.trouble is null
                  and k.created_at > now() - interval '10 minutes')
       or exists (select from project_namespace n where n.cluster_id = c.id and n.deleting_at is not null
                     and n.gone_at is null) as has_requests
  from cluster c where kind = 'kubernetes' order by name
""")
# A check that failed is made again when a cluster is back, as it may have failed for that; one that did not reach it
# also where no look has noticed, but not at once: looks may get through where checks do not.
_SEEN = text("""
update cluster set seen_at = now(), looked_at = now(), trouble = null,
       check_due_at = case
         when check_due_at is null and findings @> '{"findings": [{"status": "fail"}]}'
              and case when findings @> '{"findings": [{"code": "REACHABLE", "status": "fail"}]}'
                       then checked_at < now() - interval '30 seconds' else trouble is not null end
         then now() else check_due_at end,
       facts = case when facts || cast(:facts as jsonb) = facts then facts else facts || cast(:facts as jsonb) end
 where id = :id and credentials_version = :credentials_version
""")
# The pool of a cluster bears its name, and is made with the first look that was told of its nodes.
_POOL = text("""
insert into pool (name, cluster_id, cpu_millis, memory_bytes, gpus)
select name, id, :cpu_millis, :memory_bytes, :gpus from cluster
 where id = :id and credentials_version = :credentials_version
on conflict (name) do update
   set cpu_millis = excluded.cpu_millis, memory_bytes = excluded.memory_bytes, gpus = excluded.gpus
 where pool.cluster_id = excluded.cluster_id
   and (pool.cpu_millis, pool.memory_bytes, pool.gpus)
       is distinct from (excluded.cpu_millis, excluded.memory_bytes, excluded.gpus)
returning name
""")
_AWAY = text("""
update cluster set looked_at = now(), trouble = :trouble
 where id = :id and credentials_version = :credentials_version
""")
# A check that was asked for again while one was under way is still due.
_FINDINGS = text("""
update cluster set findings = cast(:findings as jsonb), checked_at = now(),
       check_due_at = case when check_due_at > :asked_at then check_due_at end,
       passed_at = case when :is_passed then coalesce(passed_at, now()) else passed_at end
 where id = :id and credentials_version = :credentials_version returning name
""")


def list_looks(session: Session) -> list[Look]:
    """All clusters that there are to look at."""
    return [
        Look(
            row.id,
            row.name,
            row.credentials_version,
            ClusterSettings.of(row.settings),
            row.check_due_at,
            row.has_requests,
        )
        for row in session.execute(_CLUSTERS)
    ]


def record_seen(session: Session, term: Term, look: Look, facts: dict[str, Any]) -> None:
    """It answered; `facts` are added to those that are known. Where they say how much there is, that is its pool's.
    After silence a check that failed is due again. Raises FenceLost."""
    fence(session, term)
    values = {"id": look.id, "credentials_version": look.credentials_version}
    session.execute(_SEEN, values | {"facts": json.dumps(facts)})
    if facts.keys() >= _SIZES and session.scalar(_POOL, values | {name: facts[name] for name in _SIZES}):
        wake_admission(session)


def record_away(session: Session, term: Term, look: Look, trouble: str) -> None:
    """It did not answer. When it was seen last stays. Raises FenceLost."""
    fence(session, term)
    values = {"id": look.id, "credentials_version": look.credentials_version, "trouble": trouble[:500]}
    session.execute(_AWAY, values)


def record_findings(session: Session, term: Term, look: Look, findings: Sequence[Finding]) -> bool:
    """What a check found; whether it was of the credentials that are in use still. Raises FenceLost."""
    fence(session, term)
    stored = {"findings": [finding.as_dict() for finding in findings]}
    values = {"id": look.id, "credentials_version": look.credentials_version, "findings": json.dumps(stored)}
    is_passed = bool(findings) and worst(findings) is not Status.FAIL
    name = session.scalar(_FINDINGS, values | {"asked_at": look.check_due_at, "is_passed": is_passed})
    if name is None:
        return False
    if is_passed:
        wake_admission(session)
    failed = [finding.code for finding in findings if finding.status is Status.FAIL]
    after = {"worst": str(worst(findings)), "failed": failed}
    audit.record(session, None, "cluster.checked", "cluster", name, after=after)
    return True
