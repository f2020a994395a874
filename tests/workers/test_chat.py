"""Chat through apprise, to a real HTTP server: what arrives, what cannot be reached, and what stays secret."""
# ruff: noqa: F811

import importlib
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import pytest
import requests
import structlog.testing
from sqlalchemy import text

from app import db
from app.domain import chat as domain
from app.domain.states import RunState
from app.integrations import chat, guarded_requests
from app.integrations.webhook import Answer
from app.repositories.notifications import Owner
from app.services import notifications
from app.settings import get_settings
from tests.unit.domain.test_chat import GOOD
from tests.workers.test_notifications import Receiver, World, receiver, world  # noqa: F401 - fixtures

LOOPBACK = (ip_network("127.0.0.0/8"),)
TOKEN = "3ccdd113474722377935511fc85d3dd4"


def address(receiver: Receiver, host: str = "127.0.0.1") -> str:
    return f"mmost://{host}:{receiver.url.rsplit(':')[-1].partition('/')[0]}/{TOKEN}"


def test_a_service_is_told_in_its_own_way(receiver: Receiver) -> None:
    receiver.say = lambda: (200, {}, b"ok")
    answer = chat.send(address(receiver), "[vision] resnet failed", "Run: r-1", allowed=LOOPBACK)
    assert answer == Answer(True, 200, None, "ok")
    ((headers, body),) = receiver.got
    said = json.loads(body)
    assert said["username"] == "Berth"
    assert "resnet failed" in said["text"]
    assert "Run: r-1" in said["text"]
    assert "icon_url" not in said, "no picture of a third party"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("given", GOOD)
def test_every_address_that_is_let_through_suits_apprise(given: str) -> None:
    """And each service can reach nothing but by the guarded exchange."""
    plugin = chat._plugin(domain.parse(given))
    assert len(plugin) == 1, "one message, one receiver"
    with pytest.raises(requests.ConnectionError):
        guarded_requests.GUARDED.post("http://127.0.0.1/")
    for module in {
        importlib.import_module(kind.__module__) for kind in type(plugin).__mro__ if "apprise" in kind.__module__
    }:
        assert getattr(module, "requests", guarded_requests.GUARDED) is guarded_requests.GUARDED
        assert not {"socket", "urllib3", "httpx", "smtplib"} & set(vars(module)), module


@pytest.mark.parametrize("given", GOOD)
def test_each_service_sends_one_message_and_reveals_nothing(given: str) -> None:
    """To the service's own address, as far as the resolver: which sends it where it must not go."""
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["169.254.169.254"]

    answer = chat.send(given, "title", "text", resolver=resolver)
    assert (answer.ok, answer.error) == (False, "refused_address")
    assert len(asked) >= 1
    assert asked[0] == (domain.parse(given).host or asked[0])


