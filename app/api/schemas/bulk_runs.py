"""Changes of many runs, and of one run's labels, on the wire."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.base import Body
from app.domain.bulk import MOST_RUNS, MOST_TAGS, SKIPS, Change, Verb
from app.domain.filters import MAX_LENGTH
from app.errors import N_, BadValue
from app.i18n import translate
from app.services.bulk_runs import Outcome
from app.workloads.base import Experiment, Tag
from app.workloads.rules import Ruled, rule

Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]
RunName = Annotated[str, Field(max_length=100)]


class Selection(Body, Ruled):
    """Which runs: those with these ids, or those that a filter describes; exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "status:failed created:<1d", "dry_run": True}, {"ids": ["r-7f3k2m9qwa"]}]}
    )

    ids: Annotated[list[RunName] | None, Field(min_length=1, max_length=MOST_RUNS)] = None
    q: Annotated[str | None, Field(max_length=MAX_LENGTH, description="A filter, as in lists.")] = None
    dry_run: Annotated[bool, Field(description="Say what would happen, and change nothing.")] = False

    @rule("ids", "q")
    def _one_of_two(self) -> None:
        if (self.ids is None) == (self.q is None):
            raise BadValue(N_("give either ids or q"))


class TagSelection(Selection):
    """Which runs, and how their labels change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ids": ["r-7f3k2m9qwa"], "add": ["baseline"], "remove": ["draft"], "experiment": "digits"}]
        }
    )

    add: Tags = []
    remove: Tags = []
    experiment: Annotated[Experiment | Literal[""] | None, Field(description='"" takes it away.')] = None

    @rule("add", "remove", "experiment")
    def _some_change(self) -> None:
        if not self.add and not self.remove and self.experiment is None:
            raise BadValue(N_("give add, remove or experiment"))
        if set(self.add) & set(self.remove):
            raise BadValue(N_("the same tag is to be added and removed"))

    @property
    def change(self) -> Change:
        return Change(Verb.TAG, tuple(self.add), tuple(self.remove), self.experiment)


class LabelsUpdate(Body):
    """The labels of one run, in place of those it has. What is not given stays; null takes it out of its experiment."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tags": ["baseline", "amp"], "experiment": "digits"}]})

    tags: Tags = []
    experiment: Experiment | None = None


class ChangedRun(BaseModel):
    """What became, or would become, of one run. `code` says why it was left as it is."""

    id: str
    name: str
    changed: bool
    code: str | None
    text: str | None
    new_id: str | None


class BulkResult(BaseModel):
    """What was done, or with `dry_run` what would be."""

    dry_run: bool
    matched: int
    changed: int
    skipped: int
    items: list[ChangedRun]


def bulk_result(outcome: Outcome, language: str, *, dry_run: bool) -> dict[str, Any]:
    """An outcome as BulkResult has it."""
    items = [
        {
            "id": item.id,
            "name": item.name,
            "changed": item.skip is None,
            "code": item.skip,
            "text": translate(language, SKIPS[item.skip]) if item.skip else None,
            "new_id": item.new_id,
        }
        for item in outcome.items
    ]
    changed = outcome.changed
    return {
        "dry_run": dry_run,
        "matched": len(items),
        "changed": changed,
        "skipped": len(items) - changed,
        "items": items,
    }
