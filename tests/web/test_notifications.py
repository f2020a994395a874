"""The page of notifications, by plain forms as without JavaScript."""

import html
import re
import uuid

import pytest
from sqlalchemy import select

from app import db
from app.models import AuditEntry, Notification, NotificationAttempt, NotificationMessage
from app.settings import get_settings
from tests.web.conftest import Console

VISION = "/projects/vision/settings/notifications"
OWN = "/me/notifications"
FORM = {"do": "create", "name": "hook", "target": "https://example.org/in?key=s3cret", "event": "run.failed"}


def found(name: str = "hook") -> Notification:
    with db.read_session() as session:
        row = session.scalar(select(Notification).where(Notification.name == name))
        assert row is not None
        return row


def test_a_tag_that_no_run_can_have_is_told_at_its_field(console: Console) -> None:
    answer = console.post(OWN, FORM | {"tags": "prod <b> -x"}, "alice")
    assert answer.status_code == 422
    assert answer.text.count("must begin with a letter (A to Z) or a digit") == 1
    assert 'value="prod &lt;b&gt; -x"' in answer.text


@pytest.mark.parametrize("url", [VISION, OWN])
def test_a_webhook_from_its_making_to_its_end(console: Console, url: str) -> None:
    answer = console.post(url, FORM | {"only": "vision"}, "alice")
    assert answer.status_code == 200
    secret = re.search(r"whsec_[A-Za-z0-9+/=]{44}", html.unescape(answer.text))
    assert secret
    row = found()
    key = str(row.id)
    assert row.target == FORM["target"]
    assert (row.user_id is None) == (url == VISION)
    again = console.get(f"{url}?show={key}", "alice").text
    assert secret[0] not in again
    assert "s3cret" not in again, "an address may itself be a secret"
    sent = console.post(url, {"do": "test", "notification": key}, "alice")
    assert (sent.status_code, sent.headers["location"]) == (303, f"{url}?show={key}#log")
    assert "notification.test" not in console.get(f"{url}?show={key}", "alice").text
    with db.read_session() as session:
        message = session.scalars(
            select(NotificationMessage).where(NotificationMessage.notification_id == row.id)
        ).one()
    refused = console.post(url, {"do": "resend", "notification": key, "delivery": str(message.message_id)}, "alice")
    assert refused.status_code == 409
    new = console.post(url, {"do": "rotate", "notification": key}, "alice").text
    assert "whsec_" in new
    assert secret[0] not in html.unescape(new)
    for do, muted in (("mute", True), ("unmute", False)):
        assert console.post(url, {"do": do, "notification": key}, "alice").status_code == 303
        assert found().muted is muted
    assert console.post(url, {"do": "delete", "notification": key}, "alice").headers["location"] == url
    with db.read_session() as session:
        assert session.get(Notification, row.id) is None
        entries = session.scalars(select(AuditEntry).where(AuditEntry.object_id == key).order_by(AuditEntry.id)).all()
    verbs = [entry.verb.removeprefix("notification.") for entry in entries]
    assert verbs == ["create", "test", "rotate", "update", "update", "delete"]
    told = str([(entry.before, entry.after) for entry in entries])
    assert "s3cret" not in told
    assert "whsec" not in told


