"""Forms of project settings, account and platform administration: what they do, what they refuse and where they
say so, and who may."""

import csv
import html
import io
import re
import uuid
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app import db
from app.models import ApiToken, AuditEntry, Membership, Project, Run, User, UserSession
from app.repositories import users as repository
from app.services import sessions
from app.services.identity import token_hash
from app.services.leases import Term, acquire
from app.stores import objects
from app.workers.housekeeping import remove_deleted_projects
from tests import factories
from tests.browser.seed import PASSWORD
from tests.web.conftest import Console

S = "/projects/vision/settings"
EMPTY = "/projects/empty-project/settings"


def scalar(statement: Any) -> Any:
    with db.unit_of_work() as session:
        return session.scalar(statement)


def count(statement: Any) -> int:
    return int(scalar(select(func.count()).select_from(statement.subquery())))


def wrong_field(page: str, name: str) -> str:
    """What stands at a field as its error, "" for none."""
    found = re.search(
        rf'name="{name}"[^>]*aria-invalid="true".*?class="err"[^>]*>.*?<span>(.*?)</span>', page, re.DOTALL
    )
    return html.unescape(found[1]) if found else ""


def secret(page: str) -> str:
    found = re.search(r'id="secret">([^<]+)<', page)
    assert found, "nothing is shown once"
    return html.unescape(found[1])


@pytest.fixture
def carol(console: Console) -> str:
    """An owner of vision who is no administrator."""
    return person(console, "carol", "owner")


def person(console: Console, name: str, role: str | None, project: str = "vision") -> str:
    with db.unit_of_work() as session:
        user = factories.make_user(session, name)
        if role:
            session.add(Membership(project_id=console.seed.ids[project], user_id=user.id, role=role))
        opened = sessions.open_session(session, user.id, name, address="10.0.0.9", agent="Mozilla Firefox/140 Linux")
    console.seed.ids[name], console.seed.cookies[name] = user.id, opened.cookie
    return name


FORMS: list[tuple[str, dict[str, str], str]] = [
    (S, {"title": "x"}, "owner"),
    (f"{S}/delete", {"name": "vision"}, "owner"),
    (f"{S}/members", {"name": "nobody", "role": "viewer"}, "owner"),
    (f"{S}/members/bob/remove", {}, "owner"),
    (f"{S}/service-accounts", {"name": "robot", "role": "viewer"}, "owner"),
    (f"{S}/service-accounts/nightly", {"role": "editor"}, "owner"),
    (f"{S}/service-accounts/nightly/tokens", {"name": "x", "scope": "read", "expires_in": "7d"}, "owner"),
    (f"{S}/service-accounts/nightly/tokens/{uuid.uuid4()}/revoke", {}, "owner"),
    (f"{S}/tokens/{uuid.uuid4()}/revoke", {}, "owner"),
    ("/admin/users", {"name": "dave"}, "admin"),
    ("/admin/users/bob", {"disabled": "yes"}, "admin"),
    ("/admin/users/bob/reset", {}, "admin"),
    ("/admin/projects", {"name": "new"}, "admin"),
]


def test_who_may_send_which_form(console: Console, carol: str) -> None:
    """Viewers and editors are refused, strangers and others find nothing, and nothing changes."""
    person(console, "ed", "editor")
    before = count(select(AuditEntry))
    for path, data, least in FORMS:
        expected = (
            {"bob": 403, "ed": 403, "nobody": 404} if least == "owner" else {"bob": 404, "nobody": 404, carol: 404}
        )
        for user, status in expected.items():
            assert console.post(path, data, user).status_code == status, (path, user)
        assert console.post(path, data).status_code in (303, 403), path
        assert console.post(path, data | {"csrf": "0" * 40}, "alice").status_code == 403, path
        assert console.post(path, data, "alice", sec_fetch_site="cross-site").status_code == 403, path
    assert count(select(AuditEntry)) == before


PAGES = {
    S: "alice carol ed bob",
    f"{S}/members": "alice carol ed bob",
    f"{S}/service-accounts": "alice carol ed bob",
    f"{S}/service-accounts/nightly": "alice carol",
    f"{S}/tokens": "alice carol",
    f"{S}/audit": "alice carol",
    f"{S}/audit.csv": "alice carol",
    "/admin/users": "alice",
    "/admin/users/bob": "alice",
    "/admin/projects": "alice",
    "/admin/audit": "alice",
    "/admin/audit.csv": "alice",
    "/admin/health": "alice",
    "/me": "alice carol ed bob nobody",
    "/me/tokens": "alice carol ed bob nobody",
    "/me/sessions": "alice carol ed bob nobody",
    "/": "alice carol ed bob nobody",
}


