"""What the seeded runs used: a live one that idles, one on two GPUs, one that nearly ran out, one too short."""

import math
import uuid
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.domain.usage import Slice, pack
from app.models import Usage

MIB = 1 << 20


def add_usage(session: Session, run_id: uuid.UUID, start: datetime, seconds: int, kind: str, attempt: int = 1) -> None:
    """The use of `seconds` from the start on; `kind` is idle, gpu, full or short."""
    begin = int(start.timestamp() * 1000)
    number = 1 if kind == "short" else min(400, seconds // 2)
    span = 40 if kind == "short" else 1000 * seconds // number
    session.execute(
        insert(Usage).values(
            run_id=run_id,
            attempt=attempt,
            replica=0,
            end_offset=1,
            slices=pack([_slice(begin, place, span, number, kind) for place in range(number)]),
            gpu_meter="nvidia-smi" if kind == "gpu" else "",
        )
    )


def _slice(begin: int, place: int, span: int, number: int, kind: str) -> Slice:
    wave = (1 + math.sin(place / 9)) / 2
    cores = {"idle": 180 + 300 * wave, "gpu": 1500 + 300 * wave, "full": 1900 + 90 * wave}.get(kind, 500)
    memory = {"idle": 280 + 80 * wave, "gpu": 1900 + 50 * wave, "full": 400 + 3600 * place / number}.get(kind, 20)
    return Slice(
        end_ms=begin + (place + 1) * span,
        span_ms=span,
        cpu_us=int(cores * span),
        cpu_low=int(cores * 0.8),
        cpu_high=int(cores * 1.1),
        memory_mean=int(memory * MIB),
        memory_low=int(memory * 0.98 * MIB),
        memory_high=int(memory * 1.02 * MIB),
        disk_read=int(span * 200 * (1 - wave)),
        disk_written=(24 * MIB if place % 40 == 39 else 4096),
        folder=None if place < 3 else (120 + place) * MIB,
        gpus=2 if kind == "gpu" else None,
        gpu_busy=int(700 + 290 * wave) if kind == "gpu" else None,
        gpu_memory=14_000 * MIB if kind == "gpu" else None,
    )
