"""The columns of the list of runs, where they are kept, and the menu of a row."""

import html
import json
import re
from urllib.parse import quote

import pytest
from sqlalchemy import select

from app import db
from app.models import AuditEntry, RunColumns
from tests.browser.seed import NASTY
from tests.web.conftest import Console
from tests.web.test_pages import VISION, attribute

FORM = f"{VISION}/columns"


def columns(page: str) -> list[str]:
    return re.findall(r'<th scope="col" class="(?:num )?c-(\w+)', page)[3:-1]


def row(page: str, run: str) -> str:
    return page.partition(f'<tr id="{run}"')[2].partition("</tr>")[0]


def test_all_are_shown_at_first_but_a_metric_that_nobody_named(console: Console) -> None:
    page = console.get(VISION, "alice").text
    assert columns(page) == ["tags", "who", "prog", "res", "wait", "ran", "made"]
    running = row(page, console.seed.runs["running"])
    assert '<progress max="90" value="31" aria-hidden="true"></progress><small>31 of 90</small>' in running
    assert '<td class="c-prog"></td>' in row(page, console.seed.runs["queued"])


def test_a_choice_is_the_readers_own_and_of_the_project(console: Console) -> None:
    data = {"columns": "ran", "metric": "train/loss", "q": "tag:baseline", "sort": "name"}
    kept = console.post(FORM, data, "alice")
    assert kept.headers["location"] == f"{VISION}?q=tag%3Abaseline&sort=name"
    assert columns(console.get(VISION, "alice").text) == ["ran"]
    assert len(columns(console.get(VISION, "bob").text)) == 7
    assert len(columns(console.get("/projects/empty-project/runs?q=x", "alice").text)) in (0, 7)
    form = console.get(FORM, "alice").text
    assert 'value="ran" checked' in form
    assert 'value="tags" checked' not in form
    assert 'name="metric" value="train/loss"' in form
    with db.unit_of_work() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.verb == "view.columns"))
        assert (entry.actor_name, entry.after) == ("alice", {"columns": ["ran"], "metric": "train/loss"})
    console.post(FORM, data, "alice")  # the same again is no change
    console.post(FORM, {"reset": "1"}, "alice")
    with db.unit_of_work() as session:
        assert session.scalars(select(RunColumns)).all() == []
        assert len(session.scalars(select(AuditEntry).where(AuditEntry.verb == "view.columns")).all()) == 2
    assert len(columns(console.get(VISION, "alice").text)) == 7


def test_the_form_begins_with_what_the_address_of_the_list_says(console: Console) -> None:
    page = console.get(f"{VISION}?q=tag:baseline&columns=tags,metric&metric=train/loss", "alice").text
    asked = html.unescape(attribute(page, "href", 'id="columns"'))
    form = console.get(asked, "alice").text
    assert re.findall(r'value="(\w+)" checked', form) == ["tags", "metric"]
    assert 'name="metric" value="train/loss"' in form
    assert 'name="q" value="tag:baseline"' in form
    assert re.findall(r'value="(\w+)" checked', console.get(f"{FORM}?columns=-", "alice").text) == []


def test_none_at_all_is_a_choice(console: Console) -> None:
    console.post(FORM, {"columns": "nonsense"}, "alice")
    assert columns(console.get(VISION, "alice").text) == []


def test_what_is_pinned_first_is_the_metric(console: Console) -> None:
    console.jar = {"berth_pins": quote(json.dumps(["train/loss", "val/accuracy"]))}
    page = console.get(VISION, "alice").text
    assert '<th scope="col" class="num c-metric" title="train/loss">train/loss</th>' in page
    assert re.search(r'<td class="num c-metric">0\.\d+</td>', row(page, console.seed.runs["running"]))
    assert '<td class="num c-metric"></td>' in row(page, console.seed.runs["queued"])
    console.post(FORM, {"columns": "metric", "metric": "val/accuracy"}, "alice")
    assert 'title="val/accuracy"' in console.get(VISION, "alice").text


def test_an_address_with_columns_goes_before_and_is_kept(console: Console) -> None:
    console.post(FORM, {"columns": "ran"}, "alice")
    page = console.get(f"{VISION}?columns=metric,tags&metric=train/loss", "alice").text
    assert columns(page) == ["tags", "metric"]
    same = "columns=metric%2Ctags&amp;metric=train%2Floss"
    for part in ('class="more"', 'class="num c-made"'):
        assert part not in page or same in page.partition(part)[2][:400]
    for chip in re.findall(r'<a class="chip" href="([^"]+)"', page.partition('role="search"')[2]):
        assert same in chip
    assert '<input type="hidden" name="columns" value="metric,tags">' in page
    assert columns(console.get(f"{VISION}?columns=-", "alice").text) == []


