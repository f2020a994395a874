"""Manifests and what is read of environments: one text for one meaning, and nothing taken on trust."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import capsule
from app.domain.capsule import FileChange, PackageChange, canonical

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
VALUES = st.recursive(
    _LEAVES, lambda inside: st.lists(inside, max_size=5) | st.dictionaries(_TEXT, inside, max_size=5), max_leaves=20
)


@given(VALUES)
def test_canonical_text_says_the_same_and_is_stable(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


@given(st.dictionaries(_TEXT, VALUES, max_size=6), st.randoms())
def test_the_order_of_members_makes_no_difference(value: dict[str, Any], random: Any) -> None:
    names = list(value)
    random.shuffle(names)
    assert canonical({name: value[name] for name in names}) == canonical(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None, "ü\n"]}, '{"a":[true,null,"ü\\n"],"b":1}'),
        ({"\U0001f600": 1, "\ufb01": 2}, '{"\U0001f600":1,"\ufb01":2}'),  # by UTF-16, as RFC 8785 says
        ([1, 1.0, 0.1, 1e21], "[1,1.0,0.1,1e+21]"),
        ({}, "{}"),
    ],
)
def test_known_texts(value: Any, expected: str) -> None:
    assert canonical(value) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1: 2}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical(value)


def test_labels_are_no_part_of_a_manifest() -> None:
    one = capsule.make_manifest({"name": "a", "tags": ["x"], "experiment": None, "cpu": "1"}, "job", None)
    two = capsule.make_manifest({"name": "b", "tags": [], "experiment": "e", "cpu": "1"}, "job", None)
    assert one == two
    assert one != capsule.make_manifest({"name": "a", "cpu": "1"}, "job", ("digits", 2))
    spec = capsule.spec_of(one, {"name": "c", "tags": ["y"]})
    assert spec == {"cpu": "1", "name": "c", "tags": ["y"], "kind": "job"}
    assert capsule.is_covered(one, {"cpu": "1", "later": None})
    assert not capsule.is_covered(one, {"cpu": "2"})
    assert not capsule.is_covered(one, {})


@given(st.recursive(_LEAVES | st.binary(max_size=3), lambda i: st.lists(i) | st.dictionaries(_TEXT, i), max_leaves=9))
def test_nothing_that_an_interpreter_says_does_harm(told: Any) -> None:
    for document in (
        told,
        {"packages": told, "interpreter": told, "version": told, "note": told},
        {"packages": [told]},
    ):
        found = capsule.read_environment(document)
        text = canonical(found.document())
        assert "\\u0000" not in text
        capsule.read_platform({"os": told, "berth": told})


def test_packages_are_named_as_the_index_does_and_bounded() -> None:
    many = {f"p{number}": "1" for number in range(capsule.MOST_PACKAGES + 9)}
    assert len(capsule.read_environment({"packages": many}).packages) == capsule.MOST_PACKAGES
    found = capsule.read_environment(
        {
            "packages": {"Foo_Bar.baz": "1.0", "a" * 200: "1", "bad name": "1", "x": "1\x00", "y": 3, "z": "1" * 200},
            "interpreter": "/usr/bin/python3",
            "version": "3.11.2\n",
        }
    )
    assert found.packages == (("foo-bar-baz", "1.0"),)
    assert found.interpreter == "/usr/bin/python3"
    assert found.version == ""


def test_what_differs_between_environments_and_snapshots() -> None:
    changes = capsule.package_changes({"a": "1", "n": "2.1.0", "s": "1"}, {"n": "2.2.1", "s": "1", "t": "3"})
    assert changes == [
        PackageChange("n", "2.1.0", "2.2.1"),
        PackageChange("t", None, "3"),
        PackageChange("a", "1", None),
    ]
    files = capsule.file_changes({"a.py": "1", "b.py": "2", "c": "x"}, {"b.py": "3", "c": "x", "d.py": "4"})
    assert files == [FileChange("a.py", "removed"), FileChange("b.py", "changed"), FileChange("d.py", "added")]
