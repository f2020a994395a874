"""The real application on a real Postgres with seeded rows, and one Chromium for all tests of this folder.

`pytest tests/browser --screenshots FOLDER` keeps a picture of every page, theme, language and width.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy import Engine, select, text

from app import db
from app.main import create_app
from app.models import Base, Run
from app.services import outages, sessions
from app.web import run_rows
from tests.browser.seed import Seed, seed

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).parent / "vendor/axe.min.js"
# Seconds until what should happen is taken never to happen: long, as it is only waited for where it does not.
PATIENCE = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", default="", help="folder for pictures of all pages")
    parser.addoption("--renew-baseline", action="store_true", help="keep the core pages as they look now")


_END = text("insert into lease (name, holder, term, until) values ('dispatch', 'one', 1, now() - interval '1 minute')")


@dataclass
class Site:
    """A running Berth. `seed` says what is in it."""

    url: str
    seed: Seed
    engine: Engine
    is_outage: bool = False

    def end_leases(self, is_outage: bool) -> None:
        """Whether the controller was heard until a minute ago, or, as it was seeded, never."""
        if is_outage == self.is_outage:
            return
        self.is_outage = is_outage
        with self.engine.begin() as connection:
            connection.execute(_END if is_outage else text("delete from lease"))
        outages.forget()

    def cookies(self, user: str | None, **preferences: str) -> list[Any]:
        """What a browser context needs to be `user`; `theme`, `language` and `zone` as the pages keep them."""
        made: list[Any] = [
            {"name": f"berth_{name}", "value": value, "url": self.url} for name, value in preferences.items()
        ]
        if user is not None:
            # Playwright takes a cookie with the __Host- prefix only for https; browsers send it to localhost, too.
            made.append(
                {
                    "name": sessions.cookie_name(),
                    "value": self.seed.cookies[user],
                    "url": "https://localhost/",
                    "secure": True,
                    "httpOnly": True,
                }
            )
        return made

    def run_names(self) -> set[str]:
        """The names of all runs, with those that tests have added."""
        with self.engine.connect() as connection:
            return set(connection.scalars(select(Run.name)))


@pytest.fixture(scope="package")
def site(database_url: str) -> Iterator[Site]:
    """The application under uvicorn in a thread. Everything in the database is gone afterwards."""
    engine = db.engine()
    with db.unit_of_work() as session:
        made = seed(session)
    config = uvicorn.Config(create_app(), host="127.0.0.1", port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    assert server.started, "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://localhost:{port}", made, engine)
    server.should_exit = True
    thread.join(10)
    empty()


def empty() -> None:
    """Takes every row away."""
    tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
    with db.engine().begin() as connection:
        connection.execute(text(f"truncate {tables} restart identity cascade"))
    outages.forget()
    run_rows.forget()  # rows of ended runs, known by ids that are used again


@pytest.fixture
def own_site(site: Site) -> Iterator[Site]:
    """The site, for a test that leaves nothing in it as it was; the next one finds it as it was seeded."""
    yield site
    empty()
    with db.unit_of_work() as session:
        site.seed = seed(session)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """The distribution's browser."""
    path = os.environ.get("BERTH_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium here; install it with: apt-get install chromium (or set BERTH_TEST_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def axe() -> str:
    """axe-core's source."""
    return AXE.read_text()


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    """Where pictures go, if they are wanted."""
    wanted = request.config.getoption("--screenshots")
    if not wanted:
        return None
    folder = Path(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visitor(chromium: Any, site: Site) -> Iterator[Any]:
    """A browser context of alice's, English, at 1280 pixels; what goes wrong in a page fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(site.cookies("alice", language="en", theme="light", zone="UTC"))
    context.set_default_timeout(PATIENCE * 1000)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    problems: list[str] = []
    context.on("weberror", lambda error: problems.append(str(error.error)))
    yield context
    context.close()
    assert not problems, problems