CHAT = {"channel": "chat", "target": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"}


@pytest.mark.parametrize("url", [VISION, OWN])
@pytest.mark.parametrize(
    ("made", "new"),
    [(FORM, "https://example.org/other?key=n3w"), (FORM | CHAT, CHAT["target"].replace("A1BRTD4JD", "A1BRTD4JE"))],
    ids=["webhook", "chat"],
)
def test_the_form_changes_everything_and_shows_no_old_address(
    console: Console, url: str, made: dict[str, str], new: str
) -> None:
    console.post(url, made, "alice")
    before = found()
    at = {"do": "update", "notification": str(before.id)}
    page = console.get(f"{url}?show={before.id}", "alice").text
    assert 'name="do" value="update"' in page
    assert "s3cret" not in page
    assert "A1BRTD4JD" not in page
    changes = at | {"name": "hook", "event": "run.ended", "wait": "90m", "tags": "best", "language": "zh_CN"}
    answer = console.post(url, changes | {"target": "", "whose": "all"}, "alice")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{url}?show={before.id}#log")
    kept = found()
    assert (kept.events, kept.wait_seconds, kept.tags, kept.language) == (["run.ended"], 5400, ["best"], "zh_CN")
    assert (kept.whose, kept.channel) == ("all", before.channel)
    assert (kept.target, kept.target_ciphertext) == (before.target, before.target_ciphertext), "an empty one is kept"
    assert console.post(url, changes | {"target": new}, "alice").status_code == 303
    after = found()
    if before.channel == "webhook":
        assert after.target == new
    else:
        assert after.target_ciphertext != before.target_ciphertext
    for target in ("http://127.0.0.1/s3cret", "slack://nothing"):
        refused = console.post(url, changes | {"target": target, "wait": "soon"}, "alice")
        assert refused.status_code == 422
        assert 'id="d-edit-target"' in refused.text, "said in the form that changes, not in the one for one more"
        assert (target in refused.text) == (before.channel == "webhook"), "a chat's address is not sent back"
    assert found().wait_seconds == 5400


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "http://169.254.169.254/latest"}, "leads into a network"),
        ({"target": "http://2130706433/"}, "leads into a network"),
        ({"target": "ftp://example.org"}, "must begin with https://"),
        ({"target": "https://u:p@example.org"}, "no user name and no password"),
        ({"event": "nothing"}, "needs at least one event"),
        ({"wait": "soon"}, "err"),
        ({"wait": "5s"}, "between a minute and 30 days"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(console: Console, changes: dict[str, str], said: str) -> None:
    answer = console.post(VISION, FORM | changes, "alice")
    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="hook"' in answer.text, "what was typed stays"


def test_mail_needs_a_server(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = FORM | {"channel": "mail", "target": "ada@example.org"}
    assert "has no mail server" in console.post(VISION, mail, "alice").text
    monkeypatch.setenv("BERTH_MAIL__HOST", "mail.example.org")
    monkeypatch.setenv("BERTH_MAIL__DOMAINS", '["example.org"]')
    get_settings.cache_clear()
    try:
        assert console.post(VISION, mail, "alice").status_code == 200
        for target in (
            "ada@evil.example",
            "ada@example.org\r\nBcc: x@example.org",
            "Ada <ada@example.org>",
            "@",
            "a@-b",
        ):
            assert console.post(VISION, mail | {"target": target}, "alice").status_code == 422
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_others_have_nothing_here(console: Console) -> None:
    theirs = str(console.seed.ids["notification"])
    for user, status in (("bob", 403), ("nobody", 404)):
        assert console.get(VISION, user).status_code == status
        assert console.post(VISION, FORM, user).status_code == status
    for do in ("delete", "mute", "test", "rotate", "resend", "update"):
        for key in (theirs, str(uuid.uuid4()), "x"):
            answer = console.post(OWN, {"do": do, "notification": key, "delivery": theirs}, "alice")
            assert answer.status_code == 404, "a project's notification is not one's own"
    assert console.post(OWN, FORM | {"only": "vision"}, "nobody").status_code == 404


def test_forms_of_other_sites_are_refused(console: Console) -> None:
    for url in (VISION, OWN):
        assert console.post(url, FORM, "alice", sec_fetch_site="cross-site").status_code == 403
        assert console.post(url, FORM | {"csrf": ""}, "alice").status_code == 403


def test_what_receivers_said_is_only_text(console: Console) -> None:
    page = console.get(f"{VISION}?show={console.seed.ids['notification']}", "alice").text
    assert "<b>upstream</b>" not in page
    assert "&lt;b&gt;upstream" in page


CHAT = {"channel": "chat", "target": "mmosts://chat.example.org/3ccdd1134747223779d3dd4"}


def test_an_address_of_a_chat_is_never_shown_again(console: Console) -> None:
    answer = console.post(VISION, FORM | CHAT, "alice")
    assert answer.status_code == 200
    assert "Mattermost chat.example.org …3dd4" in answer.text
    assert "whsec_" not in answer.text
    key = str(found().id)
    assert found().target == "Mattermost chat.example.org …3dd4"
    page = answer.text + console.get(f"{VISION}?show={key}", "alice").text
    assert "3ccdd" not in page
    assert "New secret" not in page, "nothing of it is signed"
    assert console.post(VISION, {"do": "rotate", "notification": key}, "alice").status_code == 422
    assert console.post(VISION, {"do": "test", "notification": key}, "alice").status_code == 303


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("file:///etc/passwd", "no chat service that Berth knows: Slack, Microsoft Teams"),
        ("json://example.org/3ccdd1134747223779d3dd4", "no chat service"),
        ("slack://T1JJ3T3L2/A1BRTD4JD", "not complete for Slack"),
        ("mmost://127.0.0.1/3ccdd1134747223779d3dd4", "leads into a network"),
        ("mmost://169.254.169.254/3ccdd1134747223779d3dd4", "leads into a network"),
        ("mmost://2130706433/3ccdd1134747223779d3dd4", "leads into a network"),
        ("mmosts://chat.example.org/3ccdd1134747223779d3dd4?template=/etc/passwd", "not complete for Mattermost"),
    ],
)
def test_what_is_wrong_with_a_chat_is_said_without_repeating_it(console: Console, target: str, said: str) -> None:
    answer = console.post(VISION, FORM | CHAT | {"target": target}, "alice")
    assert answer.status_code == 422
    assert said in answer.text
    assert target not in answer.text
    assert "3ccdd" not in answer.text


