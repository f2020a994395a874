"""Tells a chat service, through apprise, which knows how each of them wants to be told.

apprise is loaded by the first message and never for a page: it takes about 20 MiB. Each service's module is loaded
by itself, the whole of apprise never is. What it sends goes through integrations/guarded_requests.py.
"""

import json
import logging
import re
import threading
import time
from importlib import import_module
from typing import Any

import structlog

from app.domain.chat import BadChat, Chat, parse
from app.domain.egress import Network
from app.integrations.webhook import Answer, Resolve, resolve

log = structlog.get_logger(__name__)

_MODULES = {
    "slack": ("slack", "NotifySlack"),
    "workflows": ("workflows", "NotifyWorkflows"),
    "discord": ("discord", "NotifyDiscord"),
    "mmosts": ("mattermost", "NotifyMattermost"),
    "mmost": ("mattermost", "NotifyMattermost"),
    "tgram": ("telegram", "NotifyTelegram"),
    "gchat": ("google_chat", "NotifyGoogleChat"),
    "rockets": ("rocketchat", "NotifyRocketChat"),
    "rocket": ("rocketchat", "NotifyRocketChat"),
    "zulip": ("zulip", "NotifyZulip"),
    "dingtalk": ("dingtalk", "NotifyDingTalk"),
    "feishu": ("feishu", "NotifyFeishu"),
    "lark": ("lark", "NotifyLark"),
    "wecombot": ("wecombot", "NotifyWeComBot"),
}
_loading = threading.Lock()
# Words that call everybody: a run's name must not.
_CALL = re.compile(r"@(?=\w)|<(?=[!@#])")


def send(
    address: str,
    title: str,
    text: str,
    *,
    allowed: tuple[Network, ...] = (),
    timeout: float = 10.0,
    resolver: Resolve = resolve,
) -> Answer:
    """One message, in at most `timeout` seconds. Raises nothing; the answer repeats no secret of the address."""
    try:
        chat = parse(address)
    except BadChat:
        return Answer(False, error="refused_address")
    from app.integrations.guarded_requests import Sending, sending

    made = Sending(allowed, time.monotonic() + timeout, resolver)
    try:
        plugin = _plugin(chat)
        with sending(made):
            is_sent = bool(plugin.notify(body=_quiet(text), title=_quiet(title), body_format="text"))
    except Exception as error:  # whatever a service's module raises may hold its address: its class alone is told
        log.warning("a chat service's module failed", service=chat.scheme, error=type(error).__name__)
        return Answer(False, error="protocol")
    return _redacted(_outcome(is_sent, made.answers), chat)


def _plugin(chat: Chat) -> Any:
    """The service's module with this address. Raises whatever it thinks of an address that it does not take."""
    module, name = _MODULES[chat.scheme]
    with _loading:
        from app.integrations.guarded_requests import guard

        apprise = import_module("apprise")
        kind = getattr(import_module(f"apprise.plugins.{module}"), name)
        # It writes addresses and answers to its log.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        guard("apprise")
    asset = apprise.AppriseAsset(storage_mode="memory", async_mode=False, allow_templates=False)
    # Pictures would be fetched by those who read, from a third party.
    asset.app_id, asset.app_desc, asset.app_url = "Berth", "Berth", ""
    asset.image_url_mask = asset.image_url_logo = ""
    values = kind.parse_url(chat.address)
    made = kind(**values, asset=asset)
    # Waiting is what the delivery log does.
    made.throttle = _no_wait
    return made


def _no_wait(*_: Any, **__: Any) -> None:
    return None


def _outcome(is_sent: bool, answers: list[Answer]) -> Answer:
    if not answers:
        return Answer(False, error="protocol")
    last = answers[-1]
    if is_sent:
        # Some answer 200 to what they did not take, and say so inside.
        return last if last.ok and not _is_refusal(last.text) else Answer(False, last.status, "status", last.text)
    bad = next((answer for answer in answers if not answer.ok), None)
    return bad or Answer(False, last.status, "status", last.text)


def _is_refusal(text: str) -> bool:
    try:
        said = json.loads(text)
    except ValueError:
        return False
    if not isinstance(said, dict):
        return False
    codes = [said.get(name) for name in ("errcode", "code", "StatusCode")]
    return any(isinstance(code, int) and code != 0 for code in codes) or said.get("ok") is False


def _redacted(answer: Answer, chat: Chat) -> Answer:
    parts = re.split(r"[/@:?&=]", chat.address.partition("://")[2])
    text = answer.text
    for part in sorted((part for part in parts if len(part) >= 6 and part != chat.host), key=len, reverse=True):
        text = text.replace(part, "…")
    return Answer(answer.ok, answer.status, answer.error, text)


def _quiet(text: str) -> str:
    return _CALL.sub(lambda found: found[0] + "\u200b", text)
