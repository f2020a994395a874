"""What the usage route gives."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.services.usage import GpuReason, Measured, Report

_EXAMPLE: dict[str, Any] = {
    "attempt": 1,
    "replica": 0,
    "state": "live",
    "is_exact": True,
    "asked": {"cpu": 4.0, "memory_bytes": 1 << 30, "gpus": 0},
    "summary": {
        "seconds": 4.0,
        "cpu_seconds": 1.6,
        "cpu_mean": 0.4,
        "cpu_max": 0.98,
        "cpu_percent": 10.0,
        "memory_mean": 300_000_000,
        "memory_max": 325_058_560,
        "memory_percent": 30.2,
        "disk_read": 0,
        "disk_written": 1_048_576,
        "folder_bytes": 2_097_152,
        "gpu": None,
    },
    "gpu_reason": "no_meter",
    "gpu_text": "No GPU meter on this machine: it has no nvidia-smi.",
    "at_ms": [1795325002000, 1795325004000],
    "span_ms": [2000, 2000],
    "series": {
        "cpu": {"mean": [0.2, 0.6], "min": [0.1, 0.5], "max": [0.3, 0.98]},
        "memory": {"mean": [290e6, 310e6], "min": [280e6, 300e6], "max": [300e6, 325058560]},
        "disk_read": {"mean": [0, 0]},
        "disk_written": {"mean": [0, 524288]},
        "folder": {"last": [None, 2097152]},
        "gpu_busy": None,
        "gpu_memory": None,
    },
}


class AskedRead(BaseModel):
    """What each replica asked for: cores, bytes, GPUs."""

    cpu: float
    memory_bytes: int
    gpus: int


class GpuRead(BaseModel):
    """`count` GPUs were used at once at most; `busy_percent` is their mean load, `memory_bytes` the most of the
    run's processes; null what the GPU does not tell, as under MIG."""

    count: int
    busy_percent: float | None
    memory_bytes: int | None


class UsageSummary(BaseModel):
    """Over all of the attempt: cores, bytes, and percent of what was asked for (memory: of its peak)."""

    seconds: float
    cpu_seconds: float
    cpu_mean: float
    cpu_max: float
    cpu_percent: float
    memory_mean: int
    memory_max: int
    memory_percent: float
    disk_read: int
    disk_written: int
    folder_bytes: int | None
    gpu: GpuRead | None


class Reduced(BaseModel):
    """One place for each bucket."""

    mean: list[float]
    min: list[float] | None = None
    max: list[float] | None = None


class Level(BaseModel):
    """The last value of each bucket; null before it was known."""

    last: list[float | None]


class UsageSeries(BaseModel):
    """CPU in cores, memory and folder in bytes, disk in bytes a second, GPU load in percent."""

    cpu: Reduced
    memory: Reduced
    disk_read: Reduced
    disk_written: Reduced
    folder: Level
    gpu_busy: Level | None
    gpu_memory: Level | None


class UsageRead(BaseModel):
    """What one replica of an attempt used. A bucket ends at `at_ms` and is `span_ms` long; where `is_exact`, each
    is as it is kept. `summary` is null before anything was measured, `gpu` with its reason where GPUs were not."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    attempt: int
    replica: int
    state: Measured
    is_exact: bool
    asked: AskedRead
    summary: UsageSummary | None
    gpu_reason: GpuReason | Literal[None]
    gpu_text: str | None
    at_ms: list[int]
    span_ms: list[int]
    series: UsageSeries


def read(report: Report, gpu_text: str | None) -> dict[str, Any]:
    """The body of a report."""
    slices = report.slices
    has_gpu = any(one.gpus for one in slices)
    per_second = [1000 / one.span_ms for one in slices]
    return {
        "attempt": report.attempt,
        "replica": report.replica,
        "state": report.state,
        "is_exact": report.is_exact,
        "asked": {
            "cpu": report.asked.cpu_millis / 1000,
            "memory_bytes": report.asked.memory_bytes,
            "gpus": report.asked.gpus,
        },
        "summary": _summary(report),
        "gpu_reason": report.gpu_reason,
        "gpu_text": gpu_text,
        "at_ms": [one.end_ms for one in slices],
        "span_ms": [one.span_ms for one in slices],
        "series": {
            "cpu": {
                "mean": [round(one.cpu_us / one.span_ms / 1000, 3) for one in slices],
                "min": [one.cpu_low / 1000 for one in slices],
                "max": [one.cpu_high / 1000 for one in slices],
            },
            "memory": {
                "mean": [one.memory_mean for one in slices],
                "min": [one.memory_low for one in slices],
                "max": [one.memory_high for one in slices],
            },
            "disk_read": {"mean": [round(one.disk_read * by) for one, by in zip(slices, per_second, strict=True)]},
            "disk_written": {
                "mean": [round(one.disk_written * by) for one, by in zip(slices, per_second, strict=True)]
            },
            "folder": {"last": [one.folder for one in slices]},
            "gpu_busy": {"last": [_percent(one.gpu_busy) for one in slices]} if has_gpu else None,
            "gpu_memory": {"last": [one.gpu_memory for one in slices]} if has_gpu else None,
        },
    }


def _summary(report: Report) -> dict[str, Any] | None:
    found = report.summary
    if found is None:
        return None
    gpu = None
    if found.gpus:
        gpu = {"count": found.gpus, "busy_percent": _percent(found.gpu_busy), "memory_bytes": found.gpu_memory}
    return {
        "seconds": found.seconds,
        "cpu_seconds": found.cpu_seconds,
        "cpu_mean": found.cpu_mean / 1000,
        "cpu_max": found.cpu_high / 1000,
        "cpu_percent": found.cpu_part / 10,
        "memory_mean": found.memory_mean,
        "memory_max": found.memory_high,
        "memory_percent": found.memory_part / 10,
        "disk_read": found.disk_read,
        "disk_written": found.disk_written,
        "folder_bytes": found.folder,
        "gpu": gpu,
    }


def _percent(part: int | None) -> float | None:
    return None if part is None else part / 10
