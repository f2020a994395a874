"""`berth run outputs` and `berth run download`: the files that a run left."""

import argparse

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.cli.text import plain
from berth.quantities import show_size

_FIELDS = ("path", "bytes", "sha256", "attempt", "created_at", "removed_at")


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, or @last")


def _outputs(shell: Shell) -> int:
    run_id = shell.run_id(shell.options.run)
    files = shell.client.items(shell.client.path("runs", run_id, "outputs"))
    columns = [
        Column("PATH", lambda file: file.get("path"), is_flexible=True),
        Column("SIZE", lambda file: show_size(file.get("bytes") or 0), lambda file: file.get("bytes"), is_number=True),
        Column("ATTEMPT", lambda file: file.get("attempt"), is_number=True),
        Column("SHA256", lambda file: str(file.get("sha256"))[:12], lambda file: file.get("sha256")),
        Column("REMOVED", lambda file: str(file.get("removed_at") or "")[:10], lambda file: file.get("removed_at")),
    ]
    shell.out.table(files, columns, f"{run_id} left no outputs; a job writes them to $BERTH_OUTPUT", key="path")
    return Exit.OK


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", help="one file, or those below a folder; all without it")
    parser.add_argument("-o", "--output", metavar="DIR", default=".", help="where to write them (here)")


def _download(shell: Shell) -> int:
    options = shell.options
    run_id = shell.run_id(options.run)
    written = shell.client.runs.download(run_id, options.path, to=options.output)
    for path in written:
        shell.out.line(plain(str(path)))
    return Exit.OK


OUTPUTS = Command("run outputs", _outputs, "list the files that it left", "berth run outputs @last", _id, _FIELDS)
DOWNLOAD = Command(
    "run download",
    _download,
    "fetch the files that it left",
    "berth run download @last model.joblib -o results",
    _download_arguments,
    description="Fetches outputs, checks each against its digest, and prints the paths written.",
)
COMMANDS = (OUTPUTS, DOWNLOAD)
