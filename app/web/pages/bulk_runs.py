"""What is done with the runs that were ticked in the list: first what would happen, then the thing itself.

Plain forms throughout: the list sends the ticked runs here, this page says the consequence and asks, and its own
form does it and goes back to the list.
"""

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import TypeAdapter, ValidationError

from app.domain import filters
from app.domain.access import Action
from app.domain.bulk import MOST_TAGS, SKIPS, Change, Skip, Verb
from app.domain.filters import FilterError
from app.errors import N_, FieldError, Invalid
from app.i18n import translate, translate_plural
from app.services import bulk_runs
from app.services.bulk_runs import Item, Outcome
from app.services.identity import require
from app.web.deps import check_form, see_other, visit
from app.web.templating import Crumb, render
from app.workloads.base import Experiment, Tag

router = APIRouter(include_in_schema=False)

_NAMED = 12  # runs that are named on the page; the rest are counted


@dataclass(frozen=True)
class Words:
    """How an action is spoken of. `consequence` says what it means for the runs."""

    title: tuple[str, str]
    consequence: str
    did: tuple[str, str]
    is_dangerous: bool = False


WORDS: dict[Verb, Words] = {
    Verb.STOP: Words(
        (N_("Stop {count} run"), N_("Stop {count} runs")),
        N_(
            "Each gets a signal and the time of its grace to end by itself, then it is ended by force. What it wrote"
            " to its outputs so far is kept. A stopped run cannot be resumed, only run again."
        ),
        (N_("{count} run is being stopped."), N_("{count} runs are being stopped.")),
        is_dangerous=True,
    ),
    Verb.TAG: Words(
        (N_("Label {count} run"), N_("Label {count} runs")),
        N_("Only how they are found changes; what they did and their results stay as they are."),
        (N_("{count} run was labelled."), N_("{count} runs were labelled.")),
    ),
    Verb.ARCHIVE: Words(
        (N_("Archive {count} run"), N_("Archive {count} runs")),
        N_(
            "They leave the lists. Nothing is deleted: logs, metrics and outputs stay, their links work, and the"
            " filter archived:yes shows them."
        ),
        (N_("{count} run was archived."), N_("{count} runs were archived.")),
    ),
    Verb.UNARCHIVE: Words(
        (N_("Bring {count} run back"), N_("Bring {count} runs back")),
        N_("They are in the lists again."),
        (N_("{count} run is back."), N_("{count} runs are back.")),
    ),
    Verb.RERUN: Words(
        (N_("Run {count} failed run again"), N_("Run {count} failed runs again")),
        N_("Each is submitted again with the same code, command and parameters, and waits in line for its resources."),
        (N_("{count} run was submitted again."), N_("{count} runs were submitted again.")),
    ),
}


