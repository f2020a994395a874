"""The text that a run was submitted as, made to say what was submitted."""

from typing import Any

import pytest

from app.workloads import run_text, yaml_source
from app.workloads.kinds.job import JobSpec

TEXT = """\
# why it is run
name: base   # a name
cpu: 1
script: echo
parameters:
  lr: 0.1  # the rate
  on: true
retry: {}
"""


def stored(**changes: Any) -> dict[str, Any]:
    """The spec as it is stored, of TEXT with changes; None takes a field out."""
    given = {**yaml_source.read(TEXT).value, **changes}
    spec = JobSpec.model_validate({name: value for name, value in given.items() if value is not None})
    return spec.model_dump(mode="json", exclude_unset=True) | {"kind": "job"}


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({}, "", ""),
        ({"cpu": "1"}, "", ""),
        ({"cpu": "2"}, "cpu: 1\n", 'cpu: "2"\n'),
        ({"snapshot": "a" * 64}, "retry: {}\n", f"retry: {{}}\nsnapshot: {'a' * 64}\n"),
        ({"script": None, "command": ["echo", "x"]}, "script: echo\n", ""),
        ({"parameters": {"lr": 0.2, "on": True}}, "lr: 0.1  #", "lr: 0.2  #"),
        ({"parameters": {"lr": 0.1, "on": 1}}, "on: true", "on: 1"),
        ({"parameters": {"on": True}}, "  lr: 0.1  # the rate\n", ""),
        ({"retry": {"lost": 3}}, "retry: {}", "retry: {lost: 3}"),
    ],
)
def test_it_says_what_was_sent_and_keeps_its_notes(changes: dict[str, Any], before: str, after: str) -> None:
    spec = stored(**changes)
    found = run_text.brought_to(TEXT, spec)
    assert found is not None
    checked = run_text.check(found).spec
    assert checked is not None
    assert checked.model_dump(mode="json", exclude_unset=True) | {"kind": "job"} == spec
    if "command" not in changes:
        assert found == TEXT.replace(before, after)
    assert found.startswith("# why it is run\nname: base   # a name\n")


@pytest.mark.parametrize("text", ["", "- a", "a: [", "&a a: *a", "x" * 200_000])
def test_what_is_no_such_text_is_none(text: str) -> None:
    assert run_text.brought_to(text, stored()) is None


@pytest.mark.parametrize(
    "text", ["a: 1", "{name: x, cpu: 9}", "name:\n", "parameters: [1]", "parameters: {x: {y: 1}}", '"\\ud800": 1']
)
def test_any_other_text_says_what_was_sent_or_is_none(text: str) -> None:
    found = run_text.brought_to(text, stored())
    spec = run_text.check(found).spec if found is not None else None
    assert spec is None or spec.model_dump(mode="json", exclude_unset=True) | {"kind": "job"} == stored()


def test_what_berth_writes_says_the_same() -> None:
    assert run_text.write(stored(tags=[])).endswith("retry: {}\n"), "that is not the default"
