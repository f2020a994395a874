"""What does not answer, as every page with live runs says it; and until when what is shown is known. Pure."""

import datetime
from dataclasses import dataclass, field
from typing import Any

from app.domain.health import Outage
from app.errors import N_
from app.i18n import translate
from app.web import formats

_SAYS = {
    "controller": (
        N_("Berth's controller has not answered since {time}."),
        N_("What is shown of runs is from then. Programs go on; nothing is lost."),
    ),
    "cluster": (
        N_("Cluster {name} has not answered since {time}."),
        N_("What is shown of its runs is from then. Programs go on; nothing is lost."),
    ),
    "worker": (
        N_("Berth's worker has not answered since {time}."),
        N_("Runs start, stop and change state later than usual; nothing is lost."),
    ),
}


@dataclass(frozen=True)
class Said:
    """One of them: the sentence, and what it means for whoever looks."""

    title: str
    text: str


@dataclass(frozen=True)
class OutageView:
    """The notes above a page. `key` changes when they do; `until` (ms) is when what is shown was known, if not now."""

    key: str = ""
    until: int | None = None
    said: list[Said] = field(default_factory=list)


def key_of(outages: tuple[Outage, ...]) -> str:
    """What polls bring along, so that a page knows whether its notes are still right."""
    return ",".join(f"{one.part}.{one.name}.{one.since:.0f}" for one in outages)


def build(outages: tuple[Outage, ...], language: str, zone: datetime.tzinfo, now: datetime.datetime) -> OutageView:
    """The notes of a page; empty ones where everything answers."""
    until = _until(outages)
    said = []
    for one in outages:
        title, text = _SAYS[one.part]
        at = formats.moment(datetime.datetime.fromtimestamp(one.since, datetime.UTC), now, zone)
        said.append(Said(translate(language, title, name=one.name, time=at), translate(language, text)))
    return OutageView(key_of(outages), None if until is None else int(until * 1000), said)


def known_at(outages: tuple[Outage, ...], now: datetime.datetime, row: Any) -> datetime.datetime:
    """The time to which a run's spans are known: now, unless it was last heard of before."""
    until = _until(outages)
    if until is None or row.finished_at is not None:
        return now
    at = datetime.datetime.fromtimestamp(until, datetime.UTC)
    return at if (row.started_at or row.queued_at) < at else now


def _until(outages: tuple[Outage, ...]) -> float | None:
    return min((one.since for one in outages if one.is_stale), default=None)
