"""YAML of strangers: what is read, what is refused, where, and how soon."""

import time

import pytest

from app.workloads.yaml_source import MAX_BYTES, SourceError, read, read_bytes


def refused(text: str) -> list[tuple[str, int | None, str]]:
    with pytest.raises(SourceError) as caught:
        read(text)
    return [(error.pointer, error.line, error.message) for error in caught.value.errors]


def test_values_are_those_of_yaml_1_2() -> None:
    text = "a: 012\nb: 12:30:45\nc: no\nd: 2020-01-01\ne: ~\nf: True\ng: 1e3\nh: 0x10\ni: '1'\n"
    expected = {"a": 12, "b": "12:30:45", "c": "no", "d": "2020-01-01", "e": None, "f": True}
    assert read(text).value == expected | {"g": 1000.0, "h": 16, "i": "1"}


def test_every_value_has_the_line_of_its_key() -> None:
    found = read("# x\na:\n  # y\n  b: |\n    text\n\n  c:  # z\n    - 1\n    - d: 2\n")
    assert found.lines == {"": 2, "/a": 2, "/a/b": 4, "/a/c": 7, "/a/c/0": 8, "/a/c/1": 9, "/a/c/1/d": 9}
    assert found.line_of("/a/c/1/missing/deeper") == 9


@pytest.mark.parametrize(
    ("text", "pointer", "line", "words"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "/b/c", 4, "twice"),
        ("a: &x [1]\nb: *x\n", "/b", 2, "alias"),
        ("a: !!python/object:os.system x\n", "/a", 1, "tag"),
        ("1: x\n", "", 1, "key"),
        ("? [a]\n: b\n", "", 1, "key"),
        ("a:\n\tb: 1\n", "", 2, "tab"),
        ("a: [x, ${{ params.y }}]\n", "", 1, "quotes"),
        ("a: 1\n---\nb: 2\n", "", 2, "more than one"),
        ("%YAML 1.1\n---\na: no\n", "", 2, "%YAML"),
        ("a: .inf\n", "/a", 1, "finite"),
        ("a: \x00\n", "", 1, "control"),
        ("a: 1\nb: \x1b[2J\n", "", 2, "control"),
        ("a: 'open\n", "", 2, "not YAML"),
        ("", "", 1, "empty"),
        ("- a\n", "", 1, "mapping"),
        ("just text\n", "", 1, "mapping"),
    ],
)
def test_what_is_refused_and_where(text: str, pointer: str, line: int, words: str) -> None:
    (found,) = refused(text)
    assert found[:2] == (pointer, line)
    assert words in found[2]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 20_000,
        "- " * 30_000,
        "a: [\n" * 10_000,
        "".join(f"{' ' * depth}a:\n" for depth in range(400)),
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a]\n" for n in range(9)),
        "a: " + "x" * MAX_BYTES,
        "".join(f"k{number}: 1\n" for number in range(9_000)),
        "a: " + "9" * 100_000,
    ],
)
def test_bombs_cost_little(text: str) -> None:
    began = time.process_time()
    refused(text)
    assert time.process_time() - began < 2.0


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(SourceError) as caught:
        read_bytes(b"a: 1\nb: \xff\n")
    assert caught.value.errors[0].line == 2
