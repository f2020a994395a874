"""Pictures of every page: `python -m tests.browser.gallery FOLDER`, or some of them: `… FOLDER --only light,en,1280`.

Each page of the registry in both themes, three widths and both languages, of an installation seeded in a database of
its own. Takes about five minutes on a quiet machine. `--only` may be given more than once, one for each combination;
`--pages home,run` leaves out the others.
"""

import argparse
import itertools
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.conftest import Site
from tests.browser.registry import PAGES, Page

THEMES, WIDTHS, LANGUAGES = ("light", "dark"), (1280, 768, 390), ("en", "zh_CN")


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    theme: str
    language: str
    width: int

    def __str__(self) -> str:
        return f"{self.theme}-{self.language}-{self.width}"


LOOKS = [Look(*one) for one in itertools.product(THEMES, LANGUAGES, WIDTHS)]


def main() -> int:
    """The exit code of pytest, which makes the pictures with the fixtures of this folder's tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.gallery", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="THEME,LANGUAGE,WIDTH")
    parser.add_argument("--pages", default="", metavar="NAME,NAME")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    wanted = {"BERTH_GALLERY": str(given.folder), "BERTH_GALLERY_ONLY": " ".join(given.only)}
    wanted["BERTH_GALLERY_PAGES"] = given.pages
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    return subprocess.run(command, env=os.environ | wanted, check=False).returncode


def test_gallery(chromium: Any, site: Site) -> None:
    """Not collected with the tests, whose files are called otherwise; `main` names this file."""
    folder, names = Path(os.environ["BERTH_GALLERY"]), os.environ["BERTH_GALLERY_PAGES"]
    pages = [page for page in PAGES if not names or page.name in names.split(",")]
    for look in wanted_looks():
        for user in ("alice", "bob", "nobody", None):
            context = chromium.new_context(viewport={"width": look.width, "height": 900})
            context.add_cookies(site.cookies(user, language=look.language, theme=look.theme, zone="UTC"))
            page = context.new_page()
            for spec in (one for one in pages if one.user == user):
                show(page, site, spec)
                page.screenshot(path=folder / f"{spec.name}-{look}.png", full_page=True)
            context.close()


def show(page: Any, site: Site, spec: Page) -> None:
    """Opens a page and waits until its fonts are there and its charts are drawn."""
    site.end_leases(spec.is_outage)
    page.goto(site.url + spec.url(site.seed), wait_until="load")
    page.evaluate("document.fonts.ready.then(() => 1)")
    if charts := page.query_selector("#charts, #use-charts"):
        charts.scroll_into_view_if_needed()  # they are drawn when they come into view
        page.wait_for_selector(".uplot", state="attached")
        page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(60)


def wanted_looks() -> list[Look]:
    """The combinations that were asked for; all for none."""
    asked = [one.split(",") for one in os.environ.get("BERTH_GALLERY_ONLY", "").split()]
    found = [Look(theme, language, int(width)) for theme, language, width in asked]
    return found or LOOKS


if __name__ == "__main__":
    sys.exit(main())
