"""The jobs that the experiments submit: each tells the oracle when it starts and ends, and otherwise waits."""

from pathlib import Path
from typing import Any


def make_job(
    oracle: Path,
    *,
    seconds: float = 0.3,
    code: int = 0,
    stubborn: bool = False,
    output: bool = False,
    gate: Path | None = None,
    retry: dict[str, int] | None = None,
) -> dict[str, Any]:
    """A spec. Everything is a line of shell, to cost next to nothing.

    `stubborn` jobs do not heed SIGTERM; with a `gate` (a FIFO) they wait until somebody opens it for writing.
    """
    lines = [
        "trap '' TERM" if stubborn else ":",
        "read -r nonce < /proc/sys/kernel/random/uuid",
        f'echo "start $BERTH_RUN_ID $BERTH_ATTEMPT $nonce" > {oracle}',
        'echo "attempt $BERTH_ATTEMPT"',
        'echo result > "$BERTH_OUTPUT/result"' if output else ":",
        f": < {gate}" if gate else f"sleep {seconds}",
        f'echo "end $BERTH_RUN_ID $BERTH_ATTEMPT $nonce" > {oracle}',
        f"exit {code}",
    ]
    return {
        "name": "chaos",
        "script": "\n".join(lines),
        "cpu": "1",
        "memory": "64Mi",
        "grace": "1s",
        "retry": {"lost": 2} if retry is None else retry,
    }