@dataclass
class ConfirmPage:
    """What would happen. `runs`, `q` and `is_all` are sent along again with the form."""

    url: str
    back_url: str
    verb: str
    title: str
    consequence: str
    is_dangerous: bool
    changed: int = 0
    skips: list[tuple[str, list[str]]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    unnamed: str = ""
    runs: list[str] = field(default_factory=list)
    q: str = ""
    is_all: bool = False
    add: str = ""
    remove: str = ""
    experiment: str = ""
    is_labelling: bool = False
    needs_labels: bool = False
    error: str = ""


@dataclass(frozen=True)
class _Asked:
    """The form: which runs, and what is to be done with them."""

    runs: list[str]
    is_all: bool
    q: str
    verb: Verb
    add: str
    remove: str
    experiment: str
    clear: bool


@router.post("/projects/{project}/runs/bulk")
def bulk(
    request: Request,
    project: str,
    action: Annotated[str, Form()] = "",
    runs: Annotated[list[str] | None, Form()] = None,
    all_that_match: Annotated[str, Form(alias="all")] = "",
    q: Annotated[str, Form()] = "",
    add: Annotated[str, Form()] = "",
    remove: Annotated[str, Form()] = "",
    experiment: Annotated[str, Form()] = "",
    clear: Annotated[str, Form()] = "",
    confirmed: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Says what `action` would do to the runs, or with `confirmed` does it. "compare" leads to the comparison."""
    ids = list(dict.fromkeys(runs or []))
    base = f"/projects/{quote(project)}"
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        found = visitor.project(project)
        if action == "compare":
            return see_other(f"{base}/compare?runs={quote(','.join(ids), safe=',')}")
        require(visitor.actor, Action.RUN_WRITE, found.id)
        if action not in set(Verb) or not (ids or all_that_match):
            return see_other(_list_url(base, q))
        asked = _Asked(ids, bool(all_that_match), q, Verb(action), add, remove, experiment, bool(clear))
        change, problem = _change(visitor.language, asked)
        outcome = None
        if change is not None:
            outcome = bulk_runs.change_runs(
                visitor.session,
                visitor.actor,
                found.id,
                change,
                ids=None if asked.is_all else asked.runs,
                terms=_terms(q) if asked.is_all else (),
                dry_run=not confirmed,
                now=datetime.datetime.now(datetime.UTC),
            )
        shell = visitor.shell(found.name)
    if confirmed and outcome is not None:
        skipped = len(outcome.items) - outcome.changed
        return see_other(_list_url(base, q, did=f"{asked.verb}.{outcome.changed}.{skipped}"))
    page = _build(shell.language, base, asked, outcome)
    page.error = problem
    runs_word = translate(shell.language, "Runs")
    shell.crumbs = [Crumb(found.name, f"{base}/runs"), Crumb(runs_word, f"{base}/runs"), Crumb(page.title)]
    shell.title, shell.current = f"{page.title} · {found.name}", "runs"
    return render("runs/bulk.html", shell, page, 422 if problem else 200)


def told(language: str, did: str) -> str:
    """What was done, from the `did` of the list's address ("stop.38.2"): "38 runs are being stopped. 2 were left"."""
    parts = did.split(".")
    if len(parts) != 3 or parts[0] not in set(Verb) or not all(p.isdecimal() and len(p) < 5 for p in parts[1:]):
        return ""
    changed, skipped = int(parts[1]), int(parts[2])
    text = translate_plural(language, *WORDS[Verb(parts[0])].did, changed, count=str(changed))
    if skipped:
        more = translate_plural(
            language, "{count} was left as it was.", "{count} were left as they were.", skipped, count=str(skipped)
        )
        text += ("" if language == "zh_CN" else " ") + more
    return text


def _list_url(base: str, q: str, **more: str) -> str:
    query = {name: value for name, value in {"q": q, **more}.items() if value}
    return f"{base}/runs" + (f"?{urlencode(query)}" if query else "")


def _terms(q: str) -> Sequence[filters.Term]:
    try:
        return filters.parse(q)
    except FilterError as error:
        raise Invalid([FieldError("/q", error.message, error.fix, slots=error.slots)]) from error


_TAGS = TypeAdapter(list[Tag])
_EXPERIMENT = TypeAdapter(Experiment)


def _change(language: str, asked: _Asked) -> tuple[Change | None, str]:
    """The change and "", or None and what is wrong with the labels; None and "" where none were given yet."""
    if asked.verb != Verb.TAG:
        return Change(asked.verb), ""
    add, remove = asked.add.replace(",", " ").split(), asked.remove.replace(",", " ").split()
    name = asked.experiment.strip()
    if not (add or remove or name or asked.clear):
        return None, ""
    try:
        _TAGS.validate_python([*add, *remove])
        if name:
            _EXPERIMENT.validate_python(name)
    except ValidationError:
        text = N_("A tag or an experiment is up to 63 letters, digits, dots, dashes, slashes or underscores.")
        return None, translate(language, text)
    if set(add) & set(remove):
        return None, translate(language, N_("the same tag is to be added and removed"))
    if len(add) > MOST_TAGS:
        return None, translate(language, SKIPS[Skip.TOO_MANY_TAGS])
    return Change(Verb.TAG, tuple(add), tuple(remove), "" if asked.clear else name or None), ""


def labels_of(items: Sequence[Item]) -> dict[str, str]:
    """What each run is called on the page, by its id: its name, and the id where the name is that of several."""
    often = Counter(item.name for item in items)
    return {
        item.id: item.name if item.name and often[item.name] == 1 else f"{item.name} {item.id}".strip()
        for item in items
    }


def _build(language: str, base: str, asked: _Asked, outcome: Outcome | None) -> ConfirmPage:
    words = WORDS[asked.verb]
    count = outcome.changed if outcome else len(asked.runs)
    page = ConfirmPage(
        url=f"{base}/runs/bulk",
        back_url=_list_url(base, asked.q),
        verb=asked.verb,
        title=translate_plural(language, *words.title, count, count=str(count)),
        consequence=translate(language, words.consequence),
        is_dangerous=words.is_dangerous,
        changed=count,
        runs=[] if asked.is_all else asked.runs,
        q=asked.q,
        is_all=asked.is_all,
        add=asked.add,
        remove=asked.remove,
        experiment=asked.experiment,
        is_labelling=asked.verb == Verb.TAG,
        needs_labels=outcome is None,
    )
    if outcome is None:
        page.title = translate(language, N_("Label runs"))
        return page
    called = labels_of(outcome.items)
    changing = [called[item.id] for item in outcome.items if item.skip is None]
    page.named = changing[:_NAMED]
    if len(changing) > _NAMED:
        page.unnamed = translate(language, N_("and {count} more"), count=len(changing) - _NAMED)
    for skip, number in outcome.skips.items():
        names = [called[item.id] for item in outcome.items if item.skip == skip]
        head = translate_plural(language, "{count} is left as it is:", "{count} are left as they are:", number)
        text = head.replace("{count}", str(number))
        more = [translate(language, N_("and {count} more"), count=number - _NAMED)] if number > _NAMED else []
        page.skips.append((f"{text} {translate(language, SKIPS[skip])}", names[:_NAMED] + more))
    return page
