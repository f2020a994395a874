"""Reasons and events in the reader's words."""

import re
from functools import partial
from typing import Any

from app.domain.reasons import EVENTS, REASONS, say_reason
from app.i18n import translate


def sentence(language: str, code: str | None, args: dict[str, Any] | None) -> str:
    """Why a run waits or ended; empty where there is nothing to say."""
    if code not in REASONS:
        return code or ""
    said = say_reason(partial(translate, language), code, shown(args))
    # What others said stands last in many of them, and often has no full stop.
    return f"{said}." if re.search(r"[A-Za-z0-9\"')\]}]$", said) else said


def title(language: str, code: str) -> str:
    """The name of the reason's page."""
    text = REASONS.get(code)
    return translate(language, text.title) if text else code


def fix(language: str, code: str) -> str:
    """What to do about it."""
    text = REASONS.get(code)
    return translate(language, text.fix) if text else ""


def event(language: str, code: str, data: dict[str, Any], **known: Any) -> str:
    """What happened, with why where the event tells it."""
    told = translate(language, EVENTS.get(code, code), **{**known, **shown(data)})
    reason = data.get("reason")
    if isinstance(reason, dict) and reason.get("code"):
        why = sentence(language, reason["code"], reason.get("args"))
        return translate(language, "{event}: {why}", event=told, why=why)
    return told


def shown(args: dict[str, Any] | None) -> dict[str, Any]:
    """Slots as text: lists with commas, and moments to the minute; their zone is UTC, and they say so."""
    made = {}
    for name, value in (args or {}).items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        moment = _MOMENT.fullmatch(text) if isinstance(text, str) else None
        made[name] = f"{moment[1]} {moment[2]} UTC" if moment else text
    return made


_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):[\d.]+\+00:00")
