"""Run capsules on the wire."""

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.domain.images import digest_of
from app.repositories.capsules import AttemptRow
from app.services.capsules import RunCapsule


class CapsuleSnapshot(BaseModel):
    """The uploaded code. `bytes` and `files` are known only while it is kept."""

    sha256: str
    is_kept: bool
    bytes: int | None
    files: int | None


class CapsuleImage(BaseModel):
    """The container image as it was asked for (null: the cluster's own), and its digest where a cluster has told it."""

    name: str | None
    digest: str | None


class EnvironmentRead(BaseModel):
    """The interpreter, its exact version, and what is installed for it; `note` says what could not be found out."""

    sha256: str
    interpreter: str
    version: str
    packages: dict[str, str]
    note: str


class CapsuleAttempt(BaseModel):
    """What one attempt ran in; null where that is not known (yet)."""

    number: int
    started_at: datetime.datetime | None
    environment: EnvironmentRead | None
    platform: dict[str, str] | None
    image: str | None = Field(description="The container image by its digest.")


class CapsuleRead(BaseModel):
    """What a run really was.

    `sha256` is of `canonical`, the text of `manifest`. Runs with the same hash had the same plan, down to every
    default. `recorded` is false for a run that is older than capsules: then the defaults are those of today.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run": "r-7f3k2m9qwa",
                    "sha256": "9f" * 32,
                    "recorded": True,
                    "manifest": {"definition": None, "format": 1, "kind": "job", "spec": {"cpu": "1"}},
                    "canonical": '{"definition":null,"format":1,"kind":"job","spec":{"cpu":"1"}}',
                    "snapshot": None,
                    "image": None,
                    "source": {"git_commit": "1a2b3c4d", "git_dirty": False},
                    "source_text": "# the baseline\nname: train\nscript: python train.py\ncpu: 1\n",
                    "attempts": [],
                }
            ]
        }
    )

    run: str
    sha256: str = Field(description="SHA-256 of `canonical` in UTF-8, in hex.")
    recorded: bool
    manifest: dict[str, Any]
    canonical: str = Field(description="The manifest as canonical JSON.")
    snapshot: CapsuleSnapshot | None
    image: CapsuleImage | None
    source: dict[str, Any]
    source_text: str | None = Field(
        description="The YAML that the run was submitted as, comments kept, saying what was sent; null for one that was"
        " not submitted as YAML."
    )
    attempts: list[CapsuleAttempt]


def capsule_read(found: RunCapsule, source_text: str | None) -> dict[str, Any]:
    """A capsule as CapsuleRead has it."""
    plan = found.plan
    image, digest, kept = plan["spec"].get("image"), plan["spec"].get("snapshot"), found.kept.snapshot
    ran = next((one.image for one in reversed(found.kept.attempts) if one.image), None)
    snapshot = {
        "sha256": digest,
        "is_kept": kept is not None,
        "bytes": kept.bytes if kept else None,
        "files": kept.files if kept else None,
    }
    return {
        "run": found.run.public_id,
        "sha256": found.manifest.digest,
        "recorded": found.is_recorded,
        "manifest": plan,
        "canonical": found.manifest.manifest,
        "snapshot": snapshot if digest else None,
        "image": {"name": image, "digest": digest_of(ran)} if image or ran else None,
        "source": found.run.source,
        "source_text": source_text,
        "attempts": [_attempt(one) for one in found.kept.attempts],
    }


def _attempt(row: AttemptRow) -> dict[str, Any]:
    environment = None
    if row.document is not None:
        packages = dict(sorted(row.document["packages"].items()))  # Postgres orders them by their length
        environment = {"sha256": row.digest, **row.document, "packages": packages}
    return {
        "number": row.number,
        "started_at": row.started_at,
        "environment": environment,
        "platform": row.platform,
        "image": row.image,
    }
