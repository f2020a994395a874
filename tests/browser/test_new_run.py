"""The page of a new run in a browser: checked while one types, mended by one click, and copied in three actions."""

import contextlib
from typing import Any

from sqlalchemy import func, select, update

from app import db
from app.models import Cluster, Run
from tests.browser.conftest import Site
from tests.browser.test_tasks import VISION, open_page, until


def _spec(public_id: str) -> dict[str, Any]:
    with db.read_session() as session:
        return dict(session.scalars(select(Run).where(Run.public_id == public_id)).one().spec)


def _let_the_cluster_answer() -> None:
    """Nothing watches the seeded cluster; a minute after the seed it would count as away."""
    with db.unit_of_work() as session:
        session.execute(update(Cluster).values(seen_at=func.now()))


def test_typing_a_mistake_mending_it_and_submitting(visitor: Any, site: Site) -> None:
    _let_the_cluster_answer()
    page = open_page(visitor, site, VISION)
    page.keyboard.press("n")
    page.wait_for_url("**/runs/new")
    page.fill("#f-memory", "2GB")
    page.locator("#e-f-memory .fix").wait_for()
    assert page.evaluate("document.activeElement.id") == "f-memory"
    assert "memory: 2GB" in page.input_value("#text")
    line = page.locator("#marks .bad").inner_text()
    assert page.input_value("#text").split("\n")[int(line) - 1] == "memory: 2GB"
    page.locator("#e-f-memory .fix").click()
    until(page, "document.querySelector('#f-memory').value === '2Gi'")
    assert page.locator("#marks .bad").count() == 0
    assert page.evaluate("document.activeElement.id") == "f-memory"
    page.locator("#card .st-ok").wait_for()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/runs/r-*")
    assert _spec(page.url.rpartition("/")[2])["memory"] == "2Gi"


def test_the_yaml_and_the_form_follow_each_other(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, f"{VISION}/new")
    page.fill("#text", "# mine\nname: a # note\nscript: echo\n")
    until(page, "document.querySelector('#f-name').value === 'a'")
    assert page.locator("[data-rows-of=p] [data-row]").count() == 1
    page.fill("#p-0-name", "lr")
    page.locator("#p-1-name").wait_for()
    page.fill("#p-0-value", "0.5")
    until(page, "document.querySelector('#text').value.includes('lr: 0.5')")
    page.fill("#p-1-name", "seed")
    page.fill("#p-1-value", "7")
    until(page, "document.querySelector('#text').value.includes('seed: 7')")
    assert page.input_value("#text").startswith("# mine\nname: a # note\nscript: echo\n")
    page.locator("#text").press("Control+End")
    page.keyboard.type("memory: [")
    until(page, "document.querySelector('#problems') !== null")
    assert page.input_value("#p-1-value") == "7", "while the YAML is none, the form keeps its values"
    page.keyboard.press("Control+Enter")
    page.locator("#problems").wait_for()
    assert page.evaluate("document.activeElement.id") == "text"
    page.fill("#text", page.input_value("#text").replace("memory: [", "memory: 1Gi"))
    until(page, "document.querySelector('#f-memory').value === '1Gi'")


def test_the_form_of_a_job_says_what_a_submit_would_do_while_one_types(visitor: Any, site: Site) -> None:
    _let_the_cluster_answer()
    page = open_page(visitor, site, "/projects/vision/jobs/train-digits")
    assert page.locator("#asks").inner_text() == "4 CPU · 1Gi"
    page.locator("#f-epochs").fill("1900")
    page.locator("#e-epochs .fix").wait_for()
    assert page.locator("#f-epochs").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "f-epochs"
    page.locator("#card .st-info").wait_for()
    page.locator("#e-epochs .fix").click()
    page.locator("#card .st-ok").wait_for()
    assert page.input_value("#f-epochs") == "1000"
    assert page.evaluate("document.activeElement.id") == "f-epochs"
    assert page.locator("#e-epochs .err").count() == 0
    page.fill("#f-note", "a trial")
    page.locator("#job .btn.primary").click()
    page.wait_for_url("**/runs/r-*")
    assert _spec(page.url.rpartition("/")[2])["parameters"]["epochs"] == 1000


