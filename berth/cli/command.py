"""What a command is: a name, a function, and what its help says."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from berth.cli.shell import Shell


@dataclass(frozen=True)
class Command:
    """One command. `fields` are those of --json, stable; none means that it has no data to give.

    `is_remote` gives it --project, --server and --context; `takes_rest` lets it have what follows "--";
    `prepare` rewrites its words before they are parsed.
    """

    name: str
    run: "Callable[[Shell], int]"
    help: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
    fields: tuple[str, ...] = ()
    description: str = ""
    usage: str = ""
    is_remote: bool = True
    takes_rest: bool = False
    prepare: Callable[[list[str]], list[str]] | None = None
