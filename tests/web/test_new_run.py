"""The page of a new run without a browser: the form and its YAML follow each other, mistakes stand where they are."""

import html
import re
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from app import db
from app.models import AuditEntry, Reservation, Run
from app.services import runs
from tests.web.conftest import Console

NEW = "/projects/vision/runs/new"


@pytest.fixture(autouse=True)
def _afresh() -> None:
    runs.forget_what_was_seen()


def count(what: type) -> int:
    with db.read_session() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


def newest() -> Any:
    with db.read_session() as session:
        return session.scalars(select(Run).order_by(Run.id.desc()).limit(1)).one()


def text_of(page: str) -> str:
    """What stands in the YAML's field."""
    found = re.search(r'<textarea class="in yaml".*?>(.*?)</textarea>', page, re.DOTALL)
    assert found
    return html.unescape(found[1]).removeprefix("\n")


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send of the page's form."""
    form = re.search(r'<form class="split editor".*?</form>', page, re.DOTALL)
    assert form
    made: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", form[0]):
        given = {name: html.unescape(value) for name, value in re.findall(r'([\w.-]+)="([^"]*)"', tag)}
        if "disabled" in tag or "name" not in given or (given.get("type") == "radio" and " checked" not in tag):
            continue
        made[given["name"]] = given.get("value", "")
    for name, value in re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form[0], re.DOTALL):
        made[name] = html.unescape(value).removeprefix("\n")
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected>', options) or re.search(
            r"<option selected>([^<]*)", options
        )
        made[name] = html.unescape(chosen[1]) if chosen else ""
    return made


def opened(console: Console, path: str = NEW) -> dict[str, str]:
    answer = console.get(path, "alice")
    assert answer.status_code == 200, answer.text
    return fields_of(answer.text)


def test_the_example_is_submitted_as_it_is(console: Console) -> None:
    for language in ("en", "zh"):
        page = console.get(NEW, "alice", accept_language=language)
        answer = console.post(NEW, fields_of(page.text), "alice")
        assert answer.status_code == 303, answer.text
        assert newest().spec["parameters"] == {"WHO": "world"}


