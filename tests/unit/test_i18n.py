"""Texts in the reader's language."""

import pytest

from app.i18n import known, negotiate, translate, translate_plural


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_CN"),
        ("zh-Hans", "zh_CN"),
        ("ZH", "zh_CN"),
        ("en;q=0.5, zh;q=0.9", "zh_CN"),
        ("zh;q=0, en", "en"),
        ("de, fr", "en"),
        ("*", "en"),
        ("zh;q=x", "en"),
        (";;;,,,", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_negotiate(header: str | None, language: str) -> None:
    assert negotiate(header) == language


@pytest.mark.parametrize(("tag", "language"), [("zh_CN", "zh_CN"), ("en-GB", "en"), ("xx", None), ("", None)])
def test_known(tag: str, language: str | None) -> None:
    assert known(tag) == language


def test_slots_are_filled_and_never_fail() -> None:
    assert translate("en", "At most {limit} bytes are taken here.", limit=7) == "At most 7 bytes are taken here."
    assert translate("en", "{absent} stays", other=1) == "{absent} stays"
    assert translate("en", "{value}", value="{limit}") == "{limit}"
    assert translate(None, "as it is {") == "as it is {"


def test_chinese() -> None:
    assert translate("zh_CN", "Not found") not in ("", "Not found")
    assert translate("zh_CN", "a text that nobody translated") == "a text that nobody translated"
    assert "7" in translate("zh_CN", "At most {limit} bytes are taken here.", limit=7)


def test_the_tab_of_a_runs_machine_is_not_the_theme_of_the_system() -> None:
    assert translate("zh_CN", "System") == "系统"


def test_plurals() -> None:
    assert translate_plural("en", "{number} run", "{number} runs", 1) == "1 run"
    assert translate_plural("en", "{number} run", "{number} runs", 2) == "2 runs"
