"""Who is who: the session, users, tokens, projects with their members, service accounts and secrets, and the
audit log."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from berth.connection import Connection
from berth.errors import BerthError
from berth.records import Record


class _Noun:
    def __init__(self, client: Connection) -> None:
        self._client = client

    def _list(self, path: str, query: Mapping[str, Any] | None = None, limit: int | None = None) -> Iterator[Record]:
        return map(Record, self._client.items(path, query, limit))

    def _get(self, path: str) -> Record:
        return Record(self._client.get(path).data)

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> Record:
        return Record(self._client.post(path, _given(body)).data or {})


class Session(_Noun):
    """`client.session`: who this client is."""

    def get(self) -> Record:
        """`user`, `scope`, `projects` (name, title, role), `expires_at`."""
        return self._get("/session")


class TerminalLogins(_Noun):
    """`client.terminal_logins`: a token for this terminal, approved in a browser."""

    def start(self, name: str | None = None) -> Record:
        """`url` and `user_code` for the person, `device_code`, `interval` and `expires_in` for the program.

        `name` is what the token will be called.
        """
        return self._post("/terminal-logins", {"name": name})

    def poll(self, device_code: str) -> Record:
        """`status` is pending, or approved with `token` and `user`."""
        return self._post("/terminal-logins:poll", {"device_code": device_code})


class Projects(_Noun):
    """`client.projects`: teams, and who is in them."""

    def list(self) -> Iterator[Record]:
        return self._list("/projects")

    def get(self, name: str) -> Record:
        return self._get(self._client.path("projects", name))

    def create(self, name: str, title: str | None = None) -> Record:
        return self._post("/projects", {"name": name, "title": title})

    def delete(self, name: str, dry_run: bool = False) -> Record:
        """Deletes the project with all that is in it, or with `dry_run` only says what would go; sizes in bytes.

        Refused with PROJECT_IN_USE while a run of it is waiting or running.
        """
        path = self._client.path("projects", name)
        query = {"dry_run": "true"} if dry_run else {}
        return Record(self._client.call("DELETE", path, query=query).data or {})

    def kubeconfig(self, name: str, cluster: str, hours: int | None = None, timeout: float = 60.0) -> str:
        """The text of a kubeconfig that may look at the project's pods in a cluster, and at their logs.

        Its token ends after `hours` (8; 24 at most). Raises BerthError with KUBECONFIG_FAILED where the cluster refuses
        it, and with WAIT_TIMEOUT after `timeout` seconds.
        """
        path = self._client.path("projects", name, "kubeconfigs")
        found = self._post(path, {"cluster": cluster, "hours": hours}).raw
        own, end = f"{path}/{found['id']}", time.monotonic() + timeout
        while found["state"] == "requested":
            if time.monotonic() >= end:
                hint = "Look at the cluster: `berth cluster show`, and whether a controller runs: `berth admin health`."
                raise BerthError(f"{cluster} has not made it after {timeout:g} s", code="WAIT_TIMEOUT", hint=hint)
            self._client.pause(0.5)
            found = self._get(own).raw
        if found["state"] != "ready":
            raise BerthError(f"{cluster}: {found.get('trouble') or found['state']}", code="KUBECONFIG_FAILED")
        return str(self._post(f"{own}:fetch").raw["kubeconfig"])

    def members(self, name: str) -> Iterator[Record]:
        return self._list(self._client.path("projects", name, "members"))

    def set_member(self, name: str, user: str, role: str) -> Record:
        """Adds a member or changes the role: viewer, editor or owner."""
        path = self._client.path("projects", name, "members", user)
        return Record(self._client.call("PUT", path, body={"role": role}).data or {})

    def remove_member(self, name: str, user: str) -> None:
        self._client.call("DELETE", self._client.path("projects", name, "members", user))


class ServiceAccounts(_Noun):
    """`client.service_accounts`: identities of automation; each belongs to a project."""

    def _path(self, project: str | None, *parts: str) -> str:
        return self._client.path("projects", project or self._client.project, "service-accounts", *parts)

    def list(self, project: str | None = None) -> Iterator[Record]:
        return self._list(self._path(project))

    def create(self, name: str, role: str = "editor", project: str | None = None) -> Record:
        return self._post(self._path(project), {"name": name, "role": role})

    def update(
        self, name: str, role: str | None = None, disabled: bool | None = None, project: str | None = None
    ) -> Record:
        body = _given({"role": role, "disabled": disabled})
        return Record(self._client.call("PATCH", self._path(project, name), body=body).data or {})

    def tokens(self, name: str, project: str | None = None) -> Iterator[Record]:
        return self._list(self._path(project, name, "tokens"))

    def create_token(
        self,
        name: str,
        token_name: str,
        scope: str = "write",
        expires_in: str | None = None,
        project: str | None = None,
    ) -> Record:
        """`token` is shown this once only."""
        body = {"name": token_name, "scope": scope, "expires_in": expires_in}
        return self._post(self._path(project, name, "tokens"), body)

    def revoke_token(self, name: str, token_id: str, project: str | None = None) -> None:
        self._client.call("DELETE", self._path(project, name, "tokens", token_id))


class Secrets(_Noun):
    """`client.secrets`: values that a project's runs are given. They can be written and never read back."""

    def _path(self, project: str | None, *parts: str) -> str:
        return self._client.path("projects", project or self._client.project, "secrets", *parts)

    def list(self, project: str | None = None) -> Iterator[Record]:
        """`name`, `description`, who changed it and when, `last_runs`; never a value."""
        return self._list(self._path(project))

    def get(self, name: str, project: str | None = None) -> Record:
        return self._get(self._path(project, name))

    def set(
        self, name: str, value: str | None = None, description: str | None = None, project: str | None = None
    ) -> Record:
        """Adds it, or replaces what is given; a new one needs a value of at most 65,536 bytes."""
        body = _given({"value": value, "description": description})
        return Record(self._client.call("PUT", self._path(project, name), body=body).data or {})

    def delete(self, name: str, project: str | None = None) -> None:
        self._client.call("DELETE", self._path(project, name))


