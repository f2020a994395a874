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
from tests.web.run_texts import BROKEN, CORPUS, HOSTILE, HOSTILE_FIELDS

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
    assert len(CORPUS) >= 60
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


def test_mistakes_stand_at_their_field_and_line(console: Console) -> None:
    assert len(BROKEN) >= 40
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


def test_what_no_field_has_is_kept_and_listed(console: Console) -> None:
    text = "name: x\nscript: echo\nzone: {eu: [1, 2]} # mine\nparameters:\n  a: 1\n  layers: [64, 32]\n"
    form = shown(console, text)
    page = console.post(NEW, form | {"do": "check", "f.cpu": "2"}, "alice").text
    assert text_of(page) == text + "cpu: 2\n"
    listed = re.search(r'<details class="card" id="advanced".*?</details>', page, re.DOTALL)
    assert listed
    assert re.findall(r'data-line="(\d+)".*?<code>(.*?)</code> <code class="muted">(.*?)</code>', listed[0]) == [
        ("3", "zone", "{&#34;eu&#34;: [1, 2]}"),
        ("6", "parameters.layers", "[64, 32]"),
    ]
    assert 'id="advanced"' not in console.get(NEW, "alice").text, "there is nothing to list"
    chinese = console.post(NEW, form | {"do": "check"}, "alice", accept_language="zh").text
    assert "高级" in chinese


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


def test_hostile_texts_are_answered(console: Console) -> None:
    form = opened(console)
    before = count(Run)
    for text in HOSTILE:
        for sent in (form | {"text": text}, form | {"text": text, "was": text, "f.name": text[:5000]}):
            for path in (NEW, f"{NEW}/check"):
                assert console.post(path, sent, "alice").status_code in (200, 413, 422), text[:50]
    assert count(Run) == before


def test_hostile_fields_are_answered(console: Console) -> None:
    form = opened(console)
    for sent in HOSTILE_FIELDS:
        for path in (NEW, f"{NEW}/check"):
            assert console.post(path, form | sent, "alice").status_code in (200, 303, 422), str(sent)[:80]
