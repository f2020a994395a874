"""The spec of a run: what was sent, what it became, what it ran in, and what differs from another run."""

import html
import re

from sqlalchemy import func, select, text

from app import db
from app.models import Capsule, Run
from tests import factories
from tests.web.conftest import Console

VISION = "/projects/vision/runs"


def spec(console: Console, key: str, query: str = "") -> str:
    return f"{VISION}/{console.seed.runs[key]}/spec{query}"


def count() -> int:
    with db.read_session() as session:
        return session.scalar(select(func.count()).select_from(Run)) or 0


def test_what_was_sent_and_what_it_became(console: Console) -> None:
    page = console.get(spec(console, "succeeded"), "bob").text
    with db.read_session() as session:
        digest = session.scalar(select(Capsule.digest).where(Capsule.run_id == console.seed.ids["succeeded"]))
    assert f'id="manifest-hash">{digest}</code>' in page
    sent, resolved = page.split("As it was resolved", 1)
    assert "&#34;hidden&#34;: 64" in sent
    assert "as JSON: no text of it was sent" in sent
    assert "memory" not in sent.split("<main", 1)[1]
    assert "memory: 1Gi" in resolved
    for known in ("3.11.2", "/srv/venvs/digits/bin/python", "Linux 6.1.0-28-amd64", "x86_64", "torch", "2.5.1+cu124"):
        assert known in page
    assert "8f31c2e9a7b04d7f" in page
    assert "rerun-exact" not in page, "bob only looks"


def test_a_run_that_waits_and_one_older_than_capsules(console: Console) -> None:
    assert "written down when it starts" in console.get(spec(console, "queued"), "alice").text
    with db.unit_of_work() as session:
        session.execute(text("delete from capsule"))
        session.execute(text("update attempt set environment = null, platform = null"))
    page = console.get(spec(console, "succeeded"), "alice").text
    assert "older than capsules: defaults" in page
    assert "rerun-exact" not in page
    assert "What it ran in is not recorded" in page


def test_the_difference_in_words_and_lines(console: Console) -> None:
    runs = console.seed.runs
    page = console.get(spec(console, "failed", f"?diff={runs['succeeded']}"), "bob").text
    assert "<li>Parameters: epochs 40 → 30, hidden 64 → –, lr 0.1 → 10</li>" in page
    assert "<li>Definition: train-digits@2 → train-digits@1</li>" in page
    assert "<li>Packages: numpy 2.1.0 → 2.2.1</li>" in page
    assert "Outcome: succeeded → failed (ValueError: loss is not finite" in page
    assert re.search(r'<span class="del"><span class="sr">removed: </span>-\s+lr: 0.1</span>', page)
    assert re.search(r'<span class="add"><span class="sr">added: </span>\+\s+lr: 10</span>', page)
    chinese = console.get(spec(console, "failed", f"?diff={runs['succeeded']}"), "bob", accept_language="zh-CN").text
    assert "Parameters:" not in chinese
    itself = console.get(spec(console, "failed", f"?diff={runs['failed']}"), "bob")
    assert itself.status_code == 200
    assert "This is the run itself" in itself.text


def test_a_run_of_others_is_unknown(console: Console) -> None:
    with db.unit_of_work() as session:
        project = factories.make_project(session)
        theirs = factories.make_run(session, project, factories.make_user(session)).public_id
    answers = []
    for key in (theirs, "r-2222222222", "nonsense", "<b>"):
        answer = console.get(spec(console, "succeeded", f"?diff={key}"), "bob")
        assert answer.status_code == 404
        answers.append(re.sub(r"This project has no run .*?\.|value=\".*?\"|csrf.*?>", "", answer.text))
    assert answers[0].replace(theirs, "") == answers[1].replace("r-2222222222", "")
    assert console.get(spec(console, "succeeded"), "nobody").status_code == 404


def test_other_runs_are_offered(console: Console) -> None:
    posted = console.post(spec(console, "succeeded").replace("/spec", "/rerun-exact"), {}, "alice")
    assert posted.status_code == 303
    page = console.get(f"{posted.headers['location']}/spec", "bob").text
    key = console.seed.runs["succeeded"]
    assert page.count(f"?diff={key}#diff") == 1, "the run that it repeats is also the one before of that name"
    assert "The run that it repeats" in page


def test_again_exactly(console: Console) -> None:
    before = count()
    url = spec(console, "succeeded").replace("/spec", "/rerun-exact")
    assert console.post(url, {}, "bob").status_code == 403
    assert console.post(url, {"csrf": "x"}, "alice").status_code == 403
    assert console.post(url, {}, "nobody").status_code == 404
    assert count() == before
    answer = console.post(url, {}, "alice")
    assert answer.status_code == 303
    with db.unit_of_work() as session:
        assert count() == before + 1
        newest = session.scalars(select(Run).order_by(Run.id.desc()).limit(1)).one()
        digests = session.scalars(
            select(Capsule.digest).where(Capsule.run_id.in_([newest.id, console.seed.ids["succeeded"]]))
        ).all()
        assert len(set(digests)) == 1
        session.execute(text("delete from capsule"))
    refused = console.post(url, {}, "alice")
    assert refused.status_code == 409
    assert "It cannot be run again exactly" in refused.text
    assert "older than capsules" in refused.text


WRITTEN = """\
# The baseline: do not change the rate.
script: |
  echo hello   # of the script
cpu: 1         # one is enough
parameters: {lr: 0.10, note: "a # b"}
name: written

memory: 1Gi
"""


def test_what_was_written_is_kept_with_its_notes(console: Console) -> None:
    posted = console.post(f"{VISION}/new", {"text": WRITTEN}, "alice")
    assert posted.status_code == 303, posted.text
    run = posted.headers["location"]
    assert sent_on(console, run) == WRITTEN.rstrip("\n")
    assert WRITTEN in html.unescape(console.get(f"{VISION}/new?from={run.rpartition('/')[2]}", "alice").text)
    # Tags that came later stand in a copy of it; what was sent stays what was sent.
    with db.unit_of_work() as session:
        session.execute(text("update run set tags = '{kept}' where public_id = :id"), {"id": run.rpartition("/")[2]})
    copied = html.unescape(console.get(f"{VISION}/new?from={run.rpartition('/')[2]}", "alice").text)
    assert f"{WRITTEN}tags: [kept]\n" in copied
    assert sent_on(console, run) == WRITTEN.rstrip("\n")
    again = console.post(f"{run}/rerun-exact", {}, "alice").headers["location"]
    assert sent_on(console, again) == f"{WRITTEN}tags: [kept]"


def sent_on(console: Console, run: str) -> str:
    """What the page says was sent."""
    page = console.get(f"{run}/spec", "bob").text
    found = re.search(r'data-copy="(.*?)"', page.split('id="sent"', 1)[1], re.DOTALL)
    assert found
    assert "as JSON" not in page
    return html.unescape(found[1])