# Both in one turn of the page, so that no machine is too slow for it.
_TYPE = """(edits) => { for (const [id, value] of edits) {
  const el = document.getElementById(id);
  el.focus();
  el.value = value;
  el.dispatchEvent(new Event("input", { bubbles: true }));
} document.activeElement.blur(); }"""


def test_what_is_typed_while_an_answer_is_on_its_way_stays(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, f"{VISION}/new")
    page.fill("#text", "name: a\nscript: echo\nmemory: 1Gi\n")
    until(page, "document.querySelector('#f-memory').value === '1Gi'")
    held: list[Any] = []
    page.route("**/runs/new/check", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/runs/new/check"):
        page.evaluate(_TYPE, [["f-cpu", "2"]])
    page.evaluate(_TYPE, [["text", "name: late\nscript: echo\nmemory: 1Gi\n"]])
    with contextlib.suppress(Exception):
        held[0].continue_()  # the page may have given it up
    until(page, "document.querySelector('#f-name').value === 'late'")
    assert page.input_value("#text") == "name: late\nscript: echo\nmemory: 1Gi\ncpu: 2\n"


def test_the_later_of_two_edits_of_one_value_holds(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, f"{VISION}/new")
    start = "name: a\nscript: echo\nparameters:\n  lr: 1\nmemory: 1Gi\n"
    page.fill("#text", start)
    until(page, "document.querySelector('#f-memory').value === '1Gi'")
    later = start.replace("1Gi", "3Gi").replace("lr: 1", "lr: 3")
    page.evaluate(_TYPE, [["f-memory", "2Gi"], ["p-0-value", "2"], ["f-cpu", "2"], ["text", later]])
    until(page, "document.querySelector('#f-memory').value === '3Gi'")
    assert page.input_value("#text") == later + "cpu: 2\n"
    assert page.input_value("#p-0-value") == "3"
    page.evaluate(_TYPE, [["text", later + "cpu: 4\n"], ["f-cpu", "5"]])
    until(page, "document.querySelector('#text').value.includes('cpu: 5')")
    assert page.input_value("#f-cpu") == "5"


def test_submit_goes_to_the_first_problem(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, f"{VISION}/new")
    page.fill("#f-gpus", "many")
    page.locator("#submit").click()
    page.locator("#e-f-gpus .err").wait_for()
    until(page, "document.activeElement.id === 'f-gpus'")
    assert page.get_attribute("#f-gpus", "aria-invalid") == "true"


def test_again_with_one_changed_parameter_in_three_actions(visitor: Any, site: Site) -> None:
    run = site.seed.runs["succeeded"]
    page = open_page(visitor, site, f"{VISION}/{run}")
    before = _spec(run)["parameters"]
    first = next(iter(before))
    actions = 0
    page.keyboard.press("c")
    actions += 1
    page.wait_for_url("**/runs/new?from=*")
    until(page, "document.activeElement.id === 'p-0-value'")
    page.keyboard.type("0.75")
    actions += 1
    page.keyboard.press("Control+Enter")
    actions += 1
    page.wait_for_url("**/runs/r-*")
    assert actions == 3
    made = _spec(page.url.rpartition("/")[2])
    assert made["parameters"] == before | {first: 0.75}


def test_copying_from_the_list_and_what_differs(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, f"{VISION}?q=status:failed")
    page.keyboard.press("j")
    page.keyboard.press("c")
    page.wait_for_url("**/runs/new?from=r-*")
    page.fill("#f-cpu", "3")
    until(page, "document.querySelector('#differs').textContent.includes('cpu – → 3')")
    assert page.locator("#marks .chg").count() == 1


def test_without_javascript(chromium: Any, site: Site) -> None:
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(site.cookies("alice", language="en"))
    page = context.new_page()
    page.goto(f"{site.url}{VISION}/new", wait_until="load")
    page.fill("#f-memory", "2GB")
    page.get_by_role("button", name="Check").click()
    page.locator("#e-f-memory .fix").click()
    assert page.input_value("#f-memory") == "2Gi"
    page.get_by_role("button", name="Submit the run").click()
    page.wait_for_url("**/runs/r-*")
    context.close()
