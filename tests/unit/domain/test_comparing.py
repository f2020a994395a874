"""What differs between runs, and which value is the best one."""

import math

import pytest

from app.domain.comparing import Direction, Facts, Line, best, compare, direction_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", "lower"),
        ("train/loss", "lower"),
        ("val_loss", "lower"),
        ("eval.perplexity", "lower"),
        ("Error", "lower"),
        ("word-error-rate", "lower"),
        ("loss_2", "lower"),
        ("L1Loss", "lower"),
        ("accuracy", "higher"),
        ("glossary", "higher"),
        ("lossless_ratio", "higher"),
        ("terror", "lower"),
        ("f1", "higher"),
    ],
)
def test_the_direction_is_read_off_the_name(name: str, expected: str) -> None:
    assert direction_of(name) == expected
    assert direction_of(name, lower=[name]) == Direction.LOWER
    assert direction_of(name, higher=[name]) == Direction.HIGHER


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ([0.3, 0.1, 0.2], Direction.LOWER, {1}),
        ([0.3, 0.1, 0.3], Direction.HIGHER, {0, 2}),
        ([math.nan, 0.1, 0.2], Direction.LOWER, {1}),
        ([math.inf, 0.1, 0.2], Direction.HIGHER, {2}),
        ([None, 0.1], Direction.LOWER, set()),
        ([0.1, 0.1], Direction.LOWER, set()),
        ([], Direction.LOWER, set()),
    ],
)
def test_the_best_value(values: list[float | None], direction: Direction, expected: set[int]) -> None:
    assert best(values, direction) == expected


def test_what_differs_comes_first_and_by_part() -> None:
    first = {
        "name": "a",
        "tags": ["x"],
        "command": ["python", "t.py"],
        "parameters": {"seed": 1, "lr": 0.1},
        "cpu": "1",
    }
    second = {
        "name": "b",
        "command": ["python", "t.py"],
        "parameters": {"seed": 1, "lr": 1, "new": True},
        "cpu": "2",
        "env": {"A": "x"},
    }
    parts = {
        part.key: part
        for part in compare([Facts(first, {"git_commit": "aa"}), Facts(second, {"git_commit": "bb"}, "digits@2")])
    }
    assert [line.name for line in parts["parameters"].lines] == ["lr", "new", "seed"]
    assert [line.values for line in parts["parameters"].different] == [("0.1", "1"), (None, "true")]
    assert [line.name for line in parts["code"].different] == ["git_commit"]
    assert [line.name for line in parts["code"].equal] == ["command"]
    assert [line.name for line in parts["environment"].different] == ["$A"]
    assert [line.name for line in parts["resources"].different] == ["cpu"]
    assert parts["definition"].lines == (Line("definition", (None, "digits@2")),)
    assert parts["settings"].lines == (), "names and tags say nothing about what runs do"


def test_only_packages_that_differ_are_lines() -> None:
    known = [{"numpy": "2.1.0", "same": "1"}, None, {"numpy": "2.2.1", "same": "1"}]
    parts = {part.key: part for part in compare([Facts({}, {}, packages=one) for one in known])}
    assert parts["environment"].lines == (Line("package/numpy", ("2.1.0", None, "2.2.1")),)
    parts = {part.key: part for part in compare([Facts({}, {}, packages=one) for one in known[:2]])}
    assert parts["environment"].lines == (), "what is not known does not differ"


def test_secrets_are_named_as_the_command_line_names_them() -> None:
    uses = [{"name": "HF_TOKEN", "env": "TOKEN", "file": None}, {"name": "ssh-key", "file": "id_ed25519"}]
    parts = {part.key: part for part in compare([Facts({"secrets": uses}, {}), Facts({"secrets": []}, {})])}
    assert parts["settings"].lines == (Line("secrets", ("HF_TOKEN ($TOKEN), ssh-key (id_ed25519)", "[]")),)