def test_who_sees_which_page(console: Console, carol: str) -> None:
    person(console, "ed", "editor")
    for path, users in PAGES.items():
        for user in ("alice", carol, "ed", "bob", "nobody"):
            status = console.get(path, user).status_code
            is_member = path.startswith(S) and user in ("ed", "bob")
            assert status == (200 if user in users.split() else 403 if is_member else 404), (path, user)
        assert console.get(path).status_code == 303
    assert "/admin/users" not in console.get("/", carol).text
    assert f'href="{S}/tokens"' not in console.get(S, "bob").text


def test_the_title(console: Console, carol: str) -> None:
    assert console.post(S, {"title": "  Computer vision "}, carol).status_code == 303
    assert scalar(select(Project.title).where(Project.name == "vision")) == "Computer vision"
    page = console.post(S, {"title": "a\u202eb"}, carol)
    assert page.status_code == 422
    assert wrong_field(page.text, "title") == "must be one line without control characters"
    assert "at most 200" in wrong_field(console.post(S, {"title": "x" * 201}, carol).text, "title")


def test_deleting_a_project_needs_its_name_and_no_live_run(console: Console) -> None:
    assert "runs are not over" in console.get(S, "alice").text
    refused = console.post(f"{S}/delete", {"name": "vision"}, "alice")
    assert refused.status_code == 409
    assert "are running or waiting" in refused.text
    page = console.post(f"{EMPTY}/delete", {"name": "vision"}, "alice")
    assert page.status_code == 422
    assert wrong_field(page.text, "name") == "must be the name of this project"
    assert console.post(f"{EMPTY}/delete", {"name": "empty-project"}, "alice").status_code == 303
    assert console.get("/projects/empty-project/runs", "alice").status_code == 404
    assert "empty-project" not in console.get("/admin/projects", "alice").text
    assert console.post("/admin/projects", {"name": "empty-project"}, "alice").status_code == 303, "the name is free"


def test_housekeeping_removes_what_a_deleted_project_held(console: Console) -> None:
    vision = console.seed.ids["vision"]
    with db.unit_of_work() as session:
        session.query(Run).filter(Run.state.in_(["queued", "starting", "running"])).update({"state": "stopped"})
        term = acquire(session, "housekeeping", "test", 60)
    assert isinstance(term, Term)
    key = f"{objects.project_prefix(vision)}snapshots/x"
    objects.of(vision).put(key, b"code")
    token = console.post(
        f"{S}/service-accounts/nightly/tokens", {"name": "x", "scope": "write", "expires_in": ""}, "alice"
    )
    bearer = {"authorization": f"Bearer {secret(token.text)}"}
    assert console.client.get("/api/v1/session", headers=bearer).status_code == 200
    run = console.seed.runs["running"]
    assert console.post(f"{S}/delete", {"name": "vision"}, "alice").status_code == 303
    assert console.client.get("/api/v1/session", headers=bearer).status_code == 401
    assert console.get(f"/r/{run}", "alice").status_code == 404
    assert console.get("/projects/vision/runs", "bob").status_code == 404
    assert "vision" not in console.get("/", "bob").text
    assert remove_deleted_projects(term) or count(select(Run).where(Run.project_id == vision))
    with db.unit_of_work() as session:  # the cluster lets go of the rest
        session.execute(text("update attempt set cleaned_at = now()"))
        session.execute(text("update reservation set released_at = now()"))
    while remove_deleted_projects(term):
        pass
    assert count(select(Run).where(Run.project_id == vision)) == 0
    assert scalar(select(Project.id).where(Project.id == vision)) is None
    assert not objects.of(vision).exists(key)
    assert "project.delete" in console.get("/admin/audit?object_id=vision", "alice").text


