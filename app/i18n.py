"""Texts in the reader's language: English msgids, gettext catalogues in `app/locale`, read when first needed.

The `.po` files themselves are read (by Babel, once per process), so that an installed wheel needs no build step.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}
DEFAULT = "en"
_FOLDER = Path(__file__).parent / "locale"


class Phrase(str):
    """English text for machines and logs, of parts that `translate` puts into the reader's language as a slot."""

    parts: tuple[tuple[str, dict[str, Any]], ...]

    def __new__(cls, *parts: tuple[str, dict[str, Any]]) -> "Phrase":
        made = super().__new__(cls, ", ".join(translate(DEFAULT, text, **slots) for text, slots in parts))
        made.parts = parts
        return made

    def said_in(self, language: str | None) -> str:
        """The same in a language."""
        return translate(language, ", ").join(translate(language, text, **slots) for text, slots in self.parts)


def translate(language: str | None, text: str, **slots: Any) -> str:
    """`text` in `language` with its `{slots}` filled; the English text where no translation exists.

    A slot without a value stays as it is written: a text never fails to be shown.
    """
    found = catalogue(language).get(text) or text if language and language != DEFAULT else text
    slots = {name: one.said_in(language) if isinstance(one, Phrase) else one for name, one in slots.items()}
    return found.format_map(_Lenient(slots)) if slots and "{" in found else found


def translate_plural(language: str | None, singular: str, plural: str, number: int, **slots: Any) -> str:
    """As `translate`, by number; `{number}` is a slot. Chinese has one form."""
    text = singular if number == 1 else plural
    if language and language != DEFAULT:
        text = catalogue(language).get(singular) or text
    return text.format_map(_Lenient(slots | {"number": number}))


@lru_cache
def catalogue(language: str) -> dict[str, str]:
    """All translations of a language by msgid; empty for an unknown one. Plurals are under their singular."""
    path = _FOLDER / language / "LC_MESSAGES" / "berth.po"
    if language not in LANGUAGES or not path.exists():
        return {}
    from babel.messages.pofile import read_po

    texts: dict[str, str] = {}
    with path.open("rb") as file:
        for message in read_po(file, locale=language):
            if not message.id or message.fuzzy:
                continue
            if isinstance(message.id, str):
                texts[message.id] = str(message.string)
            else:
                texts[message.id[0]] = str((message.string or [""])[0])
    return texts


def negotiate(accept_language: str | None, otherwise: str = DEFAULT) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110, 12.5.4); `otherwise` for anything else."""
    best, best_quality = otherwise, 0.0
    for part in (accept_language or "")[:500].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = known(tag)
        if language is None:
            continue
        quality = _quality(parameter)
        if quality > best_quality:
            best, best_quality = language, quality
    return best


def known(tag: str) -> str | None:
    """Our name of a language tag: "zh-Hans-CN", "zh" and "zh_CN" are all "zh_CN"; None for an unknown one."""
    primary = tag.strip().replace("_", "-").partition("-")[0].lower()
    return {"en": "en", "zh": "zh_CN"}.get(primary)


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


class _Lenient(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"
