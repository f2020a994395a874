"""Both languages are complete and say the same: every text is in the catalogue, with the same slots."""

import ast
import re

import pytest

from app.i18n import catalogue, negotiate, translate, translate_plural
from app.locale.update import FOLDER, collect

SLOT = re.compile(r"\{(\w*)\}")
COLLECTED = [message for message in collect() if message.id]


def first(message: object) -> str:
    """The msgid; of a plural, its singular."""
    return message if isinstance(message, str) else message[0]  # type: ignore[index]


def test_nothing_is_untranslated() -> None:
    chinese = catalogue("zh_CN")
    missing = [first(message.id) for message in COLLECTED if not chinese.get(first(message.id))]
    assert missing == [], "run `python -m app.locale.update` and translate these"


def test_nothing_is_left_over() -> None:
    known = {first(message.id) for message in COLLECTED}
    assert [text for text in catalogue("zh_CN") if text not in known] == []


def test_nothing_is_said_where_it_is_not_collected() -> None:
    """A text inside of an f-string is not seen by what collects texts."""
    known, found = {first(message.id) for message in COLLECTED}, set()
    for file in (FOLDER.parent / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                said = node.args[{"say": 0, "translate": 1}.get(name, 9) :][:1]
                found |= {one.value for one in said if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    assert found
    assert found - known == set()


@pytest.mark.parametrize("message", COLLECTED, ids=lambda message: first(message.id)[:40])
def test_slots_are_the_same(message: object) -> None:
    english = first(message.id)  # type: ignore[attr-defined]
    chinese = catalogue("zh_CN")[english]
    assert sorted(set(SLOT.findall(chinese))) == sorted(set(SLOT.findall(english)))
    assert chinese.count("`") == english.count("`")


# One word for one thing, everywhere.
GLOSSARY = {"pool": "节点池", "attempt": "尝试", "token": "令牌", "cluster": "集群", "project": "项目"}


@pytest.mark.parametrize(("english", "chinese"), GLOSSARY.items())
def test_terms_are_the_same_everywhere(english: str, chinese: str) -> None:
    for text, translated in catalogue("zh_CN").items():
        plain = re.sub(r"<\w+>", "", SLOT.sub("", text))
        if re.search(rf"\b{english}s?\b", plain, re.IGNORECASE) and "/" not in plain:
            assert chinese in translated, f"{text!r}: {translated!r}"


def test_the_language_is_negotiated() -> None:
    assert negotiate("zh-Hans-CN,zh;q=0.9,en;q=0.8") == "zh_CN"
    assert negotiate("de,fr;q=0.9,en;q=0.1") == "en"
    assert negotiate("zh;q=0,en") == "en"
    assert negotiate(None) == "en"
    assert negotiate("x" * 10_000) == "en"


def test_slots_are_filled_in_either_language() -> None:
    assert translate("zh_CN", "Stop {name}?", name="a{b}") == "停止 a{b}？"
    assert translate("en", "Stop {name}?") == "Stop {name}?"
    assert translate_plural("en", "{count} new run", "{count} new runs", 2, count="2") == "2 new runs"
    assert translate_plural("zh_CN", "{count} new run", "{count} new runs", 2, count="2") == "2 个新任务"
