"""Definitions: parameters and their values, placeholders, and mistakes with their places."""

import json
from typing import Any

import jsonschema
import pytest

from app.workloads import definition_diff, parameters
from app.workloads.definitions import build_spec, check, read_stored

_NAME = "digits ${{ params.lr }}/${{ params.kind }} $${{ params.lr }}"
BASE = """\
name: digits
parameters:
  lr: {type: number, default: 0.1, minimum: 0.001, exclusiveMaximum: 10}
  epochs: {type: integer, default: 5, minimum: 1}
  kind: {enum: [sgd, adam], default: sgd}
  layers: {type: array, items: {type: integer}, default: [64, 32], maxItems: 3}
  fast: {type: boolean, default: false}
  note: {type: string, pattern: "^[a-z ]*$", maxLength: 10}
spec:
  name: digits ${{ params.lr }}/${{params.kind}} $${{ params.lr }}
  command: [run, "${{ params.lr }}", "${{ params.layers }}", "--note=${{ params.note }}"]
  gpus: ${{ params.epochs }}
  env: {FAST: "${{ params.fast }}", LAYERS: "${{ params.layers }}"}
  parameters: {steps: "${{ params.epochs }}", fixed: 7}
"""


def mistakes(text: str) -> list[tuple[str, int | None, str | None]]:
    _, errors = check(text)
    return [(error.pointer, error.line, error.fix) for error in errors]


def test_what_placeholders_leave() -> None:
    definition, errors = check(BASE)
    assert definition is not None, errors
    values, wrong = parameters.check_values(definition.parameters, {"note": "a b", "epochs": 3.0})
    assert wrong == []
    spec = build_spec(definition, values).model_dump()
    assert spec["name"] == "digits 0.1/sgd ${{ params.lr }}"
    assert spec["command"] == ["run", "0.1", "64", "32", "--note=a b"]
    assert spec["gpus"] == 3
    assert spec["env"] == {"FAST": "false", "LAYERS": "64,32"}
    own = {"lr": 0.1, "epochs": 3, "kind": "sgd", "layers": "64,32", "fast": False, "note": "a b"}
    assert spec["parameters"] == own | {"steps": 3, "fixed": 7}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("default: 0.1", "default: 0", [("/parameters/lr/default", 3, "0.001")]),
        ("type: number", "type: numbre", [("/parameters/lr/type", 3, "number")]),
        ("minimum: 0.001", "min: 0.001", [("/parameters/lr/min", 3, None)]),
        ("maxLength", "maximum", [("/parameters/note/maximum", 8, None)]),
        ("default: sgd", "default: sdg", [("/parameters/kind/default", 5, "sgd")]),
        ("[sgd, adam]", "[sgd, sgd]", [("/parameters/kind/enum/1", 5, None)]),
        ("[64, 32]", "[64, x]", [("/parameters/layers/default", 6, None)]),
        ("default: false", "default: no", [("/parameters/fast/default", 7, None)]),
        ('"^[a-z ]*$"', '"(?=x)"', [("/parameters/note/pattern", 8, None)]),
        ('"^[a-z ]*$"', '"("', [("/parameters/note/pattern", 8, None)]),
        ("maxLength: 10", "maxLength: 10, required: false", [("/parameters/note/required", 8, None)]),
        ("params.kind}}", "params.knd}}", [("/spec/name", 10, _NAME)]),
        ("${{params.kind}}", "${{ kind }}", [("/spec/name", 10, None)]),
        ("${{params.kind}}", "${{ params.kind | upper }}", [("/spec/name", 10, None)]),
        ("  gpus:", '  "${{ params.lr }}": 1\n  gpus:', [("/spec/${{ params.lr }}", 12, None)]),
        ("  gpus:", "  cpu: 1x\n  gpus:", [("/spec/cpu", 12, "1")]),
        ("  gpus:", "  memory: 1GB\n  gpus:", [("/spec/memory", 12, "1Gi")]),
        ("name: digits\n", "name: Digits\n", [("/name", 1, None)]),
        ("name: digits\n", "name: new\n", [("/name", 1, None)]),
        ("name: digits\n", "name: digits\ncommand: x\n", [("/command", 2, None)]),
        ("  lr:", "  l r:", [("/parameters/l r", 3, None), ("/spec/name", 10, None), ("/spec/command/1", 11, None)]),
    ],
)
def test_mistakes_have_their_place(old: str, new: str, expected: list[tuple[str, int, str | None]]) -> None:
    assert old in BASE
    assert mistakes(BASE.replace(old, new, 1)) == expected


