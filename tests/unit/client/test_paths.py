"""The paths of --jq: what they lead to, and what is no path."""

import pytest

from berth.cli.paths import JsonPath
from berth.errors import InvalidInput

VALUE = [{"id": "r-1", "tags": ["a", "b"], "a b": {"x": None}}, {"id": "r-2", "tags": [], "n": 1.5}]


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (".[].id", ["r-1", "r-2"]),
        ("  .[] | .n", ["null", "1.5"]),
        (".[0].tags", ['["a", "b"]']),
        (".[0].tags[]", ["a", "b"]),
        ('.[0]."a b".x', ["null"]),
        ('.[0]["a b"]', ['{"x": null}']),
        (".[-1].id", ["r-2"]),
        (".[9].id.deep", ["null"]),
        (".[1][]", ["r-2", "[]", "1.5"]),
    ],
)
def test_a_path_leads_to_values(path: str, lines: list[str]) -> None:
    assert list(JsonPath(path).lines(VALUE)) == lines


def test_the_whole_is_a_path() -> None:
    assert list(JsonPath(".").lines("x")) == ["x"]


@pytest.mark.parametrize(
    "path", ["", "id", ".a..b", "..", ".[", ".[]|", ".[] | length", '.["a"', '."a"]', '."\\q"', ".[1:2]", ".[x]", ".a?"]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(InvalidInput, match="--jq"):
        JsonPath(path)


@pytest.mark.parametrize("path", [".id", ".[0].id.x", ".[0][0]", ".[0].id[]"])
def test_a_step_that_is_not_possible(path: str) -> None:
    with pytest.raises(InvalidInput, match="is not possible on"):
        list(JsonPath(path).lines(VALUE))
