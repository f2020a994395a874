"""Beginning: an installation in which nothing has run, the sample's button, and what comes after it."""

import re

from sqlalchemy import delete, select, update

from app import db
from app.models import AuditEntry, Run
from app.workloads import sample
from tests.web.conftest import Console

EMPTY = "/projects/empty-project/runs"


def set_state(public_id: str, state: str) -> None:
    with db.unit_of_work() as session:
        session.execute(update(Run).where(Run.public_id == public_id).values(state=state, desired="running"))


def submitted(console: Console) -> str:
    answer = console.post(f"{EMPTY}/sample", {}, "alice")
    assert answer.status_code == 303
    found = re.fullmatch(rf"{EMPTY}/(r-\w+)", answer.headers["location"])
    assert found is not None
    return found[1]


def test_the_button_makes_a_run_and_leads_to_it(console: Console) -> None:
    page = console.get(EMPTY, "alice").text
    assert f'action="{EMPTY}/sample"' in page
    assert f"{EMPTY}/new?focus=yaml" in page
    assert "berth run submit --project empty-project" in page
    run = submitted(console)
    with db.unit_of_work() as session:
        made = session.scalars(select(Run).where(Run.public_id == run)).one()
        assert sample.is_sample(made.spec)
        assert (made.name, made.tags, made.pool) == ("sample", ["sample"], "local")
        verb = select(AuditEntry.verb).where(AuditEntry.object_id == run)
        assert session.scalar(verb) == "run.submit"
    shown = console.get(f"{EMPTY}/{run}", "alice").text
    assert "in plain Python" in shown
    assert 'id="next"' not in shown, "it has not run yet"
    assert 'id="run-sample"' not in console.get(EMPTY, "alice").text


def test_who_only_looks_has_no_button(console: Console) -> None:
    with db.unit_of_work() as session:
        session.execute(delete(Run))
    for path in ("/", "/projects/vision/runs"):
        assert "run-sample" not in console.get(path, "bob").text
    assert "You may look at the runs" in console.get("/projects/vision/runs", "bob").text
    assert console.post("/projects/vision/runs/sample", {}, "bob").status_code == 403
    assert console.post("/projects/vision/runs/sample", {}, "nobody").status_code == 404
    assert console.post("/projects/nothing/runs/sample", {}, "alice").status_code == 404
    assert "run-sample" not in console.get("/", "nobody").text


def test_the_start_page_from_nothing_to_the_next_steps(console: Console) -> None:
    assert "run-sample" not in console.get("/", "alice").text, "her runs are live"
    with db.unit_of_work() as session:
        session.execute(delete(Run))
    first = console.get("/", "alice").text
    assert "Nothing has run yet" in first
    assert f'action="{EMPTY}/sample"' in first, "the first project by name"
    run = submitted(console)
    assert "run-sample" not in console.get("/", "alice").text
    set_state(run, "failed")
    failed = console.get("/", "alice").text
    assert "Nothing of yours is running" in failed
    assert 'id="run-sample"' in failed
    assert 'id="next"' not in console.get(f"{EMPTY}/{run}", "alice").text
    set_state(run, "succeeded")
    for path in ("/", f"{EMPTY}/{run}", f"{EMPTY}/{run}/live"):
        page = console.get(path, "alice").text
        assert "The sample has run. Next:" in page
        assert f"{EMPTY}/new?focus=yaml" in page
        assert "/projects/empty-project/settings/members" in page
    assert "示例已运行完毕" in console.get("/", "alice", accept_language="zh").text


def test_yaml_is_ready_to_be_pasted_over(console: Console) -> None:
    page = console.get(f"{EMPTY}/new?focus=yaml", "alice").text
    assert re.search(r'<textarea[^>]* id="text"[^>]* autofocus', page)
    assert not re.search(r'<textarea[^>]* id="text"[^>]* autofocus', console.get(f"{EMPTY}/new", "alice").text)
