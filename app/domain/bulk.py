"""Changing many runs at once: what each change does not apply to, and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.pool_sizes import PoolSize
from app.domain.quota import Resources
from app.domain.states import TERMINAL, Desired, RunState
from app.errors import N_

MOST_RUNS = 1000  # that one request changes
MOST_TAGS = 50  # of a run


class Verb(StrEnum):
    """What is done to the runs; values are those of the API's paths."""

    STOP = "stop"
    TAG = "tag"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    RERUN = "rerun-failed"


class Skip(StrEnum):
    """Why a run is left as it is."""

    NOT_FOUND = "NOT_FOUND"
    ENDED = "ENDED"
    STOPPING = "STOPPING"
    SAME = "SAME"
    TOO_MANY_TAGS = "TOO_MANY_TAGS"
    NOT_ENDED = "NOT_ENDED"
    ARCHIVED = "ARCHIVED"
    NOT_ARCHIVED = "NOT_ARCHIVED"
    NOT_FAILED = "NOT_FAILED"
    RERUN_ALREADY = "RERUN_ALREADY"
    NEVER_FITS = "NEVER_FITS"
    PARTS_GONE = "PARTS_GONE"
    LINE_FULL = "LINE_FULL"


SKIPS: dict[Skip, str] = {
    Skip.NOT_FOUND: N_("There is no such run in this project."),
    Skip.ENDED: N_("It has ended."),
    Skip.STOPPING: N_("It is being stopped already."),
    Skip.SAME: N_("It has these labels already."),
    Skip.TOO_MANY_TAGS: N_("It would have more than 50 tags."),
    Skip.NOT_ENDED: N_("It has not ended; stop it first."),
    Skip.ARCHIVED: N_("It is archived already."),
    Skip.NOT_ARCHIVED: N_("It is not archived."),
    Skip.NOT_FAILED: N_("It has not failed."),
    Skip.RERUN_ALREADY: N_("It was run again already."),
    Skip.NEVER_FITS: N_("Its pool is gone, or too small for it by now."),
    Skip.PARTS_GONE: N_("Its code or one of its secrets is not there any more, or its spec is not taken any more."),
    Skip.LINE_FULL: N_("The project's line of waiting runs is full."),
}


@dataclass(frozen=True)
class Change:
    """What is asked for. Tags and the experiment are for `Verb.TAG`; the experiment "" takes a run out of its own."""

    verb: Verb
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    experiment: str | None = None


@dataclass(frozen=True)
class Target:
    """What of a run decides whether a change applies.

    `fits`: its pool is there and large enough. `is_whole`: so is all else that it would need to run again.
    """

    state: str
    desired: str
    archived: bool
    tags: Sequence[str] = ()
    experiment: str | None = None
    was_rerun: bool = False
    fits: bool = True
    is_whole: bool = True


def relabelled(change: Change, target: Target) -> tuple[list[str], str | None]:
    """The tags and the experiment that the run then has: old tags keep their order, new ones follow."""
    kept = [tag for tag in target.tags if tag not in change.remove]
    tags = kept + [tag for tag in dict.fromkeys(change.add) if tag not in kept]
    return tags, target.experiment if change.experiment is None else change.experiment or None


def obstacle(change: Change, target: Target) -> Skip | None:
    """Why the change does not apply to the run; None where it does."""
    is_over = target.state in TERMINAL
    if change.verb == Verb.STOP:
        return Skip.ENDED if is_over else Skip.STOPPING if target.desired == Desired.STOPPED else None
    if change.verb == Verb.ARCHIVE:
        return Skip.ARCHIVED if target.archived else None if is_over else Skip.NOT_ENDED
    if change.verb == Verb.UNARCHIVE:
        return None if target.archived else Skip.NOT_ARCHIVED
    if change.verb == Verb.RERUN:
        if target.state != RunState.FAILED:
            return Skip.NOT_FAILED
        if target.was_rerun:
            return Skip.RERUN_ALREADY
        if not target.fits:
            return Skip.NEVER_FITS
        return None if target.is_whole else Skip.PARTS_GONE
    tags, experiment = relabelled(change, target)
    if (tags, experiment) == (list(target.tags), target.experiment):
        return Skip.SAME
    return Skip.TOO_MANY_TAGS if len(tags) > MOST_TAGS else None


def fits(asked: Resources, replicas: int, size: PoolSize | None, *, are_pools_known: bool) -> bool:
    """Whether a run could ever start: before a cluster has told of its pools, everything could."""
    return not are_pools_known or (size is not None and size.obstacle(asked, replicas) is None)
