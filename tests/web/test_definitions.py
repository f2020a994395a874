"""Pages of job definitions without a browser: forms that run and save, and what is said when they cannot."""

import html
import re

import pytest
from sqlalchemy import func, select

from app import db
from app.models import DefinitionVersion, Run
from tests.browser.seed import DIGITS
from tests.web.conftest import Console

JOBS = "/projects/vision/jobs"
DIGITS_PAGE = f"{JOBS}/train-digits"
FORM = {"p.lr": "0.5", "p.epochs": "3", "p.optimizer": "adam", "p.layers": "8\r\n4\r\n", "p.note": "a first try"}


def count(what: type) -> int:
    with db.read_session() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


def text_of(page: str) -> str:
    """What stands in the YAML's field."""
    found = re.search(r'<textarea class="in yaml".*?>(.*?)</textarea>', page, re.DOTALL)
    assert found
    return html.unescape(found[1]).removeprefix("\n")


def test_a_text_is_checked_while_it_is_written(console: Console) -> None:
    before = count(DefinitionVersion)
    whole = text_of(console.get(f"{JOBS}/new", "alice").text)
    assert "problems" not in console.post(f"{JOBS}/check", {"text": whole}, "alice").text
    wrong = whole.replace("memory: 256Mi", "memory: 256MB")
    answer = console.post(f"{JOBS}/check", {"text": wrong}, "alice")
    line = wrong.split("\n").index("  memory: 256MB") + 1
    assert f'data-line="{line}"' in answer.text
    assert "Use 256Mi and save" in answer.text
    taken = console.post(f"{JOBS}/check", {"text": whole, "name": "train-digits"}, "alice")
    assert "/name" in taken.text, "a version keeps its definition's name"
    assert count(DefinitionVersion) == before


def test_the_form_submits_a_run(console: Console) -> None:
    answer = console.post(f"{DIGITS_PAGE}/run", FORM | {"version": "3"}, "alice")
    assert answer.status_code == 303, answer.text
    page = console.get(answer.headers["location"], "alice").text
    assert 'href="/projects/vision/jobs/train-digits?version=3">train-digits v3</a>' in page
    with db.read_session() as session:
        run = session.scalars(select(Run).order_by(Run.id.desc()).limit(1)).one()
        expected = {"lr": 0.5, "epochs": 3, "optimizer": "adam", "layers": "8,4", "augment": False}
        assert run.spec["parameters"] == expected | {"note": "a first try"}
        assert run.definition_version == 3


def test_the_form_offers_the_names_of_secrets(console: Console) -> None:
    job = (
        "name: fetch\nparameters:\n  token: {type: secret, default: OLD_TOKEN}\n"
        'spec:\n  command: ["true"]\n  secrets: [{name: "${{ params.token }}", env: TOKEN}]\n'
    )
    assert console.post(f"{JOBS}/new", {"text": job}, "alice").status_code == 303
    add = "/projects/vision/settings/secrets"
    assert console.post(add, {"name": "NEW_TOKEN", "value": "canary-of-the-form"}, "alice").status_code == 303
    page = console.get(f"{JOBS}/fetch", "alice").text
    (select_,) = re.findall(r'<select class="in" id="f-token".*?</select>', page, re.DOTALL)
    assert '<option value="NEW_TOKEN">' in select_
    assert "selected" not in select_, "a default that is not there must not become another secret"
    missing = console.post(f"{JOBS}/fetch/run", {"version": "1"}, "alice")
    assert (missing.status_code, "is no secret of this project" in missing.text) == (422, True)
    assert console.post(f"{JOBS}/fetch/run", {"version": "1", "p.token": "NEW_TOKEN"}, "alice").status_code == 303


def test_what_is_wrong_is_said_at_its_field(console: Console) -> None:
    before = count(Run)
    wrong = FORM | {"p.lr": "fast", "p.epochs": "0", "p.layers": "8\nwide", "p.note": ""}
    answer = console.post(f"{DIGITS_PAGE}/run", wrong, "alice")
    assert answer.status_code == 422
    for name, said in (("lr", "must be a number"), ("epochs", "must be at least 1"), ("note", "is required")):
        assert re.search(rf'id="e-{name}">.*?{said}', answer.text), name
        assert re.search(rf'id="f-{name}"[^>]*aria-invalid="true"', answer.text), name
    assert "must be a whole number" in answer.text
    assert 'value="fast"' in answer.text
    assert "4 fields to correct" in answer.text
    assert count(Run) == before


SIZED = """\
name: sized
parameters:
  cores: {type: integer, minimum: 1}
  note: {type: string}
  kept: {type: string, pattern: "^[a-z]+$", default: abc}
spec:
  command: ["true"]
  cpu: ${{ params.cores }}
"""


