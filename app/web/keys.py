"""The key map: one table that the page's script obeys and the `?` sheet shows."""

from dataclasses import dataclass

from app.errors import N_


@dataclass(frozen=True)
class Key:
    """`press` is one key or two in a row; `does` is the name of an action in a script of app/static."""

    press: str
    does: str
    text: str


EVERYWHERE = [
    Key("?", "sheet", N_("Show this sheet")),
    Key("Ctrl+k", "palette", N_("Go to anything by its name")),
    Key("/", "filter", N_("Filter or search")),
    Key("g h", "home", N_("Go to the home page")),
    Key("g r", "runs", N_("Go to the runs")),
    Key("g j", "jobs", N_("Go to the job definitions")),
    Key("g p", "projects", N_("Switch project")),
    Key("t", "theme", N_("Light or dark")),
]
LISTS = [
    Key("j", "next", N_("Next row")),
    Key("k", "previous", N_("Previous row")),
    Key("Enter", "open", N_("Open the row")),
]
PICKS = [
    Key("x", "pick", N_("Tick the row and go to the next")),
    Key("X", "pick-range", N_("Tick all rows from the last ticked one")),
    Key("a", "pick-page", N_("Tick all rows, or none")),
    Key("v", "compare", N_("Compare the ticked runs")),
    Key("s", "stop", N_("Stop the ticked runs, or the row's")),
]
RUNS = [
    Key("n", "new-run", N_("New run")),
    Key("c", "clone", N_("Copy the run and change it")),
    Key(".", "row-menu", N_("Menu of the row")),
]
NEW = [Key("n", "new-run", N_("New run"))]
FORM = [
    Key("Ctrl+Enter", "submit", N_("Submit the form")),
]
CHARTS = [
    Key("+", "smoother", N_("Smooth the charts more")),
    Key("-", "rougher", N_("Smooth the charts less")),
    Key("z", "range", N_("Show only a part of the charts")),
    Key("Z", "whole", N_("Show all of the charts again")),
]
RUN = [
    Key("o", "tab-overview", N_("Overview")),
    Key("l", "tab-logs", N_("Logs")),
    Key("m", "tab-metrics", N_("Metrics")),
    Key("y", "tab-system", N_("System")),
    Key("a", "tab-outputs", N_("Outputs")),
    Key("p", "tab-spec", N_("Spec")),
    Key("v", "tab-events", N_("Events")),
    Key("s", "stop", N_("Stop the run")),
    Key("r", "rerun", N_("Run it again")),
    Key("c", "clone", N_("Copy the run and change it")),
    Key("[", "run-before", N_("The run before it in the list")),
    Key("]", "run-after", N_("The run after it in the list")),
]
SPEC = [Key("d", "diff", N_("Compare with another run"))]
LOG = [
    Key("w", "wrap", N_("Wrap long lines")),
    Key("f", "full", N_("Log on the full screen")),
    Key("e", "error", N_("Next error")),
    Key("E", "error-back", N_("Previous error")),
    Key("n", "hit", N_("Next hit of the search")),
    Key("N", "hit-back", N_("Previous hit of the search")),
    Key("T", "times", N_("Times: of day, since the start, since the line before")),
    Key("G", "follow", N_("To the end, and follow")),
    Key("g g", "begin", N_("To the first line")),
]

# What a page's `keys` may name, and its heading on the sheet.
GROUPS: dict[str, tuple[str, list[Key]]] = {
    "everywhere": (N_("Everywhere"), EVERYWHERE),
    "lists": (N_("Lists"), LISTS),
    "picks": (N_("Several runs"), PICKS),
    "runs": (N_("Runs"), RUNS),
    "new": (N_("Runs"), NEW),
    "form": (N_("Form"), FORM),
    "run": (N_("Run"), RUN),
    "charts": (N_("Charts"), CHARTS),
    "spec": (N_("Spec"), SPEC),
    "log": (N_("Log"), LOG),
}
