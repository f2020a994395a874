"""What a file is and what of it can be shown, from its name and its first bytes. Pure, and safe on any bytes.

Nothing is unpickled, unpacked, rendered or run: text is cut into lines, tables into cells, and of tensors the
header is read. What a file claims about itself is checked against what it is.
"""

import csv
import io
import json
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import N_

HEAD_BYTES = 256 << 10  # as much of a text or table is shown
HEX_BYTES = 512
TABLE_ROWS = 200
TABLE_COLUMNS = 60
CELL_CHARACTERS = 300
LINE_CHARACTERS = 2000
IMAGE_BYTES = 20 << 20
IMAGE_PIXELS = 64_000_000  # a small file may unpack to gigabytes of pixels
TENSOR_HEADER_BYTES = 4 << 20
TENSORS = 500

_IMAGES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_TABLES = {"csv": ",", "tsv": "\t"}
# Bytes that text does not have; ESC and form feed are left to logs.
_BINARY = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
# Marks that change the direction of the text around them: shown by their numbers, for they hide what a file says.
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Image:
    """A picture that a browser may decode. Sizes in pixels."""

    media_type: str
    width: int
    height: int


@dataclass(frozen=True)
class Table:
    """The first rows; `is_cut` where the file has more of anything than is here."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_cut: bool


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file. `size` in bytes."""

    name: str
    dtype: str
    shape: Sequence[int]
    size: int


class NotThat(ValueError):
    """The file is not of the kind that its name says. `message` says why; it is a template that `slots` fill."""

    def __init__(self, message: str, **slots: int) -> None:
        super().__init__(message.format_map(slots))
        self.message = message
        self.slots = slots


def image_type(head: bytes) -> str | None:
    """The media type of a PNG, JPEG, GIF or WebP, by its first bytes; None for anything else."""
    for magic, media_type in _IMAGES:
        if head.startswith(magic):
            return media_type
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def read_image(head: bytes, size: int) -> Image:
    """What the picture says of itself. Raises NotThat where it is too large to be shown, or broken."""
    media_type = image_type(head)
    try:
        width, height = _dimensions(media_type or "", head)
    except (struct.error, IndexError):
        raise NotThat(N_("its header is cut short")) from None
    if not width or not height:
        raise NotThat(N_("its header names no size"))
    if size > IMAGE_BYTES or width * height > IMAGE_PIXELS:
        raise NotThat(N_("it is too large to be shown here: {width} × {height} pixels"), width=width, height=height)
    return Image(media_type or "", width, height)


