"""Pages over HTTP: partials that say nothing when nothing changed, errors as pages, toasts and redirects, headers."""

import gzip
import html
import re

import pytest
from sqlalchemy import update
from starlette.requests import Request

from app import db
from app.domain.reasons import REASONS
from app.errors import PROBLEMS, FieldError
from app.i18n import negotiate, translate
from app.models import Project, Run, User
from app.web import assets
from app.web.errors import render_error
from tests import factories
from tests.browser.seed import NASTY, add_run, finish
from tests.browser.seed_gang import seed_gang
from tests.web.conftest import Console

VISION = "/projects/vision/runs"


def attribute(text: str, name: str, after: str = "") -> str:
    found = re.search(rf'{after}[^>]*\s{name}="([^"]*)"', text)
    assert found, name
    return found[1].replace("&amp;", "&")


def test_the_list_polls_what_changed_only(console: Console) -> None:
    page = console.get(VISION, "alice").text
    url = attribute(page, "hx-get", 'id="poll"><div')
    assert console.get(url, "alice").status_code == 204
    with db.unit_of_work() as session:
        finish(session, console.seed.ids["running"])
    answer = console.get(url, "alice")
    assert answer.status_code == 200
    run = console.seed.runs["running"]
    assert f'hx-swap-oob="innerHTML:#{run}>.c-status"' in answer.text
    assert f"#{console.seed.runs['starting']}>" not in answer.text
    assert "<tr" not in answer.text
    assert console.get(attribute(answer.text, "hx-get"), "alice").status_code == 204


def test_an_empty_list_shows_its_first_run_by_itself(console: Console) -> None:
    url = attribute(console.get("/projects/empty-project/runs", "alice").text, "hx-get", 'id="poll"><div')
    assert console.get(url, "alice").status_code == 204
    with db.unit_of_work() as session:
        add_run(session, console.seed, "first", state="queued", name="first", project="empty-project")
    assert console.get(url, "alice").headers["hx-refresh"] == "true"


def test_rows_of_ended_runs_are_the_readers_own(console: Console) -> None:
    """They are kept as markup, so each language and zone must have its own."""
    english = console.get(VISION, "alice").text
    console.jar = {"berth_language": "zh_CN", "berth_zone": "Asia/Shanghai"}
    chinese = console.get(VISION, "alice").text
    assert "Succeeded" in english
    assert "Succeeded" not in chinese
    assert "+08:00" in chinese
    assert "+08:00" not in english


def test_the_run_page_polls_until_it_ends(console: Console) -> None:
    run = console.seed.runs["running"]
    page = console.get(f"{VISION}/{run}", "alice").text
    live, after = attribute(page, "hx-get", 'id="live"'), attribute(page, "hx-get", 'id="after"')
    assert console.get(live, "alice").status_code == 204
    assert console.get(after, "alice").status_code == 204
    with db.unit_of_work() as session:
        finish(session, console.seed.ids["running"])
    answer = console.get(live, "alice")
    assert "<title>✓ " in answer.text
    assert "hx-trigger" not in answer.text, "polling ends by leaving the trigger out"
    assert 'id="actions" hx-swap-oob' in answer.text
    assert "hx-trigger" not in console.get(after, "alice").text


def test_waiting_runs_say_why(console: Console) -> None:
    page = console.get(f"{VISION}/{console.seed.runs['queued']}", "alice").text
    assert "First in line for pool local: needs 4 CPU, 1 CPU of 8 CPU are free" in page
    assert "/problems/CPU_BUSY" in page
    listed = console.get(VISION, "alice").text
    assert "First in line for pool local: needs 4 CPU, 1 CPU of 8 CPU are free" in listed


def test_failed_runs_say_what_and_where(console: Console) -> None:
    run = console.seed.runs["failed"]
    page = console.get(f"{VISION}/{run}", "alice").text
    assert "The program ended with exit code 1." in page
    assert "ValueError: loss is not finite" in page
    assert f"/runs/{run}/logs?attempt=2&amp;line=67#L67" in page


def test_users_text_is_only_text(console: Console) -> None:
    for path in (VISION, f"{VISION}/{console.seed.runs['nasty']}", "/projects"):
        page = console.get(path, "alice").text
        assert "<script>alert" not in page
        assert "<b hx-get" not in page
        assert "{{ 7 * 7 }}" in page
    assert NASTY not in page


def test_every_code_has_a_page(console: Console) -> None:
    for language in ("en", "zh_CN"):
        console.jar = {"berth_language": language}
        for code in sorted({*PROBLEMS, *REASONS}):
            answer = console.get(f"/problems/{code}")
            assert answer.status_code == 200
            assert code in answer.text
            left = re.search(r"\{\w+\}", answer.text)
            assert not left, f"{code}: an example for each slot is in pages/problems.py"
    assert console.get("/problems/NO_SUCH_CODE").status_code == 404


