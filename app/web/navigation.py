"""What the sidebar leads to: a table for each of its parts, in the order in which it is shown."""

from dataclasses import dataclass

from app.errors import N_


@dataclass(frozen=True)
class Place:
    """`url` is a pattern with {project} where it is about one. A page is where its shell's `current` says."""

    key: str
    text: str
    icon: str
    url: str


PROJECT = (Place("runs", N_("Runs"), "run", "/projects/{project}/runs"),)
HELP = (Place("problems", N_("Reasons and errors"), "book", "/problems"),)