def test_members(console: Console, carol: str) -> None:
    done = console.post(f"{S}/members", {"name": "nobody", "role": "editor"}, carol)
    assert done.headers["location"] == f"{S}/members?done=added"
    assert "Added." in console.get(f"{S}/members?done=added", carol).text
    console.post(f"{S}/members", {"name": "nobody", "role": "viewer", "row": "1"}, carol)
    member = select(Membership.role).where(Membership.user_id == console.seed.ids["nobody"])
    assert scalar(member) == "viewer"
    for data, field, says in (
        ({"name": "no-such", "role": "viewer"}, "name", "There is no enabled user"),
        ({"name": "", "role": "viewer"}, "name", "must not be empty"),
        ({"name": "bob\0", "role": "viewer"}, "name", "one line"),
        ({"name": "bob", "role": "king"}, "role", "not one of those"),
    ):
        page = console.post(f"{S}/members", data, carol)
        assert page.status_code in (404, 422)
        assert says in wrong_field(page.text, field)
    assert console.post(f"{S}/members/nobody/remove", {}, carol).status_code == 303
    assert scalar(member) is None
    assert console.post(f"{S}/members/nobody/remove", {}, carol).status_code == 404


def test_there_is_always_an_owner(console: Console, carol: str) -> None:
    assert console.post(f"{S}/members", {"name": "alice", "role": "viewer", "row": "1"}, carol).status_code == 303
    for path, data in (
        (f"{S}/members", {"name": carol, "role": "viewer", "row": "1"}),
        (f"{S}/members/{carol}/remove", {}),
    ):
        page = console.post(path, data, carol)
        assert page.status_code == 409
        assert "carol is the only enabled person who is an owner" in html.unescape(page.text)
    assert scalar(select(Membership.role).where(Membership.user_id == console.seed.ids[carol])) == "owner"


def test_service_accounts_and_their_tokens(console: Console, carol: str) -> None:
    made = console.post(f"{S}/service-accounts", {"name": "robot", "role": "editor"}, carol)
    assert made.headers["location"] == f"{S}/service-accounts/robot?done=added"
    again = console.post(f"{S}/service-accounts", {"name": "robot", "role": "editor"}, carol)
    assert again.status_code == 409
    assert "robot already" in wrong_field(again.text, "name")
    assert wrong_field(console.post(f"{S}/service-accounts", {"name": "Ro bot", "role": "editor"}, carol).text, "name")
    page = console.post(f"{S}/service-accounts/robot/tokens", {"name": "", "scope": "write", "expires_in": ""}, carol)
    assert (page.status_code, wrong_field(page.text, "name")) == (422, "must not be empty")
    page = console.post(f"{S}/service-accounts/robot/tokens", {"name": "t", "scope": "root", "expires_in": ""}, carol)
    assert wrong_field(page.text, "scope")
    page = console.post(
        f"{S}/service-accounts/robot/tokens", {"name": "t", "scope": "write", "expires_in": "7d"}, carol
    )
    token = secret(page.text)
    assert page.headers["cache-control"].startswith("no-store")
    bearer = {"authorization": f"Bearer {token}"}
    assert console.client.get("/api/v1/session", headers=bearer).status_code == 200
    for path in (f"{S}/service-accounts/robot", f"{S}/tokens"):
        shown = console.get(path, carol).text
        assert token not in shown
        assert token[:12] in shown
    assert console.post(f"{S}/service-accounts/robot", {"disabled": "yes"}, carol).status_code == 303
    assert console.client.get("/api/v1/session", headers=bearer).status_code == 401
    assert console.post(f"{S}/service-accounts/robot", {"disabled": "no"}, carol).status_code == 303
    assert console.post(f"{S}/service-accounts/nothing", {"disabled": "yes"}, carol).status_code == 404


def test_tokens_of_the_project_are_revoked_by_its_owners(console: Console, carol: str) -> None:
    made = console.post("/me/tokens", {"name": "mine", "scope": "read", "project": "vision", "expires_in": ""}, "bob")
    key = scalar(select(ApiToken.id).where(ApiToken.token_hash == token_hash(secret(made.text))))
    wide = console.post("/me/tokens", {"name": "wide", "scope": "read", "project": "", "expires_in": ""}, "bob")
    wide_key = scalar(select(ApiToken.id).where(ApiToken.token_hash == token_hash(secret(wide.text))))
    shown = console.get(f"{S}/tokens", carol).text
    assert str(key) in shown
    assert str(wide_key) not in shown
    assert console.post(f"{S}/tokens/{wide_key}/revoke", {}, carol).status_code == 404
    assert console.post(f"{S}/tokens/{key}/revoke", {}, carol).status_code == 303
    assert console.post(f"{S}/tokens/{key}/revoke", {}, carol).status_code == 404
    assert console.post(f"{S}/tokens/nothing/revoke", {}, carol).status_code == 404