HEAD = """\
# my run
name: base   # the name

"""
SCRIPT = """\
script: |
  # inside of the script
  echo one

  echo two
"""
# (what is written, which field is typed in, what, the lines that go, the lines that come)
CORPUS = [
    (HEAD + SCRIPT, "f.name", "other", ["name: base   # the name"], ["name: other   # the name"]),
    (HEAD + SCRIPT + "cpu: 1 # one\n", "f.cpu", "2", ["cpu: 1 # one"], ["cpu: 2 # one"]),
    (HEAD + SCRIPT + "cpu: '1'\n", "f.cpu", "500m", ["cpu: '1'"], ["cpu: 500m"]),
    (HEAD + SCRIPT + "cpu: 1\n# end\n", "f.cpu", "0.5", ["cpu: 1"], ["cpu: 0.5"]),
    (HEAD + SCRIPT + "memory: 1Gi\n\n# end\n", "f.memory", "16Gi", ["memory: 1Gi"], ["memory: 16Gi"]),
    (HEAD + SCRIPT + "memory: 1Gi\n", "f.memory", "", ["memory: 1Gi"], []),
    (HEAD + SCRIPT, "f.memory", "2Gi", [], ["memory: 2Gi"]),
    (HEAD + SCRIPT + "gpus: 1\n", "f.gpus", "4", ["gpus: 1"], ["gpus: 4"]),
    (HEAD + SCRIPT + "gpus: 1\n", "f.gpus", "many", ["gpus: 1"], ["gpus: many"]),
    (HEAD + SCRIPT + "priority: low\n", "f.priority", "high", ["priority: low"], ["priority: high"]),
    (HEAD + SCRIPT + "pool: a100 # the big one\n", "f.pool", "local", ["pool: a100 # the big one"], ["pool: local # the big one"]),
    (HEAD + SCRIPT + "timeout: 8h\n", "f.timeout", "1h30m", ["timeout: 8h"], ["timeout: 1h30m"]),
    (HEAD + SCRIPT + "grace: 10s\n", "f.grace", "", ["grace: 10s"], []),
    (HEAD + SCRIPT + "image: a/b:1\n", "f.image", "a/b:2", ["image: a/b:1"], ["image: a/b:2"]),
    (HEAD + SCRIPT + "experiment: x\n", "f.experiment", "y z", ["experiment: x"], ["experiment: y z"]),
    (HEAD + SCRIPT + "tags: [a, b] # two\n", "f.tags", "a b c", ["tags: [a, b] # two"], ["tags: [a, b, c] # two"]),
    (HEAD + SCRIPT + "tags:\n  - a # first\n  - b\n", "f.tags", "a, z", ["  - b"], ["  - z"]),
    (HEAD + SCRIPT + "tags:\n  - a\n", "f.tags", "a, b", [], ["  - b"]),
    (HEAD + SCRIPT + "tags: [a]\n# end\n", "f.tags", "", ["tags: [a]"], []),
    (HEAD + SCRIPT, "f.code", "echo 1\n\necho 3", ["  # inside of the script", "  echo one", "  echo two"], ["  echo 1", "  echo 3"]),
    (HEAD + "command: [python, train.py] # go\n", "f.code", "python other.py --x 'a b'", ["command: [python, train.py] # go"], ['command: [python, other.py, "--x", a b] # go']),
    (HEAD + "command:\n  - python # it\n  - a.py\n", "f.code", "python b.py", ["  - a.py"], ["  - b.py"]),
    (HEAD + "parameters:\n  lr: 0.1   # rate\n  o: adam\n" + SCRIPT, "p.0.value", "0.3", ["  lr: 0.1   # rate"], ["  lr: 0.3   # rate"]),
    (HEAD + "parameters:\n  lr: 0.1\n  o: adam # how\n" + SCRIPT, "p.1.value", "sgd", ["  o: adam # how"], ["  o: sgd # how"]),
    (HEAD + "parameters:\n  lr: 0.1\n  v: '2'\n" + SCRIPT, "p.1.value", "3", ["  v: '2'"], ['  v: "3"']),
    (HEAD + "parameters:\n  lr: 0.1 # r\n" + SCRIPT, "p.0.name", "rate", ["  lr: 0.1 # r"], ["  rate: 0.1 # r"]),
    (HEAD + "parameters:\n  a: 1\n  # of b\n  b: true\n" + SCRIPT, "p.1.value", "false", ["  b: true"], ["  b: false"]),
    (HEAD + "parameters: {a: 1, b: x}\n" + SCRIPT, "p.0.value", "2", ["parameters: {a: 1, b: x}"], ["parameters: {a: 2, b: x}"]),
    (HEAD + "env:\n  A: b  # of A\n" + SCRIPT, "e.0.value", "1", ["  A: b  # of A"], ['  A: "1"  # of A']),
    (HEAD + "env: {A: b}\n" + SCRIPT, "e.0.value", "x: #y", ["env: {A: b}"], ['env: {A: "x: #y"}']),
    (HEAD + SCRIPT + "retry: {lost: 2, failed: 1}\n", "f.retry.failed", "3", ["retry: {lost: 2, failed: 1}"], ["retry: {lost: 2, failed: 3}"]),
    (HEAD + SCRIPT, "f.retry.failed", "3", [], ["retry:", "  lost: 2", "  failed: 3"]),
    (HEAD + SCRIPT + "unheard_of: {of: [1, 2]} # mine\nmemory: 1Gi\n", "f.memory", "2Gi", ["memory: 1Gi"], ["memory: 2Gi"]),
    (HEAD + SCRIPT + "secrets: [{name: HF_TOKEN, env: HF}]\n", "s.0.env", "HF_TOKEN", ["secrets: [{name: HF_TOKEN, env: HF}]"], ["secrets: [{name: HF_TOKEN, env: HF_TOKEN}]"]),
]  # fmt: skip


def part_of(answer: str, name: str) -> str | None:
    """What a check sends anew: the text, or what the fields show."""
    found = re.search(rf'<textarea data-part="{name}">(.*?)</textarea>', answer, re.DOTALL)
    return html.unescape(found[1]).removeprefix("\n") if found else None


def shown(console: Console, text: str) -> dict[str, str]:
    """The form after this text was written into the YAML's field and checked without JavaScript."""
    sent = opened(console) | {"text": text, "do": "check"}
    answer = console.post(NEW, sent, "alice")
    assert answer.status_code == 200, answer.text
    assert text_of(answer.text) == text, "what is written is not touched"
    return fields_of(answer.text)


