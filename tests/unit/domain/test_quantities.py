"""Quantities read what people write, refuse what would surprise them, and say what would do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.quantities import (
    MAX_BYTES,
    MAX_CPU_MILLIS,
    MAX_SECONDS,
    QuantityError,
    format_cpu,
    format_duration,
    format_memory,
    parse_cpu,
    parse_duration,
    parse_memory,
)


@pytest.mark.parametrize(("text", "millis"), [("1", 1000), ("1500m", 1500), ("0.5", 500), (" 2 ", 2000), ("1m", 1)])
def test_cpu(text: str, millis: int) -> None:
    assert parse_cpu(text) == millis


@pytest.mark.parametrize(
    ("text", "size"), [("1Gi", 2**30), ("512Mi", 2**29), ("1.5Gi", 3 * 2**29), ("1073741824", 2**30), ("1Ti", 2**40)]
)
def test_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("0s", 0)])
def test_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("parse", "text", "fix"),
    [
        (parse_memory, "16G", "16Gi"),
        (parse_memory, "16g", "16Gi"),
        (parse_memory, "16GB", "16Gi"),
        (parse_memory, "512m", "512Mi"),
        (parse_memory, "4", "4Gi"),
        (parse_memory, "512", "512Mi"),
        (parse_memory, "0", "1Mi"),
        (parse_memory, "2 Gi", "2Gi"),
        (parse_memory, "512 MB", "512Mi"),
        (parse_memory, "1,5Gi", "1.5Gi"),
        (parse_memory, "lots", "1Gi"),
        (parse_cpu, "500 m", "500m"),
        (parse_cpu, "250 millicores", "250m"),
        (parse_cpu, "1,5", "1.5"),
        (parse_cpu, ".5", "0.5"),
        (parse_cpu, "1e2", None),
        (parse_duration, "5 minutes", "5m"),
        (parse_duration, "10 m", "10m"),
        (parse_duration, "1.5h", "1h30m"),
        (parse_duration, "2 hours, 5 min", "2h5m"),
        (parse_duration, "3 fortnights", None),
        (parse_memory, "-1Gi", "1Gi"),
        (parse_memory, "9999999Ti", None),
        (parse_cpu, "2 cores", "2"),
        (parse_cpu, "0.0001", "1m"),
        (parse_cpu, "0", None),
        (parse_cpu, "1e18", None),
        (parse_cpu, "NaN", None),
        (parse_cpu, "", None),
        (parse_duration, "90", "90s"),
        (parse_duration, "999999999d", None),
    ],
)
def test_refused_with_what_would_do(parse: object, text: str, fix: str | None) -> None:
    assert callable(parse)
    with pytest.raises(QuantityError) as refused:
        parse(text)
    assert refused.value.fix == fix
    if fix is not None:
        parse(fix)


@given(st.integers(1, MAX_CPU_MILLIS))
def test_cpu_reads_back(millis: int) -> None:
    assert parse_cpu(format_cpu(millis)) == millis


@given(st.integers(2**20, MAX_BYTES))
def test_memory_reads_back(size: int) -> None:
    assert parse_memory(format_memory(size)) == size


@given(st.integers(0, MAX_SECONDS))
def test_duration_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=50))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_cpu, parse_memory, parse_duration):
        try:
            assert parse(text) >= 0
        except QuantityError as refused:
            assert len(str(refused)) < 200
