"""What every command that talks to a server needs: a client, the project, and ids written short."""

import os
from argparse import Namespace
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from berth import config
from berth.cli.output import Output
from berth.cli.text import plain
from berth.errors import BerthError, InvalidInput

if TYPE_CHECKING:
    from berth.client import Client

_ID_LENGTH = len("r-") + 10
_RECENT = 1000


def language() -> str:
    """What the server is asked to speak: BERTH_LANG, else LC_ALL, else English as the command line itself, so that
    a profile's language does not mix with it."""
    return config.language(os.environ.get("BERTH_LANG") or os.environ.get("LC_ALL"))


class Shell:
    """One call of the command line. `rest` is what follows "--", None where there is none."""

    def __init__(self, options: Namespace, rest: list[str] | None, out: Output) -> None:
        self.options = options
        self.rest = rest
        self.out = out

    @cached_property
    def client(self) -> "Client":
        from berth.client import Client

        return Client(
            getattr(self.options, "server", None),
            None,
            getattr(self.options, "project", None),
            context=getattr(self.options, "context", None),
            language=language(),
        )

    def run_id(self, text: str) -> str:
        """The id that `text` means: itself, the beginning of one in the project, or @last, one's latest run."""
        if text == "@last":
            for run in self.client.runs.list(q="owner:me", limit=1):
                return run.id
            raise BerthError(
                f"you have no runs in {self.client.project}",
                code="NOT_FOUND",
                status=404,
                hint="`berth run submit --help`",
            )
        if text.startswith("@") or not text:
            raise InvalidInput(f"{text!r} is no run", hint="Use an id, the beginning of one, or @last.")
        wanted = text if text.startswith("r-") else f"r-{text}"
        if len(wanted) >= _ID_LENGTH:
            return wanted
        found = [run for run in self.client.runs.list(limit=_RECENT) if run.id.startswith(wanted)]
        if len(found) > 1:
            listed = ", ".join(f"{run.id} ({run.name})" for run in found[:5])
            raise InvalidInput(f"{text} may be {listed}", code="AMBIGUOUS_ID", hint="Write more of the id.")
        if not found:
            raise BerthError(
                f"no run of {self.client.project} begins with {wanted}",
                code="NOT_FOUND",
                status=404,
                hint="`berth run ls` lists them; only the latest 1000 are looked through. -P names another project.",
            )
        return found[0].id

    def result(self, item: Mapping[str, Any], key: str, said: str) -> None:
        """One object that was read or made: JSON, or its name on stdout and what happened on stderr."""
        if self.out.is_json:
            self.out.object(item)
            return
        self.out.line(plain(str(item.get(key, ""))))
        if said and not self.out.is_quiet:
            self.out.say(said)

    def secret(self, token: Mapping[str, Any]) -> None:
        """A new token: itself on stdout, so that it can be piped on."""
        if self.out.is_json:
            self.out.object(token)
            return
        self.out.line(str(token.get("token", "")))
        if not self.out.is_quiet:
            self.out.say("Keep it now: it is not shown again.")

    def link(self, item: Mapping[str, Any], key: str, said: str) -> None:
        """A link that works once."""
        if self.out.is_json:
            self.out.object(item)
            return
        self.out.line(str(item.get(key, "")))
        if not self.out.is_quiet:
            self.out.say(said)
