"""Columns of the list of runs: what is read of names, and what is shown of a choice."""

import pytest

from app.domain import run_columns
from app.domain.run_columns import DEFAULT, Choice

ALL = tuple(run_columns.COLUMNS)


@pytest.mark.parametrize(
    ("names", "metric", "choice"),
    [
        ((), "", Choice(())),
        (("created", "tags"), "", Choice(("tags", "created"))),
        (("tags", "tags", "nothing", "-"), " val/acc ", Choice(("tags",), "val/acc")),
        (ALL, "x" * 201, DEFAULT),
        (ALL, "a\nb", DEFAULT),
        (ALL, "a,b <c>", Choice(ALL, "a,b <c>")),
    ],
)
def test_names_become_a_choice_in_the_tables_order(names: tuple[str, ...], metric: str, choice: Choice) -> None:
    assert run_columns.read(names, metric) == choice


def test_a_pinned_metric_stands_in_for_one_that_was_not_chosen() -> None:
    assert DEFAULT.shown(["val/acc", "loss"]) == Choice(ALL, "val/acc")
    assert Choice(ALL, "loss").shown(["val/acc"]) == Choice(ALL, "loss")


def test_without_a_metric_there_is_no_column_of_it() -> None:
    assert "metric" not in DEFAULT.shown().columns
    assert Choice(("tags",), "loss").shown(["val/acc"]) == Choice(("tags",))