def test_a_view_keeps_columns_where_that_is_wanted(console: Console) -> None:
    data = {"name": "losses", "q": "tag:baseline", "columns": "ran,metric", "metric": "train/loss", "shared": "1"}
    saved = console.post("/projects/vision/views", data, "alice").headers["location"]
    assert saved == f"{VISION}?q=tag%3Abaseline&columns=metric%2Cran&metric=train%2Floss"
    for user in ("alice", "bob"):
        page = console.get(VISION, user).text
        link = re.search(r'href="([^"]+)"[^>]*>losses', page)
        assert link is not None
        assert columns(console.get(html.unescape(link[1]), user).text) == ["metric", "ran"]
    assert re.search(r'aria-current="true">losses', console.get(saved, "alice").text)
    console.post("/projects/vision/views", {"name": "plain", "metric": "x"}, "alice")
    assert f'href="{VISION}">plain' in console.get(f"{VISION}?q=x", "alice").text


def test_a_name_that_is_taken_is_asked_about(console: Console) -> None:
    """What was to be saved is not lost: the list asks for another name, or whether to replace the view."""
    console.post("/projects/vision/views", {"name": "mine", "q": "tag:a"}, "alice")
    data = {"name": "mine", "q": "tag:b", "columns": "ran", "metric": "", "shared": "1"}
    asked = console.post("/projects/vision/views", data, "alice").headers["location"]
    page = console.get(asked, "alice").text
    form = re.search(r'<form class="note.*?</form>', page, re.DOTALL)
    assert form is not None
    assert "You have a view of that name" in form[0]
    sent = dict(re.findall(r'name="(\w+)"[^>]* value="([^"]*)"', form[0]))
    assert data | {"sort": "-created", "replaces": "1"} == {key: sent[key] for key in sent if key != "csrf"}
    assert f'href="{VISION}?q=tag%3Aa">mine' in page, "nothing was replaced"
    saved = console.post("/projects/vision/views", sent, "alice").headers["location"]
    assert "taken" not in saved
    page = console.get(saved, "alice").text
    assert html.escape(f"{VISION}?q=tag%3Ab&columns=ran") in page
    assert page.count('">mine</a>') == 1
    with db.unit_of_work() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.verb == "view.update"))
    assert (entry.before or {})["q"] == "tag:a"
    assert (entry.after or {})["columns"] == ["ran"]


def test_polls_bring_a_metric_only_where_it_changed(console: Console) -> None:
    page = console.get(f"{VISION}?columns=metric&metric=train/loss", "alice").text
    url = attribute(page, "hx-get", 'id="poll"><div')
    assert "metric=train%2Floss" in url
    assert console.get(url, "alice").status_code == 204
    answer = console.get(re.sub("sum=[0-9a-f]+", "sum=1", url), "alice")
    assert f'hx-swap-oob="innerHTML:#{console.seed.runs["running"]}>.c-metric">0.' in answer.text
    assert all(cell not in answer.text for cell in (">.c-prog", ">.c-wait", ">.c-ran"))  # nowhere to put them
    assert console.get(attribute(answer.text, "hx-get"), "alice").status_code == 204


def test_polls_bring_the_cells_that_are_shown(console: Console) -> None:
    url = attribute(console.get(f"{VISION}?columns=ran,owner", "alice").text, "hx-get", 'id="poll"><div')
    answer = console.get(re.sub(r"\.\d+", ".0", url), "alice").text
    assert ">.c-ran" in answer
    assert all(cell not in answer for cell in (">.c-prog", ">.c-wait", ">.c-metric"))
    url = attribute(console.get(VISION, "alice").text, "hx-get", 'id="poll"><div')
    answer = console.get(re.sub(r"\.\d+", ".0", url), "alice").text
    assert all(cell in answer for cell in (">.c-ran", ">.c-prog", ">.c-wait"))


@pytest.mark.parametrize("metric", [NASTY, '"><script>alert(1)</script>'])
def test_a_metrics_name_is_only_text(console: Console, metric: str) -> None:
    for path in (f"{VISION}?columns=metric&metric={quote(metric)}", FORM):
        console.post(FORM, {"columns": "metric", "metric": metric}, "alice")
        page = console.get(path, "alice").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    ("user", "key", "there", "missing"),
    [
        ("alice", "running", ["Stop…", "Run again", "Copy and change", "Label…"], ["Archive…"]),
        ("alice", "succeeded", ["Archive…", "Run again"], ["Stop…"]),
        ("bob", "running", ["Open", "Logs", "Tick to compare", "Copy the id"], ["Stop…", "Run again", "<form"]),
    ],
)
def test_a_menu_has_what_may_be_done(
    console: Console, user: str, key: str, there: list[str], missing: list[str]
) -> None:
    run = console.seed.runs[key]
    menu = console.get(f"{VISION}/{run}/menu?q=%22x", user).text
    assert "<html" not in menu
    assert f'data-copy="{run}"' in menu
    assert all(text in menu for text in there)
    assert not any(text in menu for text in missing)
    assert console.get(f"/projects/empty-project/runs/{run}/menu", "alice").status_code == 404


def test_a_menus_forms_work_as_they_are(console: Console) -> None:
    run = console.seed.runs["succeeded"]
    again = console.post(f"{VISION}/{run}/rerun", {"runs": run, "q": "", "action": ""}, "alice")
    assert again.status_code == 303
    asked = console.post(f"{VISION}/bulk", {"runs": run, "q": "", "action": "archive"}, "alice")
    assert asked.status_code == 200
    assert "Archive 1 run" in asked.text
