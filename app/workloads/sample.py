"""The sample: a run for a first look at Berth, which needs no code, no package and no data of anybody's.

Twenty seconds of real training in plain Python, with a log, progress, two curves and a file at the end.
"""

from collections.abc import Mapping
from typing import Any

from app.workloads.kinds.job import JobSpec

NAME = "sample"
SECONDS = 20

# Runs with whatever Python comes first, so nothing newer than 3.9 stands here.
PROGRAM = """\
import json
import math
import random
import time

import berth

print("200 points on two half moons, a network with 8 hidden units, 40 epochs", flush=True)
run = berth.run()  # finds the run that this is
rate = float(run.parameters.get("lr", 0.4))
random.seed(1)

points = []
for number in range(200):
    angle, upper = math.pi * random.random(), number % 2
    x, y = (math.cos(angle), math.sin(angle)) if upper else (1 - math.cos(angle), 0.4 - math.sin(angle))
    points.append((x + random.gauss(0, 0.12), y + random.gauss(0, 0.12), upper))

hidden = [[random.gauss(0, 1.2) for _ in range(3)] for _ in range(8)]
out = [random.gauss(0, 0.6) for _ in range(9)]
for epoch in range(1, 41):
    begun, loss, right = time.monotonic(), 0.0, 0
    random.shuffle(points)
    for x, y, label in points:
        inner = [math.tanh(a * x + b * y + c) for a, b, c in hidden]
        likely = 1 / (1 + math.exp(-sum(w * h for w, h in zip(out, inner)) - out[8]))
        loss -= math.log(max(likely if label else 1 - likely, 1e-9))
        right += (likely > 0.5) == bool(label)
        error = rate * 0.1 * (label - likely)
        for unit, h in enumerate(inner):
            back = error * out[unit] * (1 - h * h)
            out[unit] += error * h
            for place, value in enumerate((x, y, 1)):
                hidden[unit][place] += back * value
        out[8] += error
    run.log({"loss": loss / len(points), "accuracy": right / len(points)}, step=epoch)
    run.progress(epoch, 40)
    print(f"epoch {epoch:2}  loss {loss / len(points):.4f}  accuracy {right / len(points):.3f}", flush=True)
    time.sleep(max(0, 0.5 - (time.monotonic() - begun)))  # slow enough to be watched

(run.output / "model.json").write_text(json.dumps({"hidden": hidden, "out": out}, indent=2))
print("done: the weights are in model.json, under Outputs")
"""
SCRIPT = f"# A small neural network in plain Python: two half moons\npython -u - <<'END'\n{PROGRAM}END\n"


def make_sample() -> JobSpec:
    """The spec of the sample. It fits into any machine that Berth starts on."""
    return JobSpec(
        name=NAME,
        script=SCRIPT,
        cpu="500m",
        memory="256Mi",
        parameters={"lr": 0.4},
        tags=["sample"],
        timeout="5m",
    )


def is_sample(spec: Mapping[str, Any]) -> bool:
    """Whether a stored spec is the sample's: by what it does, not by how it is called."""
    return spec.get("script") == SCRIPT
