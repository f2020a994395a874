"""The commands that are Berth's server: the only place where the client imports `app`, and only when called."""

from importlib import import_module
from typing import Any

from berth.errors import BerthError


def call_local(module: str, function: str, *arguments: Any, **options: Any) -> int:
    """The exit code of a function of the server's. Raises BerthError where the server is not installed."""
    try:
        found = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        raise BerthError(
            f"this needs Berth's server on this machine, and {error.name} is not installed",
            code="SERVER_NOT_INSTALLED",
            hint="pip install 'berth[server,embedded]'",
        ) from error
    return int(found(*arguments, **options) or 0)
