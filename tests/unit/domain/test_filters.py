"""The filter language: what it means, and what it answers to what it does not know."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.filters import FilterError, Term, moment, parse

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("status:failed,stopped", [Term("status", "=", ("failed", "stopped"))]),
        ("-name:test owner:me", [Term("name", "=", ("test",), negated=True), Term("owner", "=", ("me",))]),
        ("resnet", [Term("name", "=", ("resnet",))]),
        ("created:<7d", [Term("created", "<", ("7d",))]),
        ("gpu:>=8", [Term("gpu", ">=", ("8",))]),
        ("param.lr:0.1", [Term("param.lr", "=", ("0.1",))]),
        ("param.lr:>=1e-3", [Term("param.lr", ">=", ("1e-3",))]),
        ("param.time:12:30", [Term("param.time", "=", ("12:30",))]),
        ("metric.loss:<0.3", [Term("metric.loss", "<", ("0.3",))]),
        ("-metric.val/acc:0.5,-1", [Term("metric.val/acc", "=", ("0.5", "-1"), negated=True)]),
        ('metric."a: b":>.5', [Term("metric.a: b", ">", (".5",))]),
        ("metric.gpu:0/util:<=+9.", [Term("metric.gpu:0/util", "<=", ("+9.",))]),
        ('name:"two words"', [Term("name", "=", ("two words",))]),
    ],
)
def test_meaning(text: str, terms: list[Term]) -> None:
    assert parse(text) == terms


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("statsu:failed", "status"),
        ("status:fialed", "failed"),
        ("name:<3", "name:3"),
        ("owner:", None),
        ("created:yesterday", None),
        ("created:7d", None),
        ("gpu:many", None),
        ('name:"open', "name:open"),
        ("param.:1", None),
        ("param.lr:>adam", None),
        ("param.lr:>1,2", None),
        ("param.lr:<", None),
        ("metric.:<1", "metric.NAME"),
        ("metric:<1", "metric.NAME"),
        ("metrics.loss:<1", "metric.loss"),
        ("metric.loss:,", None),
        *((f"metric.loss:{value}", None) for value in ("", "nan", "<inf", "<>1", "=1", "1_0", "--1", "<0x1", "1e999")),
        *((f"metric.loss:{value}", None) for value in ("<1,2", "٣", "−1", "1e", ".", "<" + "9" * 41)),
        ("a " * 30, None),
        ("x" * 2000, None),
        ("name:a\x00b", None),
        ("name:‮abc", None),
    ],
)
def test_refused_with_the_nearest(text: str, fix: str | None) -> None:
    with pytest.raises(FilterError) as refused:
        parse(text)
    if fix is not None:
        assert refused.value.fix == fix


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except FilterError as refused:
        assert str(refused)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1d", NOW - datetime.timedelta(days=1)),
        ("2026-11-01", datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)),
        ("2026-11-01T08:00:00+08:00", datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)),
    ],
)
def test_moments(value: str, expected: datetime.datetime) -> None:
    assert moment(value, NOW) == expected
