"""Tells whoever asked to be told: a leased loop that makes messages and threads that send them.

Receivers that fail or are slow have threads of their own, so that they delay nobody else, and no subscription
has more than two messages on their way at once.
"""

import datetime
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from app.db import unit_of_work
from app.domain import egress
from app.domain.notifications import TEST, WAITING, one_line, sign
from app.domain.reasons import REASONS, say_reason
from app.errors import N_
from app.i18n import translate
from app.integrations import chat, mail, webhook
from app.integrations.webhook import Answer
from app.services import deliveries
from app.services.deliveries import Message, Outcome
from app.services.leases import Term, fence
from app.settings import get_settings

log = structlog.get_logger(__name__)

Send = Callable[[Message], Answer]

_EACH = 2
_LOOK_FOR_WAITING_SECONDS = 10.0
_FORGET_SECONDS = 600.0
# The same status in mails as on pages.
_STATES = {
    "succeeded": N_("{name} succeeded"),
    "failed": N_("{name} failed"),
    "stopped": N_("{name} was stopped"),
}


class Lane:
    """Threads for the receivers of one kind, and which subscriptions they are busy with."""

    def __init__(self, name: str, threads: int, *, troubled: bool) -> None:
        self.threads = threads
        self.troubled = troubled
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._busy: Counter[uuid.UUID] = Counter()

    @property
    def free(self) -> int:
        with self._lock:
            return self.threads - self._busy.total()

    @property
    def busy(self) -> list[uuid.UUID]:
        """Subscriptions with a message on its way."""
        with self._lock:
            return list(self._busy)

    def start(self, message: Message, work: Callable[[Message], None]) -> None:
        """Hands a message to a thread."""
        with self._lock:
            self._busy[message.notification_id] += 1
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix=self._name)
        self._pool.submit(self._run, message, work)

    def wait(self) -> None:
        """Until all threads have finished; for tests."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _run(self, message: Message, work: Callable[[Message], None]) -> None:
        try:
            work(message)
        except Exception as error:
            # Its lease ends by itself, and then it is tried again.
            log.warning("a notification could not be recorded", message=message.message_id, error=str(error))
        finally:
            with self._lock:
                self._busy[message.notification_id] -= 1
                self._busy += Counter()


class Notifier:
    """One round after the other, by the controller's loop."""

    def __init__(self, *, quick: int = 12, slow: int = 6) -> None:
        self.lanes = [Lane("notify", quick, troubled=False), Lane("notify-slow", slow, troubled=True)]
        self._next_waiting = self._next_forget = 0.0

    def work(self, term: Term) -> bool:
        """One round; whether there may be more to do at once."""
        now = time.monotonic()
        with unit_of_work() as session:
            fence(session, term)
            more = deliveries.tell_ended(session)
        if now >= self._next_waiting:
            with unit_of_work() as session:
                fence(session, term)
                more |= deliveries.tell_waiting(session)
            self._next_waiting = now + _LOOK_FOR_WAITING_SECONDS
        if now >= self._next_forget:
            with unit_of_work() as session:
                fence(session, term)
                deliveries.forget_old(session)
            self._next_forget = now + _FORGET_SECONDS
        for lane in self.lanes:
            free = lane.free
            if free <= 0:
                continue
            with unit_of_work() as session:
                fence(session, term)
                found = deliveries.claim(session, troubled=lane.troubled, free=free, each=_EACH, busy=lane.busy)
            for message in found:
                lane.start(message, deliver)
        return more


def deliver(message: Message) -> None:
    """Sends one message, then keeps how it went. Dying between the two means that it is sent again, as the same."""
    if not message.may_hear:
        with unit_of_work() as session:
            deliveries.cancel(session, message)
        return
    began = time.monotonic()
    answer = _SENDERS[message.channel](message)
    outcome = Outcome(
        answer.ok, answer.status, answer.error, int((time.monotonic() - began) * 1000), answer.text.replace("\0", "")
    )
    with unit_of_work() as session:
        deliveries.record(session, message, outcome, random.random())  # noqa: S311 - jitter


def event_of(message: Message) -> dict[str, object]:
    """What a webhook carries; the same for every attempt."""
    data = dict.fromkeys(("run", "project", "name", "state", "reason")) | message.data | {"url": _url(message)}
    return {
        "type": message.type,
        "timestamp": message.at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z"),
        "data": data,
    }


def _post(message: Message) -> Answer:
    settings = get_settings().notifications
    body = json.dumps(event_of(message), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "Berth",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(message.secrets, message.message_id, now, body),
    }
    allowed = egress.networks(settings.networks)
    return webhook.post(message.target, body, headers, allowed=allowed, timeout=settings.timeout_seconds)


def _mail(message: Message) -> Answer:
    settings = get_settings()
    subject, text = mail_text(message)
    made = mail.compose(settings.mail.sender, message.target, subject, text, message.message_id, message.language)
    return mail.send(settings.mail, made, timeout=settings.notifications.timeout_seconds)


def _chat(message: Message) -> Answer:
    settings = get_settings().notifications
    if not message.target:
        return Answer(False, error="no_key")
    title, lines = _text(message)
    text = "\n".join(line for line in lines if line)
    allowed = egress.networks(settings.networks)
    return chat.send(message.target, title, text, allowed=allowed, timeout=settings.timeout_seconds)


def mail_text(message: Message) -> tuple[str, str]:
    """Subject and text in the receiver's language."""
    subject, lines = _text(message)
    say = partial(translate, message.language)
    end = "\n\n" + say(N_("You get this because somebody entered your address under Notifications in Berth.")) + "\n"
    return subject, "\n".join(lines) + end


def _text(message: Message) -> tuple[str, list[str]]:
    """A heading and the lines below it, in the receiver's language."""
    say = partial(translate, message.language)
    data = message.data
    if message.type == TEST:
        text = say(N_("This address gets the notifications that were set up."))
        return say(N_("A test message from Berth")), [text]
    names = {"name": one_line(data["name"]), "project": data["project"]}
    told = N_("{name} is still waiting") if message.type == WAITING else _STATES[data["state"]]
    lines = [say(told, **names), "", say(N_("Project: {project}"), **names), say(N_("Run: {run}"), run=data["run"])]
    why = _reason(message)
    if why:
        lines.append(why)
    lines += ["", _url(message)]
    return f"[{data['project']}] {say(told, **names)}", lines


def _url(message: Message) -> str:
    run = message.data.get("run")
    return f"{get_settings().console_url}/r/{run}" if run else get_settings().console_url


def _reason(message: Message) -> str:
    reason = message.reason or {}
    code = reason.get("code") or ""
    if code not in REASONS:
        return ""
    args = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in (reason.get("args") or {}).items()
    }
    return say_reason(partial(translate, message.language), code, args)


_SENDERS: dict[str, Send] = {"webhook": _post, "mail": _mail, "chat": _chat}
