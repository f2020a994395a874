"""The capsule of a run: what it really was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.domain import capsule
from app.domain.access import Action, Actor
from app.repositories import capsules
from app.repositories.capsules import CapsuleRow, ManifestRow
from app.repositories.runs import RunRow, get_run
from app.services.identity import require
from app.workloads import run_text
from app.workloads.registry import KINDS


@dataclass(frozen=True)
class RunCapsule:
    """A run with all that is recorded of it. `is_recorded` is false where the manifest was made only now, because
    the run is older than capsules: then its defaults are those of today."""

    run: RunRow
    kept: CapsuleRow
    manifest: ManifestRow
    is_recorded: bool

    @property
    def plan(self) -> dict[str, Any]:
        """The manifest as data."""
        read: dict[str, Any] = json.loads(self.manifest.manifest)
        return read


def get_capsule(session: Session, actor: Actor, public_id: str) -> RunCapsule:
    """The capsule of a run that the caller may see. Raises NotFound."""
    run = get_run(session, actor, public_id)
    require(actor, Action.RUN_READ, run.project_id)
    return capsule_of(session, run)


def capsule_of(session: Session, run: RunRow) -> RunCapsule:
    """The capsule of a run that was found as its reader may see it."""
    kept = capsules.get_capsules(session, [run.id])[run.id]
    if kept.manifest is not None:
        return RunCapsule(run, kept, kept.manifest, True)
    named = (run.definition, run.definition_version or 0) if run.definition else None
    text = capsule.make_manifest(complete_spec(run), run.kind, named)
    return RunCapsule(run, kept, ManifestRow(text, capsule.digest_of(text)), False)


def sent_text(session: Session, run: RunRow, spec: Mapping[str, Any] | None = None) -> str | None:
    """The YAML that a run was submitted as, with its notes and its order, saying what `spec` says (by default what was
    sent); None for one that was not sent as text."""
    written = capsules.find_source_text(session, run.id)
    return None if written is None else run_text.brought_to(written, run.spec if spec is None else spec)


def complete_spec(run: RunRow) -> dict[str, Any]:
    """A stored spec with the defaults of today, which are not stored, so that a default equals the same written out.

    It is not checked: an old one may not be valid any more.
    """
    kind = KINDS.get(run.kind)
    if kind is None:
        return dict(run.spec)
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.spec.model_fields.items()
        if not field.is_required()
    } | run.spec
