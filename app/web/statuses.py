"""How a run's state looks: a word, the silhouette of an icon, a colour, and the mark in a tab's title."""

from functools import lru_cache

from markupsafe import Markup, escape

from app.domain.states import RunState
from app.errors import N_
from app.i18n import translate
from app.web.templating import icon

WORDS: dict[str, str] = {
    RunState.QUEUED: N_("Queued"),
    RunState.STARTING: N_("Starting"),
    RunState.RUNNING: N_("Running"),
    RunState.SUCCEEDED: N_("Succeeded"),
    RunState.FAILED: N_("Failed"),
    RunState.STOPPED: N_("Stopped"),
}
STOPPING = N_("Stopping")
MARKS: dict[str, str] = {
    RunState.QUEUED: "◌",
    RunState.STARTING: "◔",
    RunState.RUNNING: "●",
    RunState.SUCCEEDED: "✓",
    RunState.FAILED: "✕",
    RunState.STOPPED: "■",
}
_KINDS = {
    RunState.QUEUED: "wait",
    RunState.STARTING: "run",
    RunState.RUNNING: "run",
    RunState.SUCCEEDED: "ok",
    RunState.FAILED: "bad",
    RunState.STOPPED: "wait",
}
_RINGS = {
    RunState.STARTING: Markup('<span class="ring open"></span>'),
    RunState.RUNNING: Markup('<span class="ring"></span>'),
}


def kind_of(state: str) -> str:
    """The class of colour: wait, run, ok, bad."""
    return _KINDS[RunState(state)]


def word(language: str, state: str, *, is_stopping: bool = False) -> str:
    """The state in words."""
    return translate(language, STOPPING if is_stopping else WORDS[state])


@lru_cache(maxsize=1024)
def chip(language: str, state: str, *, is_stopping: bool = False, extra: str = "") -> Markup:
    """The label that tables and headings show. `extra` follows the word, such as "41m" or "34%"."""
    sign = _RINGS.get(RunState(state)) or icon(state)
    text = word(language, state, is_stopping=is_stopping)
    said = f"{text} {extra}" if extra else text
    return Markup(f'<span class="st st-{kind_of(state)}">{sign}{escape(said)}</span>')  # noqa: S704 - escaped