def test_from_yaml_to_the_form_and_back(console: Console) -> None:
    assert len(CORPUS) >= 30
    for text, key, typed, gone, come in CORPUS:
        form = shown(console, text)
        assert form["text"] == form["was"] == text
        assert key in form or key == "f.pool", (text, key)
        answer = console.post(f"{NEW}/check", form | {key: typed}, "alice", hx_request="true")
        assert answer.status_code == 200
        found = part_of(answer.text, "text")
        assert found is not None, (text, key, typed)
        before, after = text.splitlines(), found.splitlines()
        assert [line for line in before if line not in after and line] == gone, found
        assert [line for line in after if line not in before and line] == come, found
        assert "# my run" in found
        again = console.post(f"{NEW}/check", form | {key: typed, "text": found, "was": found}, "alice").text
        assert part_of(again, "text") is None, "what was taken over is no edit any more"


# (what is written below a good head, line, field, words of the message, what the remedy makes of it; None for none)
BROKEN = [
    ("memory: 4GB\n", 3, "f-memory", "unknown unit", "memory: 4Gi\n"),
    ("memory: 16G\n", 3, "f-memory", "decimal unit", "memory: 16Gi\n"),
    ("cpu: lots\n", 3, "f-cpu", "not a number of CPU cores", None),
    ("cpu: true\n", 3, "f-cpu", "must be text", "cpu: 1\n"),
    ("timeout: 90\n", 3, "f-timeout", "not a duration", "timeout: 90s\n"),
    ("gpus: '2'\n", 3, "f-gpus", "whole number", "gpus: 2\n"),
    ("gpus: -1\n", 3, "f-gpus", "at least 0", "gpus: 0\n"),
    ("priority: hihg\n", 3, "f-priority", "one of", "priority: high\n"),
    ("tags: one two\n", 3, "f-tags", "must be a list", "tags: [one, two]\n"),
    ("tags: [one two]\n", 3, "f-tags", "does not have the form", "tags: [one-two]\n"),
    ("experiment: my tries\n", 3, "f-experiment", "does not have the form", "experiment: my-tries\n"),
    ("env:\n  A: 3\n", 4, "e-0-value", "must be a text", 'env:\n  A: "3"\n'),
    ("env:\n  B: x\n  9A: x\n", 5, "e-1-name", "not a name for", "env:\n  B: x\n  _9A: x\n"),
    ("env:\n  B: x\n  PATH: x\n", 5, "e-1-value", "set by Berth", "env:\n  B: x\n"),
    ("parameters:\n  a b: 1\n", 4, "p-0-name", "does not have the form", "parameters:\n  a_b: 1\n"),
    ("parameters:\n  a: 1\n  b: [1]\n", 5, "", "must be a text, a number", "parameters:\n  a: 1\n"),
    ("retry: {faild: 1}\n", 3, "f-retry-lost", "one of", "retry: {failed: 1}\n"),
    ("retry: {failed: 50}\n", 3, "f-retry-failed", "at most 20", "retry: {failed: 20}\n"),
    ("memry: 1Gi # m\n", 3, "", "not a field here", "memory: 1Gi # m\n"),
    ("zzz: 1\n", 3, "", "not a field here", ""),
    ("pool: locl\n", 3, "f-pool", "no such pool", "pool: local\n"),
    ("memory: 64Gi\n", 3, "f-memory", "more than the pool has", "memory: 16Gi\n"),
    ("cpu: 64\n", 3, "f-cpu", "more than the pool has", "cpu: 8\n"),
    ("gpus: 8\n", 3, "f-gpus", "more than the pool has", "gpus: 0\n"),
    ("snapshot: " + "a" * 64 + "\n", 3, "", "was not uploaded", ""),
    ("secrets:\n  - {name: HF_TOKN, env: A}\n", 4, "s-0-name", "no secret of this project", "secrets: [{name: HF_TOKEN, env: A}]\n"),
    ("secrets:\n  - {name: HF_TOKEN}\n", 4, "s-0-name", "either env or file", "secrets: [{name: HF_TOKEN, env: HF_TOKEN}]\n"),
    ("command: [ls]\n", 2, "f-code", "either command or script", None),
    ("requirements: r.txt\n", 3, "f-requirements", "there is no snapshot", ""),
    ("name: twice\n", 3, "f-name", "stands twice", ""),
    ("\tcpu: 1\n", 3, "", "tab", None),
    ("experiment: a: b\n", 3, "", "mapping values", 'experiment: "a: b"\n'),
    ("1: x\n", 3, "", "write it in quotes", '"1": x\n'),
    ("tags: [a\n", None, "", "is not YAML", None),
]  # fmt: skip


def test_mistakes_stand_at_their_field_and_line(console: Console) -> None:
    assert len(BROKEN) >= 20
    form = opened(console)
    for case in BROKEN:
        _look_at_mistake(console, form, *case)


