"""Numbers, times and spans as people read them, in either language. Pure; the time and the zone are arguments."""

import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UNITS: dict[str, tuple[str, str, str, str]] = {
    "en": ("d", "h", "m", "s"),
    "zh_CN": ("天", "时", "分", "秒"),
}


def span(seconds: float | None, language: str = "en") -> str:
    """The two largest units: "41m", "1h 47m", "2d 3h", "4m 12s" below ten minutes; "-" for None."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    day, hour, minute, second = UNITS.get(language, UNITS["en"])
    gap = "" if language == "zh_CN" else " "
    if whole < 60:
        return f"{whole}{second}"
    if whole < 600:
        return f"{whole // 60}{minute}{gap}{whole % 60:02d}{second}"
    if whole < 3600:
        return f"{whole // 60}{minute}"
    if whole < 86400:
        return f"{whole // 3600}{hour}{gap}{whole % 3600 // 60:02d}{minute}"
    return f"{whole // 86400}{day}{gap}{whole % 86400 // 3600}{hour}"


def size(number: int) -> str:
    """Bytes in binary units with three figures at most: "97.8 MiB"."""
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < (1024 if unit == "B" else 999.5):  # whole bytes; three figures of the others
            break
        value, unit = value / 1024, larger
    return f"{number} B" if unit == "B" else f"{value:.3g} {unit}"


def grouped(number: int) -> str:
    """18246 is "18,246", in both languages."""
    return f"{number:,}"


def figure(value: float | None) -> str:
    """A metric's value in at most five significant figures."""
    if value is None:
        return "–"
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 99_999.5 <= abs(value) < 1e6 else f"{value:.5g}"


def exact(value: float) -> str:
    """A number with all its figures, as programs read it: "nan", "inf" and "-inf" where it is not finite."""
    return repr(value)


def moment(at: datetime.datetime, now: datetime.datetime, zone: datetime.tzinfo) -> str:
    """A time of day today, a date otherwise: "14:02", "11-21 14:02", "2025-11-21"."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"


def clock(at: datetime.datetime, zone: datetime.tzinfo) -> str:
    """To the second, for lists of events."""
    return f"{at.astimezone(zone):%H:%M:%S}"


def minute(at: datetime.datetime, zone: datetime.tzinfo) -> str:
    """Date and time, for sentences."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def full(at: datetime.datetime, zone: datetime.tzinfo) -> str:
    """Date, time and offset, for titles: "2026-11-22 19:00:33Z", "2026-11-23 03:00:33+08:00"."""
    return at.astimezone(zone).isoformat(" ", "seconds").replace("+00:00", "Z")


@lru_cache(maxsize=512)
def zone_of(name: str | None) -> datetime.tzinfo:
    """The browser's time zone, as its cookie names it; UTC for none or an unknown one."""
    try:
        return ZoneInfo(name) if name and len(name) < 60 else datetime.UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.UTC
