"""Reading runs side by side: which may be compared, and everything that a comparison shows of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.domain.access import Action, Actor
from app.domain.comparing import FEWEST, MOST, Line, Part, compare
from app.errors import N_, Invalid, NotFound
from app.i18n import translate
from app.repositories import metrics
from app.repositories.metrics import SeriesRow
from app.repositories.runs import RunRow, get_runs
from app.services.identity import require
from app.workloads.registry import KINDS


class CompareCount(Invalid):
    """Too few runs to compare, or more than fit side by side."""

    code = "COMPARE_COUNT"
    title = N_("Two to twenty runs can be compared")
    detail = N_("{given} different runs were named; a comparison takes {fewest} to {most}.")
    hint = N_("Tick the runs in the list and choose Compare, or name their ids joined by commas.")


class RunsNotFound(NotFound):
    """Some of several runs are not in the project; whether they are in another one is not told."""

    code = "RUNS_NOT_FOUND"
    title = N_("Some of these runs are not here")
    detail = N_("This project has no run {ids}.")
    hint = N_("Check the ids. Runs of different projects cannot be compared.")


@dataclass(frozen=True)
class Comparison:
    """Runs in the order asked for, what differs between them, and their metrics by run and name."""

    runs: list[RunRow]
    parts: list[Part]
    metrics: list[dict[str, SeriesRow]]

    @property
    def metric_names(self) -> list[str]:
        """Names that at least one run logged, in order."""
        return sorted({name for found in self.metrics for name in found})


def compare_runs(session: Session, actor: Actor, project_id: uuid.UUID, ids: Sequence[str]) -> Comparison:
    """The comparison of a project's runs. Raises CompareCount and RunsNotFound."""
    require(actor, Action.RUN_READ, project_id)
    wanted = list(dict.fromkeys(word.strip() for word in ids if word.strip()))
    if not FEWEST <= len(wanted) <= MOST:
        raise CompareCount(given=len(wanted), fewest=FEWEST, most=MOST)
    rows = get_runs(session, actor, project_id, wanted)
    missing = [key for key in wanted if key not in {row.public_id for row in rows}]
    if missing:
        raise RunsNotFound(ids=", ".join(key[:40] for key in missing))
    series = metrics.summaries(session, [row.id for row in rows])
    by_name = [{one.name: one for one in series.get(row.id, [])} for row in rows]
    return Comparison(rows, compare([(_complete(row), row.source) for row in rows]), by_name)


def summary(comparison: Comparison, language: str) -> str:
    """What differs, in words: the parts with the first values of each, and then what is the same in all."""
    comma, count = translate(language, N_(", ")), len(comparison.runs)
    different = [part for part in comparison.parts if part.different]
    same = [translate(language, WORDS[part.key]) for part in comparison.parts if not part.different]
    if not different:
        return translate(
            language,
            N_("These {count} runs have the same parameters, code, definition, environment and resources."),
            count=count,
        )
    what = "; ".join(f"{translate(language, WORDS[part.key])} ({_told(part, comma)})" for part in different)
    told = translate(language, N_("These {count} runs differ in {what}."), count=count, what=what)
    if same:
        gap = "" if language == "zh_CN" else " "
        told += gap + translate(language, N_("The same in all: {what}."), what=comma.join(same))
    return told


def _told(part: Part, comma: str) -> str:
    lines = part.different
    said = [f"{line.name} {_values(line)}" for line in lines[:_LINES_TOLD]]
    if len(lines) > _LINES_TOLD:
        said.append(f"+{len(lines) - _LINES_TOLD}")
    return comma.join(said)


def _values(line: Line) -> str:
    found = list(dict.fromkeys("–" if value is None else _short(value) for value in line.values))
    return " / ".join([*found[:_VALUES_TOLD], *(["…"] if len(found) > _VALUES_TOLD else [])])


def _short(value: str) -> str:
    """A commit or a digest is known by its beginning."""
    if len(value) >= _HASH and all(letter in "0123456789abcdef" for letter in value):
        return value[:8]
    line = " ".join(value.split())
    return line if len(line) <= _LONGEST_TOLD else f"{line[:_LONGEST_TOLD]}…"


WORDS = {
    "parameters": N_("parameters"),
    "code": N_("code"),
    "definition": N_("definition"),
    "environment": N_("environment"),
    "resources": N_("resources"),
}
_LINES_TOLD, _VALUES_TOLD, _LONGEST_TOLD, _HASH = 4, 4, 40, 40


def _complete(row: RunRow) -> dict[str, object]:
    """The spec with the defaults that are not stored, so that a default equals the same value written out."""
    kind = KINDS.get(row.kind)
    if kind is None:
        return dict(row.spec)
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.spec.model_fields.items()
        if not field.is_required()
    }
    known = {name: value for name, value in defaults.items() if value not in (None, [], {})}
    return known | row.spec
