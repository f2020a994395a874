"""What a program writes: complete, bounded with a visible gap, cheap; and the line that says what went wrong."""

import os
import time
from pathlib import Path

import pytest

from app.clusters.local_wrapper.capture import MAX_TEXT, Capture, FirstError
from tests.clusters.world import MIB, World


def test_the_log_is_bounded_and_the_gap_is_seen(world: World) -> None:
    limit = 512 << 10
    program = "import sys\nfor i in range(40000):\n    print('line', i)\nprint('Error: the end', file=sys.stderr)\n"
    plan = world.plan(program + "sys.exit(1)", log_bytes=limit)
    replica = world.run(plan)
    assert replica.first_error == "Error: the end"
    log = world.log(plan)
    assert (world.folder(plan) / "0.log").stat().st_size < limit + 1024
    gaps = [text for stream, text in log if stream == "g"]
    assert len(gaps) == 1
    assert next(text for stream, text in log if stream == "b").startswith("The log is full (524288 bytes)")
    lines = [text for stream, text in log if stream == "o"]
    lost, size = map(int, gaps[0].split()[:2])
    assert len(lines) + lost == 40000
    assert size > lost * len("1700000000000 o line 0\n")
    assert ("o", "line 39999") in log[-3:]
    assert ("e", "Error: the end") in log[-3:]


def test_a_hundred_thousand_lines_are_cheap(world: World) -> None:
    plan = world.plan("for i in range(100_000):\n    print('this is line number', i)", cpu_millis=2000)
    begun, children = time.monotonic(), os.times()
    assert world.run(plan).exit_code == 0
    assert [text for _, text in world.log(plan)] == [f"this is line number {i}" for i in range(100_000)]
    assert time.monotonic() - begun < 10
    assert os.times().children_user - children.children_user < 3


def test_capturing_takes_little_processor_time(tmp_path: Path) -> None:
    data = b"".join(b"step %d loss 0.%d\n" % (i, i) for i in range(100_000))
    capture = Capture(str(tmp_path / "log"), 64 * MIB)
    begun = time.process_time()
    for at in range(0, len(data), 4096):
        capture.feed(b"e", data[at : at + 4096])
    capture.close()
    assert time.process_time() - begun < 1.5
    assert (tmp_path / "log").read_bytes().count(b"\n") == 100_000


def test_long_lines_are_cut_and_odd_bytes_kept(world: World) -> None:
    program = (
        "import sys\nout = sys.stdout.buffer\n"
        "out.write(b'x' * 150_000 + b'\\n')\nout.write(b'\\xff\\x00\\r\\x1b[31m\\n\\n')\nout.write(b'no end')\n"
    )
    plan = world.plan(program)
    assert world.run(plan).exit_code == 0
    data = world.cluster.read_log(plan.run_id, 1, 0, 0, 1 << 20).data
    texts = [line.split(b" ", 2)[2] for line in data.split(b"\n")[:-1]]
    assert [len(text) for text in texts[:3]] == [MAX_TEXT, MAX_TEXT, 150_000 - 2 * MAX_TEXT]
    assert texts[3:] == [b"\xff\x00\r\x1b[31m", b"", b"no end"]


def test_a_half_written_record_is_not_read(world: World) -> None:
    plan = world.plan(command=["true"])
    world.run(plan)
    path = world.folder(plan) / "0.log"
    path.write_bytes(b"1 o whole\n2 o ha")
    piece = world.cluster.read_log(plan.run_id, 1, 0, 0, 100)
    assert (piece.data, piece.end_offset) == (b"1 o whole\n", 10)
    path.write_bytes(b"1 o whole\n2 o half\n" + b"3 o " + b"x" * MAX_TEXT + b"\n")
    piece = world.cluster.read_log(plan.run_id, 1, 0, piece.end_offset, 9)
    assert piece.data == b"2 o half\n"
    assert len(world.cluster.read_log(plan.run_id, 1, 0, piece.end_offset, 9).data) == MAX_TEXT + 5


def test_a_full_disk_leaves_whole_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture(str(tmp_path / "log"), MIB)
    capture.feed(b"o", b"first\n")
    real, calls = os.write, []

    def write(handle: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(handle, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    capture.feed(b"o", b"second\nthird\n")
    monkeypatch.setattr(os, "write", real)
    capture.feed(b"o", b"fourth\n")
    capture.close()
    records = [line.split(b" ", 2)[1:] for line in (tmp_path / "log").read_bytes().splitlines()]
    assert records[:2] == [[b"o", b"first"], [b"o", b"fourth"]]
    assert records[2][0] == b"g"
    assert records[2][1].startswith(b"2 ")


CHAINED = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'lr'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise ValueError(
ValueError: no learning rate
"""
RANKED = """[rank1]: Traceback (most recent call last):
[rank1]:   File "a.py", line 1, in <module>
[rank1]: RuntimeError: NCCL timed out
[rank1]: more words
"""
GROUPED = """  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHAINED, "ValueError: no learning rate"),
        (RANKED, "RuntimeError: NCCL timed out"),
        (GROUPED, "ExceptionGroup: two (2 sub-exceptions)"),
        ("loading\nbash: line 1: foo: command not found\nbye\n", "bash: line 1: foo: command not found"),
        ("just\nwords\n\n", "words"),
        ("\x1b[31mFatal: \x07no GPU\x1b[0m\n", "Fatal: no GPU"),
        ("\n", None),
        ("x" * 9000, "x" * 500),
    ],
)
@pytest.mark.parametrize("piece", [7, 100_000])
def test_the_line_that_says_it(text: str, expected: str | None, piece: int, tmp_path: Path) -> None:
    capture = Capture(str(tmp_path / "log"), MIB)
    data = text.encode()
    for at in range(0, len(data), piece):
        capture.feed(b"e", data[at : at + piece])
    capture.close()
    assert capture.errors.line == expected


def test_a_traceback_on_stdout_counts_words_there_do_not() -> None:
    errors = FirstError()
    errors.feed(b"o", [b"error rate 0.1"])
    assert errors.line is None
    errors.feed(b"o", CHAINED.encode().split(b"\n"))
    assert errors.line == "ValueError: no learning rate"


def test_a_real_exception(world: World) -> None:
    replica = world.run(world.plan("def f(x):\n    return {}[x]\nf('rate')"))
    assert (replica.cause, replica.first_error) == ("failed", "KeyError: 'rate'")


def test_a_signal_is_named(any_world: World) -> None:
    replica = any_world.run(any_world.plan("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"))
    assert (replica.exit_code, replica.cause) == (139, "failed")
    assert "SIGSEGV" in replica.message
