"""What is said of a file that the project's rules removed."""

import datetime

from app.domain.retention import Rules
from app.errors import N_, AppError
from app.repositories.outputs import OutputRow


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


def rule_text(rules: Rules) -> str:
    """The rules in one line: "keep 30 days, keep the last 5 runs, keep tagged best, prod"."""
    parts = []
    if rules.keep_days is not None:
        parts.append(f"keep {rules.keep_days} days")
    if rules.keep_last is not None:
        parts.append(f"keep the last {rules.keep_last} runs")
    if rules.keep_tags:
        parts.append(f"keep tagged {', '.join(rules.keep_tags)}")
    return ", ".join(parts) or "none"
