"""Reading what is known of secrets: never their values. Callers have checked that the actor may see the project."""

import uuid
from typing import Any

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Run, Secret, SecretUse

_LAST_RUNS = 5
_COLUMNS = (
    Secret.id,
    Secret.name,
    Secret.description,
    Secret.version,
    Secret.created_at,
    Secret.created_by,
    Secret.updated_at,
    Secret.updated_by,
)


def list_secrets(session: Session, project_id: uuid.UUID, after: str | None, limit: int) -> list[dict[str, Any]]:
    """The project's secrets by name, the next `limit` after a name, each with the runs that used it last."""
    query = select(*_COLUMNS).where(Secret.project_id == project_id).order_by(Secret.name).limit(limit)
    if after is not None:
        query = query.where(Secret.name > after)
    return _with_runs(session, [dict(row._mapping) for row in session.execute(query)])


def list_names(session: Session, project_id: uuid.UUID) -> list[str]:
    """The names of all of a project's secrets, of which there are a few hundred at most, in their order."""
    return list(session.scalars(select(Secret.name).where(Secret.project_id == project_id).order_by(Secret.name)))


def get_secret(session: Session, project_id: uuid.UUID, name: str) -> dict[str, Any]:
    """One secret of the project, as `list_secrets` gives it. Raises NotFound."""
    row = session.execute(select(*_COLUMNS).where(Secret.project_id == project_id, Secret.name == name)).first()
    if row is None:
        raise NotFound
    return _with_runs(session, [dict(row._mapping)])[0]


def _with_runs(session: Session, secrets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for secret in secrets:
        secret["last_runs"] = []
    found = {secret.pop("id"): secret for secret in secrets}
    if found:
        newest = (
            select(SecretUse.run_id, SecretUse.used_at)
            .where(SecretUse.secret_id == Secret.id)
            .order_by(SecretUse.used_at.desc())
            .limit(_LAST_RUNS)
            .lateral("newest")
        )
        query = (
            select(Secret.id, newest.c.used_at, Run.public_id, Run.name)
            .select_from(Secret)
            .join(newest, true())
            .join(Run, Run.id == newest.c.run_id)
            .where(Secret.id.in_(found))
            .order_by(newest.c.used_at.desc())
        )
        for row in session.execute(query):
            found[row.id]["last_runs"].append({"id": row.public_id, "name": row.name, "used_at": row.used_at})
    return secrets
