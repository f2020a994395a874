"""A run's plan as its page shows it: what was sent, what it became, what it ran in, and what differs from another.

Pure.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import N_
from app.i18n import translate_plural
from app.repositories.capsules import AttemptRow
from app.services.capsules import RunCapsule
from app.web import formats
from app.web.run_phases import View
from app.workloads import definitions, run_text

_SHOWN_LINES = 2000


@dataclass(frozen=True)
class Fact:
    """A line of details. `is_code` sets it in a fixed width."""

    label: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a diff: what became of it as a sign, as a class and as a word for those who see neither."""

    sign: str
    text: str
    kind: str = ""
    word: str = ""


@dataclass(frozen=True)
class Choice:
    """Another run to compare with: why it is offered, and the page that does."""

    label: str
    id: str
    url: str


@dataclass
class Ran:
    """What one attempt ran in."""

    title: str
    facts: list[Fact]
    packages: list[tuple[str, str]]
    packages_title: str = ""
    note: str = ""


@dataclass
class SpecPage:
    """What the page shows."""

    url: str
    run_url: str
    sent: str
    sent_note: str
    manifest: str
    canonical: str
    digest: str
    old_note: str
    facts: list[Fact]
    attempts: list[Ran]
    attempts_note: str
    may_write: bool
    choices: list[Choice] = field(default_factory=list)
    asked: str = ""
    problem: str = ""
    other: str = ""
    other_name: str = ""
    words: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    is_cut: bool = False


def build(view: View, found: RunCapsule, sent: str | None, url: str, *, may_write: bool) -> SpecPage:
    """The page without a comparison. `sent` is the text that the run was submitted as, where it was."""
    ran = _all_ran(view, found.kept.attempts)
    note = N_("Its interpreter and packages are written down when it starts.")
    if found.kept.attempts:
        note = N_("What it ran in is not recorded: it is older than capsules, or has only just begun.")
    old = N_("This run is older than capsules: defaults that were not written in its spec are those of today.")
    return SpecPage(
        url=f"{url}/spec",
        run_url=url,
        sent=json.dumps(run_text.ordered(found.run.spec), indent=2, ensure_ascii=False)
        if sent is None
        else sent.rstrip("\n"),
        sent_note=view.say(N_("as JSON: no text of it was sent")) if sent is None else "",
        manifest=write(found.plan),
        canonical=found.manifest.manifest,
        digest=found.manifest.digest,
        old_note="" if found.is_recorded else view.say(old),
        facts=_facts(view, found),
        attempts=ran,
        attempts_note="" if ran else view.say(note),
        may_write=may_write,
    )


def write(document: Mapping[str, Any]) -> str:
    """As YAML; as JSON where YAML cannot hold it."""
    try:
        return definitions.write(document).rstrip("\n")
    except ValueError:
        return json.dumps(document, indent=2, ensure_ascii=False)


def add_comparison(view: View, page: SpecPage, other: RunCapsule, words: Sequence[str]) -> None:
    """What differs from `other` to the run of the page, in words and line by line."""
    page.other, page.other_name = other.run.public_id, other.run.name
    page.words = list(words)
    page.lines = diff(view, write(other.plan), page.manifest)
    page.is_cut = len(page.lines) > _SHOWN_LINES
    page.lines = page.lines[:_SHOWN_LINES]


def diff(view: View, before: str, after: str) -> list[Line]:
    """The lines of a unified diff, without its headings; none where both are the same."""
    kinds = {"+": ("add", view.say("added")), "-": ("del", view.say("removed")), "@": ("at", "")}
    unified = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")
    made = []
    for line in list(unified)[2:]:
        kind, word = kinds.get(line[0], ("", ""))
        made.append(Line("", line, kind) if kind == "at" else Line(line[0], line[1:], kind, word))
    return made


def _facts(view: View, found: RunCapsule) -> list[Fact]:
    source, plan, kept = found.run.source, found.plan, found.kept.snapshot
    made = []
    definition = plan.get("definition")
    if definition:
        named = view.say("{name}, version {number}", name=definition["name"], number=definition["version"])
        made.append(Fact(view.say("Definition"), named))
    digest = plan["spec"].get("snapshot")
    if digest:
        made.append(Fact(view.say("Snapshot"), digest, is_code=True))
        size = view.say("not kept any more")
        if kept is not None:
            slots = {"count": formats.grouped(kept.files), "size": formats.size(kept.bytes)}
            size = translate_plural(view.language, "{count} file, {size}", "{count} files, {size}", kept.files, **slots)
        made.append(Fact(view.say("Files"), size))
    if source.get("git_commit"):
        dirty = view.say(" (with uncommitted changes)") if source.get("git_dirty") else ""
        made.append(Fact(view.say("Git commit"), f"{source['git_commit']}{dirty}", is_code=True))
    if plan["spec"].get("image"):
        made.append(Fact(view.say("Image"), plan["spec"]["image"], is_code=True))
    secrets = [one["name"] for one in plan["spec"].get("secrets") or ()]
    if secrets:
        made.append(Fact(view.say("Secrets, by name"), ", ".join(secrets), is_code=True))
    return made


def _is_known(row: AttemptRow) -> bool:
    return row.document is not None or bool(row.platform) or row.image is not None


def _all_ran(view: View, rows: Sequence[AttemptRow]) -> list[Ran]:
    """The newest attempt first; an older one only where it ran in something else."""
    known = [row for row in reversed(rows) if _is_known(row)]
    told = [(row.digest, row.platform, row.image) for row in known]
    shown = [row for place, row in enumerate(known) if place == 0 or told[place] != told[place - 1]]
    return [_ran(view, row, len(shown)) for row in shown]


def _ran(view: View, row: AttemptRow, count: int) -> Ran:
    document, platform = row.document or {}, row.platform or {}
    packages = sorted((document.get("packages") or {}).items())
    told = [
        (N_("Image, by digest"), row.image, True),
        (N_("Interpreter"), document.get("interpreter"), True),
        (N_("Version"), document.get("version"), False),
        (N_("Berth"), platform.get("berth"), False),
        (N_("Operating system"), platform.get("os"), False),
        (N_("Machine"), platform.get("machine"), False),
    ]
    title = view.say("Attempt {number}", number=row.number) if count > 1 else view.say("What it ran in")
    return Ran(
        title,
        [Fact(view.say(label), value, is_code) for label, value, is_code in told if value],
        packages,
        view.say("Packages") if packages else "",
        document.get("note") or "",
    )
