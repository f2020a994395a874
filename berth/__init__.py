"""Berth's light client: `berth.Client`, `berth.AsyncClient`, `berth.run()` inside a job, and the command line.

Standard library only, so that it installs next to any training stack without a conflict. Nothing is
imported here until it is used: the command line starts in well under 200 ms because of it. Nothing of the
server (`app`) is imported either, except lazily by the commands that run one on this machine.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from berth.aio import AsyncClient as AsyncClient
    from berth.client import Client as Client
    from berth.errors import BerthError as BerthError
    from berth.errors import RunFailed as RunFailed
    from berth.errors import RunStopped as RunStopped
    from berth.errors import Unreachable as Unreachable
    from berth.errors import WaitTimeout as WaitTimeout
    from berth.tracking import run as run

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "berth.aio",
    "Client": "berth.client",
    "BerthError": "berth.errors",
    "RunFailed": "berth.errors",
    "RunStopped": "berth.errors",
    "Unreachable": "berth.errors",
    "WaitTimeout": "berth.errors",
    "run": "berth.tracking",
}
__all__ = [
    "AsyncClient",
    "BerthError",
    "Client",
    "RunFailed",
    "RunStopped",
    "Unreachable",
    "WaitTimeout",
    "__version__",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'berth' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
