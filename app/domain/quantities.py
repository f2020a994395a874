"""Quantities as people write them ("1500m", "4Gi", "8h") to integers and back.

CPU is counted in thousandths of a core, memory in bytes, durations in seconds. The notation for the
first two is Kubernetes' (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/),
restricted to the forms that mean something for that resource.
"""

import re
from decimal import Decimal

from app.errors import N_, BadValue

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = r"([0-9]{1,16}(?:\.[0-9]{1,9})?)"

MAX_CPU_MILLIS = 100_000 * 1000
MAX_BYTES = 2**50
MAX_SECONDS = 366 * 86400


class QuantityError(BadValue):
    """A quantity that cannot be read."""


def parse_cpu(text: str) -> int:
    """Thousandths of a core: "1500m" and "1.5" are both 1500. Raises QuantityError."""
    text = text.strip()
    match = re.fullmatch(_NUMBER + r"(m?)", text)
    if not match:
        raise QuantityError(N_("{value} is not a number of CPU cores"), _first_number(text), value=_shown(text))
    millis = Decimal(match[1]) * (1 if match[2] else 1000)
    if millis != millis.to_integral_value():
        raise QuantityError(
            N_("{value} is finer than 1m, a thousandth of a core"), f"{int(millis) + 1}m", value=_shown(text)
        )
    if not 1 <= millis <= MAX_CPU_MILLIS:
        raise QuantityError(
            N_("{value} is not between 1m and {most} cores"), value=_shown(text), most=MAX_CPU_MILLIS // 1000
        )
    return int(millis)


def parse_memory(text: str) -> int:
    """Bytes: "4Gi" is 4 x 2^30. A decimal unit ("16G") is refused with its binary twin as the fix.

    Kubernetes accepts both, and 16G is 7 % less than 16Gi: most people who write it mean the latter, and
    their job is killed for the difference. Raises QuantityError.
    """
    text = text.strip()
    match = re.fullmatch(_NUMBER + r"([A-Za-z]*)", text)
    if not match:
        raise QuantityError(N_("{value} is not an amount of memory"), "1Gi", value=_shown(text))
    number, unit = Decimal(match[1]), match[2]
    if unit in _DECIMAL:
        raise QuantityError(
            N_("{value} uses a decimal unit; memory is counted in binary units here"),
            f"{match[1]}{unit.upper()}i",
            value=_shown(text),
        )
    if unit and unit not in _BINARY:
        nearest = unit[:1].upper() + "i"
        raise QuantityError(
            N_("{value} has an unknown unit; use Ki, Mi, Gi or Ti"),
            f"{match[1]}{nearest}" if nearest in _BINARY else f"{match[1]}Gi",
            value=_shown(text),
        )
    size = number * _BINARY.get(unit, 1)
    if size < 2**20:
        raise QuantityError(N_("{value} is less than 1Mi"), f"{match[1]}Gi" if not unit else "1Mi", value=_shown(text))
    if size > MAX_BYTES:
        raise QuantityError(N_("{value} is more than 1Pi"), value=_shown(text))
    return int(size)


def parse_duration(text: str) -> int:
    """Whole seconds: "90s", "5m", "8h", "2d", or a combination such as "1h30m". Raises QuantityError."""
    text = text.strip()
    if not re.fullmatch(r"(?:[0-9]{1,9}[smhd])+", text):
        raise QuantityError(
            N_("{value} is not a duration; write it as 90s, 5m, 8h or 1h30m"), _as_seconds(text), value=_shown(text)
        )
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))
    if seconds > MAX_SECONDS:
        raise QuantityError(N_("{value} is more than {most} days"), value=_shown(text), most=MAX_SECONDS // 86400)
    return seconds


def format_cpu(millis: int) -> str:
    """The shortest form that reads back the same: "2", "1500m"."""
    return f"{millis // 1000}" if millis % 1000 == 0 else f"{millis}m"


def format_memory(size: int) -> str:
    """The largest binary unit that loses nothing: "4Gi", "1536Mi", plain bytes at worst."""
    for unit, factor in reversed(_BINARY.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_duration(seconds: int) -> str:
    """ "1h30m", "45s"; zero is "0s"."""
    parts = []
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _first_number(text: str) -> str | None:
    match = re.match(_NUMBER, text)
    return match[1] if match else None


def _as_seconds(text: str) -> str | None:
    return f"{text}s" if text.isdecimal() and len(text) < 9 else None


def _shown(text: str) -> str:
    return f'"{text[:40]}"'