def _dimensions(media_type: str, head: bytes) -> tuple[int, int]:
    if media_type == "image/png":
        width, height = struct.unpack_from(">II", head, 16)
    elif media_type == "image/gif":
        width, height = struct.unpack_from("<HH", head, 6)
    elif media_type == "image/jpeg":
        width, height = _jpeg(head)
    elif head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif head[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", head, 26))
    return width, height


def _jpeg(head: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            break
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        else:
            at += 2 + max(2, struct.unpack_from(">H", head, at + 2)[0])
    return 0, 0


def is_text(head: bytes) -> bool:
    """Whether the bytes, perhaps cut within a character, are UTF-8 text."""
    if _BINARY.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.end == len(head) and len(head) - error.start < 4
    return True


def text_lines(head: bytes) -> list[str]:
    """The lines, each cut where it is very long."""
    lines = _visible(head.decode(errors="replace")).split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line[:LINE_CHARACTERS] + ("…" if len(line) > LINE_CHARACTERS else "") for line in map(_end, lines)]


def _end(line: str) -> str:
    return line.removesuffix("\r")


def pretty_json(data: bytes) -> list[str] | None:
    """The document's lines, indented; None where it is none, or nested too deep."""
    try:
        return text_lines(json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def table_kind(name: str) -> str | None:
    """ "csv", "tsv" or "jsonl", by the name's end; None for anything else."""
    end = name.rpartition(".")[2].lower()
    return {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl"}.get(end)


def read_table(kind: str, head: bytes, is_whole: bool) -> Table:
    """The first rows. Raises NotThat."""
    content = head.decode(errors="replace").removeprefix("\ufeff")
    if not is_whole:
        content = content.rpartition("\n")[0]
    if kind == "jsonl":
        return _read_objects(content, is_whole)
    try:
        found = list(_first(csv.reader(io.StringIO(content, newline=""), delimiter=_TABLES[kind]), TABLE_ROWS + 2))
    except csv.Error:
        raise NotThat(N_("it cannot be read as a table")) from None
    found = [row for row in found if row]
    if not found:
        raise NotThat(N_("it has no rows"))
    columns, rows = found[0], found[1 : TABLE_ROWS + 1]
    is_cut = not is_whole or len(found) > TABLE_ROWS + 1 or any(len(row) > TABLE_COLUMNS for row in found)
    return Table(_cells(columns), [_cells(row) for row in rows], is_cut)


def _first(rows: Any, number: int) -> Iterator[list[str]]:
    for _, row in zip(range(number), rows, strict=False):
        yield row


def _read_objects(content: str, is_whole: bool) -> Table:
    columns: dict[str, None] = {}
    found: list[dict[str, Any]] = []
    lines = [line for line in content.split("\n") if line.strip()]
    for line in lines[:TABLE_ROWS]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise NotThat(N_("a line of it is no JSON")) from None
        found.append(value if isinstance(value, dict) else {"value": value})
        columns.update(dict.fromkeys(found[-1]))
    if not found:
        raise NotThat(N_("it has no rows"))
    names = list(columns)
    is_cut = not is_whole or len(lines) > TABLE_ROWS or len(names) > TABLE_COLUMNS
    rows = [_cells([_shown(row[name]) if name in row else "" for name in names[:TABLE_COLUMNS]]) for row in found]
    return Table(_cells(names), rows, is_cut)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cells(row: Sequence[str]) -> list[str]:
    return [
        _clean(cell[:CELL_CHARACTERS]) + ("…" if len(cell) > CELL_CHARACTERS else "") for cell in row[:TABLE_COLUMNS]
    ]


def _clean(told: str) -> str:
    """Without halves of characters, which JSON can name and no page can hold."""
    return _visible(told.encode(errors="replace").decode())


def _visible(told: str) -> str:
    return _DIRECTION.sub(lambda sign: f"\\u{ord(sign[0]):04x}", told)


def tensor_header_size(first: bytes, file_size: int) -> int:
    """How many bytes of header a safetensors file announces in its first 8. Raises NotThat for a lie."""
    if len(first) < 8:
        raise NotThat(N_("it is shorter than a header"))
    length: int = struct.unpack("<Q", first[:8])[0]
    if length > file_size - 8:
        raise NotThat(N_("it announces a header of {length} bytes and has {size}"), length=length, size=file_size)
    if length > TENSOR_HEADER_BYTES:
        raise NotThat(N_("its header of {length} bytes is too large to be shown here"), length=length)
    if length < 2:
        raise NotThat(N_("its header is empty"))
    return length


def read_tensors(header: bytes, data_size: int) -> tuple[list[Tensor], dict[str, str]]:
    """The tensors in the order of their bytes, and the metadata. `data_size` is the file's without the header.

    Raises NotThat where the header is none, or names bytes that the file does not have.
    """
    try:
        found = json.loads(header)
    except (ValueError, RecursionError):
        raise NotThat(N_("its header is no JSON")) from None
    if not isinstance(found, dict):
        raise NotThat(N_("its header is no JSON object"))
    given = found.pop("__metadata__", None) or {}
    metadata = (
        {_clean(str(name)): _clean(str(value)) for name, value in given.items()} if isinstance(given, dict) else {}
    )
    made = [(_tensor(name, facts, data_size), facts["data_offsets"][0]) for name, facts in found.items()]
    return [tensor for tensor, _ in sorted(made, key=lambda pair: pair[1])], metadata


def _tensor(name: str, facts: Any, data_size: int) -> Tensor:
    try:
        dtype, shape, (start, end) = facts["dtype"], facts["shape"], facts["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise NotThat(N_("its header has a tensor without type, shape and place")) from None
    numbers = [*shape, start, end] if isinstance(shape, list) else []
    if not numbers or not isinstance(dtype, str) or any(type(one) is not int or one < 0 for one in numbers):
        raise NotThat(N_("its header has a tensor without type, shape and place"))
    if not start <= end <= data_size:
        raise NotThat(
            N_("a tensor of it is said to lie at bytes {start} to {end} of {all}"), start=start, end=end, all=data_size
        )
    return Tensor(_clean(name), _clean(dtype), shape, end - start)


def hex_lines(head: bytes) -> list[tuple[str, str, str]]:
    """Offset, bytes and visible signs of each 16 bytes."""
    made = []
    for at in range(0, len(head), 16):
        row = head[at : at + 16]
        signs = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        made.append((f"{at:08x}", row.hex(" "), signs))
    return made
