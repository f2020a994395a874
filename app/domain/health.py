"""How well Berth's parts are: pure judgement of what was measured, each with its remedy in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.errors import N_


class Health(StrEnum):
    """How a part is: as it should be, soon not any more, or not."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Check:
    """One part: what was found and what to do about it, as templates that `slots` fill.

    `part` is its stable name. `age_seconds` is how old the finding is: 0 for what was asked just now, None where
    nothing was ever heard. `took_ms` is how long the answer took.
    """

    part: str
    health: Health
    says: str
    fix: str = ""
    slots: dict[str, Any] = field(default_factory=dict)
    age_seconds: float | None = 0.0
    took_ms: float | None = None


def worst(checks: list[Check]) -> Health:
    """Of the whole."""
    order = [Health.OK, Health.WARN, Health.BAD]
    return max((check.health for check in checks), key=order.index, default=Health.OK)


SLOW_MS = 250.0


def judge_postgres(schema: str | None, wanted: str, took_ms: float) -> Check:
    """It answered, or there would be nobody to ask; what may be wrong is its schema, and its speed."""
    slots = {"found": schema or "–", "wanted": wanted, "took": round(took_ms, 1)}
    if schema != wanted:
        says, fix = (
            N_("The schema is at {found}, this version needs {wanted}."),
            N_("Restart Berth, which migrates at its start; outside of a trial run the migrations."),
        )
        return Check("postgres", Health.BAD, says, fix, slots, took_ms=took_ms)
    if took_ms > SLOW_MS:
        says, fix = (
            N_("It answers in {took} ms, which is slow."),
            N_("Look for load on its machine and for long statements in pg_stat_activity."),
        )
        return Check("postgres", Health.WARN, says, fix, slots, took_ms=took_ms)
    return Check(
        "postgres", Health.OK, N_("It answers in {took} ms; the schema is at {found}."), "", slots, took_ms=took_ms
    )


def judge_redis(error: str | None, took_ms: float, waiting: int) -> Check:
    """Redis carries hints: without it runs go on, more slowly."""
    if error is not None:
        says = N_("It does not answer: {error}. Nothing is lost; runs start and end a few seconds later.")
        fix = N_("Start Redis, or see BERTH_REDIS__URL; `berth up` starts its own again by itself.")
        return Check("redis", Health.BAD, says, fix, {"error": error}, took_ms=took_ms)
    slots = {"took": round(took_ms, 1), "waiting": waiting}
    if waiting > 1000:
        says = N_("{waiting} messages wait, more than the workers take.")
        return Check(
            "redis", Health.WARN, says, N_("Start more workers, or see why they are slow."), slots, took_ms=took_ms
        )
    return Check(
        "redis", Health.OK, N_("It answers in {took} ms; messages waiting: {waiting}."), "", slots, took_ms=took_ms
    )


WORKER_LATE, WORKER_GONE = 15.0, 60.0


def judge_workers(ages: list[float] | None) -> Check:
    """`ages` are seconds since each worker was last heard of; None where that cannot be known."""
    if ages is None:
        says = N_("Not known while Redis does not answer, through which workers are heard.")
        return Check("worker", Health.WARN, says, N_("Mend Redis first."), age_seconds=None)
    here = [age for age in ages if age <= WORKER_GONE]
    if not here:
        fix = N_("Start one, as `berth up` does. Until then the controller does its work, slowly.")
        return Check("worker", Health.BAD, N_("No worker is heard."), fix, age_seconds=min(ages, default=None))
    newest = min(here)
    slots = {"count": sum(age <= WORKER_LATE for age in here)}
    if newest > WORKER_LATE:
        fix = N_("See its log: it may be starting anew, or its machine may be overloaded.")
        return Check("worker", Health.WARN, N_("The worker was not heard for a while."), fix, slots, newest)
    return Check("worker", Health.OK, N_("Workers heard: {count}."), "", slots, newest)


def judge_loop(name: str, left_seconds: float | None, held_seconds: float) -> Check:
    """A loop of the controller by its lease: `left_seconds` until it ends (negative: ended), None where none was
    ever taken. `held_seconds` is for how long a lease is taken each time."""
    slots = {"loop": name}
    fix = N_("Start a controller: `berth up` does, or `python -m app.workers.controller`. See its log for {loop}.")
    if left_seconds is None:
        return Check(f"loop:{name}", Health.BAD, N_("Nobody has ever led this loop."), fix, slots, age_seconds=None)
    age = max(0.0, held_seconds - left_seconds)
    if left_seconds <= 0:
        return Check(f"loop:{name}", Health.BAD, N_("Nobody leads this loop."), fix, slots, age)
    return Check(f"loop:{name}", Health.OK, N_("It is led."), "", slots, age)


