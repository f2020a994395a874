"""A webhook's address is written and not read back: what follows its host may be a password."""

from sqlalchemy import select

from app import db
from app.models import AuditEntry, Notification
from tests.api.conftest import World

HOOK = {
    "name": "x",
    "channel": "webhook",
    "target": "https://example.org:8443/in/s3cret?key=s3cret",
    "events": ["run.ended"],
}


def test_what_follows_the_host_of_a_webhook_is_not_read_back(world: World) -> None:
    for url in ("/projects/ours/notifications", "/me/notifications"):
        client = world.as_("owner")
        made = client.post(url, json=HOOK)
        one = f"{url}/{made.json()['id']}"
        changed = client.patch(one, json={"name": "y"})
        answers = [made, changed, client.get(one), client.get(url)]
        assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
        assert "s3cret" not in "".join(answer.text for answer in answers)
        assert changed.json()["target"] == "https://example.org:8443/…"
        back = client.patch(one, json={"target": changed.json()["target"]})
        assert back.status_code == 422, "what is shown does not take the place of what is kept"
        moved = client.patch(one, json={"target": "https://example.org:8443/in/n3w"})
        assert moved.status_code == 200
    with db.read_session() as session:
        assert set(session.scalars(select(Notification.target))) == {"https://example.org:8443/in/n3w"}
        entries = session.scalars(select(AuditEntry).where(AuditEntry.verb == "notification.update")).all()
    assert [sorted(entry.after or {}) for entry in entries] == [["name"], ["target"]] * 2
    assert "s3cret" not in str([(entry.before, entry.after) for entry in entries])


def test_a_webhook_without_a_path_is_shown_whole(world: World) -> None:
    made = world.as_("owner").post("/me/notifications", json=HOOK | {"target": "https://example.org/"})
    assert made.json()["target"] == "https://example.org"


def test_a_tag_that_no_run_can_have_is_refused(world: World) -> None:
    client = world.as_("owner")
    for url in ("/projects/ours/notifications", "/me/notifications"):
        made = client.post(url, json=HOOK | {"tags": ["vision/nightly"]})
        assert made.status_code == 201, made.text
        one = f"{url}/{made.json()['id']}"
        wrong = {"tags": ["prod", "<b>", "two words", "x" * 64]}
        for answer in (client.post(url, json=HOOK | wrong), client.patch(one, json=wrong)):
            assert answer.status_code == 422, answer.text
            errors = answer.json()["errors"]
            assert [error["pointer"] for error in errors] == ["/tags/1", "/tags/2", "/tags/3"]
            assert "must begin with a letter (A to Z) or a digit" in errors[0]["message"]
        assert client.get(one).json()["tags"] == ["vision/nightly"]
