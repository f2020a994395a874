"""Clusters: where runs run, for platform admins."""

import time
from collections.abc import Iterator, Mapping

from berth.accounts import _given, _Noun
from berth.errors import BerthError
from berth.records import Record

_POLL_SECONDS = 1.0


class Clusters(_Noun):
    """`client.clusters`: added by a kubeconfig, checked, drained and removed. Credentials are never answered."""

    def list(self) -> Iterator[Record]:
        """`name`, `status` (ready, failing, draining, checking, away), `nodes`, `capacity`, `running`, and more."""
        return self._list("/clusters")

    def get(self, name: str) -> Record:
        """With `settings` and the `findings` of the last check: `code`, `title`, `status`, `says`, `fix`."""
        return self._get(self._client.path("clusters", name))

    def add(self, name: str, kubeconfig: str | None = None, settings: Mapping[str, str] | None = None) -> Record:
        """By the text of a kubeconfig, or without one the cluster that Berth runs in. A check begins at once.

        Settings: `berth_url`, `runtime_image`, `default_image`, `gpu_resource`, `runtime_class`, `pull_secret`,
        `node_selector`, `tolerations`, `namespace_prefix`, `egress`.
        """
        source = {"in_cluster": True} if kubeconfig is None else {"kubeconfig": kubeconfig}
        return self._post("/clusters", {"name": name, **source, "settings": dict(settings or {})})

    def update(self, name: str, settings: Mapping[str, str]) -> Record:
        """Changes those settings; an empty text takes one back to its default. A check follows."""
        path = self._client.path("clusters", name)
        body = {"settings": dict(settings)}
        return Record(self._client.call("PATCH", path, body=body, headers={"If-Match": "*"}).data or {})

    def check(self, name: str) -> Record:
        """Asks for a check; `wait` returns when it has ended."""
        return self._post(self._client.path("clusters", f"{name}:check"))

    def wait(self, name: str, timeout: float = 300.0) -> Record:
        """The cluster once no check is under way. Raises BerthError with WAIT_TIMEOUT after `timeout` seconds."""
        end = time.monotonic() + timeout
        while (found := self.get(name)).raw.get("checking"):
            if time.monotonic() >= end:
                hint = "Look whether a controller runs: `berth admin health`."
                raise BerthError(
                    f"the check of {name} has not ended after {timeout:g} s", code="WAIT_TIMEOUT", hint=hint
                )
            self._client.pause(_POLL_SECONDS)
        return found

    def rotate(self, name: str, kubeconfig: str) -> Record:
        """Replaces the credentials in place; a check follows."""
        path = self._client.path("clusters", name, "credentials")
        return Record(self._client.call("PUT", path, body={"kubeconfig": kubeconfig}).data or {})

    def drain(self, name: str) -> Record:
        """Lets nothing new start there; what runs goes on."""
        return self._post(self._client.path("clusters", f"{name}:drain"))

    def undrain(self, name: str) -> Record:
        """Lets runs start there again."""
        return self._post(self._client.path("clusters", f"{name}:undrain"))

    def drift(self, name: str) -> Record:
        """`items` is what somebody changed in the namespaces of projects and Berth put right: `namespace`, `object`,
        `field`, `was`, `should`, `times`, `last_at`, `trouble`. `deleting` names namespaces of deleted projects."""
        return self._get(self._client.path("clusters", name, "drift"))

    def registries(self, name: str) -> Record:
        """`items` are the image registries that Berth has credentials for: `server`, `username`, `updated_at`."""
        return self._get(self._client.path("clusters", name, "registries"))

    def set_registry(self, name: str, server: str, username: str, password: str) -> Record:
        """Gives credentials for an image registry, or replaces them; namespaces get them within a minute."""
        path = self._client.path("clusters", name, "registries", server)
        return Record(self._client.call("PUT", path, body={"username": username, "password": password}).data or {})

    def remove_registry(self, name: str, server: str) -> None:
        """Forgets credentials for an image registry."""
        self._client.call("DELETE", self._client.path("clusters", name, "registries", server))

    def remove(self, name: str, dry_run: bool = False) -> Record:
        """Forgets the cluster, or with `dry_run` only says what would go: `allowed`, `running`, `waiting`, `pools`.

        Refused with CLUSTER_IN_USE unless it is drained and empty, or never had a pool.
        """
        query = _given({"dry_run": "true" if dry_run else None})
        return Record(self._client.call("DELETE", self._client.path("clusters", name), query=query).data or {})
