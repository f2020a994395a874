"""Debug runs: a run's spec with a sleep in place of its program, and what opens a shell beside that sleep."""

from collections.abc import Mapping
from typing import Any

from app.domain.quantities import parse_duration
from app.errors import N_, BadValue
from app.workloads.pods import MAIN

USUAL_TTL = "1h"
MOST_TTL = "12h"
"""It holds what it asked for while nobody computes anything."""
_PREFIX, _LONGEST_NAME = "debug ", 200
# What would end or repeat it in its own way, or put it among the results that people compare.
_LEFT_OUT = ("command", "script", "timeout", "retry", "experiment", "tags")


def check_ttl(text: str) -> str:
    """A duration as it is, where a debug run may last so long. Raises BadValue."""
    seconds = parse_duration(text)
    if not 1 <= seconds <= parse_duration(MOST_TTL):
        raise BadValue(N_("must be from 1s to {most}"), MOST_TTL if seconds else "1s", most=MOST_TTL)
    return text


def debug_spec(spec: Mapping[str, Any], ttl: str) -> dict[str, Any]:
    """The spec of the debug run of a stored spec: it succeeds after `ttl`, and its end is its end."""
    kept = {name: value for name, value in spec.items() if name not in _LEFT_OUT}
    command = ["sleep", str(parse_duration(ttl))]
    return kept | {"name": f"{_PREFIX}{spec['name']}"[:_LONGEST_NAME].rstrip(), "command": command, "retry": {}}


def exec_command(namespace: str, pod: str) -> str:
    """What opens a shell in the program's container, for those whom the cluster lets."""
    return f"kubectl exec -it -n {namespace} {pod} -c {MAIN} -- sh"