def test_errors_are_pages_toasts_or_ways_to_sign_in(console: Console) -> None:
    page = console.get("/projects/nothing/runs", "alice")
    assert page.status_code == 404
    assert "✕ Not found" in page.text
    assert page.headers["content-type"].startswith("text/html")
    toast = console.get("/projects/nothing/runs/changes", "alice", hx_request="true")
    assert toast.status_code == 404
    assert toast.headers["hx-retarget"] == "#toasts"
    assert "<html" not in toast.text
    gone = console.get(f"{VISION}/changes", None, hx_request="true")
    assert gone.status_code == 401
    assert gone.headers["hx-redirect"] == "/login"
    put = console.client.put("/login")
    assert put.status_code == 405
    assert {"GET", "POST"} <= set(put.headers["allow"].split(", "))
    assert "text/html" in console.client.put("/login").headers["content-type"]


def test_errors_speak_the_readers_language(console: Console) -> None:
    answer = console.get("/nothing/here", accept_language="zh-CN,zh;q=0.9")
    assert answer.status_code == 404
    assert "未找到" in answer.text


def test_pages_are_kept_by_no_cache_and_load_nothing_from_elsewhere(console: Console) -> None:
    answer = console.get(VISION, "alice")
    assert answer.headers["cache-control"] == "no-store, private"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


def test_assets_are_kept_for_ever_under_their_own_version(console: Console) -> None:
    answer = console.get(assets.url("app.css"), accept_encoding="identity")
    assert "immutable" in answer.headers["cache-control"]
    assert "content-encoding" not in answer.headers
    assert "--accent" in answer.text
    style = assets.assets()["app.css"]
    assert gzip.decompress(style.packed or b"") == style.plain
    old = console.get("/static/0123456789ab/app.css", accept_encoding="identity")
    assert old.status_code == 200
    assert old.headers["cache-control"] == "no-cache"
    for path in (
        "/static/x/nothing.css",
        "/static/x/../app.css",
        "/static/x/%2e%2e/%2e%2e/web/deps.py",
        "/static/x/vendor/VERSIONS.json",
    ):
        assert console.get(path).status_code == 404


def test_the_log_is_readable_without_a_script(console: Console) -> None:
    run = console.seed.runs["running"]
    page = console.get(f"{VISION}/{run}/logs", "alice").text
    assert 'id="L1236"' in page
    assert 'id="L1001"' in page
    assert f"/runs/{run}/logs?attempt=1&amp;line=1000#log" in page
    earlier = console.get(f"{VISION}/{run}/logs?attempt=1&line=1000", "alice").text
    assert 'id="L501"' in earlier
    assert 'id="L1000"' in earlier
    assert 'id="L1001"' not in earlier
    found = console.get(f"{VISION}/{run}/logs?q=slow+batch", "alice").text
    assert "33 lines found" in found
    assert 'id="L37"' in found
    assert 'id="L38"' not in found


def test_the_log_of_a_run_with_replicas_is_that_of_the_one_that_failed(console: Console) -> None:
    with db.unit_of_work() as session:
        run = seed_gang(session, console.seed).public_id
    page = console.get(f"{VISION}/{run}/logs", "alice").text
    assert "replica 1 has no data" in page
    assert '<option value="1" selected>Replica 1</option>' in page
    assert f"/api/v1/runs/{run}/logs?attempt=1&amp;replica=1&amp;download=plain" in page
    other = console.get(f"{VISION}/{run}/logs?attempt=1&replica=0", "alice").text
    assert "replica 1 has no data" not in other
    assert "my peer is gone" in other
    overview = console.get(f"{VISION}/{run}", "alice").text
    assert "Replica 1 of 2 exited with code 3." in overview
    assert "2 × 2 CPU · 4Gi" in overview
    for odd in ("replica=9", "replica=-1", "replica=x", "replica=%00"):
        assert 'value="1" selected' in console.get(f"{VISION}/{run}/logs?{odd}", "alice").text


@pytest.mark.parametrize("query", ["attempt=99", "attempt=x", "line=999999999", "line=-1", "q=%F0%9F%98%80", "q=%25_"])
def test_odd_addresses_of_a_log_are_answered(console: Console, query: str) -> None:
    assert console.get(f"{VISION}/{console.seed.runs['failed']}/logs?{query}", "alice").status_code == 200


def test_filters_that_make_no_sense_say_so_and_help(console: Console) -> None:
    page = console.get(f"{VISION}?q=stats:failed", "alice").text
    assert "there is no filter" in page
    assert "Did you mean status?" in page
    assert 'value="stats:failed"' in page


def test_what_is_looked_at_for_values_is_said(console: Console) -> None:
    for language, words in (("en", "in the newest 5,000 runs that match"), ("zh", "最新 5,000 个任务")):
        page = console.get("/projects/vision/runs?q=metric.none:<0.3", "alice", accept_language=language).text
        assert words in page
        assert words not in console.get("/projects/vision/runs?q=param.lr:0.1", "alice", accept_language=language).text
    page = console.get("/projects/vision/runs?q=metric.loss:<much", "alice").text
    assert "much is not a number such as 0.3" in page


