"""What the page of a new run shows: the form and its YAML, what is wrong where, and what a submit would do. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.quantities import format_cpu, format_memory
from app.domain.quota import Resources
from app.errors import N_, AppError
from app.i18n import translate, translate_plural
from app.repositories.pools import Room
from app.services.plans import Plan
from app.web import reasons, spec_form
from app.web.spec_form import Shown
from app.workloads import definition_diff, remedies
from app.workloads.base import Spec
from app.workloads.run_text import Checked, Mistake

_MOST_DIFFERENCES = 8
_LONGEST_OTHER = 80


@dataclass(frozen=True)
class Problem:
    """One mistake. `field` is the id of the form's field, "" where only the YAML has it; `fix` what the button says."""

    number: int
    pointer: str
    line: int | None
    field: str
    message: str
    fix: str = ""

    @property
    def slot(self) -> str:
        """The id of what stands below the field: one for each single field, and one for a row."""
        return f"e-{self.field if self.field.startswith('f-') else self.field.rpartition('-')[0]}"


@dataclass(frozen=True)
class Bar:
    """One resource of the pool: thousandths of it that others hold, and that this run would."""

    label: str
    text: str
    held: int
    mine: int
    is_over: bool


@dataclass
class Card:
    """If it were submitted now."""

    kind: str = "info"
    sign: str = "info"
    title: str = ""
    text: str = ""
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True)
class PoolChoice:
    """A pool to choose, with what is free in it. `value` is "" for the one that need not be named."""

    name: str
    value: str
    free: str
    is_on: bool


@dataclass(frozen=True)
class Other:
    """What only the YAML has: its name with dots, its value in short, its line."""

    name: str
    text: str
    line: int | None


@dataclass(frozen=True)
class Mark:
    """A line of the YAML: "bad" for a mistake, "chg" for what differs from the run it was copied from."""

    number: int
    kind: str = ""


@dataclass
class NewRunPage:
    """The page, and each part of it that a check sends again. `was` is the YAML that the fields show."""

    url: str
    list_url: str
    text: str
    was: str
    once: str
    shown: Shown
    origin: str = ""
    origin_url: str = ""
    snapshot: str = ""
    commit: str = ""
    differs: list[str] = field(default_factory=list)
    differs_title: str = ""
    problems: list[Problem] = field(default_factory=list)
    problems_title: str = ""
    pools: list[PoolChoice] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    card: Card = field(default_factory=Card)
    focus: str = ""
    send_text: bool = False
    send_fields: bool = False
    is_forced: bool = False
    more_title: str = ""
    others: list[Other] = field(default_factory=list)

    def value(self, name: str) -> str:
        """What stands in a single field."""
        return self.shown.fields.get(name, "")

    def wrong(self, slot: str) -> list[Problem]:
        """What is said below a field or row."""
        return [one for one in self.problems if one.field and one.slot == slot]

    def is_wrong(self, name: str) -> bool:
        """Whether a field, by its id, holds a mistake."""
        return any(one.field == name for one in self.problems)

    def rows(self, key: str) -> list[tuple[int, tuple[str, ...]]]:
        """The rows of a part, and an empty one to write in."""
        width = 3 if key == "s" else 2
        filled = [(self.shown.number(key, index), row) for index, row in enumerate(self.shown.rows[key])]
        return [*filled, (max((number for number, _ in filled), default=-1) + 1, ("",) * width)]

    @property
    def shows_more(self) -> bool:
        """Whether environment and secrets are open: there are some, or something is wrong with them."""
        return any(self.shown.rows[key] for key in "es") or any(one.field[:2] in ("e-", "s-") for one in self.problems)

    @property
    def mark_list(self) -> str:
        """The lines that are marked, for the page's script: "3:bad 5:chg"."""
        return " ".join(f"{one.number}:{one.kind}" for one in self.marks if one.kind)


def problems_of(language: str, mistakes: Sequence[Mistake], typed: Shown) -> list[Problem]:
    """Mistakes as they are shown, each with the field that it stands at."""
    made = []
    for number, mistake in enumerate(mistakes):
        error = mistake.error
        said = translate(language, error.message, **error.slots)
        at = spec_form.field_of(error.pointer, typed)
        if mistake.remedy and mistake.remedy.kind == remedies.RENAME:
            at = at.replace("-value", "-name")
        made.append(Problem(number, error.pointer, error.line, at, said, _offer(language, mistake)))
    return made


def _offer(language: str, mistake: Mistake) -> str:
    remedy = mistake.remedy
    if remedy is None:
        return ""
    if remedy.kind == remedies.DROP or (remedy.kind == remedies.TEXT and not remedy.said):
        return translate(language, N_("Take it out"))
    return translate(language, N_("Use {value}"), value=remedy.said)


def more_title(language: str, shown: Shown) -> str:
    """How many variables and secrets there are."""
    variables, secrets = len(shown.rows["e"]), len(shown.rows["s"])
    return " · ".join(
        (
            translate_plural(language, "{number} variable", "{number} variables", variables),
            translate_plural(language, "{number} secret", "{number} secrets", secrets),
        )
    )


def others_of(found: Checked) -> list[Other]:
    """What the form has no field for."""
    if found.source is None:
        return []
    made = []
    for path in spec_form.others(found.value):
        value: Any = found.value
        for name in path:
            value = next((one for key, one in value.items() if str(key) == name), None)
        line = found.source.line_of("/" + "/".join(name.replace("~", "~0").replace("/", "~1") for name in path))
        made.append(Other(".".join(path), definition_diff.shown(value)[:_LONGEST_OTHER], line))
    return made


