"""How a file that a run left is handed out, and what is said of one that is not there any more."""

import datetime
from typing import Any
from urllib.parse import quote

from app.domain.retention import Rules
from app.errors import N_, AppError, Unavailable
from app.i18n import Phrase
from app.repositories.outputs import OutputRow

# What a job wrote is never shown by a browser as a page of ours, whatever it says it is.
INERT = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}


class OutputLost(Unavailable):
    """The list has the file and the store does not give it."""

    code = "OUTPUT_LOST"
    title = N_("The file is not in the object store")
    detail = N_("It is recorded, but the object store has nothing under its key.")
    hint = N_("Try again; if it stays so, an administrator has to restore the object store.")


class OutputsLost(Unavailable):
    """Files of an archive that is asked for are in the list and not in the store."""

    code = "OUTPUTS_LOST"
    title = N_("Files are missing in the object store")
    detail = N_(
        "They are recorded, but the object store has nothing under their keys: {names}. Missing: {lost} of {all}."
    )
    hint = N_("Download the others one by one, or a folder without these; an administrator has to restore the rest.")


class OutputRemoved(AppError):
    """The file was there and the project's rules did not keep it."""

    status = 410
    code = "OUTPUT_REMOVED"
    title = N_("The file was removed by the project's rules")
    detail = N_("It was removed on {removed_on}: {rule}. Its size was {bytes} bytes, its SHA-256 {sha256}.")
    hint = N_("Run it again to have it again. Tags that the rules name keep outputs for good.")


def removed(row: OutputRow) -> OutputRemoved:
    """The error for a row that is marked as removed."""
    assert row.removed_at is not None
    day = row.removed_at.astimezone(datetime.UTC).date().isoformat()
    rule = rule_text(Rules.of(row.removed_by or {}))
    return OutputRemoved(removed_on=day, rule=rule, bytes=row.bytes, sha256=row.sha256)


def rule_text(rules: Rules) -> Phrase:
    """The rules in one line: "keep 30 days, keep the last 5 runs, keep what is tagged best, prod"."""
    parts: list[tuple[str, dict[str, Any]]] = []
    if rules.keep_days is not None:
        one_or_more = N_("keep one day") if rules.keep_days == 1 else N_("keep {number} days")
        parts.append((one_or_more, {"number": rules.keep_days}))
    if rules.keep_last is not None:
        one_or_more = N_("keep the last run") if rules.keep_last == 1 else N_("keep the last {number} runs")
        parts.append((one_or_more, {"number": rules.keep_last}))
    if rules.keep_tags:
        parts.append((N_("keep what is tagged {tags}"), {"tags": ", ".join(rules.keep_tags)}))
    if rules.keep_experiments:
        parts.append((N_("keep the experiments {names}"), {"names": ", ".join(rules.keep_experiments)}))
    return Phrase(*parts or [(N_("everything stays"), {})])


def disposition(path: str) -> str:
    """RFC 6266: a plain name for old readers, the real one beside it. Never with a folder or a control sign."""
    name = "".join(sign if sign.isprintable() and sign not in '\\"' else "_" for sign in path.rpartition("/")[2])
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
