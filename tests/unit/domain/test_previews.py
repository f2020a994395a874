"""Previews: what each file is, and that no bytes at all can make them fail."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import previews
from app.domain.previews import NotThat


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 3, 4), ("image/png", 3, 4)),
        (b"GIF89a" + struct.pack("<HH", 5, 6), ("image/gif", 5, 6)),
        (b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08" + struct.pack(">HH", 7, 8), ("image/jpeg", 8, 7)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x09\0\0\x0a\0\0", ("image/webp", 10, 11)),
        (b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + struct.pack("<I", 11 | 12 << 14), ("image/webp", 12, 13)),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 14, 15), ("image/webp", 14, 15)),
    ],
)
def test_pictures(head: bytes, expected: tuple[str, int, int]) -> None:
    found = previews.read_image(head, 1000)
    assert (found.media_type, found.width, found.height) == expected


@pytest.mark.parametrize(
    "head", [b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<html>", b"%PDF-1.4", b"BM", b"", b"\0"]
)
def test_what_is_no_picture(head: bytes) -> None:
    assert previews.image_type(head) is None


def test_a_picture_that_unpacks_to_gigabytes_is_not_drawn() -> None:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000)
    with pytest.raises(NotThat, match="too large"):
        previews.read_image(head, 100)
    with pytest.raises(NotThat, match="too large"):
        previews.read_image(b"GIF89a" + struct.pack("<HH", 5, 6), 21 << 20)


@pytest.mark.parametrize(
    ("header", "data", "why"),
    [
        (b"[]", 10, "no JSON object"),
        (b"{", 10, "no JSON"),
        (b'{"a":1}', 10, "without type"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,40]}}', 10, "bytes 0 to 40 of 10"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}', 10, "bytes 8 to 4"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 10, "without type"),
        (b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', 10, "without type"),
        (b'{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}', 10, "without type"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', 10, "without type"),
        (b"[" * 100_000, 10, "no JSON"),
    ],
)
def test_headers_that_lie(header: bytes, data: int, why: str) -> None:
    with pytest.raises(NotThat, match=why):
        previews.read_tensors(header, data)


@pytest.mark.parametrize(
    ("length", "size", "why"), [(1 << 63, 100, "announces"), (93, 100, "announces"), (0, 100, "empty")]
)
def test_header_lengths_that_lie(length: int, size: int, why: str) -> None:
    with pytest.raises(NotThat, match=why):
        previews.tensor_header_size(struct.pack("<Q", length), size)
    with pytest.raises(NotThat, match="too large"):
        previews.tensor_header_size(struct.pack("<Q", 5 << 20), 10 << 20)
    with pytest.raises(NotThat, match="shorter"):
        previews.tensor_header_size(b"\0", 1)


def test_tensors_in_the_order_of_their_bytes() -> None:
    told = {
        "b": {"dtype": "F16", "shape": [2, 3], "data_offsets": [4, 16]},
        "a\ud800": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "__metadata__": {"format": "pt"},
    }
    tensors, metadata = previews.read_tensors(json.dumps(told).encode(), 16)
    assert [(one.name, one.size) for one in tensors] == [("a?", 4), ("b", 12)]
    assert metadata == {"format": "pt"}


def test_tables() -> None:
    found = previews.read_table("csv", b'\xef\xbb\xbfa,b\n1,"x\ny"\n', True)
    assert (found.columns, found.rows, found.is_cut) == (["a", "b"], [["1", "x\ny"]], False)
    found = previews.read_table("tsv", b"a\tb\n" + b"1\t2\n" * 300, True)
    assert (len(found.rows), found.is_cut) == (200, True)
    found = previews.read_table("csv", b"a\n1\n2", False)
    assert found.rows == [["1"]]  # the last line may be half a line
    found = previews.read_table("jsonl", b'{"a":1}\n{"b":"x","a":[1]}\n7\n', True)
    assert (found.columns, found.rows) == (["a", "b", "value"], [["1", "", ""], ["[1]", "x", ""], ["", "", "7"]])
    for kind, data in (("jsonl", b"{"), ("jsonl", b""), ("csv", b"\n"), ("csv", b'"' + b"x" * 200_000)):
        with pytest.raises(NotThat):
            previews.read_table(kind, data, True)


def test_text_and_what_is_none() -> None:
    assert previews.is_text("ä".encode()[:1])  # cut within a character
    assert not previews.is_text(b"\xff\xfe")
    assert not previews.is_text(b"a\0b")
    assert previews.text_lines(b"a\r\nb\n\n") == ["a", "b", ""]
    assert previews.text_lines("a\u202eb".encode()) == ["a\\u202eb"]
    assert len(previews.text_lines(b"x" * 100_000)[0]) == previews.LINE_CHARACTERS + 1
    assert previews.pretty_json(b'{"a": "\\ud800"}') == ["{", '  "a": "?"', "}"]
    assert previews.pretty_json(b"[" * 100_000) is None
    assert previews.hex_lines(b"AB\0") == [("00000000", "41 42 00", "AB·")]


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF0000WEBP"])
)
def test_any_bytes(data: bytes, magic: bytes) -> None:
    head = magic + data
    for read in (
        lambda: previews.read_image(head, len(head)) if previews.image_type(head) else None,
        lambda: previews.read_table("csv", head, True),
        lambda: previews.read_table("jsonl", head, False),
        lambda: previews.tensor_header_size(head, len(head)),
        lambda: previews.read_tensors(head, len(head)),
    ):
        try:
            read()
        except NotThat as problem:
            assert problem.message
    "\n".join(previews.text_lines(head)).encode()
    previews.hex_lines(head)
    previews.pretty_json(head)