def test_a_run_is_muted_on_its_page(console: Console) -> None:
    run = f"/projects/vision/runs/{console.seed.runs['running']}"
    for do, shown in (
        ("mute", "You are told nothing about this run."),
        ("mute-all", "The project sends nothing about this run. You are told nothing of it either."),
        ("unmute", "The project sends nothing about this run."),
        ("unmute-all", "Mute for the project"),
    ):
        for _ in range(2):
            answer = console.post(f"{run}/mute", {"do": do}, "alice")
            assert (answer.status_code, answer.headers["location"]) == (303, f"{run}#notifications")
        assert shown in " ".join(console.get(run, "alice").text.split())
    with db.read_session() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.verb.like("notification.%mute_run"))).all()
    assert len(entries) == 4, "twice is once"
    assert "Mute for the project" not in console.get(run, "bob").text
    assert console.post(f"{run}/mute", {"do": "mute-all"}, "bob").status_code == 403
    assert console.post(f"{run}/mute", {"do": "mute"}, "bob").status_code == 303
    assert console.post(f"{run}/mute", {"do": "mute"}, "nobody").status_code == 404
    assert console.post(f"{run}/mute", {"do": "x"}, "alice").status_code == 404
    assert console.post(run.replace("vision", "speech") + "/mute", {"do": "mute"}, "alice").status_code == 404


def test_times_of_attempts_have_one_form(console: Console) -> None:
    """In the page as in all pages, in the API as RFC 3339 in UTC with a Z."""
    console.post(VISION, FORM, "alice")
    key = str(found().id)
    console.post(VISION, {"do": "test", "notification": key}, "alice")
    with db.unit_of_work() as session:
        message = session.scalars(
            select(NotificationMessage.id).where(NotificationMessage.notification_id == found().id)
        ).one()
        session.add(NotificationAttempt(message_id=message, ok=True, status=200, milliseconds=3))
    page = console.get(f"{VISION}?show={key}", "alice").text
    assert re.search(r"<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ</time>", page)
    answer = console.get(f"/api/v1/projects/vision/notifications/{key}/deliveries", "alice").json()
    (delivery,) = answer["items"]
    (attempt,) = delivery["attempts"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", at) for at in (delivery["at"], attempt["at"]))