def _look_at_mistake(
    console: Console, form: dict[str, str], text: str, line: int | None, field: str, words: str, mended: str | None
) -> None:
    head = "name: base\nscript: echo\n"
    sent = form | {"text": head + text}
    answer = console.post(NEW, sent, "alice")
    page = answer.text
    assert answer.status_code == 422
    found = re.search(r'<ul id="problems".*?</ul>', page, re.DOTALL)
    assert found
    assert words in html.unescape(found[0])
    if line is not None:
        assert f'data-line="{line}"' in found[0]
        assert f'<i class="bad">{line}</i>' in page
    is_readable = (
        "is not YAML" not in page and "tab" not in words and words not in ("stands twice", "write it in quotes")
    )
    if field and is_readable:
        slot = field if field.startswith("f-") else field.rpartition("-")[0]
        assert re.search(
            rf'<div class="errs" id="e-{slot}"><div class="err"', " ".join(page.split()).replace("> <", "><")
        )
    if field and is_readable and field != "f-pool":
        assert re.search(rf'id="{field}"[^>]* aria-invalid="true"', page), field
    assert text_of(page) == head + text
    if mended is not None:
        button = re.search(r'<button class="fix" name="do" value="([^"]*)"', found[0])
        assert button, found[0]
        fixed = console.post(NEW, fields_of(page) | {"do": html.unescape(button[1])}, "alice")
        assert text_of(fixed.text).removeprefix(head) == mended


def test_bad_yaml_keeps_what_the_form_says(console: Console) -> None:
    form = opened(console) | {"f.name": "kept", "text": "name: [\n"}
    answer = console.post(NEW, form, "alice")
    assert answer.status_code == 422
    again = fields_of(answer.text)
    assert again["f.name"] == "kept"
    assert again["text"] == "name: [\n"
    last = console.post(NEW, again | {"text": "name: hello\nscript: echo\n", "do": "check"}, "alice")
    assert text_of(last.text) == "name: kept\nscript: echo\n"


def test_what_is_no_command_line_waits_in_its_field(console: Console) -> None:
    form = opened(console) | {"f.program": "command", "f.code": "python 'train.py", "f.memory": "2Gi"}
    answer = console.post(NEW, form, "alice")
    assert answer.status_code == 422
    assert "quotation mark" in answer.text
    again = fields_of(answer.text)
    assert again["f.code"] == "python 'train.py"
    assert "memory: 2Gi" in again["text"]
    done = console.post(NEW, again | {"f.code": "python 'train.py'"}, "alice")
    assert done.status_code == 303
    assert newest().spec["command"] == ["python", "train.py"]
    assert newest().spec["memory"] == "2Gi"


def test_rows_are_added_and_taken_out(console: Console) -> None:
    form = shown(console, "name: x\nscript: echo\nparameters:\n  a: 1\n  b: 2 # two\n")
    answer = console.post(NEW, form | {"p.0.name": "", "p.0.value": "", "p.2.name": "c", "p.2.value": "x"}, "alice")
    assert answer.status_code == 303, answer.text
    assert newest().spec["parameters"] == {"b": 2, "c": "x"}
    nameless = console.post(NEW, form | {"p.2.value": "x"}, "alice")
    assert "has a value without a name" in nameless.text


def test_a_copy_says_what_differs_and_keeps_its_code(console: Console) -> None:
    source = console.seed.runs["running"]
    page = console.get(f"{NEW}?from={source}", "alice").text
    assert "Nothing differs yet." in page
    assert re.search(r'id="p-0-value"[^>]* autofocus', page), "a parameter is what one changes"
    form = fields_of(page) | {"p.0.value": "0.3"}
    told = console.post(f"{NEW}/check", form, "alice").text
    assert "lr 0.1 → 0.3" in told
    assert re.search(r'data-marks="\d+:chg"', told)
    answer = console.post(NEW, form, "alice")
    assert answer.status_code == 303
    made = newest()
    assert made.spec["parameters"]["lr"] == 0.3
    with db.read_session() as session:
        old = session.scalars(select(Run).where(Run.public_id == source)).one()
    assert made.parent_id == old.id
    assert made.tags == old.tags
    assert made.definition_id == old.definition_id


def test_pressing_twice_makes_one_run(console: Console) -> None:
    form = opened(console)
    before, entries = count(Run), count(AuditEntry)
    first, second = (console.post(NEW, form, "alice") for _ in range(2))
    assert first.headers["location"] == second.headers["location"]
    assert (count(Run), count(AuditEntry)) == (before + 1, entries + 1)
    other = console.post(NEW, form | {"f.name": "another"}, "alice")
    assert other.headers["location"] != first.headers["location"]
    with db.read_session() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert (entry.verb, entry.actor_name) == ("run.submit", "alice")


