"""A job: a program that starts, works and ends."""

from typing import Annotated, Literal

from pydantic import Field

from app.errors import N_, BadValue
from app.workloads.base import Script, Spec, Value
from app.workloads.rules import rule

name = "job"


class JobSpec(Spec):
    """A command with its arguments, or a script for the shell; exactly one of them."""

    kind: Literal["job"] = "job"
    command: Annotated[
        list[Value] | None,
        Field(min_length=1, max_length=1000, description="Program and arguments, not passed through a shell."),
    ] = None
    script: Annotated[
        Script | None,
        Field(description="Lines for /bin/sh, which stops at the first command that fails."),
    ] = None

    @rule("command", "script")
    def _one_program(self) -> None:
        if self.command is None and self.script is None:
            raise BadValue(N_("what is to run is missing: give it as command, or as script")).at("/command")
        if self.command is not None and self.script is not None:
            raise BadValue(N_("command and script exclude each other; keep one")).at("/script")

    @rule("command")
    def _names_a_program(self) -> None:
        if self.command is not None and not self.command[0].strip():
            raise BadValue(N_("the first part of command names the program")).at("/command")


spec = JobSpec


def command(job: JobSpec) -> list[str]:
    """The argument list; a script becomes one for the shell."""
    if job.command is not None:
        return job.command
    assert job.script is not None, "the spec has exactly one of the two"
    return ["/bin/sh", "-e", "-c", job.script]
