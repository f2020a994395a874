"""Credentials of image registries that a cluster's pods pull with: given by administrators, sealed, never shown again.

They leave this module for the controller and the worker alone, which put them into the namespaces of projects.
"""

import base64
import datetime
import json
import re
import uuid
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.domain.access import Action, Actor
from app.errors import N_, FieldError, Invalid, NotFound
from app.models import ClusterRegistry
from app.queue import wake_clusters
from app.services import audit
from app.services.identity import require
from app.services.sealing import CannotOpen, KeyRing, Sealed
from app.settings import get_settings
from app.workloads.namespaces import PullSecret

MOST = 20
_SERVER = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?")


class Registry(NamedTuple):
    """What may be seen of one."""

    server: str
    username: str
    updated_at: datetime.datetime
    updated_by: str


def list_registries(session: Session, cluster_id: uuid.UUID) -> list[Registry]:
    """By server."""
    columns = (ClusterRegistry.server, ClusterRegistry.username, ClusterRegistry.updated_at, ClusterRegistry.updated_by)
    query = select(*columns).where(ClusterRegistry.cluster_id == cluster_id).order_by(ClusterRegistry.server)
    return [Registry(*row) for row in session.execute(query)]


def set_registry(
    session: Session, actor: Actor, cluster: tuple[uuid.UUID, str], server: str, username: str, password: str
) -> bool:
    """Keeps credentials for one registry of a cluster, given by its id and name, in the place of those before; True
    where there were none. Raises Invalid with pointers /server, /username and /password."""
    require(actor, Action.CLUSTER_WRITE)
    cluster_id, name = cluster
    errors = []
    if not _SERVER.fullmatch(server):
        errors.append(
            FieldError(
                "/server",
                N_("must be a registry's host alone, without https:// and folders, such as registry.example.com:5000"),
            )
        )
    for at, value in (("/username", username), ("/password", password)):
        if not value or len(value) > 10_000 or any(ord(sign) < 32 for sign in value):
            errors.append(FieldError(at, N_("must be a line of text")))
    if ":" in username:
        errors.append(FieldError("/username", N_("must not have a colon")))
    known = {one.server for one in list_registries(session, cluster_id)}
    if server not in known and len(known) >= MOST:
        errors.append(
            FieldError("/server", N_("a cluster has credentials of {most} registries at most"), slots={"most": MOST})
        )
    if errors:
        raise Invalid(errors)
    content = _ring().seal(password, _context(cluster_id, server))._asdict()
    content |= {"username": username, "updated_at": func.now(), "updated_by": actor.name}
    session.execute(
        insert(ClusterRegistry)
        .values(id=uuid7(), cluster_id=cluster_id, server=server, **content)
        .on_conflict_do_update(index_elements=["cluster_id", "server"], set_=content)
    )
    after = {"server": server, "username": username}
    audit.record(session, actor, "cluster.registry.set", "cluster", name, after=after)
    wake_clusters(session)
    return server not in known


def remove_registry(session: Session, actor: Actor, cluster: tuple[uuid.UUID, str], server: str) -> None:
    """Forgets the credentials for one registry. Raises NotFound."""
    require(actor, Action.CLUSTER_WRITE)
    cluster_id, name = cluster
    username = session.scalar(
        delete(ClusterRegistry)
        .where(ClusterRegistry.cluster_id == cluster_id, ClusterRegistry.server == server.replace("\0", ""))
        .returning(ClusterRegistry.username)
    )
    if username is None:
        raise NotFound
    before = {"server": server, "username": username}
    audit.record(session, actor, "cluster.registry.remove", "cluster", name, before=before)
    wake_clusters(session)


def open_pull_secret(session: Session, cluster_id: uuid.UUID) -> PullSecret | None:
    """All credentials of a cluster as pods are given them; None where there are none. Raises CannotOpen."""
    rows = session.execute(_sealed().where(ClusterRegistry.cluster_id == cluster_id).order_by(ClusterRegistry.server))
    signs: dict[str, dict[str, str]] = {}
    stamps = []
    ring = _ring()
    for row in rows.all():
        try:
            password = ring.open(Sealed(row.key_id, row.wrapped_key, row.ciphertext), _context(cluster_id, row.server))
        except CannotOpen as error:
            raise CannotOpen(f"the password for {row.server}: {error}") from None
        both = base64.b64encode(f"{row.username}:{password}".encode()).decode()
        signs[row.server] = {"username": row.username, "password": password, "auth": both}
        stamps.append(f"{row.server}@{row.updated_at.timestamp()}")
    if not signs:
        return None
    content = base64.b64encode(json.dumps({"auths": signs}, sort_keys=True).encode()).decode()
    return PullSecret("kubernetes.io/dockerconfigjson", {".dockerconfigjson": content}, " ".join(stamps))


def reseal(session: Session) -> tuple[int, list[str]]:
    """Puts what an older key holds under the newest one; how many, and the servers whose no known key opens. There are
    few of them: it is done at once."""
    ring = _ring()
    done, lost = 0, []
    for row in session.execute(_sealed().where(ClusterRegistry.key_id != ring.newest).with_for_update()).all():
        context = _context(row.cluster_id, row.server)
        try:
            sealed = ring.seal(ring.open(Sealed(row.key_id, row.wrapped_key, row.ciphertext), context), context)
        except CannotOpen:
            lost.append(row.server)
            continue
        session.execute(ClusterRegistry.__table__.update().where(ClusterRegistry.id == row.id), sealed._asdict())  # type: ignore[attr-defined]
        done += 1
    if done:
        audit.record(session, None, "cluster.reencrypt", "key", ring.newest, after={"registries": done})
    return done, lost


def _sealed() -> Any:
    return select(
        ClusterRegistry.id,
        ClusterRegistry.cluster_id,
        ClusterRegistry.server,
        ClusterRegistry.username,
        ClusterRegistry.updated_at,
        ClusterRegistry.key_id,
        ClusterRegistry.wrapped_key,
        ClusterRegistry.ciphertext,
    )


def _context(cluster_id: uuid.UUID, server: str) -> str:
    return f"cluster/{cluster_id}/registry/{server}"


def _ring() -> KeyRing:
    return KeyRing(get_settings().load_encryption_keys())
