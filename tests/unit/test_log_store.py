"""Lines of a chunk by number: cut out of its middle, whatever their lengths."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.loglines import Chunk, Record, encode
from app.stores.logs import numbered


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60), st.integers(0, 70), st.integers(0, 70))
def test_the_wanted_lines_of_a_chunk(lengths: list[int], first: int, last: int) -> None:
    texts = [b"%d" % place + b"x" * length for place, length in enumerate(lengths)]
    data = b"".join(encode(Record(1000, "o", text)) for text in texts)
    chunk = Chunk(5, len(texts), len(data), data, None)
    expected = [(5 + place, text) for place, text in enumerate(texts) if first <= 5 + place <= last]
    assert [(number, record.text) for number, record in numbered(chunk, first, last)] == expected
