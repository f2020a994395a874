"""Which columns the list of runs has besides the status and the name, and which of them are shown. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.errors import N_

# In the order of the table. Whether a run is seen well and by what name is never hidden.
COLUMNS: dict[str, str] = {
    "tags": N_("Tags"),
    "owner": N_("Owner"),
    "metric": N_("Metric"),
    "progress": N_("Progress"),
    "resources": N_("Asks for"),
    "waited": N_("Waited"),
    "ran": N_("Ran"),
    "created": N_("Created"),
}
_METRIC = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class Choice:
    """The columns that somebody wants to see. `metric` is what the column of that name shows; "" is what is pinned."""

    columns: tuple[str, ...] = tuple(COLUMNS)
    metric: str = ""

    def shown(self, pins: Iterable[str] = ()) -> "Choice":
        """What the table has: the first of `pins` stands in for a metric, and without any there is no such column."""
        metric = self.metric or next(iter(pins), "")
        if "metric" in self.columns and metric:
            return Choice(self.columns, metric)
        return Choice(tuple(key for key in self.columns if key != "metric"))


DEFAULT = Choice()


def read(names: Iterable[str], metric: str = "") -> Choice:
    """The choice made of `names`, in the table's order. Unknown names, and what is no metric's name, are left out."""
    wanted = set(names)
    metric = metric.strip()
    return Choice(tuple(key for key in COLUMNS if key in wanted), metric if _METRIC.fullmatch(metric) else "")
