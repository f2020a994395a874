"""Forms as a browser sends them: what they do, and what is refused."""

import html
import re
import uuid

import pytest
from sqlalchemy import func, make_url, select

from app import db
from app.models import AuditEntry, Run, User, UserSession
from app.services import sessions
from app.settings import get_settings
from tests.browser.seed import NASTY, PASSWORD
from tests.web.conftest import Console

VISION = "/projects/vision/runs"


def scalar(statement: object) -> object:
    with db.unit_of_work() as session:
        return session.scalar(statement)  # type: ignore[call-overload]


def test_signing_in_goes_where_one_wanted_to_go(console: Console) -> None:
    answer = console.get(f"{VISION}?q=status:failed")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/projects/vision/runs%3Fq%3Dstatus%3Afailed"
    answer = console.post("/login", {"name": "alice", "password": PASSWORD, "next": f"{VISION}?q=status:failed"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{VISION}?q=status:failed"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(sessions.cookie_name() + "=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("name", ["alice", "no-such-user", NASTY])
def test_a_wrong_password_and_an_unknown_name_look_the_same(console: Console, name: str) -> None:
    answer = console.post("/login", {"name": name, "password": "wrong wrong wrong"})
    assert answer.status_code == 401
    assert "Name or password is wrong" in answer.text
    assert f'value="{html.escape(name, quote=False)[:5]}' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil"])
def test_next_never_leads_away(console: Console, path: str) -> None:
    answer = console.post("/login", {"name": "alice", "password": PASSWORD, "next": path})
    assert answer.headers["location"] == "/"
    assert console.get("/login", "alice", next=path).headers["location"] == "/"


def test_too_many_tries_are_told_on_the_form(console: Console) -> None:
    answers = [console.post("/login", {"name": "alice", "password": "wrong wrong"}) for _ in range(12)]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429
    assert "Too many tries" in answers[-1].text


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/login", {"name": "alice", "password": PASSWORD}),
        ("/logout", {}),
        ("/preferences", {"theme": "dark"}),
        ("/terminal", {"code": "ABCD-EFGH", "answer": "yes"}),
        ("/sign-in", {"k": "x"}),
        ("/setup", {"k": "x"}),
        ("/invitation", {"k": "x"}),
        (VISION + "/{run}/stop", {}),
        (VISION + "/{run}/rerun", {}),
        (VISION + "/sample", {}),
        (VISION + "/bulk", {"action": "stop", "runs": "{run}", "confirmed": "1"}),
        ("/projects/vision/views", {"name": "x"}),
    ],
)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_forms_of_other_sites_are_refused(console: Console, path: str, data: dict[str, str], site: str) -> None:
    path = path.format(run=console.seed.runs["running"])
    before = scalar(select(func.count()).select_from(AuditEntry))
    answer = console.post(path, data, "alice", sec_fetch_site=site)
    assert answer.status_code == 403
    assert scalar(select(func.count()).select_from(AuditEntry)) == before


@pytest.mark.parametrize(
    "path",
    [
        "/logout",
        "/preferences",
        "/terminal",
        "/projects/vision/views",
        VISION + "/bulk",
        VISION + "/sample",
        "stop",
        "rerun",
    ],
)
def test_forms_need_the_pages_own_token(console: Console, path: str) -> None:
    if not path.startswith("/"):
        path = f"{VISION}/{console.seed.runs['running']}/{path}"
    for token in ("", "0" * 40, console.csrf("bob")):
        answer = console.post(path, {"csrf": token, "theme": "dark", "code": "AAAA", "answer": "yes"}, "alice")
        assert answer.status_code == 403
        assert "did not come from Berth" in html.unescape(answer.text)
    assert scalar(select(Run.desired).where(Run.public_id == console.seed.runs["running"])) == "running"


def test_signing_out_ends_the_session(console: Console) -> None:
    answer = console.post("/logout", {}, "alice")
    assert answer.headers["location"] == "/login"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert console.get(VISION, "alice").status_code == 303


def test_the_first_admin(console: Console) -> None:
    with db.unit_of_work() as session:
        session.query(UserSession).delete()
        session.query(User).filter(User.name == "alice").update({"is_admin": False})
    key = console.seed.keys["setup"]
    assert console.get(f"/?k={key}").headers["location"] == f"/setup?k={key}"
    page = console.get(f"/setup?k={key}")
    assert 'name="password"' in page.text
    database = f"/{make_url(get_settings().database_url).database}</code>"
    assert database in page.text
    bad = {"name": "Root!", "password": "short", "project": "team"}
    assert database in console.post("/setup", {"k": key} | bad).text
    stranger = console.post("/setup", {"k": "not-the-key"} | bad)
    assert "Postgres" not in stranger.text
    assert database not in stranger.text
    answer = console.post("/setup", {"k": key, "name": "Root!", "password": "short", "project": "team"})
    assert answer.status_code == 422
    assert "must start with a letter" in answer.text
    answer = console.post("/setup", {"k": key, "name": "root", "password": "a long enough one", "project": "team"})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/"
    console.jar = dict([answer.headers["set-cookie"].split(";")[0].split("=", 1)])
    assert "berth run submit --cpu" in console.get("/").text, "the only project need not be named"
    again = console.post("/setup", {"k": key, "name": "root2", "password": "a long enough one", "project": "team2"})
    assert again.status_code == 404


