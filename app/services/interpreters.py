"""Whether an interpreter is still the one that a run had: from what clusters and later attempts have told."""

import uuid

from sqlalchemy.orm import Session

from app.domain.capsule import Environment, read_environment
from app.errors import N_, FieldError
from app.repositories import capsules, pools
from app.workloads.base import Spec


def find_changed(session: Session, project_id: uuid.UUID, run_id: uuid.UUID, spec: Spec) -> list[FieldError]:
    """An error where the version that the run's last attempt had cannot be had any more; else nothing.

    What nobody has told of is not guessed at: a run that never started, or an image, changes nothing here.
    """
    newest = capsules.get_capsules(session, [run_id])[run_id].newest
    before = read_environment(newest.document if newest else None)
    if not before.version or spec.image is not None:
        return []
    version = _version_now(session, project_id, spec, before)
    if version in ("", before.version):
        return []
    message = N_("it ran with Python {before} ({interpreter}), which is Python {after} by now")
    slots = {"before": before.version, "after": version, "interpreter": before.interpreter or "python"}
    return [FieldError("/spec/requirements" if spec.requirements else "/spec/python", message, slots=slots)]


def _version_now(session: Session, project_id: uuid.UUID, spec: Spec, before: Environment) -> str:
    """The version of the interpreter that would be taken today; "" where it is not known."""
    facts = pools.find_facts(session, spec.pool)
    # An environment from requirements is made with the cluster's own interpreter.
    if spec.requirements is not None or before.interpreter == facts.get("python"):
        return str(facts.get("python_version") or "")
    told = capsules.find_latest_environment(session, project_id, spec.pool, before.interpreter)
    return read_environment(told).version