def test_mistakes_of_parameters_and_spec_are_told_together() -> None:
    text = BASE.replace("default: 0.1", "default: x").replace("  gpus:", "  memory: 1GB\n  gpus:")
    assert [pointer for pointer, _, _ in mistakes(text)] == ["/parameters/lr/default", "/spec/memory"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{command: [python, '${{ params.q }}'], cpu: -1}", ["/spec/command/1", "/spec/cpu"]),
        ("{command: '${{ params.q }}', gpus: -2}", ["/spec/command", "/spec/gpus"]),
        (
            "{command: [a], cpu: '${{ params.q }}', replicas: '${{ q }}', gpu: 1}",
            ["/spec/cpu", "/spec/replicas", "/spec/gpu"],
        ),
        ("{script: 'echo ${{ params.lr }}', memory: 1}", ["/spec/script", "/spec/memory"]),
        ("{script: a, env: {'${{ params.lr }}': 'x', 'B-C': 'x'}}", ["/spec/env/${{ params.lr }}", "/spec/env/B-C"]),
        ("{command: [a], kind: '${{ params.q }}', cpu: 1}", ["/spec/kind"]),
        ("{command: [a], script: '${{ params.q }}', gpus: -1}", ["/spec/script", "/spec/gpus"]),
    ],
)
def test_a_wrong_placeholder_hides_no_other_mistake(spec: str, expected: list[str]) -> None:
    made = f"name: x\nparameters: {{lr: {{type: number, default: 1}}}}\nspec: {spec}\n"
    assert [place for place, _, _ in mistakes(made)] == expected


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        ("{type: array, items: {type: string}, minItems: 1}", [], "the number of items must be at least 1"),
        ("{type: array, items: {type: string}, maxItems: 1}", ["a", "b"], "the number of items must be at most 1"),
        ("{type: string, minLength: 1}", "", "the number of characters must be at least 1"),
        ("{type: string, maxLength: 1}", "ab", "the number of characters must be at most 1"),
    ],
)
def test_a_limit_of_one_is_said_in_good_english(declared: str, value: Any, said: str) -> None:
    definition, errors = check(f"name: x\nparameters: {{p: {declared}}}\nspec: {{command: [a]}}\n")
    assert definition is not None, errors
    _, errors = parameters.check_values(definition.parameters, {"p": value})
    assert [error.as_dict()["message"] for error in errors] == [said]


def test_a_script_takes_no_placeholder() -> None:
    text = "name: x\nparameters: {who: {type: string}}\nspec:\n  script: echo ${{ params.who }}\n"
    _, (error,) = check(text)
    assert (error.pointer, error.line) == ("/spec/script", 4)
    assert error.slots["form"] == '"$BERTH_PARAM_WHO"'


def test_a_spec_that_depends_on_an_unknown_value_is_not_judged() -> None:
    definition, errors = check(
        'name: x\nparameters: {cpu: {type: string}}\nspec: {command: [a], cpu: "${{ params.cpu }}"}'
    )
    assert definition is not None, errors


VALUES: list[Any] = [0, 1, 1.0, 1.5, -1, 10, True, False, None, "", "a", "a b", "A", "x" * 20, [], [1], [1, 2, 3, 4]]


@pytest.mark.parametrize("value", [*VALUES, [1.5], ["x"], {}, "sgd", 0.001, 9.99])
@pytest.mark.parametrize("name", ["lr", "epochs", "kind", "layers", "fast", "note"])
def test_values_are_judged_as_json_schema_judges_them(name: str, value: Any) -> None:
    definition, _ = check(BASE)
    assert definition is not None
    schema = parameters.schema_of(definition.parameters)
    given = {"note": "x"} | {name: value}
    expected = jsonschema.Draft202012Validator(schema).is_valid(given)
    _, errors = parameters.check_values(definition.parameters, given)
    assert (errors == []) == expected, (name, value, errors)


def test_what_comes_from_a_form_is_typed() -> None:
    definition, _ = check(BASE)
    assert definition is not None
    found = {name: parameters.from_text(one, "1") for name, one in definition.parameters.items()}
    assert found == {"lr": 1, "epochs": 1, "kind": "1", "layers": [1], "fast": "1", "note": "1"}
    for name, one in definition.parameters.items():
        if one.has_default:
            assert parameters.from_text(one, parameters.typed(one.default)) == one.default, name


PATTERN = "'^v[0-9]{4}[.][0-9]+$'"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("", "does not match the regular expression ^v[0-9]{4}[.][0-9]+$"),
        (", default: v2024.1", "must look like v2024.1"),
        (", examples: [v2023.7], default: v2024.1", "must look like v2023.7"),
        (", description: A release.", "does not have the form that is asked for: A release."),
        (", description: A release., examples: [v2023.7]", "must look like v2023.7 (A release.)"),
    ],
)
def test_a_pattern_is_shown_only_where_there_is_nothing_else(declared: str, said: str) -> None:
    for kind, value in (
        ("{type: string, pattern: %s%s}", "new"),
        ("{type: array, items: {pattern: %s, type: string}%s}", ["new"]),
    ):
        listed = declared.replace("v2023.7", "[v2023.7]").replace("default: v2024.1", "default: [v2024.1]")
        text = kind % (PATTERN, listed if isinstance(value, list) else declared)
        found, errors = check(f"name: x\nparameters:\n  p: {text}\nspec: {{command: [a]}}\n")
        assert found is not None, errors
        (error,) = parameters.check_values(found.parameters, {"p": value})[1]
        assert error.as_dict()["message"] == said


