"""What a spec's rules say of mistakes: in words, each at its own place, all at once."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.i18n import translate
from app.workloads import run_text
from app.workloads.kinds.job import JobSpec
from app.workloads.patterns import IN_WORDS


def patterns_in(schema: Any) -> Iterator[str]:
    """Every pattern of a JSON Schema, at any depth."""
    for name, inside in schema.items() if isinstance(schema, dict) else ():
        if name == "pattern":
            yield inside
        elif name == "patternProperties":
            yield from inside
        yield from patterns_in(inside)
    for inside in schema if isinstance(schema, list) else ():
        yield from patterns_in(inside)


def test_every_pattern_of_a_spec_is_told_in_words() -> None:
    assert set(patterns_in(JobSpec.model_json_schema())) == set(IN_WORDS)


@pytest.mark.parametrize("pattern", IN_WORDS)
def test_the_words_of_a_pattern(pattern: str) -> None:
    words = IN_WORDS[pattern]
    assert re.fullmatch(pattern, words.example)
    english, chinese = (translate(language, words.text, example=words.example) for language in ("en", "zh_CN"))
    assert english != chinese
    for said in (english, chinese):
        assert words.example in said
        assert re.search(r"\d", said.replace(words.example, "")), "how long it may be"
        assert not re.search(r"[\[\]{}^$\\]", said), "signs of a regular expression"


@pytest.mark.parametrize(
    ("text", "value", "field"),
    [
        ("tags: [a b]", "such as vision/resnet-50", "/tags/0"),
        ("secrets: [{name: -x, env: A}]", "such as HF_TOKEN", "/secrets/0/name"),
        ("secrets: [{name: x, file: a b}]", "such as key.json", "/secrets/0/file"),
        ("snapshot: abc", "must be a SHA-256", "/snapshot"),
        ("requirements: /etc/passwd", "such as requirements.txt", "/requirements"),
        ("priority: urgent", "must be one of low, normal, high", "/priority"),
    ],
)
def test_a_mistake_is_told_without_signs_of_a_program(text: str, value: str, field: str) -> None:
    (mistake,) = run_text.check(f"name: x\nscript: x\n{text}\n").mistakes
    assert mistake.error.pointer == field
    assert value in mistake.error.as_dict()["message"]


def test_what_is_wrong_in_env_is_told_all_at_once() -> None:
    found = run_text.check("name: x\nscript: x\nenv:\n  A: 5\n  1BAD: x\n  PATH: x\n").mistakes
    assert [(one.error.pointer, one.error.line) for one in found] == [("/env/A", 4), ("/env/1BAD", 5), ("/env/PATH", 6)]


def test_no_program_and_two_programs_are_told_apart() -> None:
    said = {}
    for text in ("", "command: ~\n", "script: ~\n", "command: [ls]\nscript: ls\n"):
        (mistake,) = run_text.check(f"name: x\n{text}").mistakes
        said[text] = mistake.error.message
        mended = run_text.mended(f"name: x\n{text}", mistake)
        assert run_text.check(mended).mistakes == [], "its fix leads to no other mistake"
    assert len(set(said.values())) == 2
    assert said[""] == said["command: ~\n"] == said["script: ~\n"]
