"""Collects every text that users see into the catalogues: `python -m app.locale.update`.

New texts come in empty, changed ones as fuzzy, unused ones go; tests/unit/web says what is still to translate.
"""

import datetime
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from app.i18n import DEFAULT, LANGUAGES

FOLDER = Path(__file__).parent
APP = FOLDER.parent
# Which argument of a call is the text.
KEYWORDS: dict[str, Any] = {
    "_": None,
    "N_": None,
    "translate": (2,),
    "with_markup": (2,),
    "translate_plural": (2, 3),
    "plurals": (1, 2),
}


# The header would otherwise change with every run.
_SOME_DAY = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


def collect() -> Catalog:
    """All texts of the code and the templates, with the files that they are in."""
    found = Catalog(project="Berth", charset="utf-8", fuzzy=False)
    for file, _, message, comments, _ in _extracted():
        found.add(message, None, [(file, 0)], auto_comments=comments)
    return found


def update(language: str) -> Path:
    """Brings a language's catalogue up to date and returns its path."""
    path = FOLDER / language / "LC_MESSAGES" / "berth.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            kept = read_po(file, locale=language)
    kept.update(collect(), no_fuzzy_matching=True, update_creation_date=False)
    kept.obsolete.clear()
    kept.fuzzy = False
    kept.project, kept.version, kept.copyright_holder = "Berth", "", "the Berth authors"
    kept.header_comment = f"# Texts of Berth in {LANGUAGES[language]}. Collected by app/locale/update.py."
    kept.creation_date = kept.revision_date = _SOME_DAY
    if language == DEFAULT:
        for message in kept:
            if message.id:
                message.string = message.id
    with path.open("wb") as file:
        write_po(file, kept, width=110, sort_output=True, omit_header=False, include_lineno=False)
    return path


def _extracted() -> Iterator[Any]:
    options = {"templates/**.html": {"trimmed": "true", "silent": "false", "encoding": "utf-8"}}
    methods = [("templates/**.html", "jinja2.ext:babel_extract"), ("**.py", "python")]
    yield from extract_from_dir(APP, methods, options, KEYWORDS)
    # `view.say(...)` is a word of the pages alone.
    for file, line, message, comments, context in extract_from_dir(APP / "web", methods[1:], None, {"say": None}):
        yield f"web/{file}", line, message, comments, context


if __name__ == "__main__":
    for name in LANGUAGES:
        sys.stdout.write(f"{update(name)}\n")
