"""The `berth` command. Each part is imported only by the commands that need it.

Arguments are read by argparse, not typer: typer 0.29 takes 140 ms of CPU to import and, since it converts
values with pydantic, another 350 ms for the first command; a whole command may take 200.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code (see berth/cli/exits.py)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["version"]):
        from berth import __version__

        print(f"berth {__version__}")
        return 0
    from berth.cli.app import run

    return run(arguments)
