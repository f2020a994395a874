"""Quantities as people write them ("1500m", "4Gi", "8h") to integers and back.

CPU is counted in thousandths of a core, memory in bytes, durations in seconds. The notation for the
first two is Kubernetes' (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/),
restricted to the forms that mean something for that resource.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from app.errors import N_, BadValue

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# As people write them; what has no unit is seconds.
_UNITS = {
    "|s|secs?|seconds?": 1,
    "m|mins?|minutes?": 60,
    "h|hrs?|hours?": 3600,
    "d|days?": 86400,
}
_LEAST_MEBIBYTES = 64  # a bare number below is taken for GiB, others for MiB
_NUMBER = r"([0-9]{1,16}(?:\.[0-9]{1,9})?)"

MAX_CPU_MILLIS = 100_000 * 1000
MAX_BYTES = 2**50
MAX_SECONDS = 366 * 86400


class QuantityError(BadValue):
    """A quantity that cannot be read."""


def parse_cpu(text: str) -> int:
    """Thousandths of a core: "1500m" and "1.5" are both 1500. Raises QuantityError."""
    return _parse_cpu(text.strip())


@lru_cache(maxsize=1000)  # a few are written again and again, and each is read several times
def _parse_cpu(text: str) -> int:
    match = re.fullmatch(_NUMBER + r"(m?)", text)
    if not match:
        raise QuantityError(N_("{value} is not a number of CPU cores"), _likely_cpu(text), value=_shown(text))
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
    return _parse_memory(text.strip())


@lru_cache(maxsize=1000)  # a few are written again and again, and each is read several times
def _parse_memory(text: str) -> int:
    match = re.fullmatch(_NUMBER + r"([A-Za-z]*)", text)
    if not match:
        raise QuantityError(N_("{value} is not an amount of memory"), _likely_memory(text), value=_shown(text))
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
        likely = "1Mi" if unit or not number else f"{match[1]}{'Gi' if number < _LEAST_MEBIBYTES else 'Mi'}"
        raise QuantityError(N_("{value} is less than 1Mi"), likely, value=_shown(text))
    if size > MAX_BYTES:
        raise QuantityError(N_("{value} is more than 1Pi"), value=_shown(text))
    return int(size)


def parse_duration(text: str) -> int:
    """Whole seconds: "90s", "5m", "8h", "2d", or a combination such as "1h30m". Raises QuantityError."""
    text = text.strip()
    if not re.fullmatch(r"(?:[0-9]{1,9}[smhd])+", text):
        raise QuantityError(
            N_("{value} is not a duration; write it as 90s, 5m, 8h or 1h30m"),
            _likely_duration(text),
            value=_shown(text),
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


def _likely_cpu(text: str) -> str | None:
    """What "2 cores", "500 m" or "1,5" stands for."""
    found = re.fullmatch(r"([0-9]{0,9}(?:[.,][0-9]{1,3})?) *([A-Za-z]*)", text)
    if not found or not found[1]:
        return None
    number = found[1].replace(",", ".")
    likely = f"{0 if number.startswith('.') else ''}{number}{'m' if found[2].lower().startswith('m') else ''}"
    return likely if _is_read(parse_cpu, likely) else None


def _likely_memory(text: str) -> str:
    """What "2 Gi", "512 MB" or "1,5Gi" stands for; of what says nothing, the usual."""
    found = re.fullmatch(_NUMBER.replace(r"\.", "[.,]") + r" *([A-Za-z]+)", text)
    if not found:
        return "1Gi"
    nearest = f"{found[1].replace(',', '.')}{found[2][:1].upper()}i"
    return nearest if _is_read(parse_memory, nearest) else "1Gi"


def _likely_duration(text: str) -> str | None:
    """What "90", "5 minutes", "10 m" or "1.5h" stands for."""
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) *([A-Za-z]*)[ ,]*", text)
    written = "".join(f"{number}{unit}" for number, unit in parts)
    if not parts or written != re.sub("[ ,]+", "", text):
        return None
    total = Decimal(0)
    for number, unit in parts:
        factor = next((factor for name, factor in _UNITS.items() if re.fullmatch(name, unit.lower())), None)
        if factor is None:
            return None
        total += Decimal(number) * factor
    if not 1 <= total <= MAX_SECONDS:
        return None
    return f"{text}s" if text.isdecimal() else format_duration(int(total))


def _is_read(parse: Callable[[str], int], text: str) -> bool:
    try:
        parse(text)
    except QuantityError:
        return False
    return True


def _shown(text: str) -> str:
    return f'"{text[:40]}"'
