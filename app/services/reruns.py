"""Running again: the same with changes, by the defaults of today; or exactly, by the manifest that was recorded."""

import uuid
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.domain import capsule
from app.domain.access import Action, Actor
from app.errors import N_, Conflict, FieldError
from app.repositories import capsules
from app.repositories.clusters import LOCAL
from app.repositories.runs import RunRow, get_run
from app.services import idempotency, interpreters, secrets
from app.services.identity import require
from app.services.runs import Recorded, has_snapshot, made_of, pool_sizes, submit_run
from app.stores import objects
from app.workloads.base import Spec
from app.workloads.debugging import USUAL_TTL, debug_spec
from app.workloads.registry import KINDS


class NotRepeatable(Conflict):
    """What a run was cannot be had any more."""

    code = "RUN_NOT_REPEATABLE"
    title = N_("It cannot be run again exactly")
    detail = N_("Something that the run {run} used is not there any more, or is not known. Nothing was submitted.")
    hint = N_("What it is stands under errors. `berth run rerun` without --exact takes what is there now.")


class DebugNeedsCluster(Conflict):
    """A run of this machine has no pod to go into."""

    code = "DEBUG_NEEDS_CLUSTER"
    title = N_("Debug runs are for clusters")
    detail = N_("The run {run} is of pool {pool}, which is this machine: there is no pod to open a shell in.")
    hint = N_(
        "On this machine run its command yourself, in its folder and environment: both are on the run's page."
        " For a pod, submit it to the pool of a cluster, and debug that run."
    )


def debug(
    session: Session, actor: Actor, public_id: str, ttl: str = USUAL_TTL, *, once: idempotency.Claim | None = None
) -> RunRow:
    """Submits a run that is as this one in everything, but sleeps for `ttl`, a checked duration, and then succeeds.

    Raises DebugNeedsCluster, pydantic's ValidationError where the spec is not taken any more, and what `submit_run`
    raises.
    """
    run = get_run(session, actor, public_id)
    require(actor, Action.RUN_WRITE, run.project_id)
    if run.pool == LOCAL:
        raise DebugNeedsCluster(run=public_id, pool=run.pool)
    checked = KINDS[run.kind].spec.model_validate(debug_spec(run.spec, ttl) | {"kind": run.kind, "pool": run.pool})
    return submit_run(session, actor, run.project_id, checked, run.source, once=once, parent=run, is_debug=True)


def rerun(
    session: Session,
    actor: Actor,
    public_id: str,
    changes: dict[str, Any] | None = None,
    *,
    once: idempotency.Claim | None = None,
) -> RunRow:
    """Submits the same again, with `changes` to fields of its spec; the new run names the old one as its parent.

    Raises pydantic's ValidationError for changes that make no valid spec, and what `submit_run` raises.
    """
    run = get_run(session, actor, public_id)
    require(actor, Action.RUN_WRITE, run.project_id)
    spec = _labelled(run) | (changes or {})
    if changes and "command" in changes:
        spec.pop("script", None)
    if changes and "script" in changes:
        spec.pop("command", None)
    spec["kind"] = run.kind
    checked = KINDS[run.kind].spec.model_validate(spec)
    return submit_run(
        session,
        actor,
        run.project_id,
        checked,
        run.source,
        once=once,
        parent=run,
        definition=made_of(run),
        source_text=capsules.find_source_text(session, run.id),
        keeps_image="image" not in (changes or {}),
        is_debug=run.is_debug and not {"command", "script"} & (changes or {}).keys(),
    )


def _labelled(run: RunRow) -> dict[str, Any]:
    """What was sent of a run, with the labels that it has now."""
    labels = {"tags": run.tags, "experiment": run.experiment}
    return {**run.spec, **{name: value for name, value in labels.items() if value or name in run.spec}}


def rerun_exactly(session: Session, actor: Actor, public_id: str, *, once: idempotency.Claim | None = None) -> RunRow:
    """Submits a run with the very manifest of another one, whatever the defaults are today.

    Raises NotRepeatable, with one of its `errors` for each thing that is not there any more, and TooManyWaiting.
    """
    run = get_run(session, actor, public_id)
    require(actor, Action.RUN_WRITE, run.project_id)
    kept = capsules.find_manifest(session, run.id)
    if kept is None:
        message = N_("it is older than capsules, so what its defaults were is not known")
        raise NotRepeatable([FieldError("/manifest", message)], run=public_id)
    labels = {"name": run.name, "tags": run.tags, "experiment": run.experiment}
    try:
        spec = KINDS[run.kind].spec.model_validate(capsule.spec_of(kept.manifest, labels))
        is_same = capsule.is_covered(kept.manifest, spec.model_dump(mode="json"))
    except (ValidationError, KeyError):
        is_same = False
    if not is_same:
        message = N_("this version of Berth does not take all of its spec as it was")
        raise NotRepeatable([FieldError("/manifest", message)], run=public_id)
    missing = _not_there(session, run.project_id, spec)
    missing += interpreters.find_changed(session, run.project_id, run.id, spec)
    if missing:
        raise NotRepeatable(missing, run=public_id)
    return submit_run(
        session,
        actor,
        run.project_id,
        spec,
        run.source,
        once=once,
        parent=run,
        definition=made_of(run),
        # The spec is that of the manifest, in which all defaults are written out; what was sent is less.
        exactly=Recorded(_labelled(run), kept.manifest),
        source_text=capsules.find_source_text(session, run.id),
        is_debug=run.is_debug,
    )


def _not_there(session: Session, project_id: uuid.UUID, spec: Spec) -> list[FieldError]:
    """Everything that the spec needs and that is gone, in place of only the first."""
    found = []
    if spec.snapshot is not None and not has_snapshot(session, project_id, spec.snapshot):
        found.append(FieldError("/spec/snapshot", N_("the uploaded code is not kept any more")))
        if spec.requirements is not None:
            message = N_("was a file of the uploaded code, which is not kept any more")
            found.append(FieldError("/spec/requirements", message))
    elif spec.snapshot is not None and not _has_bytes(project_id, spec.snapshot):
        found.append(FieldError("/spec/snapshot", N_("the uploaded code is known, but its file is gone")))
    pools = pool_sizes(session)
    if pools and spec.pool not in pools:
        slots = {"pool": spec.pool}
        found.append(FieldError("/spec/pool", N_("there is no pool {pool} any more"), slots=slots))
    elif spec.pool in pools and (obstacle := pools[spec.pool].obstacle(spec.resources, spec.replicas)):
        message = N_(
            "the pool has become too small: it asks for {asked}, and the most that there is for it is {capacity}"
        )
        slots = {"asked": str(obstacle.asked), "capacity": str(obstacle.room)}
        found.append(FieldError("/spec/pool", message, slots=slots))
    unknown = secrets.find_unknown(session, project_id, spec)
    return found + (unknown.errors if unknown else [])


def _has_bytes(project_id: uuid.UUID, digest: str) -> bool:
    return objects.of(project_id).exists(objects.snapshot_key(project_id, digest))
