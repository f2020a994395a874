"""Slices of use: read from lines, made fewer without losing anything, and judged against what was asked."""

import random

import pytest

from app.domain.usage import (
    MOST_SLICES,
    Asked,
    Slice,
    Summary,
    buckets,
    enough_cpu,
    enough_memory,
    extend,
    join,
    pack,
    parse,
    summarise,
    unpack,
)

MIB = 1 << 20
LINE = b"1795325002000 2000 800000 300 500 200 190 210 4096 8192 - - - -"


def make(number: int, seed: int = 1, spans: tuple[int, int] = (200, 2000)) -> list[Slice]:
    rng, end, made = random.Random(seed), 1_795_325_000_000, []
    for _ in range(number):
        span = rng.randint(*spans)
        end += span
        low, high = sorted((rng.randint(0, 4000), rng.randint(0, 4000)))
        mean = (low + high) // 2
        memory = sorted(rng.randint(1, 1 << 30) for _ in range(3))
        folder = rng.choice([None, rng.randint(0, 1 << 40)])
        gpu = rng.choice([(None, None, None), (0, 0, 0), (2, rng.randint(0, 1000), 5 * MIB), (1, None, None)])
        made.append(Slice(end, span, mean * span, low, high, memory[1], memory[0], memory[2], 7, 11, folder, *gpu))
    return made


def test_lines_become_slices() -> None:
    found = parse(b'{"version": 1, "gpu": ""}\n' + LINE + b"\n" + LINE.replace(b"- - - -", b"5 2 901 77") + b"\n")
    assert found.gpu_meter == ""
    first, second = found.slices
    assert (first.end_ms, first.span_ms, first.cpu_us, first.folder, first.gpus) == (
        1795325002000,
        2000,
        800000,
        None,
        None,
    )
    assert (second.folder, second.gpus, second.gpu_busy, second.gpu_memory) == (5, 2, 901, 77)
    assert parse(b'{"gpu": "nvidia-smi"}\n').gpu_meter == "nvidia-smi"
    assert parse(LINE + b"\n").gpu_meter is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"{}",
        b"1 2 3",
        LINE + b" 1",
        LINE.replace(b"2000 8", b"0 8"),
        LINE.replace(b"800000", b"-1"),
        LINE.replace(b"800000", b"-"),
        LINE.replace(b"800000", b"9" * 17),
        LINE.replace(b"800000", "٣".encode()),
        b"\xff" * 50,
    ],
)
def test_what_is_no_line_is_passed_over(line: bytes) -> None:
    assert parse(line + b"\n").slices == []


def test_packing_keeps_everything() -> None:
    slices = make(500)
    assert unpack(pack(slices)) == slices
    assert unpack(pack([])) == []


def sums(slices: list[Slice]) -> tuple[int, ...]:
    return tuple(sum(one[place] for one in slices) for place in (1, 2, 8, 9))  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [1, 7, 5000])
def test_a_long_run_stays_small_and_exact(seed: int, step: int) -> None:
    """Eight hours of lines, however they come: as many slices as fit, no more than 64 KiB, and nothing lost."""
    lines = make(600, seed, (1900, 2100)) + make(2000, seed, (2000, 48_000))
    lines = [one._replace(end_ms=end) for one, end in zip(lines, _ends(lines), strict=True)]
    kept: list[Slice] = []
    for start in range(0, len(lines), step):
        kept = extend(kept, lines[start : start + step])
        assert len(kept) <= MOST_SLICES
    assert sums(kept) == sums(lines)
    assert max(one.memory_high for one in kept) == max(one.memory_high for one in lines)
    assert min(one.cpu_low for one in kept) == min(one.cpu_low for one in lines)
    assert len(pack(kept)) < 64 << 10
    ends = [one.end_ms for one in kept]
    assert ends == sorted(set(ends))


def _ends(slices: list[Slice]) -> list[int]:
    end, ends = 0, []
    for one in slices:
        end += one.span_ms
        ends.append(end)
    return ends


def test_time_does_not_run_backwards() -> None:
    slices = make(3)
    assert extend(slices, slices) == slices


@pytest.mark.parametrize("number", [1, 2, 60, 499, 500, 1000])
def test_buckets(number: int) -> None:
    slices = make(500)
    found = buckets(slices, number)
    assert len(found) <= number
    assert sums(found) == sums(slices)
    assert (found == slices) == (number >= 500)


def test_joining_weighs_by_time() -> None:
    first, second = make(1)[0], make(1)[0]
    made = join(
        (
            first._replace(span_ms=1000, memory_mean=100, folder=5, gpus=1, gpu_busy=1000, gpu_memory=3),
            second._replace(span_ms=3000, memory_mean=500, folder=None, gpus=None, gpu_busy=None, gpu_memory=None),
        )
    )
    assert (made.memory_mean, made.folder, made.gpus, made.gpu_busy, made.gpu_memory) == (400, 5, 1, 1000, 3)


def summary(cpu_mean: int, memory: int = MIB) -> Summary:
    one = Slice(1_795_325_000_000, 1000, cpu_mean * 1000, 0, 0, memory, memory, memory, 0, 0, None, None, None, None)
    found = summarise([one], Asked(4000, 1 << 30, 0))
    assert found is not None
    assert found.cpu_high >= found.cpu_mean == cpu_mean
    return found


def test_nothing_is_no_summary() -> None:
    assert summarise([], Asked(1000, 1, 0)) is None


@pytest.mark.parametrize(
    ("used", "asked", "enough"),
    [
        (400, 4000, 500),
        (500, 4000, 1000),
        (0, 1000, 100),
        (800, 4000, 1000),
        (900, 4000, 1500),
        (1900, 4000, None),
        (3900, 4000, None),
        (4000, 16000, 5000),
        (90, 250, None),
        (30, 200, 100),
    ],
)
def test_processors_that_would_have_done(used: int, asked: int, enough: int | None) -> None:
    assert enough_cpu(summary(used), Asked(asked, 1, 0)) == enough


@pytest.mark.parametrize(
    ("used", "asked", "enough"),
    [(10, 1024, 64), (310, 1024, 512), (310, 512, None), (700, 4096, 1024), (900, 4096, 1536), (60, 128, None)],
)
def test_memory_that_would_have_done(used: int, asked: int, enough: int | None) -> None:
    found = enough_memory(summary(0, used * MIB), Asked(1, asked * MIB, 0))
    assert found == (None if enough is None else enough * MIB)
