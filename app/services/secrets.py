"""Secrets of a project: written, given to runs, and never read back.

A value leaves this module in one way only: `resolve`, for the start of a run that asks for it by name.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.clusters.base import SecretValues
from app.domain.access import Action, Actor
from app.domain.names import SECRET_NAME
from app.errors import N_, Conflict, FieldError, Invalid, NotFound
from app.models import Secret, SecretUse
from app.repositories.secrets import list_names
from app.services import audit
from app.services.identity import require
from app.services.sealing import CannotOpen, KeyRing, Sealed
from app.settings import get_settings
from app.workloads.base import Spec
from app.workloads.plans import SecretRef

MAX_VALUE_BYTES = 64 << 10
MAX_DESCRIPTION = 200
MAX_SECRETS = 500
NAME_RULE = N_("must be 1 to 63 letters, digits, dots, dashes and underscores, and begin with a letter or a digit")
_BATCH = 100
# Control characters, surrogates, and the marks that change the direction of the text around them.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")


class Reencrypted(NamedTuple):
    """What one step did: how many values, the names of those that no known key opens, and the last row; None
    where there was none left."""

    done: int
    lost: list[str]
    last: uuid.UUID | None


class SecretExists(Conflict):
    """Adding must not replace what others use."""

    code = "SECRET_EXISTS"
    title = N_("There is a secret by that name")
    detail = N_("This project has a secret named {name} already.")
    hint = N_("Replace its value, or choose another name.")


class TooManySecrets(Conflict):
    """A bound, so that a loop that makes secrets is noticed."""

    code = "TOO_MANY_SECRETS"
    title = N_("There are too many secrets")
    detail = N_("A project may have {limit} secrets.")
    hint = N_("Delete those that no run uses; the list shows when each was last used.")


class UnknownSecret(Invalid):
    """A run asks for what its project does not have."""

    code = "UNKNOWN_SECRET"
    title = N_("There is no such secret")
    detail = N_("The project has no secret named {name}.")
    hint = N_("Check the name with `berth secret ls`, or add it with `berth secret set {name}`.")


def set_secret(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    name: str,
    value: str | None = None,
    description: str | None = None,
    *,
    only_new: bool = False,
) -> bool:
    """Adds a secret, or replaces what is given of it; True when it is new.

    What is left out stays; a new secret needs a value. Raises Invalid with pointers /name, /value and
    /description, SecretExists where it must be new, TooManySecrets.
    """
    require(actor, Action.SECRET_WRITE, project_id)
    _check(name, value, description)
    row = _locked(session, project_id, name)
    if row is None:
        if value is None:
            raise Invalid([FieldError("/value", N_("is required for a new secret"))])
        if _insert(session, actor, project_id, name, value, description or ""):
            return True
        row = _locked(session, project_id, name)
        assert row is not None, "somebody else made it just now"
    if only_new:
        raise SecretExists(name=name)
    _replace(session, actor, project_id, row, value, description)
    return False


def delete_secret(session: Session, actor: Actor, project_id: uuid.UUID, name: str) -> None:
    """Forgets the value for good. Runs that have it keep it until they end. Raises NotFound."""
    require(actor, Action.SECRET_WRITE, project_id)
    version = session.scalar(
        delete(Secret).where(Secret.project_id == project_id, Secret.name == name).returning(Secret.version)
    )
    if version is None:
        raise NotFound
    audit.record(session, actor, "secret.delete", "secret", name, project_id, before={"version": version})


def find_unknown(session: Session, project_id: uuid.UUID, spec: Spec) -> UnknownSecret | None:
    """The refusal of a spec that asks for what is not there, with the nearest name as each fix; None if all is."""
    if not spec.secrets:
        return None
    known = list_names(session, project_id)
    wrong = [(index, use.name) for index, use in enumerate(spec.secrets) if use.name not in known]
    if not wrong:
        return None
    errors = [
        FieldError(f"/spec/secrets/{index}/name", N_("is no secret of this project"), _nearest(name, known))
        for index, name in wrong
    ]
    return UnknownSecret(errors, name=wrong[0][1])


def check_named(session: Session, project_id: uuid.UUID, named: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with names of secrets, each given with the pointer to where it stands: those that are not there."""
    if not named:
        return []
    known = list_names(session, project_id)
    message = N_("is no secret of this project")
    return [FieldError(at, message, _nearest(name, known)) for at, name in named.items() if name not in known]


def resolve(session: Session, run_id: uuid.UUID, project_id: uuid.UUID, refs: Sequence[SecretRef]) -> SecretValues:
    """The values that a run is started with, and that it was given them. What cannot be had is said, not raised:
    only the cluster knows whether it still needs them."""
    names = sorted({ref.name for ref in refs})
    if not names:
        return SecretValues()
    rows = session.execute(_sealed().where(Secret.project_id == project_id, Secret.name.in_(names))).all()
    values, missing = {}, dict.fromkeys(names, "it was deleted")
    ring = _ring()
    for row in rows:
        missing.pop(row.name)
        try:
            values[row.name] = ring.open(_of(row), _context(project_id, row.id))
        except CannotOpen as error:
            missing[row.name] = str(error)
    opened = [{"run_id": run_id, "secret_id": row.id} for row in rows if row.name in values]
    if opened:
        session.execute(insert(SecretUse).values(opened).on_conflict_do_nothing())
    return SecretValues(values, missing)


