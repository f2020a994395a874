"""Whether a parameter's limits leave any value at all. Pure.

Asked when a definition is saved, not when it is read: what was saved before keeps its parameters.
"""

import math
from collections.abc import Iterator, Mapping

from app.errors import N_, FieldError
from app.workloads.parameters import LARGEST, MAX_ITEMS, MAX_LENGTH, Parameter

_LOW, _HIGH = ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")
_MOST = {"minLength": MAX_LENGTH, "minItems": MAX_ITEMS}


def find_empty(declared: Mapping[str, Parameter], pointer: str) -> list[FieldError]:
    """What is wrong with the limits of parameters, each sound by itself, that no value can keep."""
    return [error for name, one in declared.items() for error in _empty(one, f"{pointer}/{name}")]


def _empty(one: Parameter, place: str) -> Iterator[FieldError]:
    limits = one.limits
    for key, most in _MOST.items():
        if limits.get(key, 0) > most:
            yield FieldError(f"{place}/{key}", N_("must be at most {le}"), str(most), slots={"le": most})
    if one.type in ("integer", "number"):
        yield from _empty_range(one, place)
    if one.items is not None:
        yield from _empty(one.items, f"{place}/items")


def _empty_range(one: Parameter, place: str) -> Iterator[FieldError]:
    whole = one.type == "integer"
    lows = [(_edge(one.limits[key], key, whole=whole), key) for key in _LOW if key in one.limits]
    highs = [(_edge(one.limits[key], key, whole=whole), key) for key in _HIGH if key in one.limits]
    if not (lows and highs):
        if whole and (lows or highs):
            yield from _beyond(one, place, (lows or highs)[0][1], is_low=bool(lows))
        return
    (low, low_key), (high, high_key) = max(lows), min(highs)
    if low > high:
        message = N_("leaves no value: {low} is {value}")
        slots = {"low": low_key, "value": one.limits[low_key]}
        if whole:
            message = N_("leaves no whole number: {low} is {value}")
        yield FieldError(f"{place}/{high_key}", message, slots=slots)


def _edge(limit: float, key: str, *, whole: bool) -> tuple[float, int]:
    """The outermost value that a limit leaves, comparable: of numbers, (1, 1) is just above (1, 0)."""
    if not whole:
        return limit, {"exclusiveMinimum": 1, "exclusiveMaximum": -1}.get(key, 0)
    if key in _LOW:
        return math.floor(limit) + 1 if key == "exclusiveMinimum" else math.ceil(limit), 0
    return math.ceil(limit) - 1 if key == "exclusiveMaximum" else math.floor(limit), 0


def _beyond(one: Parameter, place: str, key: str, *, is_low: bool) -> Iterator[FieldError]:
    """A limit beyond all whole numbers that are taken."""
    edge = _edge(one.limits[key], key, whole=True)[0]
    if is_low and edge > LARGEST:
        yield FieldError(f"{place}/{key}", N_("must be at most {le}"), str(LARGEST), slots={"le": LARGEST})
    if not is_low and edge < -LARGEST:
        yield FieldError(f"{place}/{key}", N_("must be at least {ge}"), str(-LARGEST), slots={"ge": -LARGEST})