@pytest.mark.parametrize("found", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_name_that_leads_inside_is_refused(receiver: Receiver, found: str) -> None:
    answer = chat.send(address(receiver, "chat.example.org"), "t", "b", resolver=lambda *_: ["93.184.216.34", found])
    assert answer.error == "refused_address"
    assert receiver.got == []


def test_a_redirect_is_refused(receiver: Receiver) -> None:
    other = receiver.url.replace("/hook", "/inside")
    receiver.say = lambda: (302, {"location": other}, b"")
    answer = chat.send(address(receiver), "t", "b", allowed=LOOPBACK)
    assert (answer.ok, answer.status, answer.error) == (False, 302, "redirect")
    assert len(receiver.got) == 1


def test_an_answer_that_repeats_the_address_does_not_reveal_it(receiver: Receiver) -> None:
    receiver.say = lambda: (404, {}, f"no hook /hooks/{TOKEN}".encode())
    answer = chat.send(address(receiver), "t", "b", allowed=LOOPBACK)
    assert (answer.ok, answer.status, answer.error) == (False, 404, "status")
    assert answer.text == "no hook /hooks/…"


@pytest.mark.parametrize(
    "said", [b'{"errcode":300001,"errmsg":"token is not exist"}', b'{"code":19001}', b'{"ok":false}']
)
def test_a_refusal_inside_of_a_200_is_one(receiver: Receiver, said: bytes) -> None:
    receiver.say = lambda: (200, {}, said)
    answer = chat.send(address(receiver), "t", "b", allowed=LOOPBACK)
    assert (answer.ok, answer.status, answer.error) == (False, 200, "status")


def test_names_of_runs_call_nobody(receiver: Receiver) -> None:
    chat.send(address(receiver), "@channel <!here>", "@everyone", allowed=LOOPBACK)
    said = receiver.got[0][1].decode()
    assert not any(call in json.loads(said)["text"] for call in ("@channel", "<!here", "@everyone"))


def test_a_service_that_hangs_is_left_in_time() -> None:
    release = threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            release.wait(60)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    began = time.monotonic()
    answer = chat.send(f"mmost://127.0.0.1:{server.server_port}/{TOKEN}", "t", "b", allowed=LOOPBACK, timeout=0.5)
    release.set()
    server.shutdown()
    server.server_close()
    assert answer.error == "timeout"
    assert time.monotonic() - began < 30


def test_what_is_not_guarded_is_not_there() -> None:
    for name in ("Session", "sessions", "adapters", "api"):
        with pytest.raises(AttributeError):
            getattr(guarded_requests.GUARDED, name)


def test_pages_and_the_api_do_not_load_apprise() -> None:
    """It is 20 MiB that only the sender pays, and only when there is something to send."""
    code = (
        "import sys\nimport app.main, app.workers.notifications\n"
        "from app.domain.chat import parse\n"
        f"parse('mmost://chat.example.org/{TOKEN}')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('apprise', 'requests')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_run_that_ends_is_told_to_a_chat_once(world: World, receiver: Receiver) -> None:
    receiver.say = lambda: (200, {}, b"ok")
    made, secret = world.subscribe(address(receiver), channel="chat", language="zh_CN")
    assert secret is None
    run = world.ended(RunState.FAILED)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            world.turn()
    ((_, body),) = receiver.got
    said = json.loads(body)["text"]
    assert "失败" in said
    assert f"{get_settings().console_url}/r/{run.public_id}" in said
    assert [row.state for row in world.messages()] == ["sent"]
    stored = str(world.rows("select * from notification")) + str(world.rows("select before, after from audit_entry"))
    assert TOKEN not in stored
    assert TOKEN not in str(world.attempts()) + str(world.messages()) + str(logs)
    assert (
        world.rows("select target from notification where id = :id", id=made)[0].target == "Mattermost 127.0.0.1 …3dd4"
    )


def test_a_chat_that_fails_is_tried_again_as_others_are(world: World, receiver: Receiver) -> None:
    world.subscribe(address(receiver), channel="chat")
    receiver.say = lambda: (500, {}, f"cannot find {TOKEN}".encode())
    world.ended()
    world.turn()
    receiver.say = lambda: (200, {}, b"ok")
    world.hurry()
    world.turn()
    first, second = world.attempts()
    assert (first.ok, first.status, first.error, first.answer) == (False, 500, "status", "cannot find …")
    assert second.ok
    (message,) = world.messages()
    with db.unit_of_work() as session:
        owner = Owner(project_id=world.project.id)
        notifications.resend(session, world.actor, owner, message.notification_id, message.message_id)
    world.turn()
    assert len(receiver.got) == 3


def test_an_address_of_a_chat_can_be_replaced_and_is_not_needed_for_other_changes(
    world: World, receiver: Receiver
) -> None:
    receiver.say = lambda: (200, {}, b"ok")
    other = TOKEN[::-1]
    made, _ = world.subscribe(address(receiver), channel="chat")
    owner = Owner(project_id=world.project.id)
    for changes in ({"name": "y"}, {"target": address(receiver).replace(TOKEN, other)}, {"muted": False}):
        with db.unit_of_work() as session:
            notifications.update_notification(session, world.actor, owner, made, changes)
    world.ended()
    world.turn()
    assert len(receiver.got) == 1
    (row,) = world.rows("select name, target from notification")
    assert (row.name, row.target) == ("y", f"Mattermost 127.0.0.1 …{other[-4:]}")
    told = str(world.rows("select before, after from audit_entry"))
    assert TOKEN not in told
    assert other not in told


def test_addresses_move_to_the_newest_key_and_a_lost_key_is_said(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services import notification_targets

    receiver.say = lambda: (200, {}, b"ok")
    world.subscribe(address(receiver), channel="chat")
    (old,) = get_settings().load_encryption_keys()
    new = bytes(range(32))
    monkeypatch.setattr(type(get_settings()), "load_encryption_keys", lambda _: [new, old])
    with db.unit_of_work() as session:
        assert notification_targets.reseal(session)[:2] == (1, [])
    with db.unit_of_work() as session:
        assert notification_targets.reseal(session)[:2] == (0, [])
    monkeypatch.setattr(type(get_settings()), "load_encryption_keys", lambda _: [new])
    world.ended()
    world.turn()
    assert len(receiver.got) == 1
    monkeypatch.setattr(type(get_settings()), "load_encryption_keys", lambda _: [old])
    world.ended()
    world.turn()
    assert len(receiver.got) == 1
    assert world.attempts()[-1].error == "no_key"
    with db.unit_of_work() as session:
        assert notification_targets.reseal(session)[:2] == (0, ["x"])


def test_a_run_muted_while_its_message_is_under_way_is_not_told_of(world: World, receiver: Receiver) -> None:
    world.subscribe(receiver.url)
    receiver.say = lambda: (500, {}, b"")
    run = world.ended()
    world.turn()
    with db.unit_of_work() as session:
        owner = Owner(project_id=world.project.id)
        notifications.set_run_mute(session, world.actor, owner, run.id, run.public_id, on=True)
        session.execute(text("update notification_message set due_at = now()"))
    world.turn()
    assert len(receiver.got) == 1
    assert [row.state for row in world.messages()] == ["cancelled"]
