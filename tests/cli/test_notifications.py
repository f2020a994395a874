"""Chats and mutes by the command, against a real server."""

from sqlalchemy import text

from app import db
from tests.cli.conftest import World

ADDRESS = "mmosts://chat.example.org/3ccdd1134747223779d3dd4"


def test_a_chat_is_told_by_its_scheme_and_its_address_is_not_shown(world: World) -> None:
    made = world.cli.json("notification", "add", ADDRESS, "--me", "--json=id,channel,target")
    assert (made["channel"], made["target"]) == ("chat", "Mattermost chat.example.org …3dd4")
    listed = world.cli("notification", "ls", "--me")
    assert "Mattermost chat.example.org" in listed.stdout
    assert "3ccdd" not in listed.stdout


def test_an_address_comes_from_stdin(world: World) -> None:
    given = ADDRESS.replace("mmosts://chat.example.org/", "https://chat.example.org/hooks/")
    made = world.cli.json("notification", "add", "-", "--by", "chat", "--me", "--json=channel", stdin=given + "\n")
    assert made["channel"] == "chat"


def test_a_bad_address_is_not_repeated(world: World) -> None:
    shown = world.cli("notification", "add", ADDRESS + "?template=/etc/passwd", "--me", code=None)
    assert shown.returncode != 0
    assert "not complete for Mattermost" in shown.stderr
    assert "3ccdd" not in shown.stderr


def test_muting_a_run(world: World) -> None:
    run = world.make_run()

    def mutes() -> int:
        with db.read_session() as session:
            return session.scalar(text("select count(*) from notification_mute")) or 0

    found = world.cli.json("run", "mute", run.public_id, "--json=id,muted,for")
    assert found == {"id": run.public_id, "muted": True, "for": "me"}
    assert mutes() == 1
    assert "told of it again" in world.cli("run", "unmute", run.public_id).stderr
    assert mutes() == 0


def test_one_is_named_by_part_of_its_id_and_muted(world: World) -> None:
    ids = [world.cli.json("notification", "add", ADDRESS, "--me", "--json=id")["id"] for _ in range(2)]
    muted = world.cli.json("notification", "mute", ids[0][-6:], "--me", "--json=id,muted")
    assert muted == {"id": ids[0], "muted": True}
    states = [line.split("\t")[-1] for line in world.cli("notification", "ls", "--me").stdout.splitlines()]
    assert states == ["muted", "on"]
    assert "sends again" in world.cli("notification", "unmute", ids[0], "--me").stderr
    changed = world.cli.json(
        "notification", "change", ids[1], "--me", "--on", "ended", "--name", "x", "--json=name,events"
    )
    assert changed == {"name": "x", "events": ["run.ended"]}
    assert "nothing to change" in world.cli("notification", "change", ids[1], "--me", code=2).stderr
    assert "(AMBIGUOUS_ID)" in world.cli("notification", "test", ids[0][:3], "--me", code=2).stderr
    assert "(NOT_FOUND)" in world.cli("notification", "test", "zzz", "--me", code=5).stderr


def test_a_new_secret_and_a_message_that_is_on_its_way(world: World) -> None:
    made = world.cli.json("notification", "add", "https://example.org/hook", "--me", "--json=id,secret")
    secret = world.cli("notification", "rotate-secret", made["id"], "--me", "-y").stdout.strip()
    assert secret.startswith("whsec_")
    assert secret != made["secret"]
    sent = world.cli("notification", "test", made["id"], "--me").stdout.strip()
    assert "(DELIVERY_PENDING)" in world.cli("notification", "resend", made["id"], sent, "--me", code=6).stderr
    assert "(NOT_FOUND)" in world.cli("notification", "resend", made["id"], made["id"], "--me", code=5).stderr


def test_a_tag_that_no_run_can_have_is_refused(world: World) -> None:
    said = world.cli("notification", "add", ADDRESS, "--me", "--tag", "<b>", code=2).stderr
    assert "tags/0: must begin with a letter (A to Z) or a digit" in said
