"""Clients as everybody who may knock: see `World`."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import Engine

from app import db
from app.domain.access import Actor, Role
from app.main import create_app
from app.models import Project, User
from app.services.identity import resolve_bearer, token_hash
from app.services.sessions import csrf_token
from tests import factories
from tests.api.client import Api, serving


@dataclass
class World:
    """Two projects, `ours` and `theirs`, and somebody of each kind. `tokens` by who; clients by `as_`."""

    api: Api
    ours: Project
    theirs: Project
    users: dict[str, User]
    tokens: dict[str, str]

    def as_(self, who: str) -> httpx.Client:
        """admin, owner, editor, viewer, robot (a service account, editor), stranger (owner of theirs), nobody."""
        return self.api.client(self.tokens.get(who))

    def actor(self, who: str) -> Actor:
        """The actor that the token stands for."""
        with db.read_session() as session:
            return resolve_bearer(session, self.tokens[who]).actor

    def browser(self, who: str) -> httpx.Client:
        """Signed in by cookie, with the CSRF token that a page would send."""
        with db.unit_of_work() as session:
            cookie = factories.make_session(session, self.users[who])
        client = self.api.client(cookie=cookie)
        client.headers["x-csrf-token"] = csrf_token(token_hash(cookie))
        return client


WHO = ("admin", "owner", "editor", "viewer", "robot", "stranger", "nobody")


@pytest.fixture(scope="session")
def api(engine: Engine) -> Iterator[Api]:
    """The application, once for all tests."""
    with serving(create_app()) as made:
        yield made


@pytest.fixture
def world(api: Api, clean_database: Engine) -> World:
    """Somebody of each kind, committed."""
    with db.unit_of_work() as session:
        ours, theirs = factories.make_project(session, "ours"), factories.make_project(session, "theirs")
        users = {
            "admin": factories.make_user(session, "admin", is_admin=True),
            "owner": factories.make_member(session, ours, Role.OWNER, factories.make_user(session, "owner")),
            "editor": factories.make_member(session, ours, Role.EDITOR, factories.make_user(session, "editor")),
            "viewer": factories.make_member(session, ours, Role.VIEWER, factories.make_user(session, "viewer")),
            "robot": factories.make_service_account(session, ours, Role.EDITOR, "robot"),
            "stranger": factories.make_member(session, theirs, Role.OWNER, factories.make_user(session, "stranger")),
        }
        tokens = {who: factories.make_token(session, user) for who, user in users.items()}
    return World(api, ours, theirs, users, tokens)
