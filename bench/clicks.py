"""Everyday tasks, done in a browser from the page where one stands, with all that a person has to do counted.

Clicks and key presses are counted by the browser itself, as its pages receive them; typing a value is one, however
long it is. Pages that are loaded by typing an address count as well. What a task may cost is part of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_PATIENCE_MS = 20_000
_SETTLE_MS = 150  # what the browser counted last is still under way to us
# Held keys and modifiers are no presses of their own; letters in a field are typing.
_LISTEN = """
addEventListener('keydown', (event) => {
  if (!event.isTrusted || event.repeat || ['Shift', 'Control', 'Alt', 'Meta'].includes(event.key)) return;
  const field = event.target.matches?.('textarea,select,input:not([type=checkbox]):not([type=radio])');
  const types = field && !event.ctrlKey && !event.metaKey && (event.key.length === 1 || event.key === 'Backspace');
  window.berthActed(types ? 'typing' : event.key);
}, true);
addEventListener('pointerdown', (event) => { if (event.isTrusted) window.berthActed('click'); }, true);
"""


_FOCUS_IS_SEEN = """
() => {
  const one = document.activeElement;
  if (!one || one === document.body) return true;
  const box = one.getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
}
"""


class TooManyActionsError(AssertionError):
    """A task took more than it may."""


@dataclass(frozen=True)
class Ground:
    """Where the tasks are done: addresses of a project and of runs in it, without the host."""

    project: str  # /projects/<name>
    waiting: str  # the id of a run that waits
    failed: str  # of one that failed, with the words of its first error
    error: str
    finished: str  # of one with parameters
    live: str
    experiment: str  # of three runs that logged one metric

    def run(self, key: str, part: str = "") -> str:
        """The address of a run's page."""
        return f"{self.project}/runs/{key}{part}"


@dataclass
class Hands:
    """A person at a page: everything that is done through here, or in the page in any other way, is counted."""

    page: Any
    origin: str
    acts: list[str] = field(default_factory=list)

    def press(self, key: str) -> None:
        """A key, with or without modifiers."""
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """A value into the field that has the focus."""
        self.page.keyboard.type(text)

    def click(self, selector: str) -> None:
        """The first thing that fits."""
        self.page.locator(selector).first.click(timeout=_PATIENCE_MS)

    def load(self, path: str) -> None:
        """An address typed by hand."""
        self.page.goto(self.origin + path, wait_until="load")
        self.acts.append("load")

    def press_until(self, key: str, selector: str, most: int = 12) -> None:
        """A key again and again, until what has the focus fits. Raises AssertionError after `most` times."""
        for _ in range(most):
            self.press(key)
            if self.page.evaluate("(one) => document.activeElement.matches(one)", selector):
                return
        raise AssertionError(f"{key} does not lead to {selector}")

    def sees_focus(self) -> None:
        """Insists that what has the focus, if anything has it, is on the screen. Raises AssertionError."""
        if not self.page.evaluate(_FOCUS_IS_SEEN):
            raise AssertionError(f"the focus is not on the screen of {self.page.url}")

    def arrives(self, pattern: str) -> None:
        """Waits until the address is of this form."""
        self.page.wait_for_url(pattern, timeout=_PATIENCE_MS, wait_until="load")
        self.page.wait_for_timeout(_SETTLE_MS)

    def sees(self, selector: str, text: str = "") -> None:
        """Waits for it, and insists that it is on the screen, without scrolling. Raises AssertionError."""
        found = self.page.locator(selector).filter(has_text=text).first if text else self.page.locator(selector).first
        found.wait_for(timeout=_PATIENCE_MS)
        box, height = found.bounding_box(), self.page.viewport_size["height"]
        if box is None or box["y"] >= height or box["y"] + box["height"] <= 0:
            raise AssertionError(f"{selector} is not on the screen: {box}")


@dataclass(frozen=True)
class Task:
    """What is wanted, from where, and how much it may cost."""

    key: str
    title: str
    limit: int
    start: Callable[[Ground], str]
    do: Callable[[Hands, Ground], None]


def perform(context: Any, origin: str, ground: Ground, task: Task) -> list[str]:
    """What was done, in order. Raises TooManyActionsError when that was more than the task may cost."""
    page = context.new_page()
    hands = Hands(page, origin)

    def acted(_source: Any, kind: str) -> None:
        if not (kind == "typing" and hands.acts[-1:] == ["typing"]):
            hands.acts.append(kind)

    page.expose_binding("berthActed", acted)
    page.add_init_script(_LISTEN)
    page.goto(origin + task.start(ground), wait_until="load")
    try:
        task.do(hands, ground)
        page.wait_for_timeout(_SETTLE_MS)
    finally:
        page.close()
    if len(hands.acts) > task.limit:
        raise TooManyActionsError(f"{task.title}: {len(hands.acts)} instead of {task.limit}: {', '.join(hands.acts)}")
    return hands.acts