def test_the_forecast_follows_what_is_typed(console: Console) -> None:
    assert console.post(f"{JOBS}/new", {"text": SIZED}, "alice").status_code == 303
    before = count(Run)

    def check(**typed: str) -> str:
        sent = {"version": "1", "p.cores": "", "p.note": "", "p.kept": "abc"}
        answer = console.post(
            f"{JOBS}/sized/check", sent | {f"p.{name}": value for name, value in typed.items()}, "alice"
        )
        assert answer.status_code == 200
        assert "<html" not in answer.text
        return str(answer.text)

    assert "When the form is filled in" in console.get(f"{JOBS}/sized", "alice").text
    assert "When the form is filled in" in check(), "what it asks for rests on a value that is not there"
    assert "data-slot" not in check(), "what was never sent may be unfinished"
    three = check(cores="3")
    assert "3 for this run" in three
    assert '<div data-part="asks">3 CPU · 1Gi</div>' in three
    assert "never" in check(cores="900").lower()
    wrong = check(cores="0", kept="A B")
    assert "When what is marked is corrected" in wrong
    assert all(f'data-slot="e-{name}"' in wrong for name in ("cores", "kept"))
    assert 'value="p.cores=1"' in wrong
    tried = console.post(f"{JOBS}/sized/check", {"version": "1", "tried": "1", "p.kept": "abc"}, "alice").text
    assert "2 fields to correct" in tried
    assert tried.count("is required") == 2
    assert count(Run) == before


@pytest.mark.parametrize("value", ["\x00", "9" * 400, "1e999", "<b>", "٣", "--1", "nan"])
def test_numbers_that_are_none(console: Console, value: str) -> None:
    answer = console.post(f"{DIGITS_PAGE}/run", FORM | {"p.lr": value}, "alice")
    assert answer.status_code == 422
    assert 'id="e-lr"' in answer.text


def test_who_may_look_only(console: Console) -> None:
    page = console.get(DIGITS_PAGE, "bob")
    assert page.status_code == 200
    assert "<form method" not in page.text.split("<main", 1)[1].split("</main>")[0].replace('method="get"', "")
    for path, data in (("/run", FORM), ("/edit", {"text": DIGITS}), ("/archive", {})):
        assert console.post(f"{DIGITS_PAGE}{path}", data, "bob").status_code == 403
    assert console.get(f"{DIGITS_PAGE}/edit", "bob").status_code == 403
    assert console.get(f"{JOBS}/new", "bob").status_code == 403
    assert console.get(DIGITS_PAGE, "nobody").status_code == 404


def test_forms_of_others_sites_are_refused(console: Console) -> None:
    for path in ("/run", "/edit", "/archive"):
        assert console.post(f"{DIGITS_PAGE}{path}", FORM | {"csrf": "x"}, "alice").status_code == 403


def test_saving_keeps_every_byte_that_was_not_changed(console: Console) -> None:
    text = text_of(console.get(f"{DIGITS_PAGE}/edit", "alice").text)
    sent = text.replace("default: 20", "default: 30").replace("\n", "\r\n")  # as browsers send it
    answer = console.post(f"{DIGITS_PAGE}/edit", {"text": sent, "based_on": "3"}, "alice")
    assert (answer.status_code, answer.headers["location"]) == (303, DIGITS_PAGE)
    with db.read_session() as session:
        newest = session.scalars(select(DefinitionVersion).where(DefinitionVersion.number == 4)).one()
        assert newest.source == text.replace("default: 20", "default: 30")


def test_mistakes_have_their_line_and_one_click_mends(console: Console) -> None:
    text = text_of(console.get(f"{DIGITS_PAGE}/edit", "alice").text)
    broken = text.replace("1Gi", "1GB").replace("default: sgd", "default: sdg")
    answer = console.post(f"{DIGITS_PAGE}/edit", {"text": broken, "based_on": "3"}, "alice")
    assert answer.status_code == 422
    assert "2 places to correct" in answer.text
    lines = broken.split("\n")
    told = [int(number) for number in re.findall(r'data-line="(\d+)"', answer.text)]
    assert [lines[number - 1].strip() for number in told] == ["default: sdg", "memory: 1GB"]
    assert text_of(answer.text) == broken
    for number in re.findall(r'name="fix" value="(\d+)"', answer.text)[:1]:
        half = console.post(f"{DIGITS_PAGE}/edit", {"text": broken, "based_on": "3", "fix": number}, "alice")
        assert half.status_code == 422
        broken = text_of(half.text)
        number = re.findall(r'name="fix" value="(\d+)"', half.text)[0]
        done = console.post(f"{DIGITS_PAGE}/edit", {"text": broken, "based_on": "3", "fix": number}, "alice")
        assert done.status_code == 303
    assert text_of(console.get(f"{DIGITS_PAGE}/edit", "alice").text) == text


