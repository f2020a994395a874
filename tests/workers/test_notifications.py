"""From a run's end to a real receiver: what arrives, how often, signed by whom, and what slow receivers cost."""

import base64
import datetime
import email
import email.policy
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import Engine, text

from app import db
from app.domain.access import Actor, Role
from app.domain.states import Cause, RunState
from app.models import Notification, Project, Run, User
from app.repositories.notifications import Owner
from app.services import leases, notifications, transitions
from app.settings import get_settings
from app.workers.notifications import Notifier
from tests import factories

_FAILED = transitions._Result(RunState.FAILED, Cause.FAILED, "EXIT_CODE", {"exit_code": 3}, 3, None, None, None)


@dataclass
class Receiver:
    """A real HTTP server. `say` decides what each request is answered with."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    say: Callable[[], tuple[int, dict[str, str], bytes]] = lambda: (204, {}, b"")

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, answer = made.say()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            return  # the sender was killed while it waited

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@dataclass
class World:
    """A project with an owner, and the loop by hand."""

    project: Project
    owner: User
    term: leases.Term
    notifier: Notifier = field(default_factory=Notifier)

    @property
    def actor(self) -> Actor:
        return Actor(self.owner.id, self.owner.name, roles={self.project.id: Role.OWNER})

    def subscribe(self, target: str, **values: Any) -> tuple[uuid.UUID, str | None]:
        given: dict[str, Any] = {
            "name": "x",
            "channel": "webhook",
            "target": target,
            "events": ["run.ended"],
            "wait": "1h",
            "whose": "all",
            "tags": [],
            "language": "en",
        }
        owner = values.pop("owner", Owner(project_id=self.project.id))
        with db.unit_of_work() as session:
            return notifications.create_notification(session, self.actor, owner, given | values)

    def run(self, **values: Any) -> Run:
        with db.unit_of_work() as session:
            return factories.make_run(session, self.project, self.owner, **values)

    def end(self, run: Run, state: RunState = RunState.SUCCEEDED) -> None:
        """Ends a run the way that runs end."""
        with db.unit_of_work() as session:
            row = session.execute(text("select * from run where id = :id for update"), {"id": run.id}).one()
            result = _FAILED if state == RunState.FAILED else None
            transitions._move(session, row, state, code="ended", result=result)

    def ended(self, state: RunState = RunState.SUCCEEDED, **values: Any) -> Run:
        run = self.run(state="running", **values)
        self.end(run, state)
        return run

    def turn(self) -> None:
        """A round, and the end of what it began."""
        self.notifier._next_waiting = 0
        while self.notifier.work(self.term):
            pass
        for lane in self.notifier.lanes:
            lane.wait()

    def rows(self, query: str, **values: object) -> list[Any]:
        with db.read_session() as session:
            return list(session.execute(text(query), values).all())

    def messages(self) -> list[Any]:
        return self.rows("select * from notification_message order by id")

    def attempts(self) -> list[Any]:
        return self.rows("select * from notification_attempt order by id")

    def hurry(self) -> None:
        """As if the time until the next attempt had passed."""
        with db.unit_of_work() as session:
            session.execute(text("update notification_message set due_at = now() where state = 'pending'"))


@pytest.fixture
def world(clean_database: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("BERTH_NOTIFICATIONS__NETWORKS", '["127.0.0.0/8"]')
    monkeypatch.setenv("BERTH_NOTIFICATIONS__TIMEOUT_SECONDS", "2")
    get_settings.cache_clear()
    with db.unit_of_work() as session:
        project = factories.make_project(session)
        owner = factories.make_member(session, project, Role.OWNER)
        term = leases.acquire(session, "notifications", "test", 600)
    assert term is not None
    yield World(project, owner, term)
    monkeypatch.undo()
    get_settings.cache_clear()


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Written after the text of Standard Webhooks, not after our code."""
    key = base64.b64decode(secret[len("whsec_") :])
    content = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    given = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(wanted, value) for version, value in given)


def test_a_run_that_ends_is_told_once(world: World, receiver: Receiver) -> None:
    _, secret = world.subscribe(receiver.url)
    run = world.ended()
    for _ in range(3):
        world.turn()
    (event,) = receiver.events
    assert event["type"] == "run.ended"
    assert datetime.datetime.fromisoformat(event["timestamp"]).tzinfo is not None
    assert event["data"] == {
        "run": run.public_id,
        "project": world.project.name,
        "name": run.name,
        "state": "succeeded",
        "reason": None,
        "url": f"{get_settings().console_url}/r/{run.public_id}",
    }
    headers, body = receiver.got[0]
    assert secret is not None
    assert is_signed(secret, headers, body)
    assert not is_signed(secret, headers, body + b" ")
    assert not is_signed(secret, headers | {"webhook-id": "msg_other"}, body)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 10
    assert [row.state for row in world.messages()] == ["sent"]
    assert world.rows("select * from notification_event") == []


