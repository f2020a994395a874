"""What a run used of processors, memory, disk and GPUs: slices of time, made fewer and summed up. Pure.

A slice is what was measured from `end_ms - span_ms` to `end_ms`. A replica's slices are kept in a few KiB: when they
become too many, neighbours are joined, the shortest first by age, so that every part of the run keeps its share.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MOST_SLICES = 900
LEAST_MS = 300  # a run that was measured for less is too short for means
_LARGEST = 2**53 - 1


class Slice(NamedTuple):
    """Times in milliseconds since 1970, processor time in microseconds and thousandths of a core, else bytes.

    None where it was not known. `gpus` counts those that the run's processes were on, `gpu_busy` is their mean
    load in thousandths.
    """

    end_ms: int
    span_ms: int
    cpu_us: int
    cpu_low: int
    cpu_high: int
    memory_mean: int
    memory_low: int
    memory_high: int
    disk_read: int
    disk_written: int
    folder: int | None
    gpus: int | None
    gpu_busy: int | None
    gpu_memory: int | None


_REQUIRED = 10  # how many of the fields are always there
_WIDTH = len(Slice._fields)


@dataclass(frozen=True)
class Lines:
    """What was read of a usage file: `gpu_meter` is None where its first line is not among what was read."""

    slices: list[Slice]
    gpu_meter: str | None


def parse(data: bytes) -> Lines:
    """Whole lines of usage.log. What is no such line is passed over: the run's own program may write there."""
    slices: list[Slice] = []
    meter: str | None = None
    for line in data.split(b"\n"):
        if line.startswith(b"{"):
            meter = _header(line) if meter is None else meter
            continue
        found = _slice(line)
        if found is not None:
            slices.append(found)
    return Lines(slices, meter)


def _header(line: bytes) -> str | None:
    try:
        head = json.loads(line)
    except ValueError:
        return None
    return "nvidia-smi" if head.get("gpu") == "nvidia-smi" else ""


def _slice(line: bytes) -> Slice | None:
    fields = line.split(b" ")
    if len(fields) != _WIDTH:
        return None
    values: list[int | None] = []
    for place, field in enumerate(fields):
        if field == b"-" and place >= _REQUIRED:
            values.append(None)
        elif field.isdigit() and len(field) <= 16:
            values.append(min(int(field), _LARGEST))
        else:
            return None
    return Slice(*values) if values[1] else None  # type: ignore[arg-type]


def pack(slices: Sequence[Slice]) -> bytes:
    """Compressed columns; the times as differences, which are nearly all alike."""
    columns = [list(column) for column in zip(*slices, strict=True)]
    if columns:
        ends = columns[0]
        columns[0] = [end - before for end, before in zip(ends, [0, *ends[:-1]], strict=True)]
    return zlib.compress(json.dumps(columns, separators=(",", ":")).encode())


def unpack(data: bytes) -> list[Slice]:
    """The slices of `pack`."""
    columns = json.loads(zlib.decompress(data))
    if not columns:
        return []
    end, ends = 0, []
    for step in columns[0]:
        end += step
        ends.append(end)
    return [Slice(*row) for row in zip(ends, *columns[1:], strict=True)]


def extend(slices: Sequence[Slice], new: Iterable[Slice], most: int = MOST_SLICES) -> list[Slice]:
    """The slices with later ones added, and made fewer where they are more than `most`. What is not later than the
    last is dropped: time does not run backwards."""
    made = list(slices)
    for one in new:
        if not made or one.end_ms > made[-1].end_ms:
            made.append(one)
    if len(made) <= most:
        return made
    width = 3 * (made[-1].end_ms - made[0].end_ms + made[0].span_ms) // most
    joined = [made[0]]
    for one in made[1:]:
        if joined[-1].span_ms + one.span_ms <= width:
            joined[-1] = join((joined[-1], one))
        else:
            joined.append(one)
    return joined


