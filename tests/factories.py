"""Rows for tests, one function per model; each flushes, so that keys are known. Commit where others must see it."""

import datetime
import itertools
import uuid
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.access import Role
from app.domain.names import new_run_id
from app.models import (
    ApiToken,
    Attempt,
    Cluster,
    ClusterRegistry,
    Membership,
    Notification,
    NotificationMessage,
    Pool,
    Project,
    ProjectKubeconfig,
    ProjectNamespace,
    Run,
    Secret,
    User,
    UserSession,
)
from app.services import identity
from app.services.sealing import KeyRing
from app.settings import get_settings

Row = TypeVar("Row")
_numbers = itertools.count(1)


def make_user(session: Session, name: str | None = None, **values: Any) -> User:
    return _added(session, User(**({"name": name or f"user{next(_numbers)}"} | values)))


def make_project(session: Session, name: str | None = None, **values: Any) -> Project:
    return _added(session, Project(**({"name": name or f"project{next(_numbers)}"} | values)))


def make_member(session: Session, project: Project, role: Role, user: User | None = None) -> User:
    """A user (a new one by default) with a role in the project."""
    user = user or make_user(session)
    _added(session, Membership(project_id=project.id, user_id=user.id, role=role.name.lower()))
    return user


def make_service_account(session: Session, project: Project, role: Role, name: str | None = None) -> User:
    account = make_user(session, name, kind="service_account", project_id=project.id)
    return make_member(session, project, role, account)


def make_token(session: Session, user: User, scope: str = "admin", **values: Any) -> str:
    """The token itself; its row is in the database."""
    kind = identity.SERVICE_ACCOUNT if user.kind == "service_account" else identity.USER
    token, hashed, hint = identity.new_token(kind)
    row = {"user_id": user.id, "name": "test", "hint": hint, "token_hash": hashed, "scope": scope} | values
    _added(session, ApiToken(**row))
    return token


def token_id(session: Session, token: str) -> uuid.UUID:
    """The key of a token's row."""
    found = session.scalar(select(ApiToken.id).where(ApiToken.token_hash == identity.token_hash(token)))
    assert found is not None
    return found


def make_session(session: Session, user: User, hours: float = 1) -> str:
    """A browser session's cookie value."""
    cookie, hashed, _ = identity.new_token("b")
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    _added(session, UserSession(token_hash=hashed, user_id=user.id, address="", agent="", expires_at=expires))
    return cookie


def make_cluster(session: Session, name: str | None = None, **values: Any) -> Cluster:
    """A cluster that an administrator added; without credentials, as the one that Berth runs in."""
    row = {"name": name or f"cluster{next(_numbers)}", "kind": "kubernetes", "credentials_version": 1} | values
    return _added(session, Cluster(**row))


def make_pool(session: Session, name: str = "local", **values: Any) -> Pool:
    """A pool on a cluster of its own."""
    cluster = _added(session, Cluster(name=f"{name}-{next(_numbers)}", kind="local"))
    capacity = {"cpu_millis": 4000, "memory_bytes": 8 << 30, "gpus": 0}
    return _added(session, Pool(**({"name": name, "cluster_id": cluster.id} | capacity | values)))


def make_run(session: Session, project: Project, user: User, **values: Any) -> Run:
    """A queued run, without an attempt."""
    row: dict[str, Any] = {
        "public_id": new_run_id(),
        "project_id": project.id,
        "created_by": user.id,
        "name": f"run{next(_numbers)}",
        "kind": "job",
        "spec": {},
        "pool": "local",
        "cpu_millis": 1000,
        "memory_bytes": 1 << 30,
        "gpus": 0,
    }
    return _added(session, Run(**(row | values)))


def make_secret(session: Session, project: Project, name: str | None = None, **values: Any) -> Secret:
    """A secret whose value nobody can open."""
    row = {"project_id": project.id, "name": name or f"SECRET_{next(_numbers)}", "key_id": "none"}
    row |= {"wrapped_key": b"", "ciphertext": b"", "created_by": "somebody", "updated_by": "somebody"}
    return _added(session, Secret(**(row | values)))


def make_registry(session: Session, cluster: Cluster, server: str = "registry.example.com", **values: Any) -> Any:
    """Credentials whose password nobody can open."""
    row = {"cluster_id": cluster.id, "server": server, "username": "puller", "key_id": "none"}
    row |= {"wrapped_key": b"", "ciphertext": b"", "updated_by": "somebody"}
    return _added(session, ClusterRegistry(**(row | values)))


def make_namespace(session: Session, project_id: uuid.UUID, cluster: Cluster, **values: Any) -> ProjectNamespace:
    """One that was made."""
    row = {"project_id": project_id, "cluster_id": cluster.id, "name": f"berth-{next(_numbers)}", "fingerprint": "x"}
    return _added(session, ProjectNamespace(**(row | values)))


def make_kubeconfig(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, cluster: Cluster, **values: Any
) -> Any:
    """One that is ready to be fetched; its content is "{}"."""
    now = datetime.datetime.now(datetime.UTC)
    key = values.pop("id", None) or uuid.uuid4()
    sealed = KeyRing(get_settings().load_encryption_keys()).seal("{}", f"kubeconfig/{key}")._asdict()
    row = {"id": key, "project_id": project_id, "user_id": user_id, "cluster_id": cluster.id, "hours": 8}
    row |= {"made_at": now, "expires_at": now + datetime.timedelta(hours=8)} | sealed
    return _added(session, ProjectKubeconfig(**(row | values)))


def make_attempt(session: Session, run: Run, number: int = 1, **values: Any) -> tuple[Attempt, str]:
    """A starting attempt, and its run token."""
    token, hashed, _ = identity.new_token(identity.RUN)
    row = {"run_id": run.id, "number": number, "state": "starting", "token_hash": hashed}
    return _added(session, Attempt(**(row | values))), token


def make_notification(session: Session, **values: Any) -> Notification:
    """A webhook for every run that ended; `user_id` or `project_id` says whose."""
    row = {
        "name": f"notification{next(_numbers)}",
        "channel": "webhook",
        "target": "https://example.org/hook",
        "events": ["run.ended"],
        "whose": "all",
    }
    return _added(session, Notification(**(row | values)))


def make_delivery(session: Session, notification: Notification, **values: Any) -> NotificationMessage:
    """A message of it, pending by default."""
    row = {
        "notification_id": notification.id,
        "event_key": f"event:{next(_numbers)}",
        "type": "run.ended",
        "at": datetime.datetime.now(datetime.UTC),
        "data": {"run": "r-2222222222", "project": "p", "name": "n", "state": "succeeded", "reason": None},
    }
    return _added(session, NotificationMessage(**(row | values)))


def _added(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row
