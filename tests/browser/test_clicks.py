"""How many clicks, key presses and page loads everyday tasks cost. bench/clicks.py says what they may."""

from typing import Any

import pytest
from sqlalchemy import text

from app import db
from bench.clicks import BY_KEYBOARD, TASKS, Ground, Task, TooManyActionsError, perform
from tests.browser.conftest import Site


@pytest.fixture
def ground(site: Site) -> Ground:
    runs = site.seed.runs
    return Ground(
        project="/projects/vision",
        waiting=runs["queued"],
        failed=runs["failed"],
        error="ValueError: loss is not finite",
        finished=runs["succeeded"],
        live=runs["running"],
        experiment="digits",
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.key)
def test_a_task_costs_no_more_than_it_may(visitor: Any, site: Site, ground: Ground, task: Task) -> None:
    acts = perform(visitor, site.url, ground, task)
    print(f"{task.title}: {len(acts)} {acts}")
    assert len(BY_KEYBOARD) == 8
    if task in BY_KEYBOARD:
        assert not {"click", "load"} & set(acts)
    if task.key == "rerun":
        with db.unit_of_work() as session:
            session.execute(text("delete from run where parent_id is not null"))


@pytest.mark.parametrize("task", [task for task in BY_KEYBOARD if task not in TASKS], ids=lambda task: task.key)
def test_what_a_click_does_keys_do(visitor: Any, site: Site, ground: Ground, task: Task) -> None:
    """The other tasks are done by keys anyhow, which the test above insists on."""
    acts = perform(visitor, site.url, ground, task)
    print(f"{task.title}: {len(acts)} {acts}")
    assert not {"click", "load"} & set(acts)


def test_the_counter_counts_what_the_browser_sees(visitor: Any, site: Site, ground: Ground) -> None:
    def busy(hands: Any, _ground: Ground) -> None:
        hands.press("/")
        hands.type("name: two words")
        hands.press("Shift+Tab")
        hands.press("Escape")
        hands.click("h1")
        hands.load("/")

    generous = Task("busy", "busy", 6, lambda on: f"{on.project}/runs", busy)
    assert perform(visitor, site.url, ground, generous) == ["/", "typing", "Tab", "Escape", "click", "load"]
    with pytest.raises(TooManyActionsError, match="busy: 6 instead of 5"):
        perform(visitor, site.url, ground, Task("busy", "busy", 5, generous.start, busy))
