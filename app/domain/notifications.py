"""What a notification is: its events, the signature of a webhook, and when a failed one is tried again."""

import base64
import hashlib
import hmac
import re

from app.errors import N_

ENDED = "run.ended"
FAILED = "run.failed"
WAITING = "run.waiting"
TEST = "notification.test"

# What may be subscribed to, and how it is called. A run that failed has ended, too: one message tells of both.
EVENTS = {ENDED: N_("A run ended"), FAILED: N_("A run failed"), WAITING: N_("A run waits too long")}
CHANNELS = {"webhook": N_("Webhook"), "mail": N_("Mail"), "chat": N_("Chat")}
WHOSE = {"mine": N_("Mine"), "all": N_("All in the project")}

# Seconds after each failed attempt; together just under a day.
BACKOFF = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 36_000)
# The receiver says that it is gone for good (RFC 9110, 15.5.11).
_GONE = 410

MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
_PREFIX = "whsec_"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def is_mail_address(text: str) -> bool:
    """Whether mail can be sent there: a plain ASCII address, without a name and without quoting."""
    local, _, domain = text.rpartition("@")
    return (
        len(text) <= 254
        and MAIL_ADDRESS.fullmatch(text) is not None
        and not (local.startswith(".") or local.endswith(".") or ".." in local)
        and not any(label.startswith("-") or label.endswith("-") for label in domain.split("."))
    )


def retry_after(attempts: int, status: int | None, chance: float) -> float | None:
    """Seconds until the next attempt after `attempts` that failed, or None to give up. `chance` is within 0 and 1."""
    if status == _GONE or attempts > len(BACKOFF):
        return None
    return BACKOFF[attempts - 1] * (0.8 + 0.2 * chance)


def make_secret(key: bytes, notification: bytes, number: int) -> str:
    """The `number`-th secret of a notification. Derived from the installation's key, so that none is stored."""
    digest = hmac.digest(key, b"webhook\0" + notification + number.to_bytes(8, "big"), hashlib.sha256)
    return _PREFIX + base64.b64encode(digest).decode()


def sign(secrets: list[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one signature for each valid secret, as Standard Webhooks has it."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = []
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix(_PREFIX))
        made.append("v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode())
    return " ".join(made)


def inert(raw: bytes, longest: int = 1024) -> str:
    """The beginning of a stranger's answer as plain text: UTF-8, no control characters but tab and newline."""
    return _CONTROL.sub("\ufffd", raw[:longest].decode("utf-8", "replace"))


def one_line(text: str, longest: int = 200) -> str:
    """A text fit for a header: no line breaks, no control characters, not too long."""
    plain = " ".join(_CONTROL.sub(" ", text).split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


# Why an attempt failed, by its code.
FAILURES = {
    "refused_address": N_("The address leads into a network that Berth does not send to."),
    "unresolved": N_("The name of the receiver was not found."),
    "unreachable": N_("The receiver could not be reached."),
    "tls": N_("The receiver's certificate is not trusted."),
    "timeout": N_("The receiver did not answer in time."),
    "redirect": N_("The receiver redirects, which is not followed: enter the address that it leads to."),
    "status": N_("The receiver did not accept the message."),
    "protocol": N_("The receiver's answer could not be understood."),
    "no_key": N_("What is kept of the address cannot be decrypted: enter it again."),
    "not_set_up": N_("Mail is not set up in this installation."),
}