class Tokens(_Noun):
    """`client.tokens`: one's own API tokens."""

    def list(self) -> Iterator[Record]:
        return self._list("/tokens")

    def create(
        self, name: str, scope: str = "write", project: str | None = None, expires_in: str | None = None
    ) -> Record:
        """`token` is shown this once only. Scopes: read, write, admin; `expires_in` such as "30d"."""
        return self._post("/tokens", {"name": name, "scope": scope, "project": project, "expires_in": expires_in})

    def revoke(self, token_id: str) -> None:
        self._client.call("DELETE", self._client.path("tokens", token_id))


class Users(_Noun):
    """`client.users`: all people, for platform admins."""

    def list(self) -> Iterator[Record]:
        return self._list("/users")

    def get(self, name: str) -> Record:
        return self._get(self._client.path("users", name))

    def invite(
        self,
        name: str,
        display_name: str | None = None,
        is_admin: bool = False,
        project: str | None = None,
        role: str | None = None,
    ) -> Record:
        """`user` and `invitation_url`, a link that works once."""
        body = {
            "name": name,
            "display_name": display_name,
            "is_admin": is_admin or None,
            "project": project,
            "role": role,
        }
        return self._post("/users", body)

    def update(self, /, name: str, **changes: Any) -> Record:
        """`display_name`, `is_admin`, `disabled`; disabling ends every session and token at once."""
        return Record(self._client.call("PATCH", self._client.path("users", name), body=changes).data or {})

    def end_sessions(self, name: str) -> None:
        """Signs the user out of every browser; tokens go on working."""
        self._client.call("DELETE", self._client.path("users", name, "sessions"))

    def reset_password(self, name: str) -> Record:
        """`url`: a link with which the user chooses a new password, once."""
        return self._post(self._client.path("users", f"{name}:reset-password"))


class Health(_Noun):
    """`client.health`: how well Berth's parts are, for platform admins."""

    def get(self) -> Record:
        """`health` (ok, warn or bad) of the whole, and `checks`: `part`, `health`, `says`, `fix`, `age_seconds`."""
        return self._get("/health")


class Audit(_Noun):
    """`client.audit`: who changed what, newest first."""

    def list(
        self,
        project: str | None = None,
        actor: str | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        limit: int | None = None,
        verb: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Iterator[Record]:
        """Of one project, or without one of the whole platform (admins). Times are RFC 3339 with an offset."""
        path = self._client.path("projects", project, "audit") if project else "/audit"
        query = {
            "actor": actor,
            "object_type": object_type,
            "object_id": object_id,
            "verb": verb,
            "since": since,
            "until": until,
        }
        return self._list(path, query, limit)


def _given(body: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (body or {}).items() if value is not None}
