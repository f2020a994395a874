"""Every page in a made-up language: nothing is cut off, nothing is wider than the window, nothing stays English.

The Chinese pages are looked at for English by test_pages.py, which opens them anyway.
"""

from typing import Any

import pytest

from app.i18n import catalogue
from tests.browser.conftest import Site
from tests.browser.registry import PAGES
from tests.browser.wording import CUT_OFF, LONGER, OURS, TEXTS, foreign, pretend, pretending

WIDTHS = (1280, 390)
_OVER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_the_made_up_language_is_longer_and_keeps_its_slots() -> None:
    assert pretend("Use {value} of `berth run`.") == "Ûûsêêê {value} ôôf `berth run`."
    assert pretend("By") == "Bŷŷ"
    assert pretend("# a note\nname: hello\n") == "# àà nôôtêêê\nname: hello\n"
    texts = [text for text in catalogue("en") if "\n" not in text and "://" not in text and not set("{`<") & set(text)]
    assert all(len(pretend(text)) >= LONGER * len(text) for text in texts)


@pytest.mark.parametrize("user", ["alice", "bob", "nobody", None])
def test_longer_words_fit_and_none_are_left_in_english(chromium: Any, site: Site, user: str | None) -> None:
    found, names = [], site.run_names()
    with pretending() as language:
        context = chromium.new_context(viewport={"width": WIDTHS[0], "height": 900})
        context.add_cookies(site.cookies(user, language=language, theme="light", zone="UTC"))
        context.set_default_timeout(90_000)  # a busy machine is no finding
        page = context.new_page()
        for spec in (one for one in PAGES if one.user == user and not one.is_variant):
            page.set_viewport_size({"width": WIDTHS[0], "height": 900})
            page.goto(site.url + spec.url(site.seed), wait_until="load")
            found += [f"{spec.name}: in English: {text}" for text in foreign(page.evaluate(TEXTS), OURS, names)]
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                found += [f"{spec.name} at {width}: cut off: {one}" for one in page.evaluate(CUT_OFF, OURS)]
                if (over := page.evaluate(_OVER)) > 0:
                    found.append(f"{spec.name} at {width}: {over} px too wide")
        context.close()
    assert found == []