def join(parts: Sequence[Slice]) -> Slice:
    """One slice for several in a row: sums, means by time, extremes, and the last of what is a level."""
    span = sum(part.span_ms for part in parts)
    folders = [part.folder for part in parts if part.folder is not None]
    busy = [(part.gpu_busy, part.span_ms) for part in parts if part.gpu_busy is not None]
    return Slice(
        end_ms=parts[-1].end_ms,
        span_ms=span,
        cpu_us=sum(part.cpu_us for part in parts),
        cpu_low=min(part.cpu_low for part in parts),
        cpu_high=max(part.cpu_high for part in parts),
        memory_mean=sum(part.memory_mean * part.span_ms for part in parts) // span,
        memory_low=min(part.memory_low for part in parts),
        memory_high=max(part.memory_high for part in parts),
        disk_read=sum(part.disk_read for part in parts),
        disk_written=sum(part.disk_written for part in parts),
        folder=folders[-1] if folders else None,
        gpus=max((part.gpus for part in parts if part.gpus is not None), default=None),
        gpu_busy=sum(value * length for value, length in busy) // sum(length for _, length in busy) if busy else None,
        gpu_memory=max((part.gpu_memory for part in parts if part.gpu_memory is not None), default=None),
    )


def buckets(slices: Sequence[Slice], number: int) -> list[Slice]:
    """At most `number` slices of about equal length. A slice is never cut, so totals stay exact."""
    if len(slices) <= number:
        return list(slices)
    begin = slices[0].end_ms - slices[0].span_ms
    whole = max(1, slices[-1].end_ms - begin)
    parts: dict[int, list[Slice]] = {}
    for one in slices:
        middle = one.end_ms - one.span_ms // 2 - begin
        parts.setdefault(min(number - 1, max(0, middle) * number // whole), []).append(one)
    return [join(part) for part in parts.values()]


@dataclass(frozen=True)
class Asked:
    """What the run asked for: thousandths of a core, bytes, GPUs."""

    cpu_millis: int
    memory_bytes: int
    gpus: int


@dataclass(frozen=True)
class Summary:
    """A replica's use over all of its time. Cores are thousandths; parts of what was asked are thousandths too."""

    seconds: float
    cpu_seconds: float
    cpu_mean: int
    cpu_high: int
    cpu_part: int
    memory_mean: int
    memory_high: int
    memory_part: int
    disk_read: int
    disk_written: int
    folder: int | None
    gpus: int | None
    gpu_busy: int | None
    gpu_memory: int | None


def summarise(slices: Sequence[Slice], asked: Asked) -> Summary | None:
    """None before anything was measured."""
    if not slices:
        return None
    all_of_it = join(slices)
    cpu_mean = all_of_it.cpu_us // all_of_it.span_ms
    return Summary(
        seconds=all_of_it.span_ms / 1000,
        cpu_seconds=all_of_it.cpu_us / 1e6,
        cpu_mean=cpu_mean,
        cpu_high=max(cpu_mean, all_of_it.cpu_high),
        cpu_part=1000 * cpu_mean // max(1, asked.cpu_millis),
        memory_mean=all_of_it.memory_mean,
        memory_high=all_of_it.memory_high,
        memory_part=1000 * all_of_it.memory_high // max(1, asked.memory_bytes),
        disk_read=all_of_it.disk_read,
        disk_written=all_of_it.disk_written,
        folder=all_of_it.folder,
        gpus=all_of_it.gpus,
        gpu_busy=all_of_it.gpu_busy,
        gpu_memory=all_of_it.gpu_memory,
    )


_NEEDED_CPUS = (100, 250, 500)  # below one core; then halves up to four, then whole ones


def enough_cpu(summary: Summary, asked: Asked) -> int | None:
    """A request for processors (thousandths) that would have done, with a fifth to spare over the mean; None where
    what was asked is not at least twice that."""
    wanted = summary.cpu_mean * 12 // 10
    enough = next((step for step in _NEEDED_CPUS if wanted <= step), None)
    if enough is None:
        step = 500 if wanted <= 4000 else 1000
        enough = -(-wanted // step) * step
        enough = max(1000, enough)
    return enough if 2 * enough <= asked.cpu_millis else None


def enough_memory(summary: Summary, asked: Asked) -> int | None:
    """The same of memory: a power of two times 64 MiB or 1.5 times one, a quarter above the peak."""
    wanted, enough = summary.memory_high * 5 // 4, 64 << 20
    while enough < wanted:
        enough = enough * 3 // 2 if enough * 3 // 2 >= wanted else enough * 2
    return enough if 2 * enough <= asked.memory_bytes else None
