"""Outputs for pages: files of every kind that is previewed, hostile ones among them, and an announcement."""

import csv
import datetime
import hashlib
import io
import json
import struct
import uuid
import zlib
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.models import Output, RetentionPlan, RetentionPlanRun, RetentionRules
from app.stores import objects

# Each would say so in `document.title` and in a request, if anything ran it.
ATTACK = "document.title='owned';fetch('/owned')"
HTML = f'<!doctype html><script>{ATTACK}</script><img src=x onerror="{ATTACK}"><body onload="{ATTACK}">'
SVG = f"<svg xmlns='http://www.w3.org/2000/svg' onload=\"{ATTACK}\"><script>{ATTACK}</script></svg>"
HOSTILE = ("hostile/page.html", "hostile/drawing.svg", "hostile/cells.csv", "hostile/named.png", "hostile/notes.md")


def png(width: int, height: int) -> bytes:
    """A picture with a gradient."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(width) for value in (60 + x * 120 // width, 80 + y * 120 // height, 200))
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def safetensors() -> bytes:
    """Three tensors of a small model."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", "<b>step</b>": "1200"}}
    at = 0
    for name, shape in (("embed.weight", [512, 64]), ("head.weight", [10, 64]), ("head.bias", [10])):
        size = 4
        for one in shape:
            size *= one
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    told = json.dumps(header).encode()
    return struct.pack("<Q", len(told)) + told + bytes(at)


def table() -> bytes:
    """More rows than are shown."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(["epoch", "loss", "accuracy", "note"])
    for number in range(400):
        writer.writerow(
            [number, round(2 / (number + 1), 4), round(1 - 1 / (number + 2), 4), "" if number % 50 else "saved"]
        )
    return made.getvalue().encode()


FILES = {
    "model.safetensors": safetensors(),
    "metrics.csv": table(),
    "config.json": json.dumps({"lr": 0.1, "layers": [64, 64], "name": "<script>alert(1)</script>"}).encode(),
    "train.log": b"epoch 1 loss 2.0\r\n\ttab\nepoch 2 loss 1.0\n" + "训练完成 \u202egnp.exe\n".encode(),
    "weights.bin": bytes(range(256)) * 40,
    "empty": b"",
    "plots/curve.png": png(480, 270),
    "plots/deep/er/confusion.png": png(64, 64),
    "samples.jsonl": b"".join(json.dumps({"id": n, "text": f"line {n} <b>"}).encode() + b"\n" for n in range(5)),
    "lying.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
    HOSTILE[0]: HTML.encode(),
    HOSTILE[1]: SVG.encode(),
    HOSTILE[2]: f'name,value\n"<script>{ATTACK}</script>","=HYPERLINK(""javascript:{ATTACK}"")"\n'.encode(),
    HOSTILE[3]: HTML.encode(),
    HOSTILE[4]: f"[x](javascript:{ATTACK}) <div hx-get='/owned' hx-trigger='load'></div>\n".encode(),
    **{f"checkpoints/step-{n:05d}.bin": b"\0" * 1000 for n in range(0, 120)},
}


def add_outputs(session: Session, project_id: uuid.UUID, run_id: uuid.UUID) -> None:
    """The files, one of them removed by the rules, and an announcement for the others."""
    now = datetime.datetime.now(datetime.UTC)
    rules = {"keep_days": 30, "keep_last": 20, "keep_tags": ["best"], "keep_experiments": ["digits"]}
    for path, data in FILES.items():
        key = objects.output_key(project_id, run_id, 1, path)
        objects.of(project_id).put(key, data)
        digest = hashlib.sha256(data).hexdigest()
        row = {"path": path, "attempt": 1, "bytes": len(data), "sha256": digest, "object_key": key}
        session.execute(insert(Output).values(run_id=run_id, **row))
    gone = {"removed_at": now - datetime.timedelta(days=2), "removed_by": rules, "freed_at": now}
    session.execute(
        insert(Output).values(
            run_id=run_id, path="old.ckpt", attempt=1, bytes=7 << 20, sha256="a" * 64, object_key="gone", **gone
        )
    )
    session.execute(insert(RetentionRules).values(project_id=project_id, **rules))
    session.flush()
    for state, runs, size in (("done", 12, 5 << 30), ("announced", 1, sum(map(len, FILES.values())))):
        plan = RetentionPlan(
            project_id=project_id,
            rules=rules,
            state=state,
            runs=runs,
            files=len(FILES),
            bytes=size,
            freed_runs=runs if state == "done" else 0,
            freed_files=len(FILES) if state == "done" else 0,
            freed_bytes=size if state == "done" else 0,
            announced_at=now,
            due_at=now + datetime.timedelta(days=1),
        )
        session.add(plan)
        session.flush()
    session.add(RetentionPlanRun(plan_id=plan.id, run_id=run_id, files=len(FILES), bytes=size))