def test_chips_turn_terms_on_and_off(console: Console) -> None:
    page = console.get(f"{VISION}?q=status:failed+tag:baseline", "alice").text
    assert f'class="chip on" href="{VISION}?q=tag%3Abaseline"' in page
    assert f'href="{VISION}?q=tag%3Abaseline+status%3Aqueued"' in page


def test_pages_follow_each_other_without_gaps(console: Console) -> None:
    seen: list[str] = []
    url = VISION
    for _ in range(5):
        page = console.get(url, "alice").text
        seen += re.findall(r'<tr id="(r-\w+)"', page)
        more = re.search(r'href="([^"]+)" hx-get', page)
        if not more:
            break
        url = more[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == len(console.seed.runs.keys() - {"archived"})


def test_a_stop_that_is_under_way_is_shown(console: Console) -> None:
    with db.unit_of_work() as session:
        session.execute(
            update(Run).where(Run.id == console.seed.ids["running"]).values(desired="stopped", version=Run.version + 1)
        )
    page = console.get(f"{VISION}/{console.seed.runs['running']}", "alice").text
    assert "Stopping" in page
    assert re.search(r'id="stop"[^>]*disabled', page)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_error_can_be_shown_without_a_database(language: str) -> None:
    for kind in PROBLEMS.values():
        for header in ((b"accept", b"text/html"), (b"hx-request", b"true")):
            scope = {
                "type": "http",
                "method": "GET",
                "path": "/x",
                "query_string": b"",
                "headers": [(b"accept-language", language.encode()), header],
            }
            answer = render_error(Request(scope), kind([FieldError("/name", "is required")]))
            assert answer.status_code in (kind.status, 303)
            if kind.status != 401:
                assert translate(negotiate(language), kind.title) in html.unescape(bytes(answer.body).decode())
            if kind.retry_after:
                assert answer.headers["retry-after"] == str(kind.retry_after)


def test_pages_and_lists_are_packed_only_for_who_asks_from_our_own_pages(console: Console) -> None:
    for path, said in ((VISION, "resnet50-imagenet-b512"), ("/api/v1/projects/vision/runs", "resnet50-imagenet-b512")):
        plain = console.get(path, "alice", accept_encoding="identity", sec_fetch_site="same-origin")
        packed = console.get(path, "alice", accept_encoding="br, gzip", sec_fetch_site="same-origin")
        assert packed.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in packed.headers["vary"].lower()
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
        assert said in packed.text
        refused = console.get(path, "alice", accept_encoding="gzip;q=0, br", sec_fetch_site="same-origin")
        for answer in (plain, refused):
            assert "content-encoding" not in answer.headers
            assert said in answer.text
    # A link on another site may lead here, and who put it there must learn nothing from the length.
    strange = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    led = console.get(VISION, "alice", accept_encoding="gzip", **strange)
    assert led.status_code == 200
    assert "content-encoding" not in led.headers


def test_no_page_repeats_the_token_of_its_forms(console: Console) -> None:
    pages = [console.get("/me", "alice").text for _ in range(3)]
    tokens = [set(re.findall(r'name="csrf" value="(\w+)"', page)) for page in pages]
    assert all(len(found) == 1 for found in tokens)
    assert len(set.union(*tokens)) == 3
    for token in set.union(*tokens):
        assert console.post("/preferences", {"csrf": token, "theme": "dark"}, "alice").status_code == 303
        for wrong in (token[:-2], token[:32], "", "zz" * 32, token[:-1] + ("0" if token[-1] != "0" else "1")):
            assert console.post("/me", {"csrf": wrong, "display_name": "x"}, "alice").status_code == 403


def test_a_waiting_reason_leads_to_the_runs_that_it_names(console: Console) -> None:
    with db.unit_of_work() as session:
        vision, hidden = (session.get_one(Project, console.seed.ids[name]) for name in ("vision", "empty-project"))
        alice = session.get_one(User, console.seed.ids["alice"])
        seen, unseen = (factories.make_run(session, project, alice).public_id for project in (vision, hidden))
        reason = {"pool": "local", "asked": "4", "free": "1", "capacity": "8", "holders": f"{seen}, {unseen} + 3"}
        waits = factories.make_run(session, vision, alice, reason_code="CPU_BUSY", reason=reason).public_id
    page = console.get(f"/projects/vision/runs/{waits}", "bob").text
    assert f'<a class="link mono" href="/projects/vision/runs/{seen}">{seen}</a>, {unseen} + 3 hold the rest' in page
    assert f"runs/{unseen}" not in page
    assert f"runs/{unseen}" in console.get(f"/projects/vision/runs/{waits}", "alice").text