def _why(hands: Hands, _ground: Ground) -> None:
    hands.sees("#live .lead")


def _error(hands: Hands, ground: Ground) -> None:
    hands.sees("#live .snip", ground.error)


def _error_from_list(hands: Hands, ground: Ground) -> None:
    hands.click(f"#{ground.failed} .c-name a")
    hands.arrives(f"**/runs/{ground.failed}")
    hands.sees("#live .snip", ground.error)


def _error_by_keys(hands: Hands, ground: Ground) -> None:
    hands.press_until("j", f"#{ground.failed} a")
    hands.sees_focus()
    hands.press("Enter")
    hands.arrives(f"**/runs/{ground.failed}")
    hands.sees("#live .snip", ground.error)


def _best_of_experiment(hands: Hands, _ground: Ground) -> None:
    hands.press("a")
    hands.press("v")
    hands.arrives("**/compare?runs=*")
    hands.page.locator("#figures .best").first.wait_for(timeout=_PATIENCE_MS)


def _best_run(hands: Hands, _ground: Ground) -> None:
    hands.click("#nav-experiments")
    hands.arrives("**/experiments")
    hands.sees("td.best")
    hands.click("td.best a")
    hands.arrives("**/runs/r-*")


def _best_run_by_keys(hands: Hands, _ground: Ground) -> None:
    hands.press("Control+k")
    hands.sees("#palette-hits a")
    hands.type("experiments")
    hands.page.locator("#palette-hits a[href$='/experiments']").wait_for(timeout=_PATIENCE_MS)
    hands.press("Enter")
    hands.arrives("**/experiments")
    hands.press("j")
    hands.press_until("Tab", "td.best a")
    hands.sees_focus()
    hands.press("Enter")
    hands.arrives("**/runs/r-*")


def _change_and_rerun(hands: Hands, _ground: Ground) -> None:
    hands.press("c")
    hands.arrives("**/runs/new?from=*")
    hands.type("0.75")
    hands.press("Control+Enter")
    hands.arrives("**/runs/r-*")


def _compare_two(hands: Hands, _ground: Ground) -> None:
    hands.press("x")
    hands.press("x")
    hands.press("v")
    hands.arrives("**/compare?runs=*")
    hands.sees("#summary")


def _follow(hands: Hands, _ground: Ground) -> None:
    hands.press("l")
    hands.arrives("**/logs")
    hands.sees("#log-state.on")
    hands.sees("[data-does=follow][aria-pressed=true]")


TASKS = (
    Task("why", "See why a run waits, from its page", 0, lambda on: on.run(on.waiting), _why),
    Task("error", "See the error that killed a run, from its page", 0, lambda on: on.run(on.failed), _error),
    Task(
        "error-list",
        "See the error that killed a run, from the list",
        1,
        lambda on: f"{on.project}/runs?q=status:failed",
        _error_from_list,
    ),
    Task(
        "best",
        "The best of an experiment's three runs, beside the others, from its list",
        3,
        lambda on: f"{on.project}/runs?q=experiment:{on.experiment}",
        _best_of_experiment,
    ),
    Task("best-run", "The best run of an experiment, from anywhere", 3, lambda on: f"{on.project}/runs", _best_run),
    Task("rerun", "Run again with one changed parameter", 3, lambda on: on.run(on.finished), _change_and_rerun),
    Task("compare", "Compare two runs, from the list", 3, lambda on: f"{on.project}/runs", _compare_two),
    Task("follow", "Follow the log, from a run's page", 1, lambda on: on.run(on.live), _follow),
)

# The same eight without a mouse: those that a click is the shortest way of have another way by keys.
_INSTEAD = {
    "error-list": Task(
        "error-list",
        "See the error that killed a run, from the list",
        4,
        lambda on: f"{on.project}/runs?q=status:failed",
        _error_by_keys,
    ),
    "best-run": Task(
        "best-run",
        "The best run of an experiment, from anywhere",
        7,
        lambda on: f"{on.project}/runs",
        _best_run_by_keys,
    ),
}
BY_KEYBOARD = tuple(_INSTEAD.get(task.key, task) for task in TASKS)
