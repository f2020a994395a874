"""Durations and sizes as people write and read them, for what the client itself waits for and sends."""

import re

from berth.errors import InvalidInput

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(value: float | str) -> float:
    """Seconds from a number or a text. Raises InvalidInput."""
    if isinstance(value, int | float):
        return float(value)
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,3})?", text):
        return float(text)
    if not re.fullmatch(r"(?:\d{1,9}[smhd])+", text):
        raise InvalidInput(f"{value!r} is not a duration", hint="Write it as 90s, 5m, 8h or 1h30m.")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text)))


def short(value: float | None) -> str:
    """At most two units, for people: "41s", "4m 10s", "1h 47m", "3d 2h"; "-" for None."""
    if value is None:
        return "-"
    left, parts = int(value), []
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, factor)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def show_size(size: int) -> str:
    """For people: "1.4 GiB"."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def show_count(number: int, one: str) -> str:
    """For people: "1 file", "2 files"; `one` is a noun whose plural ends in s."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
