"""Takes the documents' pictures from what `make demo` left: `python -m tests.browser.pictures [FOLDER]`.

Starts Berth on the demo's own state, signs in by its link as a person would, and photographs the pages.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS

TRAINED = ("digits-lr-0.01", "digits-lr-0.1", "digits-lr-1.0")
FAILED = "digits-fails"
SIZE = {"width": 1280, "height": 860}


def main(folder: Path) -> int:
    """1 when Berth does not start or the demo's runs are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "berth", "up", "--port", "0", "--no-browser", "--keep-runs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as berth:
        try:
            assert berth.stdout is not None
            link = next((found[0] for line in berth.stdout if (found := re.search(r"http://\S+\?k=\S+", line))), None)
            if link is None:
                print("Berth did not start", file=sys.stderr)
                return 1
            return _take(link, folder)
        finally:
            berth.send_signal(signal.SIGINT)


def _take(link: str, folder: Path) -> int:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_context(viewport=SIZE).new_page()  # type: ignore[arg-type]
        page.goto(link)
        page.locator("main form button").first.click()
        page.wait_for_load_state()
        runs = link.split("?")[0] + "projects/demo/runs"
        page.goto(runs)
        found = {}
        for name in (*TRAINED, FAILED):
            links = page.get_by_role("link", name=name, exact=True)
            if links.count() == 0:
                print(f"there is no run {name}: call `make demo` first", file=sys.stderr)
                return 1
            found[name] = f"{link.split('?')[0].rstrip('/')}{links.first.get_attribute('href')}"
        ids = ",".join(found[name].rpartition("/")[2] for name in TRAINED)
        best = found[TRAINED[1]]
        pictures = {"runs": runs, "run": best, "failed": found[FAILED]}
        pictures["compare"] = f"{runs.removesuffix('runs')}compare?runs={ids}"
        pictures["new-run"] = f"{runs}/new?from={best.rpartition('/')[2]}"
        pictures |= {tab: f"{best}/{tab}" for tab in ("metrics", "system")}
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            for picture, url in pictures.items():
                if theme == "light" or picture in ("runs", "run"):
                    page.goto(url)
                    _shoot(page, folder / f"{picture}-{theme}.png")
        browser.close()
    return 0


def _shoot(page: Page, path: Path) -> None:
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(800)  # charts are drawn when they come into view
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")))