def title_of(language: str, count: int) -> str:
    """How many there are."""
    return translate_plural(language, "{number} place to correct", "{number} places to correct", count)


def marks_of(text: str, problems: Sequence[Problem], changed: set[int]) -> list[Mark]:
    """All lines of the YAML with what is to be seen at them."""
    bad = {one.line for one in problems}
    return [
        Mark(number, "bad" if number in bad else "chg" if number in changed else "")
        for number in range(1, text.count("\n") + 2)
    ]


def differences(before: Mapping[str, Any], found: Checked) -> tuple[list[str], set[int], int]:
    """("lr 0.1 → 0.3" and so on, the lines where that is, how many there are in all)."""
    if found.source is None:
        return [], set(), 0
    changes = definition_diff.compare(before, found.value)
    said = []
    for one in changes[:_MOST_DIFFERENCES]:
        name = ".".join(one.path[1:] if one.path[0] == "parameters" and len(one.path) > 1 else one.path)
        old, new = (
            "–" if value is None else definition_diff.shown(value)[:60] or '""' for value in (one.before, one.after)
        )
        said.append(f"{name} {old} → {new}")
    lines = {found.source.line_of(one.pointer) for one in changes if one.kind != definition_diff.REMOVED}
    return said, {line for line in lines if line}, len(changes)


def pool_choices(rooms: Sequence[Room], chosen: str) -> list[PoolChoice]:
    """The pools, with what is free in each."""
    usual = str(Spec.model_fields["pool"].default)
    return [
        PoolChoice(
            room.name,
            "" if not chosen and room.name == usual else room.name,
            amount(room.free, room.capacity.gpus > 0),
            room.name == (chosen or usual),
        )
        for room in rooms
    ]


def amount(found: Resources, with_gpus: bool | None = None) -> str:
    """ "1 GPU · 4 CPU · 8Gi"; GPUs only where there are some, unless it is told."""
    with_gpus = found.gpus > 0 if with_gpus is None else with_gpus
    parts = [f"{found.gpus} GPU"] if with_gpus else []
    return " · ".join([*parts, f"{format_cpu(found.cpu_millis)} CPU", _memory(found.memory_bytes)])


def _memory(size: int) -> str:
    whole = size // 2**30 * 2**30 if size >= 2**33 else size // 2**20 * 2**20
    return format_memory(whole) if whole else "0"


def card_of_plan(language: str, plan: Plan) -> Card:
    """The card of a run that can be submitted."""
    if plan.room is None:
        return Card(
            "warn",
            "warn",
            translate(language, N_("It would wait for a cluster")),
            translate(language, N_("No cluster has said yet what it has; the run starts when one does and has room.")),
        )
    bars = _bars(language, plan.room, plan.asked)
    if plan.reason is None:
        text = N_("Pool {pool} has room for it, and nothing in line is in its way.")
        return Card(
            "ok", "run", translate(language, N_("Starts at once")), translate(language, text, pool=plan.room.name), bars
        )
    title = translate(language, N_("Waits"))
    if plan.place is not None:
        title = translate(language, N_("Waits, place {place} in line"), place=plan.place)
    kind = "warn" if plan.room.away_since else "wait"
    sentence = reasons.sentence(language, plan.reason.code, plan.reason.args)
    return Card(kind, "queued", title, f"{sentence} {reasons.fix(language, plan.reason.code)}", bars)


def card_of_error(language: str, error: AppError, room: Room | None, asked: Resources | None) -> Card:
    """The card of a run that would be refused."""
    detail, hint = (translate(language, text, **error.fields) for text in (error.detail, error.hint))
    bars = _bars(language, room, asked) if room and asked else []
    return Card("bad", "failed", translate(language, error.title), f"{detail} {hint}", bars)


def card_of_mistakes(language: str) -> Card:
    """The card while nobody can say."""
    text = N_("When what is marked is corrected, this says whether it would start at once, wait or never fit.")
    return Card("info", "info", translate(language, N_("Not known yet")), translate(language, text))


def card_of_missing(language: str, *, is_wrong: bool) -> Card:
    """The card of a job's form, of which some values are wrong, or not yet there."""
    if is_wrong:
        return card_of_mistakes(language)
    text = N_("When the form is filled in, this says whether it would start at once, wait or never fit.")
    return Card("info", "info", translate(language, N_("Not known yet")), translate(language, text))


def _bars(language: str, room: Room, asked: Resources) -> list[Bar]:
    figures: list[tuple[str, int, int, int, Callable[[int], str]]] = [
        (N_("CPU"), room.capacity.cpu_millis, room.held.cpu_millis, asked.cpu_millis, format_cpu),
        (N_("Memory"), room.capacity.memory_bytes, room.held.memory_bytes, asked.memory_bytes, _memory),
        (N_("GPUs"), room.capacity.gpus, room.held.gpus, asked.gpus, str),
    ]
    made = []
    for label, capacity, held, mine, words in figures:
        if not capacity and not mine:
            continue
        text = translate(
            language,
            N_("{held} of {capacity} held, {mine} for this run"),
            held=words(held),
            capacity=words(capacity),
            mine=words(mine),
        )
        most = max(capacity, 1)
        before = min(1000, 1000 * held // most)
        width = min(1000 - before, max(8, 1000 * mine // most)) if mine else 0
        made.append(Bar(translate(language, label), text, before, max(width, 8 if mine else 0), held + mine > capacity))
    return made


def differs_title(language: str, count: int) -> str:
    """How much differs from the run that was copied."""
    if not count:
        return translate(language, N_("Nothing differs yet."))
    return translate_plural(language, "{number} value differs:", "{number} values differ:", count)
