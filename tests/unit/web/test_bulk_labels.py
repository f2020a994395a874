"""How the runs of a bulk change are told apart before one agrees."""

from app.domain.bulk import Skip
from app.services.bulk_runs import Item
from app.web.pages.bulk_runs import labels_of


def test_runs_of_one_name_are_told_apart() -> None:
    items = [
        Item("r-aaaaaaaaaa", "train", None),
        Item("r-bbbbbbbbbb", "train", Skip.ENDED),
        Item("r-cccccccccc", "evaluate", None),
        Item("r-dddddddddd", "", Skip.NOT_FOUND),
    ]
    assert list(labels_of(items).values()) == ["train r-aaaaaaaaaa", "train r-bbbbbbbbbb", "evaluate", "r-dddddddddd"]
