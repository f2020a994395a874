"""The client: one server, one identity, and the nouns of its API as attributes."""

from functools import cached_property
from typing import TYPE_CHECKING

from berth.connection import Connection

if TYPE_CHECKING:
    from berth.accounts import (
        Audit,
        Health,
        Projects,
        Secrets,
        ServiceAccounts,
        Session,
        TerminalLogins,
        Tokens,
        Users,
    )
    from berth.clusters import Clusters
    from berth.definitions import Definitions
    from berth.notifications import Notifications
    from berth.outputs import Outputs, Retention
    from berth.runs import Runs


class Client(Connection):
    """Talks to one Berth server.

    What is not given comes from BERTH_SERVER, BERTH_TOKEN and BERTH_PROJECT, then `./.berth.toml`, then the
    current context of `~/.config/berth/config.toml`. Texts of the server, those of errors too, are in `language`
    ("en", "zh"), else that of BERTH_LANG, else in English: a program that searches them finds the same whatever its
    owner has chosen for the pages. Every method raises BerthError; reads, and writes that
    carry a key, are repeated when the server is away for a moment. Threads may share a client.

        client = berth.Client()
        run = client.runs.submit(["python", "train.py"], cpu="2", memory="4Gi", parameters={"lr": 0.1})
        print(run.wait().metrics["loss"].last)
    """

    # The module of a noun is loaded when the noun is first used: a command needs one or two of them.

    @cached_property
    def session(self) -> "Session":
        from berth.accounts import Session

        return Session(self)

    @cached_property
    def terminal_logins(self) -> "TerminalLogins":
        from berth.accounts import TerminalLogins

        return TerminalLogins(self)

    @cached_property
    def runs(self) -> "Runs":
        from berth.runs import Runs

        return Runs(self)

    @cached_property
    def jobs(self) -> "Definitions":
        from berth.definitions import Definitions

        return Definitions(self)

    @cached_property
    def outputs(self) -> "Outputs":
        from berth.outputs import Outputs

        return Outputs(self)

    @cached_property
    def retention(self) -> "Retention":
        from berth.outputs import Retention

        return Retention(self)

    @cached_property
    def projects(self) -> "Projects":
        from berth.accounts import Projects

        return Projects(self)

    @cached_property
    def service_accounts(self) -> "ServiceAccounts":
        from berth.accounts import ServiceAccounts

        return ServiceAccounts(self)

    @cached_property
    def secrets(self) -> "Secrets":
        from berth.accounts import Secrets

        return Secrets(self)

    @cached_property
    def tokens(self) -> "Tokens":
        from berth.accounts import Tokens

        return Tokens(self)

    @cached_property
    def users(self) -> "Users":
        from berth.accounts import Users

        return Users(self)

    @cached_property
    def audit(self) -> "Audit":
        from berth.accounts import Audit

        return Audit(self)

    @cached_property
    def health(self) -> "Health":
        from berth.accounts import Health

        return Health(self)

    @cached_property
    def notifications(self) -> "Notifications":
        from berth.notifications import Notifications

        return Notifications(self)

    @cached_property
    def clusters(self) -> "Clusters":
        from berth.clusters import Clusters

        return Clusters(self)