def test_a_pattern_that_has_words_is_said_in_words() -> None:
    text = "name: x\nparameters: {p: {type: string, pattern: '^[0-9a-f]{64}$'}}\nspec: {command: [a]}\n"
    found, _ = check(text)
    assert found is not None
    (error,) = parameters.check_values(found.parameters, {"p": "x"})[1]
    assert error.as_dict()["message"].startswith("must be a SHA-256: 64 digits")


def test_examples_are_values_that_are_taken() -> None:
    text = f"name: x\nparameters:\n  p: {{type: string, pattern: {PATTERN}, examples: [v1]}}\nspec: {{command: [a]}}\n"
    found, errors = check(text)
    assert (found, [one.pointer for one in errors]) == (None, ["/parameters/p/examples/0"])
    assert "regular expression" in errors[0].message, "whoever wrote the pattern can read it"


def test_a_pattern_that_would_take_for_ever_elsewhere() -> None:
    text = "name: x\nparameters: {p: {type: string, pattern: '^(a+)+$'}}\nspec: {command: [a]}\n"
    definition, errors = check(text)
    assert definition is not None, errors
    _, wrong = parameters.check_values(definition.parameters, {"p": "a" * 4000 + "!"})
    assert len(wrong) == 1


def test_differences_in_words() -> None:
    before: dict[str, Any] = {"title": "a", "parameters": {"x": {"default": 1}}, "spec": {"cpu": "1", "tags": ["a"]}}
    after = json.loads(json.dumps(before))
    after["title"] = "b"
    after["parameters"] = {"x": {"default": True}, "y": {"type": "string"}}
    del after["spec"]["cpu"]
    found = [(one.pointer, one.kind) for one in definition_diff.compare(before, after)]
    assert found == [
        ("/title", "changed"),
        ("/parameters/x/default", "changed"),
        ("/parameters/y", "added"),
        ("/spec/cpu", "removed"),
    ]


def test_a_field_that_is_none_names_the_nearest() -> None:
    _, errors = check("name: x\nspec:\n  comand: [echo]\n  colour: red\n")
    said = {error.pointer: error.slots.get("near") for error in errors}
    assert (said["/spec/comand"], said["/spec/colour"]) == ("command", None)


@pytest.mark.parametrize(
    ("declared", "wrong"),
    [
        ("{type: number, exclusiveMinimum: 1, exclusiveMaximum: 1}", "/exclusiveMaximum"),
        ("{type: number, minimum: 1, exclusiveMaximum: 1}", "/exclusiveMaximum"),
        ("{type: number, exclusiveMinimum: 1, maximum: 1}", "/maximum"),
        ("{type: number, minimum: 1, maximum: 1}", None),
        ("{type: number, exclusiveMinimum: 1, exclusiveMaximum: 1.001}", None),
        ("{type: number, minimum: 0, exclusiveMinimum: 3, maximum: 9, exclusiveMaximum: 2}", "/exclusiveMaximum"),
        ("{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 2}", "/exclusiveMaximum"),
        ("{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 3}", None),
        ("{type: integer, minimum: 1.2, maximum: 1.7}", "/maximum"),
        ("{type: integer, minimum: -1.7, maximum: -1}", None),
        ("{type: integer, minimum: 1.0e+17}", "/minimum"),
        ("{type: integer, exclusiveMaximum: -1.0e+17}", "/exclusiveMaximum"),
        ("{type: string, minLength: 5000}", "/minLength"),
        ("{type: string, minLength: 2, maxLength: 1}", "/maxLength"),
        ("{type: string, minLength: 2, maxLength: 2}", None),
        ("{type: string, enum: []}", "/enum"),
        ("{type: array, minItems: 501}", "/minItems"),
        ("{type: array, minItems: 2, maxItems: 1}", "/maxItems"),
        ("{type: array, items: {type: integer, exclusiveMinimum: 0, maximum: 0.5}}", "/items/maximum"),
    ],
)
def test_limits_that_no_value_keeps_are_refused(declared: str, wrong: str | None) -> None:
    text = f"name: x\nparameters:\n  p: {declared}\nspec: {{command: [a]}}\n"
    definition, errors = check(text)
    assert [error.pointer for error in errors] == ([f"/parameters/p{wrong}"] if wrong else [])
    assert all(error.line == 3 for error in errors)
    assert (definition is None) == (wrong is not None)


def test_a_stored_definition_stays_readable_with_a_rule_that_came_later() -> None:
    declared = {"p": {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1}}
    stored = {"name": "x", "parameters": declared, "spec": {"command": ["a"]}}
    assert list(read_stored(stored).parameters) == ["p"]
