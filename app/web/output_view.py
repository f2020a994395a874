"""A run's outputs as pages show them: a folder's entries, and a preview of one file. Pure; bytes are arguments.

Nothing here is markup of the file's own: texts are escaped by the template, and of everything that a browser
could run only the source is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from app.domain import previews
from app.domain.previews import Image, NotThat, Table, Tensor
from app.domain.retention import Rules
from app.errors import N_
from app.i18n import translate_plural
from app.repositories.outputs import FolderFacts, FolderRow, OutputRow
from app.services import outputs
from app.web import formats
from app.web.run_phases import View
from app.web.run_view import Item


@dataclass(frozen=True)
class Entry:
    """A row of a folder. `note` says that and why it is gone."""

    name: str
    url: str
    is_folder: bool
    size: str
    sha256: str = ""
    download: str = ""
    note: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Part:
    """A step of the way to the folder."""

    text: str
    url: str


@dataclass
class Preview:
    """What of a file is shown: one of the kinds, `cut` where it is less than the whole, `why` where it is not
    what its name says.
    """

    kind: str
    lines: Sequence[str] = ()
    table: Table | None = None
    image: Image | None = None
    image_url: str = ""
    tensors: Sequence[tuple[Tensor, str, str]] = ()
    metadata: Sequence[tuple[str, str]] = ()
    rows: Sequence[tuple[str, str, str]] = ()
    cut: str = ""
    why: str = ""
    title: str = ""


@dataclass
class OutputsPage:
    """A folder, or a file with its preview."""

    run_url: str
    url: str
    title: str
    parts: list[Part] = field(default_factory=list)
    summary: str = ""
    entries: list[Entry] = field(default_factory=list)
    more_url: str = ""
    tar_url: str = ""
    zip_url: str = ""
    empty_note: str = ""
    due_note: str = ""
    is_file: bool = False
    facts: list[Item] = field(default_factory=list)
    download: str = ""
    removed_note: str = ""
    preview: Preview | None = None


def page_url(run_url: str, path: str = "") -> str:
    """The page of a folder or file of the run at `run_url`."""
    return f"{run_url}/outputs/{quote(path)}" if path else f"{run_url}/outputs"


def file_url(run: str, path: str) -> str:
    """What downloads a file."""
    return f"/api/v1/runs/{run}/outputs/{quote(path)}"


def bundle_url(run: str, folder: str, end: str) -> str:
    """What downloads a folder as one archive."""
    query = f"?{urlencode({'path': folder})}" if folder else ""
    return f"/api/v1/runs/{run}/outputs.{end}{query}"


def build_parts(view: View, run_url: str, path: str) -> list[Part]:
    """The way from the top to `path`."""
    made = [Part(view.say("Outputs"), page_url(run_url))]
    steps = path.split("/") if path else []
    return made + [Part(step, page_url(run_url, "/".join(steps[: at + 1]))) for at, step in enumerate(steps)]


def build_entries(view: View, run: str, run_url: str, rows: Sequence[FolderRow | OutputRow]) -> list[Entry]:
    """The rows of a folder."""
    return [_entry(view, run, run_url, row) for row in rows]


def _entry(view: View, run: str, run_url: str, row: FolderRow | OutputRow) -> Entry:
    url = page_url(run_url, row.path)
    if isinstance(row, FolderRow):
        note = view.say("removed: {number}", number=row.removed) if row.removed else ""
        files = view.say("files: {number}", number=formats.grouped(row.files))
        return Entry(row.name, url, True, formats.size(row.bytes), note=note, modified=files)
    note = view.say("removed") if row.removed_at is not None else ""
    download = "" if note else file_url(run, row.path)
    modified = formats.moment(row.created_at, view.now, view.zone)
    return Entry(row.name, url, False, formats.size(row.bytes), row.sha256, download, note, modified)


def why_none(*, is_over: bool, is_local: bool) -> str:
    """What is said, in English, in place of a run's outputs where there are none."""
    if is_over:
        return N_("It left no files in $BERTH_OUTPUT.")
    if is_local:
        return N_("What the program writes to $BERTH_OUTPUT appears here when its attempt ends.")
    return N_("What the program writes to $BERTH_OUTPUT appears here within half a minute.")


