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