def test_somebody_saved_meanwhile(console: Console) -> None:
    text = text_of(console.get(f"{DIGITS_PAGE}/edit", "alice").text)
    first = console.post(f"{DIGITS_PAGE}/edit", {"text": text + "# one\n", "based_on": "3"}, "alice")
    assert first.status_code == 303
    late = console.post(f"{DIGITS_PAGE}/edit", {"text": text + "# two\n", "based_on": "3"}, "alice")
    assert late.status_code == 409
    assert "There is a newer version" in late.text
    assert text_of(late.text).endswith("# two\n")
    again = console.post(f"{DIGITS_PAGE}/edit", {"text": text_of(late.text), "based_on": "4"}, "alice")
    assert again.status_code == 303


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_example_of_a_new_definition_can_be_saved_and_run(console: Console, language: str) -> None:
    page = console.get(f"{JOBS}/new", "alice", accept_language=language)
    assert page.status_code == 200
    answer = console.post(f"{JOBS}/new", {"text": text_of(page.text)}, "alice")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{JOBS}/hello")
    run = console.post(f"{JOBS}/hello/run", {"p.who": "you", "p.times": "2"}, "alice")
    assert run.status_code == 303


def test_archived_ones_are_read_but_not_run(console: Console) -> None:
    assert console.post(f"{DIGITS_PAGE}/archive", {}, "alice").status_code == 303
    assert "train-digits" not in console.get(JOBS, "alice").text
    page = console.get(DIGITS_PAGE, "alice").text
    assert "This job is archived." in page
    assert f'action="{DIGITS_PAGE}/run"' not in page
    refused = console.post(f"{DIGITS_PAGE}/run", FORM, "alice")
    assert refused.status_code == 409
    assert console.post(f"{DIGITS_PAGE}/archive", {"undo": "1"}, "alice").status_code == 303
    assert f'action="{DIGITS_PAGE}/run"' in console.get(DIGITS_PAGE, "alice").text


@pytest.mark.parametrize(
    "path", [f"{JOBS}/none", f"{JOBS}/Train", f"{DIGITS_PAGE}?version=99", f"{DIGITS_PAGE}/diff?from=1&to=99"]
)
def test_what_is_not_there(console: Console, path: str) -> None:
    assert console.get(path, "alice").status_code == 404


def forecast(page: str) -> str:
    """The title of what a job's form says of submitting it now."""
    found = re.search(r'id="now">.*?<b>([^<]*)</b>', page, re.DOTALL)
    assert found
    return found[1]


def test_a_fix_of_the_form_is_one_click_and_submits_nothing(console: Console) -> None:
    before = count(Run)
    wrong = console.post(f"{DIGITS_PAGE}/run", FORM | {"version": "3", "p.epochs": "99999"}, "alice")
    assert wrong.status_code == 422
    assert forecast(wrong.text) == "Not known yet"
    offer = re.search(r'<button class="fix" name="use" value="(p\.epochs=\d+)">Use (\d+)</button>', wrong.text)
    assert offer
    mended = console.post(f"{DIGITS_PAGE}/run", FORM | {"version": "3", "p.epochs": "99999", "use": offer[1]}, "alice")
    assert mended.status_code == 200
    assert f'name="p.epochs" value="{offer[2]}"' in mended.text
    assert 'name="p.lr" value="0.5"' in mended.text
    assert "aria-invalid" not in mended.text
    assert count(Run) == before


def test_the_form_says_what_a_submit_would_lead_to(console: Console) -> None:
    assert forecast(console.get(DIGITS_PAGE, "alice").text).startswith(("Starts at once", "Waits"))
    assert 'id="now"' not in console.get(DIGITS_PAGE, "bob").text, "he may not run it"
    job = (
        "name: big\nparameters:\n  cpu: {type: integer, default: 4096}\nspec:\n  script: x\n  cpu: ${{ params.cpu }}\n"
    )
    assert console.post(f"{JOBS}/new", {"text": job}, "alice").status_code == 303
    assert forecast(console.get(f"{JOBS}/big", "alice").text) == "No machine of this pool is that large"
    used = console.post(f"{JOBS}/big/run", {"version": "1", "p.cpu": "4096", "use": "p.cpu=1"}, "alice")
    assert forecast(used.text).startswith(("Starts at once", "Waits"))
    open_ = job.replace("big", "open").replace(", default: 4096", "")
    assert console.post(f"{JOBS}/new", {"text": open_}, "alice").status_code == 303
    assert forecast(console.get(f"{JOBS}/open", "alice").text) == "Not known yet"


def test_a_parameter_that_is_not_there_is_mended_by_one_click(console: Console) -> None:
    spec = 'spec:\n  command: [echo, "${{ params.whoo }}"] # hi\n'
    job = "name: hey\nparameters:\n  who: {type: string, default: x}\n" + spec
    page = console.post(f"{JOBS}/new", {"text": job}, "alice")
    assert "Use ${{ params.who }} and save" in html.unescape(page.text)
    assert console.post(f"{JOBS}/new", {"text": job, "fix": "1"}, "alice").status_code == 303
    assert "params.who }}&#34;] # hi" in console.get(f"{JOBS}/hey", "alice").text
