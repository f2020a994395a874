"""Status colours stay apart for four kinds of sight, and text on them can be read: read from app.css itself.

Sight is simulated in linear light with the matrices of Machado, Oliveira and Fernandes (2009), full severity;
distances are Euclidean in OKLab (Ottosson 2020), times 100.
"""

import itertools
import re

import pytest

from app.web.assets import FOLDER

CSS = (FOLDER / "app.css").read_text()
LEAST_DISTANCE = 7.0
LEAST_CONTRAST = 4.5

Matrix = tuple[tuple[float, float, float], ...]
Colour = list[float]

SIGHT: dict[str, Matrix] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def tokens(theme: int) -> dict[str, str]:
    """All two-sided tokens: 0 is the light side, 1 the dark one."""
    return {
        name: sides[theme]
        for name, *sides in re.findall(r"--([\w-]+):light-dark\((#[0-9a-f]{3,6}),(#[0-9a-f]{3,6})\)", CSS)
    }


def linear(colour: str) -> Colour:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def oklab(rgb: Colour) -> tuple[float, float, float]:
    red, green, blue = (min(1.0, max(0.0, part)) for part in rgb)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def seen(colour: str, sight: str) -> tuple[float, float, float]:
    rgb = linear(colour)
    return oklab([sum(a * b for a, b in zip(row, rgb, strict=True)) for row in SIGHT[sight]])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""
    light, dark = sorted(
        (sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (one, other)),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_status_colours_stay_apart(theme: int, sight: str) -> None:
    colours = {name: colour for name, colour in tokens(theme).items() if re.fullmatch(r"s-\w+", name)}
    assert len(colours) == 6
    for one, other in itertools.combinations(colours, 2):
        pairs = zip(seen(colours[one], sight), seen(colours[other], sight), strict=True)
        distance = 100 * sum((a - b) ** 2 for a, b in pairs) ** 0.5
        assert distance >= LEAST_DISTANCE, f"{one} and {other}: {distance:.1f}"


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(theme: int) -> None:
    found = tokens(theme)
    grounds = ["bg", "surface"]
    for name in ("run", "ok", "bad", "wait", "warn", "hold"):
        for ground in (f"s-{name}-bg", *grounds):
            assert contrast(found[f"s-{name}"], found[ground]) >= LEAST_CONTRAST, f"s-{name} on {ground}"
    for name in ("text", "muted", "faint", "accent"):
        for ground in grounds:
            assert contrast(found[name], found[ground]) >= LEAST_CONTRAST, f"{name} on {ground}"
    assert contrast(found["accent"], found["accent-ink"]) >= LEAST_CONTRAST
    assert contrast(found["line2"], found["surface"]) >= 3.0, "borders of fields"
