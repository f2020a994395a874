"""Taking in what jobs measure. A batch is checked as columns, not point by point: a thousand points cost tenths
of a millisecond here; only a batch that is wrong is looked at singly, to say where.
"""

import math
import re
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.errors import N_, FieldError, Invalid
from app.repositories import metrics
from app.repositories.metrics import LARGEST_STEP, Batch
from app.settings import get_settings

MAX_POINTS = 5_000
LATEST_MS = 253_402_300_799_000  # the year 9999

_NAME = re.compile(r"[\w./:@%()+=,#\[\]^~-](?:[\w ./:@%()+=,#\[\]^~-]{0,198}[\w./:@%()+=,#\[\]^~-])?")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ERRORS = 20


class TooManySeries(Invalid):
    """A run would get more series than anybody can look at."""

    code = "TOO_MANY_SERIES"
    title = N_("Too many metrics")
    detail = N_("A run may have {limit} metrics, and {new} new names do not fit in. Nothing was stored.")
    hint = N_("Use few names and put what changes into the step. Steps or ids do not belong into a name.")


@dataclass(frozen=True)
class Progress:
    """How much of how much is done; the whole may be unknown."""

    done: int
    total: int | None


def add_points(session: Session, run_id: uuid.UUID, body: Any) -> int:
    """Stores a batch `{points: [[name, step, at_ms, value], …], progress?: {done, total}}`; returns its size.

    Sending a batch again changes nothing. Raises Invalid with the first wrong points, or TooManySeries.
    """
    batch, progress = read_body(body)
    if batch.names:
        keys = _known.get(run_id, batch.names)
        if keys is None or not metrics.add_points(session, run_id, batch, keys):
            limit = get_settings().limits.metrics_per_run
            keys = metrics.add_series(session, run_id, batch.names, limit)
            if keys is None:
                there = metrics.series_ids(session, run_id, batch.names)
                raise TooManySeries(limit=limit, new=len(batch.names) - len(there))
            metrics.add_points(session, run_id, batch, keys)
            _known.put(run_id, keys)
    if progress is not None:
        metrics.set_progress(session, run_id, progress.done, progress.total)
    return len(batch.series)


def read_body(body: Any) -> tuple[Batch, Progress | None]:
    """The batch in a parsed body. Raises Invalid with pointers."""
    if type(body) is not dict:
        raise Invalid([FieldError("", N_("must be an object"))])
    unknown = [FieldError(f"/{name[:100]}", N_("is not a field here")) for name in body.keys() - {"points", "progress"}]
    if unknown:
        raise Invalid(sorted(unknown, key=lambda error: error.pointer)[:_ERRORS])
    points = body.get("points", [])
    if type(points) is not list:
        raise Invalid([FieldError("/points", N_("must be a list"))])
    if len(points) > MAX_POINTS:
        raise Invalid(
            [
                FieldError(
                    "/points", N_("the number of items must be at most {max_length}"), slots={"max_length": MAX_POINTS}
                )
            ]
        )
    progress = None if body.get("progress") is None else _read_progress(body["progress"])
    if not points and progress is None:
        raise Invalid([FieldError("/points", N_("is required"))])
    return _read_points(points), progress


def _read_points(points: list[Any]) -> Batch:
    if not points:
        return Batch([], [], [], [], [])
    try:
        names, steps, ats, values = zip(*points, strict=True)
    except (TypeError, ValueError):
        raise Invalid(_wrong_points(points)) from None
    is_good = (
        set(map(type, points)) == {list}
        and set(map(type, names)) == {str}
        and set(map(type, steps)) == set(map(type, ats)) == {int}
        and min(steps) >= -LARGEST_STEP
        and max(steps) <= LARGEST_STEP
        and min(ats) >= 0
        and max(ats) <= LATEST_MS
    )
    if not is_good:
        raise Invalid(_wrong_points(points))
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    kinds = set(map(type, values))
    if kinds != {float}:
        numbers = [_number(value) for value in values]
        if None in numbers:
            raise Invalid(_wrong_points(points))
        values = tuple(number for number in numbers if number is not None)
    if not all(map(_NAME.fullmatch, places)):
        raise Invalid(_wrong_points(points))
    return Batch(list(places), [places[name] for name in names], steps, ats, values)


def _number(value: Any) -> float | None:
    if type(value) is float:
        return value
    if type(value) is str:
        return _NOT_FINITE.get(value)
    if type(value) is int and -(2**1023) < value < 2**1023:
        return float(value)
    return None


def _wrong_points(points: list[Any]) -> list[FieldError]:
    """The first points that are wrong, each with what is wrong about it."""
    found: list[FieldError] = []
    for index, point in enumerate(points):
        error = _wrong(f"/points/{index}", point)
        if error is not None:
            found.append(error)
        if len(found) == _ERRORS:
            break
    return found


def _wrong(pointer: str, point: Any) -> FieldError | None:
    if type(point) is not list or len(point) != 4:
        return FieldError(pointer, N_("must be [name, step, at_ms, value]"))
    name, step, at, value = point
    if type(name) is not str or not _NAME.fullmatch(name):
        return FieldError(f"{pointer}/0", N_("must be a name of 1 to 200 letters, digits, spaces or ./:@%()+=,#[]^~-_"))
    if type(step) is not int or not -LARGEST_STEP <= step <= LARGEST_STEP:
        return FieldError(f"{pointer}/1", N_("must be a whole number of at most 53 bits"))
    if type(at) is not int or not 0 <= at <= LATEST_MS:
        return FieldError(f"{pointer}/2", N_("must be a time in milliseconds since 1970"))
    if _number(value) is None:
        return FieldError(f"{pointer}/3", N_('must be a number, "nan", "inf" or "-inf"'))
    return None


def _read_progress(value: Any) -> Progress:
    errors: list[FieldError] = []
    if type(value) is not dict or not value.keys() <= {"done", "total"}:
        raise Invalid([FieldError("/progress", N_("must be an object with done and total"))])
    done, total = value.get("done"), value.get("total")
    for name, number in (("done", done), ("total", total)):
        is_missing = name == "total" and number is None
        if not is_missing and (type(number) is not int or not 0 <= number <= LARGEST_STEP):
            errors.append(FieldError(f"/progress/{name}", N_("must be a whole number, 0 or more")))
    if errors:
        raise Invalid(errors)
    assert isinstance(done, int)
    if total is not None and done > total:
        raise Invalid([FieldError("/progress/done", N_("must not be more than the total"), fix=str(total))])
    return Progress(done, total)


class _Known:
    """Keys of series that this process has seen, so that a batch needs no look-up. Used by many threads."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._held: OrderedDict[uuid.UUID, dict[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, run_id: uuid.UUID, names: list[str]) -> dict[str, int] | None:
        """The keys of the named series, or None where one is not known."""
        with self._lock:
            held = self._held.get(run_id)
            if held is None or not all(name in held for name in names):
                return None
            self._held.move_to_end(run_id)
            return {name: held[name] for name in names}

    def put(self, run_id: uuid.UUID, keys: dict[str, int]) -> None:
        with self._lock:
            self._held.setdefault(run_id, {}).update(keys)
            self._held.move_to_end(run_id)
            while len(self._held) > self._runs:
                self._held.popitem(last=False)


_known = _Known(runs=500)