def test_ones_own_tokens(console: Console) -> None:
    for data, field in (
        ({"name": "", "scope": "read", "project": "", "expires_in": ""}, "name"),
        ({"name": "x", "scope": "", "project": "", "expires_in": ""}, "scope"),
        ({"name": "x", "scope": "read", "project": "speech", "expires_in": ""}, "project"),
        ({"name": "x", "scope": "read", "project": "", "expires_in": "1s"}, "expires_in"),
    ):
        page = console.post("/me/tokens", data, "bob")
        assert page.status_code == 422
        assert wrong_field(page.text, field), data
    made = console.post("/me/tokens", {"name": "ci", "scope": "read", "project": "", "expires_in": "30d"}, "bob")
    token = secret(made.text)
    assert token not in console.get("/me/tokens", "bob").text
    key = scalar(select(ApiToken.id).where(ApiToken.token_hash == token_hash(token)))
    assert console.post(f"/me/tokens/{key}/revoke", {}, "alice").status_code == 404, "another's"
    assert console.post(f"/me/tokens/{key}/revoke", {}, "bob").status_code == 303
    assert console.client.get("/api/v1/session", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_the_profile_and_the_password(console: Console) -> None:
    saved = console.post("/me", {"display_name": "Bob B.", "language": "zh_CN", "theme": "dark"}, "bob")
    assert saved.status_code == 303
    assert "berth_language=zh_CN" in str(saved.headers.get_list("set-cookie"))
    assert '<html lang="zh-CN" data-theme="dark"' in console.get("/me", "bob").text
    page = console.post("/me", {"display_name": "x\ny", "language": "xx", "theme": "dark"}, "alice")
    assert page.status_code == 422
    assert wrong_field(page.text, "display_name")
    new = "a whole new sentence"
    for data, field in (
        ({"old": "wrong", "new": new, "again": new}, "old"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "new"),
        ({"old": PASSWORD, "new": new, "again": "other"}, "again"),
    ):
        page = console.post("/me/password", data, "alice")
        assert page.status_code == 422
        assert wrong_field(page.text, field), data
        assert new not in page.text
    with db.unit_of_work() as session:
        other = sessions.open_session(session, console.seed.ids["alice"], "alice", address="", agent="").cookie
    assert console.post("/me/password", {"old": PASSWORD, "new": new, "again": new}, "alice").status_code == 303
    assert console.get("/me", "alice").status_code == 200
    assert scalar(select(UserSession.user_id).where(UserSession.token_hash == token_hash(other))) is None


def test_ones_own_sessions(console: Console) -> None:
    def sign_in() -> str:
        with db.unit_of_work() as session:
            agent = "Mozilla/5.0 (X11; Linux) Firefox/140.0"
            return sessions.open_session(
                session, console.seed.ids["bob"], "bob", address="10.1.1.1", agent=agent
            ).cookie

    one = sign_in()
    page = console.get("/me/sessions", "bob").text
    assert "Firefox · Linux" in page
    assert page.count("this one") == 1
    key = token_hash(one)[:8].hex()
    assert console.post(f"/me/sessions/{key}/end", {}, "alice").status_code == 404, "another's"
    assert console.post(f"/me/sessions/{key}/end", {}, "bob").status_code == 303
    assert console.post(f"/me/sessions/{key}/end", {}, "bob").status_code == 404
    sign_in()
    sign_in()
    assert console.post("/me/sessions/end-others", {}, "bob").status_code == 303
    assert count(select(UserSession.user_id).where(UserSession.user_id == console.seed.ids["bob"])) == 1
    assert console.get("/me/sessions", "bob").status_code == 200


def test_an_admin_ends_all_sessions_of_one(console: Console) -> None:
    def of(name: str) -> int:
        return count(select(UserSession.user_id).where(UserSession.user_id == console.seed.ids[name]))

    page = console.get("/admin/users/bob", "alice").text
    assert "End all sessions" in page
    assert "Last seen" in console.get("/admin/users", "alice").text
    assert console.post("/admin/users/bob/end-sessions", {}, "alice").status_code == 303
    assert of("bob") == 0
    assert "End all sessions" not in console.get("/admin/users/bob", "alice").text
    assert scalar(select(AuditEntry.object_id).where(AuditEntry.verb == "session.delete_all")) == "bob"
    with db.unit_of_work() as session:
        sessions.open_session(session, console.seed.ids["alice"], "alice", address="", agent="")
    assert console.post("/admin/users/alice/end-sessions", {}, "alice").status_code == 303
    assert of("alice") == 1, "this browser stays signed in"
    with db.read_session() as session:
        seen = {row["name"]: row["last_seen_at"] for row in repository.list_users(session, None, 50)}
        last = session.scalar(select(func.max(AuditEntry.at)).where(AuditEntry.actor_id == console.seed.ids["alice"]))
    assert seen["alice"] >= last
    assert seen["bob"] is None or seen["bob"] < last, "each one's own"
    assert console.post("/admin/users/nobody-at-all/end-sessions", {}, "alice").status_code == 404


def test_inviting_and_looking_after_people(console: Console) -> None:
    page = console.post("/admin/users", {"name": "dave", "project": "vision", "role": "editor"}, "alice")
    link = secret(page.text)
    assert "/invitation?k=" in link
    assert link not in console.get("/admin/users", "alice").text
    key = link.partition("?k=")[2]
    assert console.post("/invitation", {"k": key, "password": "a long enough one"}).status_code == 303
    for data, field in (
        ({"name": "dave"}, "name"),
        ({"name": "Da ve"}, "name"),
        ({"name": "e" * 65}, "name"),
        ({"name": "erin", "project": "no-such", "role": "viewer"}, "project"),
        ({"name": "erin", "project": "vision", "role": "king"}, "role"),
    ):
        page = console.post("/admin/users", data, "alice")
        assert page.status_code in (409, 422)
        assert wrong_field(page.text, field), data
    assert scalar(select(User.id).where(User.name == "erin")) is None
    reset = secret(console.post("/admin/users/dave/reset", {}, "alice").text)
    assert console.get(f"/invitation?k={reset.partition('?k=')[2]}").status_code == 200
    assert console.post("/admin/users/dave", {"disabled": "yes"}, "alice").status_code == 303
    page = console.post("/admin/users/dave/reset", {}, "alice")
    assert page.status_code == 409
    assert "dave is disabled" in page.text
    page = console.post("/admin/users/alice", {"is_admin": "no"}, "alice")
    assert page.status_code == 409
    assert "only enabled administrator" in page.text
    assert console.post("/admin/users/bob", {"is_admin": "yes"}, "alice").status_code == 303
    assert console.get("/admin/users", "bob").status_code == 200
    assert "dave" in console.get("/admin/users?q=AV", "alice").text
    assert "dave" not in console.get("/admin/users?q=%25", "alice").text


def test_creating_a_project(console: Console) -> None:
    assert console.post("/admin/projects", {"name": "audio", "title": "Audio"}, "alice").status_code == 303
    for name in ("audio", "Audio!", "", "x" * 40):
        page = console.post("/admin/projects", {"name": name, "title": ""}, "alice")
        assert page.status_code in (409, 422)
        assert wrong_field(page.text, "name"), name


def test_lists_are_paged(console: Console) -> None:
    with db.unit_of_work() as session:
        for number in range(120):
            factories.make_user(session, f"person-{number:03d}")
    seen, path = [], "/admin/users"
    while path:
        page = console.get(path, "alice").text
        seen += re.findall(r'href="/admin/users/([\w-]+)"', page)
        found = re.search(r'id="more"><div class="more"><a class="btn" href="([^"]+)"', page)
        path = html.unescape(found[1]) if found else ""
    assert seen == sorted({*(f"person-{number:03d}" for number in range(120)), "alice", "bob", "nobody"})


def test_the_audit_log(console: Console, carol: str) -> None:
    console.post(S, {"title": "=HYPERLINK(1)"}, carol)
    page = console.get("/admin/audit?verb=project.update&project=vision", "alice").text
    assert "<del>" in page
    assert ">=HYPERLINK(1)</ins>" in page
    tokens = console.get("/admin/audit?verb=token.create", "alice").text
    assert ">ci (nightly)</a>" in tokens
    assert ">laptop (alice)</a>" in tokens
    rest = console.client.get("/api/v1/audit?verb=project.update", headers=_bearer(console)).json()["items"]
    assert len(rest) == 2
    for path in ("/admin/audit?actor=carol", f"{S}/audit?verb=project.update&actor=carol"):
        assert "project.update" in console.get(path, "alice").text
    assert "project.update" not in console.get("/admin/audit?until=2026-01-01T00:00", "alice").text
    assert "project.update" in console.get("/admin/audit?since=2026-01-01T00:00", "alice").text
    page = console.get("/admin/audit?since=tomorrow&project=nothing", "alice").text
    assert wrong_field(page, "since") == "is not a date and time"
    assert wrong_field(page, "project") == "is not a project"
    for odd in (
        "after=x",
        "after=99999999999999999999",
        "since=%00",
        "since=9999-12-31T23:59",
        "actor=%00",
        "verb=%27",
    ):
        assert console.get(f"/admin/audit?{odd}", "alice").status_code == 200, odd


def test_csv_has_no_formulas_and_all_rows(console: Console, carol: str) -> None:
    with db.unit_of_work() as session:
        for number in range(1500):
            session.add(AuditEntry(actor_name="x", verb="test", object_type="t", object_id=f"=1+{number}"))
    answer = console.get("/admin/audit.csv?verb=test", "alice")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 1500
    assert {row["object_id"] for row in rows} == {f"'=1+{number}" for number in range(1500)}
    assert "test" not in console.get(f"{S}/audit.csv?verb=test", carol).text.split("\n", 1)[1]


def _bearer(console: Console, user: str = "alice") -> dict[str, str]:
    made = console.post("/me/tokens", {"name": "t", "scope": "admin", "project": "", "expires_in": ""}, user)
    return {"authorization": f"Bearer {secret(made.text)}"}


def test_health_says_the_same_in_rest_and_page(console: Console) -> None:
    rest = console.client.get("/api/v1/health", headers=_bearer(console)).json()
    page = html.unescape(console.get("/admin/health", "alice").text)
    assert {check["part"] for check in rest["checks"]} >= {
        "postgres",
        "redis",
        "worker",
        "objects",
        "disk",
        "cluster:local",
    }
    for check in rest["checks"]:
        if check["part"].startswith("loop:"):
            assert (check["health"], bool(check["fix"])) == ("bad", True), "no controller runs here"
            assert check["says"] in page


def test_the_start_page_shows_ones_own_projects_and_the_numbers_of_rest(console: Console) -> None:
    """A person in two of five projects sees exactly those, and each number is what REST lists."""
    person(console, "dora", "editor", "vision")
    with db.unit_of_work() as session:
        session.add(Membership(project_id=console.seed.ids["speech"], user_id=console.seed.ids["dora"], role="viewer"))
        for name in ("fourth", "fifth"):
            factories.make_project(session, name)
        vision = session.get_one(Project, console.seed.ids["vision"])
        hidden = session.get_one(Project, console.seed.ids["empty-project"])
        dora = session.get_one(User, console.seed.ids["dora"])
        late = text("select now() - interval '20 minutes'")
        waits = factories.make_run(session, vision, dora, name="waits-long", queued_at=session.scalar(late))
        fails = factories.make_run(
            session, vision, dora, name="fails", state="failed", finished_at=session.scalar(late)
        )
        other = factories.make_run(session, hidden, dora, name="not-a-member-any-more")
    page = console.get("/", "dora").text
    assert re.findall(r'data-project="([\w-]+)"', page) == ["speech", "vision"]
    assert "fourth" not in page
    assert waits.public_id in page
    assert fails.public_id in page
    assert other.public_id not in page
    bearer = _bearer(console, "dora")
    for project in ("speech", "vision"):
        row = page.split(f'data-project="{project}"')[1].split("</tr>")[0]
        numbers = [int(found) for found in re.findall(r'class="cell"[^>]*>(\d+)<', row)]
        numbers.append(int(re.findall(r'<td class="num hide-s">(\d+)</td>', row)[0]))
        rest = [
            len(console.client.get(f"/api/v1/projects/{project}/{path}", headers=bearer).json()["items"])
            for path in ("runs?q=status:starting,running&limit=200", "runs?q=status:queued&limit=200")
        ]
        members = console.client.get(f"/api/v1/projects/{project}/members", headers=bearer).json()["items"]
        rest.append(sum(member["kind"] == "person" for member in members))
        assert numbers == rest, project
