"""What the pages of job definitions show, made from the repositories' rows. Pure."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from app.errors import FieldError
from app.i18n import translate
from app.repositories.definitions import DefinitionRow, VersionRow
from app.web import formats, statuses
from app.web.definition_form import Field
from app.web.new_run_view import Card
from app.workloads import definition_diff


@dataclass(frozen=True)
class Moment:
    """A time: for machines, for people, and in full."""

    iso: str
    text: str
    full: str


@dataclass(frozen=True)
class ListRow:
    """A definition in the list."""

    name: str
    title: str
    url: str
    version: int
    status: Markup | None
    run_url: str
    run_at: Moment | None
    updated: Moment


@dataclass
class ListPage:
    """The list of a project's definitions."""

    url: str
    new_url: str
    rows: list[ListRow] = field(default_factory=list)
    is_archive: bool = False
    archive_url: str = ""
    more_url: str = ""
    may_write: bool = False
    is_empty: bool = False
    command_line: str = ""


@dataclass(frozen=True)
class SourceLine:
    """A line of YAML; `kind` is a class of the style sheet: "" or e for a mistake."""

    number: int
    text: str
    kind: str = ""


@dataclass(frozen=True)
class VersionLine:
    """A version in the table."""

    number: int
    by: str
    at: Moment
    url: str
    diff_url: str
    is_shown: bool


@dataclass(frozen=True)
class RunLine:
    """A run made of the definition."""

    name: str
    url: str
    status: Markup
    version: int
    by: str
    at: Moment


@dataclass(frozen=True)
class Problem:
    """A mistake in the YAML; `number` says to a form which one is to be mended."""

    number: int
    line: int | None
    pointer: str
    message: str
    fix: str
    source: str


@dataclass
class DefinitionPage:
    """One definition: its form, its runs, its versions, its YAML."""

    url: str
    name: str
    title: str
    description: str
    version: int
    newest: int
    is_archived: bool
    may_write: bool
    fields: list[Field] = field(default_factory=list)
    error_title: str = ""
    error_text: str = ""
    error_count: int = 0
    runs: list[RunLine] = field(default_factory=list)
    runs_url: str = ""
    versions: list[VersionLine] = field(default_factory=list)
    older_url: str = ""
    choices: list[int] = field(default_factory=list)
    lines: list[SourceLine] = field(default_factory=list)
    download_url: str = ""
    command: str = ""
    asks_for: str = ""
    is_tried: bool = False  # it was sent, so what is not filled in is a mistake
    updated: Moment | None = None
    updated_by: str = ""
    command_line: str = ""
    card: Card | None = None  # what a submit would lead to, for those who may


@dataclass
class EditPage:
    """The YAML in a field, and what is wrong with it. `name` is empty for a new definition."""

    url: str
    back_url: str
    name: str
    text: str
    based_on: int
    problems: list[Problem] = field(default_factory=list)
    problems_title: str = ""
    conflict: str = ""
    conflict_text: str = ""
    diff_url: str = ""
    about: str = ""
    check_url: str = ""  # where the text is checked while it is written


@dataclass(frozen=True)
class DiffLine:
    """A line of a unified diff; `kind` is a class: add, del, at or ""."""

    text: str
    kind: str


@dataclass
class DiffPage:
    """Two versions side by side."""

    url: str
    name: str
    first: int
    second: int
    choices: list[int]
    words: list[str]
    lines: list[DiffLine]


def moment(at: datetime.datetime, now: datetime.datetime, zone: datetime.tzinfo) -> Moment:
    """A time as tables show it."""
    return Moment(at.isoformat(), formats.moment(at, now, zone), formats.full(at, zone))


def url_of(project: str, name: str = "", part: str = "", **query: object) -> str:
    """An address below the project's definitions."""
    path = f"/projects/{quote(project)}/jobs" + (f"/{quote(name)}" if name else "") + (f"/{part}" if part else "")
    given = {key: str(value) for key, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def list_row(row: DefinitionRow, project: str, language: str, now: datetime.datetime, zone: datetime.tzinfo) -> ListRow:
    """A row of the list."""
    return ListRow(
        row.name,
        row.title,
        url_of(project, row.name),
        row.newest,
        statuses.chip(language, row.last_state) if row.last_state else None,
        f"/projects/{quote(project)}/runs/{row.last_run}" if row.last_run else "",
        moment(row.last_at, now, zone) if row.last_at else None,
        moment(row.updated_at, now, zone),
    )


def version_lines(
    rows: Sequence[VersionRow], project: str, name: str, shown: int, now: datetime.datetime, zone: datetime.tzinfo
) -> list[VersionLine]:
    """Rows of the table of versions, each with the way to what it changed."""
    return [
        VersionLine(
            row.number,
            row.created_by,
            moment(row.created_at, now, zone),
            url_of(project, name, version=row.number),
            url_of(project, name, "diff", **{"from": row.number - 1, "to": row.number}) if row.number > 1 else "",
            row.number == shown,
        )
        for row in rows
    ]


def source_lines(text: str, wrong: Sequence[int] = ()) -> list[SourceLine]:
    """The lines of a text with their numbers."""
    return [SourceLine(number, line, "e" if number in wrong else "") for number, line in _numbered(text)]


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.replace("\r\n", "\n").removesuffix("\n").split("\n"), 1))


def problems_of(errors: Sequence[FieldError], text: str, language: str) -> list[Problem]:
    """Mistakes in the order of their lines."""
    rows = dict(_numbered(text))
    made = []
    for number, error in enumerate(errors):
        said = translate(language, error.message, **error.slots)
        source = rows.get(error.line or 0, "").strip()[:200]
        made.append(Problem(number, error.line, error.pointer, said, error.fix or "", source))
    return sorted(made, key=lambda one: one.line or 0)


def diff_words(before: dict[str, Any], after: dict[str, Any], language: str) -> list[str]:
    """A sentence for each value that differs."""
    made = []
    for one in definition_diff.compare(before, after):
        what, slots = one.what
        sentence = translate(
            language,
            definition_diff.SENTENCES[one.kind],
            what=translate(language, what, **slots),
            before=definition_diff.shown(one.before),
            after=definition_diff.shown(one.after),
        )
        made.append(sentence[0].upper() + sentence[1:])
    return made


def diff_lines(unified: str) -> list[DiffLine]:
    """The lines of a unified diff, without its two headings."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    return [DiffLine(line, kinds.get(line[:1], "")) for line in unified.splitlines()[2:]]
