"""The life of a run: terminal is final, every state can end, retries are bounded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.states import (
    MAX_ATTEMPTS,
    TERMINAL,
    Cause,
    IllegalTransition,
    RunState,
    advance,
    can_advance,
    may_retry,
    roll_up,
)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(sorted(TERMINAL), RunState)))
def test_terminal_is_final(old: RunState, new: RunState) -> None:
    with pytest.raises(IllegalTransition):
        advance(old, new)


@pytest.mark.parametrize("state", [state for state in RunState if state not in TERMINAL])
def test_every_live_state_can_be_stopped_and_can_fail(state: RunState) -> None:
    assert can_advance(state, RunState.STOPPED)
    assert can_advance(state, RunState.FAILED)


def test_nothing_runs_without_having_been_admitted() -> None:
    assert not can_advance(RunState.QUEUED, RunState.RUNNING)
    assert not can_advance(RunState.QUEUED, RunState.SUCCEEDED)


@given(st.lists(st.sampled_from([state for state in RunState if state != RunState.QUEUED]), min_size=1, max_size=16))
def test_an_attempt_succeeds_only_when_all_replicas_do(replicas: list[RunState]) -> None:
    result = roll_up(replicas)
    assert (result == RunState.SUCCEEDED) == (set(replicas) == {RunState.SUCCEEDED})
    assert (result == RunState.FAILED) == (RunState.FAILED in replicas)


def test_an_attempt_without_replicas_has_no_state() -> None:
    with pytest.raises(ValueError, match="at least one"):
        roll_up([])


@pytest.mark.parametrize(
    ("cause", "attempt", "retries", "used", "may"),
    [
        (Cause.LOST, 1, {Cause.LOST: 2}, {}, True),
        (Cause.LOST, 2, {Cause.LOST: 2}, {Cause.LOST: 1}, True),
        (Cause.LOST, 3, {Cause.LOST: 2}, {Cause.LOST: 2}, False),
        (Cause.LOST, 2, {Cause.LOST: 1}, {Cause.FAILED: 1}, True),
        (Cause.FAILED, 1, {}, {}, False),
        (Cause.STOPPED, 1, {Cause.STOPPED: 5}, {}, False),
        (Cause.LOST, MAX_ATTEMPTS, {Cause.LOST: 1000}, {}, False),
    ],
)
def test_retries(cause: Cause, attempt: int, retries: dict[Cause, int], used: dict[Cause, int], may: bool) -> None:
    assert may_retry(cause, attempt, retries, used) is may
