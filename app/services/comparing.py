"""Reading runs side by side: which may be compared, and everything that a comparison shows of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from app.domain import capsule
from app.domain.access import Action, Actor
from app.domain.archives import ArchiveRefused
from app.domain.capsule import FileChange, file_changes
from app.domain.comparing import FEWEST, MOST, PACKAGE, Facts, Line, Part, compare
from app.domain.images import digest_of
from app.domain.reasons import REASONS, say_reason
from app.domain.states import RunState
from app.errors import N_, Invalid, NotFound
from app.i18n import translate
from app.repositories import capsules, metrics
from app.repositories.capsules import CapsuleRow
from app.repositories.metrics import SeriesRow
from app.repositories.runs import RunRow, get_runs
from app.services import snapshots
from app.services.capsules import complete_spec
from app.services.identity import require


class CompareCount(Invalid):
    """Too few runs to compare, or more than fit side by side."""

    code = "COMPARE_COUNT"
    title = N_("Two to twenty runs can be compared")
    detail = N_("Different runs named: {given}. A comparison takes {fewest} to {most}.")
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
    capsules: list[CapsuleRow]

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
    kept = capsules.get_capsules(session, [row.id for row in rows])
    found = [kept[row.id] for row in rows]
    parts = compare([_facts(row, one) for row, one in zip(rows, found, strict=True)])
    return Comparison(rows, parts, by_name, found)


def _facts(row: RunRow, kept: CapsuleRow) -> Facts:
    newest = kept.newest
    document = (newest.document if newest else None) or {}
    definition = f"{row.definition}@{row.definition_version}" if row.definition else None
    spec = capsule.spec_of(kept.manifest.manifest, {}) if kept.manifest else complete_spec(row)
    return Facts(
        {name: value for name, value in spec.items() if value not in (None, [], {})},
        row.source,
        definition,
        document.get("version") or None,
        document.get("packages") or None,
        (newest.platform if newest else None) or {},
        digest_of(newest.image if newest else None),
    )


def code_files(comparison: Comparison) -> list[FileChange] | None:
    """Which files of the code of two runs differ; None where that cannot be said. Reads the object store."""
    if len(comparison.runs) != FEWEST:
        return None
    listed = []
    for row, kept in zip(comparison.runs, comparison.capsules, strict=True):
        if kept.snapshot is None or kept.snapshot.bytes > snapshots.MOST_COMPARED_BYTES:
            return None
        listed.append((row.project_id, kept.snapshot.digest))
    if listed[0] == listed[1]:
        return None
    try:
        return file_changes(*(snapshots.list_files(*one) for one in listed))
    except (OSError, ArchiveRefused):
        return None  # the store has lost one of them, or does not answer: the rest is still worth being told


def differences(
    comparison: Comparison, language: str, files: Sequence[FileChange] | None = None
) -> list[tuple[str, str]]:
    """What differs between the first run and the second, part by part: its key, and a sentence."""
    comma, told = translate(language, N_(", ")), []
    colon = translate(language, N_("{part}: {what}"))
    for part in comparison.parts:
        lines = part.different
        packages = [line for line in lines if line.name.startswith(PACKAGE)]
        others = [line for line in lines if not line.name.startswith(PACKAGE)]
        title = translate(language, part.title)
        if others:
            told.append((part.key, colon.format(part=title, what=_changes(others, language, comma))))
        if part.key == "code" and files:
            told.append(("files", colon.format(part=translate(language, N_("Files")), what=_files(files, language))))
        if packages:
            what = _changes(packages, language, comma)
            told.append(("packages", colon.format(part=translate(language, N_("Packages")), what=what)))
    first, second = comparison.runs[0], comparison.runs[1]
    outcomes = [_outcome(row, language) for row in (first, second)]
    if outcomes[0] != outcomes[1]:
        what = " → ".join(outcomes)
        told.append(("outcome", colon.format(part=translate(language, N_("Outcome")), what=what)))
    return told


def _changes(lines: Sequence[Line], language: str, comma: str) -> str:
    said = []
    for line in lines[:_CHANGES_TOLD]:
        before, after = ("–" if value is None else _short(value) for value in (line.values[0], line.values[1]))
        said.append(f"{_named(line)}{before} → {after}")
    if len(lines) > _CHANGES_TOLD:
        said.append(translate(language, N_("{count} more"), count=len(lines) - _CHANGES_TOLD))
    return comma.join(said)


def _named(line: Line) -> str:
    """The name before a value; none where the part has said it."""
    return "" if line.name == "definition" else f"{line.name.removeprefix(PACKAGE)} "


def _files(files: Sequence[FileChange], language: str) -> str:
    comma, said = translate(language, N_(", ")), []
    for kind, words in _KINDS.items():
        names = [one.path for one in files if one.kind == kind]
        if names:
            shown = comma.join([*map(_short, names[:_FILES_TOLD]), *(["…"] if len(names) > _FILES_TOLD else [])])
            said.append(translate(language, words, count=len(names), names=shown))
    return comma.join(said)


def _outcome(row: RunRow, language: str) -> str:
    state = translate(language, STATE_WORDS[RunState(row.state)])
    if row.state != RunState.FAILED:
        return state
    code = row.reason_code or ""
    why = row.first_error or (say_reason(partial(translate, language), code, row.reason) if code in REASONS else "")
    return f"{state} ({_short(why)})" if why else state


_KINDS = {
    "changed": N_("{count} changed ({names})"),
    "added": N_("{count} new ({names})"),
    "removed": N_("{count} gone ({names})"),
}
STATE_WORDS = {
    RunState.QUEUED: N_("queued"),
    RunState.STARTING: N_("starting"),
    RunState.RUNNING: N_("running"),
    RunState.SUCCEEDED: N_("succeeded"),
    RunState.FAILED: N_("failed"),
    RunState.STOPPED: N_("stopped"),
}


def summary(comparison: Comparison, language: str) -> str:
    """What differs, in words: the parts with the first values of each, and then what is the same in all."""
    comma, count = translate(language, N_(", ")), len(comparison.runs)
    different = [part for part in comparison.parts if part.different]
    same = [translate(language, WORDS[part.key]) for part in comparison.parts if not part.different]
    if not different:
        return translate(
            language,
            N_("These {count} runs have the same parameters, code, settings, environment and resources."),
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
    said = [f"{_named(line)}{_values(line)}" for line in lines[:_LINES_TOLD]]
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
    "settings": N_("other settings"),
    "environment": N_("environment"),
    "resources": N_("resources"),
    "platform": N_("platform"),
}
_CHANGES_TOLD, _FILES_TOLD = 5, 6
_LINES_TOLD, _VALUES_TOLD, _LONGEST_TOLD, _HASH = 4, 4, 40, 40