def summary(view: View, facts: FolderFacts, *, is_live: bool) -> str:
    """How much is below a folder; while the run lives also how old that is."""
    files = view.say("files: {number}", number=formats.grouped(facts.files))
    told = f"{files} · {formats.size(facts.bytes)}"
    gone = facts.files - facts.kept
    removed = view.say("removed: {number}", number=formats.grouped(gone))
    if is_live and facts.stored_at is not None:
        age = formats.span((view.now - facts.stored_at).total_seconds(), view.language)
        stored = view.say("last stored {age} ago", age=age)
        told = f"{told} · {stored}"
    return f"{told} · {removed}" if gone else told


def file_facts(view: View, row: OutputRow) -> list[Item]:
    """What is known of a file without its bytes."""
    return [
        Item(view.say("Size"), exact_size(row.bytes)),
        Item("SHA-256", row.sha256, is_code=True, wraps=True),
        Item(view.say("Attempt"), str(row.attempt)),
        Item(view.say("Stored"), formats.full(row.created_at, view.zone), wraps=True),
    ]


def exact_size(number: int) -> str:
    """The size for people, and to the byte."""
    return formats.size(number) if number < 1000 else f"{formats.size(number)} ({formats.grouped(number)} B)"


def removed_note(view: View, row: OutputRow) -> str:
    """That a file is gone, since when and by which rules; "" for one that is there."""
    if row.removed_at is None:
        return ""
    return view.say(
        "Removed on {date} by the rule: {rule}.",
        date=formats.minute(row.removed_at, view.zone),
        rule=outputs.rule_text(Rules.of(row.removed_by or {})).said_in(view.language),
    )


def build_preview(view: View, row: OutputRow, head: bytes, header: bytes | None, image_url: str) -> Preview:
    """The preview of a file from its first bytes. `header` is that of a safetensors file, where it was read."""
    is_whole = len(head) >= row.bytes
    why = ""
    if not row.bytes:
        return Preview("empty", title=view.say("The file is empty"))
    try:
        special = _special(view, row, head, header, image_url, is_whole)
        if special is not None:
            return special
    except NotThat as problem:
        why = view.say(
            "It is not shown as what it is named for: {why}.", why=view.say(problem.message, **problem.slots)
        )
    if previews.is_text(head):
        cut = "" if is_whole else view.say("The first {size} of {all}", size=_size(head), all=formats.size(row.bytes))
        return Preview("text", lines=previews.text_lines(head), cut=cut, why=why, title=view.say("Text"))
    shown = head[: previews.HEX_BYTES]
    cut = "" if len(shown) == row.bytes else view.say("The first {number} bytes", number=len(shown))
    return Preview("hex", rows=previews.hex_lines(shown), cut=cut, why=why, title=view.say("Bytes"))


def _size(head: bytes) -> str:
    return formats.size(len(head))


def _special(
    view: View, row: OutputRow, head: bytes, header: bytes | None, image_url: str, is_whole: bool
) -> Preview | None:
    """A picture, tensors, a table or JSON; None for anything else. Raises NotThat."""
    name = row.name.lower()
    if previews.image_type(head) is not None:
        image = previews.read_image(head, row.bytes)
        title = f"{image.media_type.removeprefix('image/').upper()} · {image.width} × {image.height}"
        return Preview("image", image=image, image_url=image_url, title=title)
    if name.endswith(".safetensors"):
        length = previews.tensor_header_size(head, row.bytes)
        tensors, metadata = previews.read_tensors(header or b"", row.bytes - 8 - length)
        shown = [(one, " × ".join(map(str, one.shape)) or "–", formats.size(one.size)) for one in tensors]
        title = translate_plural(
            view.language, "{count} tensor", "{count} tensors", len(tensors), count=formats.grouped(len(tensors))
        )
        left = len(shown) - previews.TENSORS
        cut = view.say("The first {number}", number=previews.TENSORS) if left > 0 else ""
        facts = list(metadata.items())[:50]
        return Preview("tensors", tensors=shown[: previews.TENSORS], metadata=facts, cut=cut, title=title)
    if not previews.is_text(head):
        return None
    kind = previews.table_kind(name)
    if kind is not None:
        table = previews.read_table(kind, head, is_whole)
        cut = view.say("The first {number} rows", number=len(table.rows)) if table.is_cut else ""
        return Preview("table", table=table, cut=cut, title=view.say("Table"))
    if is_whole and name.endswith(".json"):
        lines = previews.pretty_json(head)
        if lines is None:
            raise NotThat(N_("it is no JSON"))
        return Preview("text", lines=lines, title="JSON")
    return None