def test_after_a_rotation_both_secrets_are_valid_for_a_day(world: World, receiver: Receiver) -> None:
    made, old = world.subscribe(receiver.url)
    with db.unit_of_work() as session:
        new = notifications.rotate_secret(session, world.actor, Owner(project_id=world.project.id), made)
    assert old is not None
    assert new != old
    world.ended()
    world.turn()
    assert is_signed(old, *receiver.got[0])
    assert is_signed(new, *receiver.got[0])
    with db.unit_of_work() as session:
        session.execute(text("update notification set old_secret_until = now()"))
    world.ended()
    world.turn()
    assert not is_signed(old, *receiver.got[1])
    assert is_signed(new, *receiver.got[1])


def test_the_event_and_the_runs_end_are_one_transaction(world: World, receiver: Receiver) -> None:
    world.subscribe(receiver.url)
    run = world.run(state="running")
    with db.SessionFactory(bind=db.engine()) as session:
        row = session.execute(text("select * from run where id = :id"), {"id": run.id}).one()
        transitions._move(session, row, RunState.SUCCEEDED, code="ended")
        session.rollback()
    world.turn()
    assert receiver.got == []
    world.end(run)
    world.turn()
    assert len(receiver.got) == 1


def test_two_loops_at_once_make_one_message(world: World, receiver: Receiver) -> None:
    world.subscribe(receiver.url)
    runs = [world.ended() for _ in range(20)]
    others = [Notifier() for _ in range(4)]
    threads = [threading.Thread(target=other.work, args=(world.term,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        for lane in other.lanes:
            lane.wait()
    for _ in range(20):
        world.turn()
    assert sorted(event["data"]["run"] for event in receiver.events) == sorted(run.public_id for run in runs)
    assert len(set(receiver.ids)) == 20


_SENDER = """
from app import db
from app.services import leases
from app.workers.notifications import Notifier
with db.unit_of_work() as session:
    term = leases.acquire(session, "notifications", "test", 600)
print("ready", flush=True)
notifier = Notifier()
notifier.work(term)
for lane in notifier.lanes:
    lane.wait()
"""


def test_a_sender_killed_between_sending_and_recording_sends_the_same_again(world: World, receiver: Receiver) -> None:
    """At the receiver there is one message id; one that tells repeats by it sees one message."""
    world.subscribe(receiver.url)
    world.ended()
    sender = subprocess.Popen([sys.executable, "-c", _SENDER], stdout=subprocess.PIPE)

    def kill() -> tuple[int, dict[str, str], bytes]:
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        return 204, {}, b""

    receiver.say = kill
    assert sender.wait(60) == -signal.SIGKILL
    assert sender.stdout is not None
    sender.stdout.close()
    assert len(receiver.got) == 1
    assert world.attempts() == []
    assert world.messages()[0].state == "pending"
    receiver.say = lambda: (204, {}, b"")
    world.turn()
    assert len(receiver.got) == 1, "its lease has not ended"
    world.hurry()
    for _ in range(3):
        world.turn()
    assert len(receiver.got) == 2
    assert len(set(receiver.ids)) == 1
    assert receiver.got[0][1] == receiver.got[1][1]
    assert [row.state for row in world.messages()] == ["sent"]


def test_a_receiver_that_fails_is_tried_again_for_a_day_and_then_given_up(world: World, receiver: Receiver) -> None:
    world.subscribe(receiver.url)
    receiver.say = lambda: (500, {}, b"\x1b[31m<script>alert(1)</script>\0" + b"a" * 5000)
    world.ended()
    waits = []
    for _ in range(11):
        before = datetime.datetime.now(datetime.UTC)
        world.turn()
        waits.append((world.messages()[0].due_at - before).total_seconds())
        world.hurry()
    world.turn()
    (message,) = world.messages()
    assert message.state == "failed"
    assert len(receiver.got) == len(world.attempts()) == 11
    assert len(set(receiver.ids)) == 1
    assert 4 <= waits[0] <= 6
    assert sum(waits[:10]) <= 86_400 + 10
    assert sum(waits[:10]) >= 0.75 * 86_400
    kept = world.attempts()[0]
    assert (kept.ok, kept.status, kept.error) == (False, 500, "status")
    assert len(kept.answer) <= 1024
    assert kept.answer.isprintable()
    with db.unit_of_work() as session:
        owner = Owner(project_id=world.project.id)
        notifications.resend(session, world.actor, owner, message.notification_id, message.message_id)
    receiver.say = lambda: (200, {}, b"ok")
    world.turn()
    assert world.messages()[0].state == "sent"
    assert len(set(receiver.ids)) == 1


def test_redirects_are_not_followed(world: World, receiver: Receiver) -> None:
    world.subscribe(receiver.url)
    receiver.say = lambda: (302, {"location": receiver.url + "/elsewhere"}, b"")
    world.ended()
    world.turn()
    assert len(receiver.got) == 1
    assert (world.attempts()[0].error, world.attempts()[0].status) == ("redirect", 302)


def test_gone_is_not_tried_again(world: World, receiver: Receiver) -> None:
    world.subscribe(receiver.url)
    receiver.say = lambda: (410, {}, b"")
    world.ended()
    world.turn()
    assert world.messages()[0].state == "failed"


def test_receivers_that_hang_delay_nobody_else(world: World, receiver: Receiver) -> None:
    """Twenty that never answer, and one that does: it hears within the time that one of them takes."""
    release = threading.Event()
    hanging = Receiver()

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hanging.got.append(({}, b""))
            # A byte now and then keeps a timeout of the socket from ever coming.
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not release.wait(0.3):
                self.wfile.write(b"x: y\r\n")

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            return

    server = Server(("127.0.0.1", 0), Hanging)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for number in range(20):
        world.subscribe(f"http://127.0.0.1:{server.server_port}/{number}")
    with db.unit_of_work() as session:
        session.execute(text("update notification set troubled_at = now()"))
    world.subscribe(receiver.url)
    world.ended()
    began = time.monotonic()
    world.notifier.work(world.term)
    while not receiver.got and time.monotonic() - began < 60:
        threading.Event().wait(0.01)
    assert receiver.got
    assert len([row for row in world.attempts() if not row.ok]) < 20, "it waited for those that hang"
    for lane in world.notifier.lanes:
        lane.wait()
    assert time.monotonic() - began < 60, "two seconds are the timeout, whatever the receiver does"
    release.set()
    server.shutdown()
    server.server_close()
    assert {row.error for row in world.attempts() if not row.ok} == {"timeout"}
    assert world.rows("select 1 from notification where troubled_at is not null and target = :t", t=receiver.url) == []


def test_who_is_told_of_what(world: World, receiver: Receiver) -> None:
    with db.unit_of_work() as session:
        other = factories.make_member(session, world.project, Role.EDITOR)
        elsewhere = factories.make_project(session)
        stranger = factories.make_member(session, elsewhere, Role.OWNER)
    hear: dict[str, dict[str, Any]] = {
        "failed": {"events": ["run.failed"]},
        "tagged": {"tags": ["nightly"]},
        "mine": {"owner": Owner(user_id=other.id), "whose": "mine"},
        "all-of-mine": {"owner": Owner(user_id=other.id), "whose": "all"},
        "stranger": {"owner": Owner(user_id=stranger.id), "whose": "all"},
        "waiting-only": {"events": ["run.waiting"]},
    }
    names = {world.subscribe(f"{receiver.url}/{name}", name=name, **values)[0]: name for name, values in hear.items()}
    world.ended()
    world.ended(RunState.FAILED, tags=["nightly", "x"])
    with db.unit_of_work() as session:
        run = factories.make_run(session, world.project, other, state="running")
    world.end(run)
    world.turn()
    told = sorted((names[row.notification_id], row.data["state"]) for row in world.messages())
    assert told == [
        ("all-of-mine", "failed"),
        ("all-of-mine", "succeeded"),
        ("all-of-mine", "succeeded"),
        ("failed", "failed"),
        ("mine", "succeeded"),
        ("tagged", "failed"),
    ]
    assert {row.type for row in world.messages() if row.data["state"] == "failed"} == {"run.failed"}


def test_a_removed_member_hears_nothing_more_not_even_what_was_under_way(world: World, receiver: Receiver) -> None:
    with db.unit_of_work() as session:
        other = factories.make_member(session, world.project, Role.EDITOR)
    world.subscribe(receiver.url, owner=Owner(user_id=other.id))
    receiver.say = lambda: (500, {}, b"")
    world.ended()
    world.turn()
    with db.unit_of_work() as session:
        session.execute(text("delete from membership where user_id = :id"), {"id": other.id})
    world.ended()
    world.hurry()
    world.turn()
    assert len(receiver.got) == 1
    assert [row.state for row in world.messages()] == ["cancelled"]


def test_muted_subscriptions_and_runs_are_silent(world: World, receiver: Receiver) -> None:
    made, _ = world.subscribe(receiver.url)
    owner = Owner(project_id=world.project.id)
    run = world.run(state="running")
    with db.unit_of_work() as session:
        notifications.set_run_mute(session, world.actor, owner, run.id, run.public_id, on=True)
    world.end(run)
    world.turn()
    assert world.messages() == []
    with db.unit_of_work() as session:
        notifications.update_notification(session, world.actor, owner, made, {"muted": True})
    world.ended()
    world.turn()
    assert world.messages() == []
    with db.unit_of_work() as session:
        notifications.update_notification(session, world.actor, owner, made, {"muted": False})
    world.ended()
    world.turn()
    assert len(receiver.got) == 1


def test_what_ended_before_is_not_told(world: World, receiver: Receiver) -> None:
    world.ended()
    world.subscribe(receiver.url)
    world.turn()
    assert receiver.got == []


def test_a_run_that_waits_too_long_is_told_once_for_each_attempt(world: World, receiver: Receiver) -> None:
    made, _ = world.subscribe(receiver.url, events=["run.waiting"], wait="2m")
    world.run()
    late = world.run(reason_code="CPU_BUSY", reason={"pool": "local"})
    with db.unit_of_work() as session:
        session.execute(text("update notification set created_at = now() - interval '1 hour'"))
        session.execute(text("update run set queued_at = now() - interval '3 minutes' where id = :id"), {"id": late.id})
    for _ in range(3):
        world.turn()
    (event,) = receiver.events
    assert (event["type"], event["data"]["run"], event["data"]["reason"]) == ("run.waiting", late.public_id, "CPU_BUSY")
    with db.unit_of_work() as session:
        session.execute(text("update run set attempt = 2 where id = :id"), {"id": late.id})
    world.turn()
    assert len(receiver.got) == 2
    assert made is not None


class Mailbox:
    """What a real SMTP server was given."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refuses = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos, parsed))
        return "250 OK"


@pytest.fixture
def mailbox(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    made = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = Controller(made, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("BERTH_MAIL__HOST", "127.0.0.1")
    monkeypatch.setenv("BERTH_MAIL__PORT", str(port))
    monkeypatch.setenv("BERTH_MAIL__SECURITY", "none")
    monkeypatch.setenv("BERTH_MAIL__SENDER", "berth@berth.example")
    get_settings.cache_clear()
    yield made
    server.stop()


@pytest.mark.parametrize(("language", "subject"), [("en", "failed"), ("zh_CN", "失败")])
def test_mail_is_in_the_receivers_language(world: World, mailbox: Mailbox, language: str, subject: str) -> None:
    world.subscribe("ada@example.org", channel="mail", language=language)
    name = "evil\r\nBcc: everybody@example.org\r\n\r\nx \u202e" + "é" * 30
    run = world.ended(RunState.FAILED, name=name)
    world.turn()
    ((receivers, mail),) = mailbox.mails
    assert receivers == ["ada@example.org"]
    assert mail["bcc"] is None
    assert subject in mail["subject"]
    assert world.project.name in mail["subject"]
    assert mail["to"] == "ada@example.org"
    assert mail["auto-submitted"] == "auto-generated"
    assert f"{get_settings().console_url}/r/{run.public_id}" in mail.get_content()
    assert "3" in mail.get_content()
    assert f"msg_{world.messages()[0].message_id.hex}@" in mail["message-id"]


def test_a_mailbox_that_is_not_there(world: World, mailbox: Mailbox) -> None:
    mailbox.refuses = True
    world.subscribe("ada@example.org", channel="mail")
    world.ended()
    world.turn()
    (attempt,) = world.attempts()
    assert (attempt.ok, attempt.status, attempt.answer) == (False, 550, "no such mailbox")


def test_a_loop_that_lost_its_lease_makes_nothing(world: World, receiver: Receiver) -> None:
    made, _ = world.subscribe(receiver.url)
    world.ended()
    with db.unit_of_work() as session:
        session.execute(text("update lease set term = term + 1"))
    with pytest.raises(leases.FenceLost):
        world.notifier.work(world.term)
    assert world.messages() == []
    with db.read_session() as session:
        assert session.get(Notification, made) is not None