def reencrypt(session: Session, after: uuid.UUID | None = None) -> Reencrypted:
    """Puts values that an older key holds under the newest one, up to a hundred from behind the row `after` on.
    Doing it again changes nothing."""
    ring = _ring()
    query = _sealed().where(Secret.key_id != ring.newest).order_by(Secret.id).limit(_BATCH).with_for_update()
    if after is not None:
        query = query.where(Secret.id > after)
    done, lost, last = 0, [], None
    for row in session.execute(query).all():
        context = _context(row.project_id, row.id)
        last = row.id
        try:
            sealed = ring.seal(ring.open(_of(row), context), context)
        except CannotOpen:
            lost.append(row.name)
            continue
        session.execute(update(Secret).where(Secret.id == row.id).values(**sealed._asdict()))
        done += 1
    if done:
        audit.record(session, None, "secret.reencrypt", "key", ring.newest, after={"secrets": done})
    return Reencrypted(done, lost, last)


def _check(name: str, value: str | None, description: str | None) -> None:
    errors = []
    if not SECRET_NAME.fullmatch(name):
        errors.append(FieldError("/name", NAME_RULE))
    if value is not None:
        if not value:
            errors.append(FieldError("/value", N_("must not be empty")))
        elif "\0" in value:
            errors.append(FieldError("/value", N_("must not contain NUL; encode what is no text, as base64 does")))
        elif len(value) > MAX_VALUE_BYTES or len(value.encode(errors="replace")) > MAX_VALUE_BYTES:
            errors.append(FieldError("/value", N_("must have at most {limit} bytes"), slots={"limit": MAX_VALUE_BYTES}))
        elif any("\ud800" <= letter <= "\udfff" for letter in value):
            errors.append(FieldError("/value", N_("is not valid text")))
    if description is not None and (len(description) > MAX_DESCRIPTION or _NOT_IN_A_LINE.search(description)):
        errors.append(
            FieldError(
                "/description", N_("must be one line of at most {limit} characters"), slots={"limit": MAX_DESCRIPTION}
            )
        )
    if errors:
        raise Invalid(errors)


def _insert(session: Session, actor: Actor, project_id: uuid.UUID, name: str, value: str, description: str) -> bool:
    count = session.scalar(select(func.count()).select_from(Secret).where(Secret.project_id == project_id)) or 0
    if count >= MAX_SECRETS:
        raise TooManySecrets(limit=MAX_SECRETS)
    key = uuid7()
    sealed = _ring().seal(value, _context(project_id, key))
    row = {"id": key, "project_id": project_id, "name": name, "description": description}
    who = {"created_by": actor.name, "updated_by": actor.name}
    made = session.scalar(
        insert(Secret).values(**row, **who, **sealed._asdict()).on_conflict_do_nothing().returning(Secret.id)
    )
    if made is None:
        return False
    after = {"version": 1, "description": description}
    audit.record(session, actor, "secret.create", "secret", name, project_id, after=after)
    return True


def _replace(
    session: Session, actor: Actor, project_id: uuid.UUID, row: Any, value: str | None, description: str | None
) -> None:
    changes: dict[str, Any] = {}
    before, after = {"version": row.version}, {"version": row.version}
    if description is not None and description != row.description:
        changes["description"] = description
        before["description"], after["description"] = row.description, description
    if value is not None:  # also the same value again: only whoever can read it could tell
        changes |= _ring().seal(value, _context(project_id, row.id))._asdict() | {"version": row.version + 1}
        after["version"] = row.version + 1
    if not changes:
        return
    changes |= {"updated_by": actor.name, "updated_at": func.now()}
    session.execute(update(Secret).where(Secret.id == row.id).values(**changes))
    verb = "secret.update" if value is None else "secret.replace"
    audit.record(session, actor, verb, "secret", row.name, project_id, before=before, after=after)


def _locked(session: Session, project_id: uuid.UUID, name: str) -> Any:
    return session.execute(
        select(Secret.id, Secret.name, Secret.version, Secret.description)
        .where(Secret.project_id == project_id, Secret.name == name)
        .with_for_update()
    ).first()


def _nearest(name: str, known: Sequence[str]) -> str | None:
    by_folded = {one.casefold(): one for one in known}
    near = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else None


def _sealed() -> Any:
    return select(Secret.id, Secret.project_id, Secret.name, Secret.key_id, Secret.wrapped_key, Secret.ciphertext)


def _of(row: Any) -> Sealed:
    return Sealed(row.key_id, row.wrapped_key, row.ciphertext)


def _context(project_id: uuid.UUID, secret_id: uuid.UUID) -> str:
    return f"{project_id}/{secret_id}"


def _ring() -> KeyRing:
    return KeyRing(get_settings().load_encryption_keys())
