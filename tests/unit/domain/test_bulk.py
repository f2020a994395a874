"""Which runs a change applies to, and what their labels are afterwards."""

import pytest

from app.domain.bulk import SKIPS, Change, Skip, Target, Verb, fits, obstacle, relabelled
from app.domain.pool_sizes import PoolSize
from app.domain.quota import Resources

RUNNING, ENDED = Target("running", "running", False), Target("succeeded", "running", False)
FAILED = Target("failed", "running", False)


@pytest.mark.parametrize(
    ("verb", "target", "expected"),
    [
        (Verb.STOP, RUNNING, None),
        (Verb.STOP, Target("queued", "running", False), None),
        (Verb.STOP, Target("running", "stopped", False), Skip.STOPPING),
        (Verb.STOP, ENDED, Skip.ENDED),
        (Verb.ARCHIVE, ENDED, None),
        (Verb.ARCHIVE, RUNNING, Skip.NOT_ENDED),
        (Verb.ARCHIVE, Target("failed", "running", True), Skip.ARCHIVED),
        (Verb.UNARCHIVE, Target("failed", "running", True), None),
        (Verb.UNARCHIVE, ENDED, Skip.NOT_ARCHIVED),
        (Verb.RERUN, FAILED, None),
        (Verb.RERUN, ENDED, Skip.NOT_FAILED),
        (Verb.RERUN, Target("failed", "running", False, was_rerun=True), Skip.RERUN_ALREADY),
        (Verb.RERUN, Target("failed", "running", False, fits=False), Skip.NEVER_FITS),
    ],
)
def test_what_a_change_applies_to(verb: Verb, target: Target, expected: Skip | None) -> None:
    assert obstacle(Change(verb), target) == expected


@pytest.mark.parametrize(
    ("change", "tags", "experiment"),
    [
        (Change(Verb.TAG, add=("c", "a", "c")), ["a", "b", "c"], "old"),
        (Change(Verb.TAG, remove=("a", "z")), ["b"], "old"),
        (Change(Verb.TAG, add=("c",), remove=("a",), experiment="new"), ["b", "c"], "new"),
        (Change(Verb.TAG, experiment=""), ["a", "b"], None),
    ],
)
def test_labels(change: Change, tags: list[str], experiment: str | None) -> None:
    target = Target("running", "running", False, ("a", "b"), "old")
    assert relabelled(change, target) == (tags, experiment)
    assert obstacle(change, target) is None
    assert obstacle(change, Target("running", "running", False, tags, experiment)) == Skip.SAME


def test_no_run_gets_more_tags_than_a_run_may_have() -> None:
    many = tuple(f"t{number}" for number in range(50))
    assert obstacle(Change(Verb.TAG, add=("one-more",)), Target("running", "running", False, many)) == (
        Skip.TOO_MANY_TAGS
    )


def test_a_run_fits_while_no_pool_is_known() -> None:
    asked = Resources(2000, 1, 0)
    small, large = (PoolSize(Resources(cpu_millis, 1, 0)) for cpu_millis in (1000, 2000))
    assert fits(asked, 1, None, are_pools_known=False)
    assert not fits(asked, 1, None, are_pools_known=True)
    assert not fits(asked, 1, small, are_pools_known=True)
    assert fits(asked, 1, large, are_pools_known=True)


def test_every_reason_has_its_sentence() -> None:
    assert set(SKIPS) == set(Skip)