def test_what_a_submit_would_do(console: Console) -> None:
    form = opened(console)
    assert "Starts at once" in console.post(f"{NEW}/check", form, "alice").text
    with db.unit_of_work() as session:
        run = session.scalars(select(Run).where(Run.public_id == console.seed.runs["running"])).one()
        session.execute(
            insert(Reservation).values(
                run_id=run.id, attempt=9, pool="local", cpu_millis=7500, memory_bytes=1 << 30, gpus=0
            )
        )
    waits = console.post(f"{NEW}/check", form, "alice").text
    assert re.search(r"Waits, place \d+ in line", waits)
    assert "7500m of 8 held, 1 for this run" in waits
    never = console.post(f"{NEW}/check", form | {"f.cpu": "64"}, "alice").text
    assert "No machine of this pool is that large" in never
    assert "The nearest that fits is" in never


def test_who_may(console: Console) -> None:
    other = console.seed.runs["running"]
    assert console.get(NEW, "bob").status_code == 403
    assert console.get(NEW, "nobody").status_code == 404
    assert 'id="new-run"' not in console.get("/projects/vision/runs", "bob").text
    assert 'id="clone"' not in console.get(f"/projects/vision/runs/{other}", "bob").text
    assert 'id="new-run"' in console.get("/projects/vision/runs", "alice").text
    assert f'href="{NEW}?from={other}"' in console.get(f"/projects/vision/runs/{other}", "alice").text
    assert "/projects/empty-project/runs/new" in console.get("/projects/empty-project/runs", "alice").text
    form = opened(console)
    for path in (NEW, f"{NEW}/check"):
        assert console.post(path, form, "bob").status_code == 403
        assert console.post(path, form | {"csrf": "x"}, "alice").status_code == 403
    for run in (other, "r-2222222222", "new", "\0", "r-" + "x" * 5000):
        assert (
            console.client.get(
                "/projects/empty-project/runs/new", params={"from": run}, headers=console._headers("alice", {})
            ).status_code
            == 404
        )


HOSTILE = [
    "",
    "\0",
    "a: &a [x]\nb: [*a, *a]\n",
    "[" * 5000,
    "x: " + "{a: " * 3000,
    "- " * 5000,
    "a" * 900_000,
    "name: x\n" * 9000,
    "!!python/object/apply:os.system [ls]",
    "%YAML 1.1\n---\nname: x\n",
    "name: x\n---\nname: y\n",
    "name: \ud7ff\uffff\n",
    "name: 1e999\nscript: [[[]]]\nparameters: 5\nenv: [1]\nsecrets: 7\ntags: {a: b}\nretry: no\ncommand: {}\n",
    "name: {a: b}\npool: [x]\nparameters: {? [a] : b}\n",
    "\n".join(f"k{number}: v" for number in range(3000)),
]


def test_hostile_texts_are_answered(console: Console) -> None:
    form = opened(console)
    before = count(Run)
    for text in HOSTILE:
        for sent in (form | {"text": text}, form | {"text": text, "was": text, "f.name": text[:5000]}):
            for path in (NEW, f"{NEW}/check"):
                assert console.post(path, sent, "alice").status_code in (200, 413, 422), text[:50]
    assert count(Run) == before


HOSTILE_FIELDS: list[dict[str, str]] = [
    {"f.name": "\0"},
    {"f.pool": "\0", "from": ""},
    {"p.0.name": "\0", "p.0.value": "\0"},
    {"p.0.name": "a" * 5000},
    {"s.0.name": "'; drop", "s.0.env": "\ud7ff"},
    {"do": "fix 99999999999999999999 /x"},
    {"do": "fix 0 /nothing"},
    {"do": "fix"},
    {"once": "\0", "f.cpu": "9" * 400},
    {"f.gpus": "٣"},
    {"f.code": "x" * 70_000, "f.program": "nothing"},
    {"f.tags": ", ".join("t" * 70 for _ in range(90))},
    {f"p.{number}.name": f"n{number}" for number in range(600)},
]


def test_hostile_fields_are_answered(console: Console) -> None:
    form = opened(console)
    for sent in HOSTILE_FIELDS:
        for path in (NEW, f"{NEW}/check"):
            assert console.post(path, form | sent, "alice").status_code in (200, 303, 422), str(sent)[:80]
