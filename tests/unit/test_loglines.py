"""The record format, texts made safe to show, and the search in pieces of log."""

import pytest

from app.domain.loglines import (
    Gap,
    Needle,
    Record,
    count_gaps,
    encode,
    error_lines,
    first_error,
    parse,
    read_gap,
    records,
    rfc3339,
    shown,
)

PIECE = (
    b"1000 o Hello World\n1001 e 1002 o hello\n1002 g 5 900 the limit\n1003 o\xc3\x84rger\n1004 o \xc3\x84rger hello\n"
)


def test_a_record_survives_encoding() -> None:
    record = Record(1_763_800_000_123, "e", b"caf\xc3\xa9 \xff  two  spaces ")
    assert parse(encode(record)[:-1]) == record


def test_a_record_cannot_contain_its_own_end() -> None:
    assert encode(Record(1, "o", b"a\nb\0c")) == b"1 o a b c\n"


@pytest.mark.parametrize("line", [b"", b"x", b"12 q text", b"-5 o text", b"1" * 30 + b" o text"])
def test_what_is_no_record_is_shown_whole(line: bytes) -> None:
    assert parse(line) == Record(0, "o", line)


def test_gaps_are_counted_and_read() -> None:
    assert count_gaps(PIECE) == 1
    assert read_gap(b"5 900 the limit of 256 MiB") == Gap(5, 900, "the limit of 256 MiB")
    assert read_gap(b"nonsense") == Gap(0, 0, "nonsense")


def test_times_are_utc_with_milliseconds() -> None:
    assert rfc3339(1_763_800_000_007) == "2025-11-22T08:26:40.007Z"


@pytest.mark.parametrize(
    ("raw", "plain", "coloured"),
    [
        (b"plain \xe4\xb8\xad\xe6\x96\x87", "plain 中文", "plain 中文"),
        (b"a\tb", "a\tb", "a\tb"),
        (b"\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m"),
        (b"\x1b[2Jgone\x1b[10;10H", "gone", "gone"),
        (b"\x1b]0;title\x07x\x1b]8;;http://evil\x1b\\link", "xlink", "xlink"),
        (b"\x1b]unfinished", "␛]unfinished", "␛]unfinished"),
        (b"nul\x00bell\x07del\x7f", "nul␀bell␇del␡", "nul␀bell␇del␡"),
        ("\u202eevil\u2066".encode(), "<U+202E>evil<U+2066>", "<U+202E>evil<U+2066>"),
        (b"\xff\xfe", "\ufffd\ufffd", "\ufffd\ufffd"),
        (b" 10%\r 50%\r100%", "100%", "100%"),
        (b"windows\r", "windows", "windows"),
        (b"\r\r", "", ""),
    ],
)
def test_shown_text_can_do_nothing(raw: bytes, plain: str, coloured: str) -> None:
    assert shown(raw) == plain
    assert shown(raw, colour=True) == coloured


def test_raw_shows_what_carriage_returns_hid() -> None:
    assert shown(b"10%\r20%", raw=True) == "10%␍20%"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("hello", [11, 12, 15]),
        ("HELLO", [11, 12, 15]),
        ("ärger", [15]),
        ("o", [11, 12, 15]),
        ("1002", [12]),
        ("zzz", []),
    ],
)
def test_search_finds_texts_not_times(text: str, lines: list[int]) -> None:
    piece = PIECE.replace(b"1003 o\xc3\x84rger", b"1003 o x")
    assert list(Needle(text).lines(piece, 11)) == lines


def test_search_agrees_with_the_slow_way() -> None:
    piece = b"".join(encode(Record(10**12 + n, "oe"[n % 2], b"step %d loss %d o" % (n, n * 7))) for n in range(500))
    for text in ("7", "STEP 1", "loss 70", " o", "e"):
        slow = [n for n, one in enumerate(records(piece), 1) if text.lower() in one.text.decode().lower()]
        assert list(Needle(text).lines(piece, 1)) == slow, text


@pytest.mark.parametrize(
    ("line", "is_error"),
    [
        ("Traceback (most recent call last):", True),
        ("ValueError: no", True),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory", True),
        ("2026-01-01 ERROR something", True),
        ("no errors at all", False),
        ("mean absolute error 0.1", False),
        ("error: cannot open", True),
    ],
)
def test_first_error(line: str, is_error: bool) -> None:
    piece = encode(Record(1, "o", b"fine")) + encode(Record(2, "e", line.encode()))
    assert first_error(piece) == (1 if is_error else None)


def test_error_lines_are_those_that_look_like_errors() -> None:
    texts = [
        "fine",
        "Traceback (most recent call last):",
        "no Error here",
        "ValueError: loss",
        "x ERROR y ERROR",
        "Killed",
        "was Killed by hand",
        "torch.OutOfMemoryError: 1",
    ]
    data = b"".join(encode(Record(1, "e", text.encode())) for text in texts)
    assert error_lines(data, 10) == [1, 3, 4, 5, 7]
    assert error_lines(data, 2) == [1, 3]
    assert error_lines(b"", 2) == []
    assert error_lines(data, 10)[0] == first_error(data)
    assert error_lines(encode(Record(1, "b", b"ERROR of Berth's own words")), 10) == []
