"""The application with its pages, called in this process, on a database that is emptied after each test."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from app import db
from app.main import create_app
from app.services import sessions, throttle
from app.services.identity import token_hash
from tests.api.client import Api, serving
from tests.browser.seed import Seed, seed
from tests.conftest import empty
from tests.kept_rows import KeptRows


@dataclass
class Console:
    """A browser without a screen: `get` and `post` as a user, with what a browser would send along."""

    client: httpx.Client
    seed: Seed
    jar: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, user: str | None = None, **headers: str) -> Any:
        return self.client.get(path, headers=self._headers(user, headers))

    def post(self, path: str, data: dict[str, str], user: str | None = None, **headers: str) -> Any:
        """As the form on the page would: with the CSRF field, from the same origin."""
        sent = {"csrf": self.csrf(user)} | data if user else data
        given = {"sec-fetch-site": "same-origin"} | headers
        return self.client.post(path, data=sent, headers=self._headers(user, given))

    def csrf(self, user: str | None) -> str:
        return sessions.csrf_token(token_hash(self.seed.cookies[user])) if user else ""

    def _headers(self, user: str | None, extra: dict[str, str]) -> dict[str, str]:
        made = {name.replace("_", "-"): value for name, value in extra.items()}
        cookies = dict(self.jar)
        if user:
            cookies[sessions.cookie_name()] = self.seed.cookies[user]
        if cookies:
            made["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return made


@pytest.fixture(scope="module")
def pages(engine: Engine) -> Iterator[Api]:
    """The application, once for all tests of a file."""
    with serving(create_app()) as made:
        yield made


@pytest.fixture(scope="session")
def seeded(engine: Engine) -> tuple[Seed, KeptRows]:
    """A seeded installation, kept."""
    with db.unit_of_work() as session:
        made = seed(session)
    kept = KeptRows(engine)
    empty(engine)
    return made, kept


@pytest.fixture
def console(pages: Api, seeded: tuple[Seed, KeptRows], clean_database: Engine) -> Iterator[Console]:
    """A seeded installation."""
    throttle.forget()
    made, kept = seeded
    kept.put_back()
    with pages.client() as client:
        client.base_url = httpx.URL("http://localhost:8800")
        yield Console(client, deepcopy(made))
