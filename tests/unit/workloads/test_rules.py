"""Rules about several fields: told beside the mistakes of single fields, and never of values that are no values."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from app.workloads import definitions, run_text
from app.workloads.findings import field_errors
from app.workloads.kinds.job import JobSpec
from app.workloads.rules import rule


def _places(value: Any, model: type[BaseModel] = JobSpec) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    findings = [{**one, "loc": ("body", *one["loc"])} for one in caught.value.errors()]
    return sorted(one.pointer for one in field_errors(findings, model))


IN_X = {"name": "a", "env": "X"}
SOUND = {"name": "x", "command": ["a"]}


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({"name": "x", "cpu": "-1x"}, ["/command", "/cpu"]),
        ({**SOUND, "script": "a", "memory": "1GB"}, ["/memory", "/script"]),
        ({**SOUND, "python": "/a", "requirements": "b"}, ["/python", "/requirements"]),
        ({**SOUND, "python": "a", "requirements": "b"}, ["/python", "/requirements"]),
        ({**SOUND, "python": "/a", "requirements": "/b"}, ["/requirements"]),
        ({**SOUND, "secrets": [{"name": "-"}]}, ["/secrets/0", "/secrets/0/name"]),
        ({**SOUND, "secrets": [{"name": "a", "env": "1"}, IN_X], "env": {"X": "1"}}, ["/secrets/0/env"]),
        ({**SOUND, "gpus": -1, "secrets": [{"name": "a", "env": "X"}], "env": {"X": "1"}}, ["/gpus", "/secrets/0"]),
        ({"name": "x", "command": [], "script": "a"}, ["/command"]),
        ({"name": "x", "cmd": ["a"]}, ["/cmd"]),
        ({"command": [" "], "script": "a"}, ["/command", "/name", "/script"]),
        ([], [""]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_said_at_once(value: Any, places: list[str]) -> None:
    assert _places(value) == places


def test_a_model_within_another_says_all_too() -> None:
    class Outer(BaseModel):
        spec: JobSpec

    assert _places({"spec": {"name": "x", "cpu": "-1x"}}, Outer) == ["/spec/command", "/spec/cpu"]


def test_a_rule_of_a_class_holds_for_those_below_and_sees_what_the_model_would_have() -> None:
    seen: list[Any] = []

    class Below(JobSpec):
        @rule("secrets", "retry")
        def _look(self) -> None:
            seen.append((self.secrets[0].env, self.retry))

    given = {**SOUND, "cpu": "-1x", "secrets": [{"name": "a", "env": "X"}]}
    assert _places(given, Below) == ["/cpu"]
    assert seen == [("X", {"lost": 2})]
    assert set(JobSpec.rules) < set(Below.rules)


def test_texts_and_definitions_have_the_same_list() -> None:
    text = "name: x\npython: /a\nrequirements: b\ncpu: -1x\n"
    expected = [("/command", 1), ("/python", 2), ("/requirements", 3), ("/cpu", 4)]
    assert [(one.error.pointer, one.error.line) for one in run_text.check(text).mistakes] == expected
    inside = text.replace("name: x\n", "").replace("\n", "\n  ").strip()
    _, errors = definitions.check(f"name: x\nspec:\n  {inside}\n")
    assert sorted(one.pointer for one in errors) == sorted(f"/spec{place}" for place, _ in expected)
