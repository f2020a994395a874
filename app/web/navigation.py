"""What the sidebar and the tabs of settings lead to: one table each, in the order in which it is shown."""

from dataclasses import dataclass

from app.errors import N_


@dataclass(frozen=True)
class Place:
    """`url` is a pattern with {project} where it is about one. A page is where its shell's `current` says."""

    key: str
    text: str
    icon: str
    url: str


PROJECT = (
    Place("runs", N_("Runs"), "run", "/projects/{project}/runs"),
    Place("notifications", N_("Notifications"), "info", "/projects/{project}/settings/notifications"),
)
HELP = (Place("problems", N_("Reasons and errors"), "book", "/problems"),)
