"""Every problem, wherever somebody meets it: the page, the toast, the terminal. None of them is a dead end."""

import html
from typing import Any

import pytest
from fastapi import Request

import app.api.router
import app.web.router  # noqa: F401 - importing the routes makes every problem known
from app.domain import examples
from app.domain.reasons import REASONS
from app.errors import PROBLEMS
from app.i18n import translate
from app.web.errors import render_error
from app.web.templating import prose
from berth.cli.app import report
from berth.errors import BerthError

CODES = sorted(code for code, kind in PROBLEMS.items() if kind.__module__.startswith("app."))
SHOWN = [code for code in CODES if PROBLEMS[code].status != 401]  # the others lead to signing in
LANGUAGES = ("en", "zh_CN")


def slots(code: str) -> dict[str, Any]:
    """What fills the texts of a code."""
    return examples.of(code, PROBLEMS[code].detail, PROBLEMS[code].hint)


def answer(code: str, language: str, *headers: tuple[bytes, bytes]) -> str:
    """What a browser gets that sends these headers."""
    cookie = (b"cookie", f"berth_language={language}".encode())
    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "server": ("localhost", 80)}
    request = Request({**scope, "scheme": "http", "headers": [cookie, *headers]})
    return bytes(render_error(request, PROBLEMS[code](None, **slots(code))).body).decode()


def words(text: str) -> str:
    """A text as it is written into a page."""
    return html.unescape(str(prose(text)))


def test_there_are_many() -> None:
    assert len(CODES) >= 60
    assert all(PROBLEMS[code].title and PROBLEMS[code].detail and PROBLEMS[code].hint for code in CODES)
    assert all(text.title and text.cause and text.fix and text.sentence for text in REASONS.values())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", SHOWN)
def test_a_page_and_a_toast_say_what_to_do_next(code: str, language: str) -> None:
    kind = PROBLEMS[code]
    page = html.unescape(answer(code, language))
    toast = html.unescape(answer(code, language, (b"hx-request", b"true")))
    for text in (kind.title, kind.detail, kind.hint):
        said = words(translate(language, text, **slots(code)))
        assert said in page
        assert said in toast
        assert "{" not in said, "a slot without a value"
    for one in (page, toast):
        assert f'href="/problems/{code}"' in one
    assert 'href="/"' in page


@pytest.mark.parametrize("code", CODES)
def test_a_terminal_says_what_to_do_next(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    kind = PROBLEMS[code]
    detail, hint = (translate("en", text, **slots(code)) for text in (kind.detail, kind.hint))
    report(BerthError(detail, code=code, hint=hint, status=kind.status))
    told = capsys.readouterr().err
    assert f"({code})\n" in told
    assert f"hint: {hint}\n" in told


@pytest.mark.parametrize("code", REASONS)
def test_the_sentence_of_a_reason_is_filled(code: str) -> None:
    for language in LANGUAGES:
        assert "{" not in translate(language, REASONS[code].sentence, **examples.of(code, REASONS[code].sentence))


def test_what_never_fits_does_not_fit_in_its_example() -> None:
    """The page of NEVER_FITS, and `berth help`, show one that is larger than its pool."""
    shown = slots("NEVER_FITS")
    asked, capacity, nearest = (int(shown[name].split()[0]) for name in ("asked", "capacity", "nearest"))
    assert asked > capacity == nearest