@pytest.mark.parametrize("name", ["setup", "invitation"])
def test_a_refused_form_behind_a_link_keeps_the_link(console: Console, name: str) -> None:
    """Its address holds the link, so a reload and the switch of the language show the form again."""
    key = console.seed.keys[name]
    action = re.search(rf'action="(/{name}[^"]+)"', console.get(f"/{name}?k={key}").text)
    assert action
    sent = {"k": key, "name": "root", "password": "short", "project": "team", "username": "bob"}
    refused = console.post(action[1], sent)
    assert refused.status_code == 422
    assert f'name="next" value="{action[1]}"' in refused.text
    assert console.get(action[1]).status_code == 200


def test_an_invitation_sets_a_password_once(console: Console) -> None:
    key = console.seed.keys["invitation"]
    answer = console.post("/invitation", {"k": key, "password": "short", "username": "bob"})
    assert answer.status_code == 422
    assert "must have 10 to 200 characters" in answer.text
    answer = console.post("/invitation", {"k": key, "password": "a much longer one"})
    assert answer.status_code == 303
    assert console.post("/invitation", {"k": key, "password": "a much longer one"}).status_code == 404
    assert console.post("/login", {"name": "bob", "password": "a much longer one"}).status_code == 303


def test_a_sign_in_link_is_used_by_its_button_only(console: Console) -> None:
    key = console.seed.keys["sign_in"]
    for _ in range(2):
        assert 'action="/sign-in"' in console.get(f"/?k={key}").text
    assert console.post("/sign-in", {"k": key}).status_code == 303
    assert console.post("/sign-in", {"k": key}).status_code == 404
    assert console.get(f"/?k={key}").status_code == 404


@pytest.mark.parametrize(("answer", "says"), [("yes", "is signed in"), ("no", "was refused"), ("", "was refused")])
def test_a_terminal_is_approved_or_refused(console: Console, answer: str, says: str) -> None:
    code = console.seed.keys["terminal"]
    assert console.get(f"/terminal?code={code}").status_code == 303, "only for somebody who is signed in"
    assert "laptop" in console.get(f"/terminal?code={code.lower()}", "alice").text
    assert says in console.post("/terminal", {"code": code, "answer": answer}, "alice").text
    assert console.post("/terminal", {"code": code, "answer": answer}, "alice").status_code == 404


def test_preferences_are_kept_in_the_browser_and_with_the_user(console: Console) -> None:
    answer = console.post("/preferences", {"theme": "dark", "next": VISION}, "alice")
    assert answer.headers["location"] == VISION
    assert "berth_theme=dark" in answer.headers["set-cookie"]
    assert 'data-theme="dark"' in console.get(VISION, "alice").text
    console.post("/preferences", {"language": "zh_CN"}, "alice")
    assert '<html lang="zh-CN"' in console.get(VISION, "alice").text
    console.jar = {"berth_language": "en", "berth_theme": "light"}
    assert '<html lang="en" data-theme="light"' in console.get(VISION, "alice").text
    console.jar = {"berth_language": "<script>", "berth_theme": '"><script>', "berth_zone": "../../etc"}
    assert "<script>alert" not in console.get("/login").text
    answer = console.post("/preferences", {"theme": "pink", "language": "xx"}, "alice")
    assert "set-cookie" not in answer.headers


def test_stopping_and_running_again(console: Console) -> None:
    run = console.seed.runs["running"]
    answer = console.post(f"{VISION}/{run}/stop", {}, "alice")
    assert answer.headers["location"] == f"{VISION}/{run}"
    assert scalar(select(Run.desired).where(Run.public_id == run)) == "stopped"
    answer = console.post(f"{VISION}/{run}/rerun", {}, "alice")
    assert answer.status_code == 303
    assert re.search(r"/runs/r-\w+$", answer.headers["location"])
    assert answer.headers["location"] != f"{VISION}/{run}"


def test_viewers_look_and_change_nothing(console: Console) -> None:
    run = console.seed.runs["running"]
    page = console.get(f"{VISION}/{run}", "bob").text
    assert "/stop" not in page
    assert "/rerun" not in page
    for action in ("stop", "rerun"):
        answer = console.post(f"{VISION}/{run}/{action}", {}, "bob")
        assert answer.status_code == 403
        assert "Not allowed" in answer.text


def test_others_projects_look_like_nothing(console: Console) -> None:
    run = console.seed.runs["running"]
    unknown = f"r-{uuid.uuid4().hex[:10]}"
    for user in ("nobody", "alice"):
        for path in (f"/projects/nothing/runs/{unknown}", f"/projects/vision/runs/{unknown}", f"/r/{unknown}"):
            assert console.get(path, user).status_code == 404
    for path in (VISION, f"{VISION}/{run}", f"{VISION}/{run}/live", f"{VISION}/{run}/after", f"{VISION}/changes"):
        seen, missing = console.get(path, "nobody"), console.get(path.replace("vision", "nothing"), "nobody")
        assert (seen.status_code, missing.status_code) == (404, 404)
        drop = re.compile(r"/projects/\w+/[^\"]*")
        assert drop.sub("", seen.text) == drop.sub("", missing.text)
    assert console.get(f"/projects/empty-project/runs/{run}", "alice").status_code == 404, "of another project"


def test_a_name_with_a_null_byte_is_an_answer(console: Console) -> None:
    for path in (
        "/projects/a%00b/runs",
        f"{VISION}/%00",
        f"{VISION}?q=%00",
        f"{VISION}?after=%00",
        "/problems/%00",
        "/terminal?code=%00",
        "/setup?k=%00",
        "/?k=%00",
        f"{VISION}/changes?seen=%00.1&top=%00",
    ):
        assert console.get(path, "alice").status_code < 500, path