_STORES = {
    "folder": N_("See that the folder {where} is there, can be written, and has room."),
    "bucket": N_("See that the bucket {where} of BERTH_OBJECTS__BUCKET is there, its endpoint, and its keys."),
    "url": N_("See BERTH_OBJECTS__URL and its credentials."),
}


def judge_objects(error: str | None, took_ms: float, place: str, where: str) -> Check:
    """A small object was written, read and removed, or not. `place` is "folder", "bucket" or "url", and `where` the
    folder or the bucket."""
    if error is not None:
        says = N_("It cannot be written and read: {error}. Runs with code or outputs cannot go on.")
        return Check("objects", Health.BAD, says, _STORES[place], {"error": error, "where": where}, took_ms=took_ms)
    slots = {"took": round(took_ms, 1)}
    return Check("objects", Health.OK, N_("An object was written and read in {took} ms."), "", slots, took_ms=took_ms)


def judge_disk(free: int, total: int, free_text: str) -> Check:
    """The disk of the home; bytes."""
    percent = round(100 * free / total) if total else 0
    slots = {"free": free_text, "percent": percent}
    fix = N_("Remove outputs and projects that nobody needs, or give the home a larger disk.")
    if percent < 3:
        says = N_("Only {free} are free ({percent} %): runs and databases will fail.")
        return Check("disk", Health.BAD, says, fix, slots)
    if percent < 10:
        return Check("disk", Health.WARN, N_("{free} are free ({percent} %)."), fix, slots)
    return Check("disk", Health.OK, N_("{free} are free ({percent} %)."), "", slots)


CLUSTER_LATE, CLUSTER_GONE = 20.0, 60.0


def judge_cluster(name: str, age: float | None) -> Check:
    """By when the watcher last wrote what it is and has."""
    slots = {"cluster": name}
    fix = N_("See that the controller's loop that watches {cluster} is led, and that the cluster can be reached.")
    if age is None or age > CLUSTER_GONE:
        says = N_("It does not answer. Its runs go on; what is shown of them is old.")
        return Check(f"cluster:{name}", Health.BAD, says, fix, slots, age)
    if age > CLUSTER_LATE:
        return Check(f"cluster:{name}", Health.WARN, N_("It was not heard for a while."), fix, slots, age)
    return Check(f"cluster:{name}", Health.OK, N_("It answers."), "", slots, age)


def judge_no_cluster() -> Check:
    """Nothing that runs could run on was ever heard of."""
    says = N_("None was found yet.")
    fix = N_("The controller finds that of this machine within seconds of its start: load the page again.")
    return Check("cluster:", Health.WARN, says, fix, age_seconds=None)


LEASE_LATE = 3.0  # a change of leaders takes that long


@dataclass(frozen=True)
class Outage:
    """Something that does not answer, for everybody who looks at runs: `part` is controller, worker or cluster.

    `since` (seconds since 1970) is when it was last heard.
    """

    part: str
    since: float
    name: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether what is shown of runs is as old as that. Without a worker it is right, and late to come."""
        return self.part != "worker"


def judge_outages(
    now: float,
    ended: Mapping[str, float],
    held: Mapping[str, float],
    clusters: Mapping[str, float],
    worker_age: float | None,
) -> tuple[Outage, ...]:
    """What does not answer. `ended` is for how long leases are over (negative: not yet), `held` for how long each is
    taken, `clusters` how long ago each was heard; all in seconds. What was never heard is missing in them.

    Clusters are heard through the controller, so without it nothing is said about them.
    """
    lost = [now - age - held[name] for name, age in ended.items() if age > LEASE_LATE]
    found = [Outage("controller", min(lost))] if lost else []
    if ended and not lost:
        found += [Outage("cluster", now - age, name) for name, age in sorted(clusters.items()) if age > CLUSTER_LATE]
    if worker_age is not None and worker_age > WORKER_LATE:
        found.append(Outage("worker", now - worker_age))
    return tuple(found)
