"""Values changed in the midst of somebody's YAML: every other byte stays."""

import difflib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.workloads.definitions import write
from app.workloads.yaml_edit import CannotEdit, merged, patched
from app.workloads.yaml_source import read

TEXT = """\
# at the top
name: x   # the name
spec:
  # a block
  script: |
    one
    two

  # after it
  cpu: "1"
  env: {A: 'b', C: "d"}   # on one line
  list:
    - 1   # first
    - two
parameters:
  lr:           # matters
    type: number
    default: 0.1
# at the end
"""


def changed(patch: dict[str, Any], text: str = TEXT) -> list[str]:
    """The lines that went (-) and came (+)."""
    lines = difflib.ndiff(text.splitlines(), patched(text, patch).splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("patch", "lines"),
    [
        ({"name": "y"}, ["- name: x   # the name", "+ name: y   # the name"]),
        ({"spec": {"cpu": "2"}}, ['-   cpu: "1"', '+   cpu: "2"']),
        ({"spec": {"script": "three"}}, ["-   script: |", "-     one", "-     two", "+   script: three"]),
        ({"spec": {"list": [3]}}, ["-   list:", "-     - 1   # first", "-     - two", "+   list: [3]"]),
        ({"parameters": {"lr": {"default": 0.2}}}, ["-     default: 0.1", "+     default: 0.2"]),
        ({"parameters": {"lr": {"maximum": 1}}}, ["+     maximum: 1"]),
        ({"title": "T: #1"}, ['+ title: "T: #1"']),
        ({"spec": {"cpu": None}}, ['-   cpu: "1"']),
        ({"parameters": {"lr": None}}, None),
        ({"spec": {"env": {"A": None, "E": "f"}}}, None),
        ({"spec": {"env": {"A": "${{ params.lr }}"}}}, None),
        ({"name": "x"}, []),
        ({"parameters": {"z": {"type": "string"}}}, ["+   z: {type: string}"]),
    ],
)
def test_one_change(patch: dict[str, Any], lines: list[str] | None) -> None:
    found = changed(patch)
    if lines is not None:
        assert sorted(found) == sorted(lines)
    assert read(patched(TEXT, patch)).value == merged(read(TEXT).value, patch)
    for comment in ("# at the top", "# a block", "# after it", "# at the end"):
        assert comment in patched(TEXT, patch)


def test_ends_of_lines_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    found = patched(text, {"title": "new", "spec": {"cpu": "3"}})
    assert found.replace("\r\n", "").count("\n") == 0
    assert read(found).value["title"] == "new"


_scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3)),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), max_size=20),
)
_names = st.text("abcdef", min_size=1, max_size=3)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3))
_documents = st.dictionaries(_names, _values, min_size=1, max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_documents, _documents)
def test_any_patch_is_made_exactly_or_refused(document: dict[str, Any], patch: dict[str, Any]) -> None:
    text = "# kept\n" + write(document)
    try:
        found = patched(text, patch)
    except CannotEdit:
        return
    assert read(found).value == merged(document, patch)
    assert found.startswith("# kept\n")
