"""Who is told of what: webhooks, mails and chats of a project, or one's own."""

from collections.abc import Iterator, Sequence
from typing import Any

from berth.connection import Connection
from berth.records import Record


class Notifications:
    """`client.notifications`: of the project in force, or with `own=True` one's own."""

    def __init__(self, client: Connection) -> None:
        self._client = client

    def _path(self, own: bool, *parts: str) -> str:
        start = ("me",) if own else ("projects", self._client.project)
        return self._client.path(*start, "notifications", *parts)

    def _muted(self, run: str, own: bool) -> str:
        start = ("me",) if own else ("projects", self._client.project)
        return self._client.path(*start, "muted-runs", run)

    def list(self, *, own: bool = False) -> Iterator[Record]:
        """Oldest first."""
        return map(Record, self._client.items(self._path(own), None, None))

    def create(
        self,
        name: str,
        channel: str,
        target: str,
        events: Sequence[str],
        *,
        wait: str = "1h",
        tags: Sequence[str] = (),
        language: str | None = None,
        own: bool = False,
        whose: str | None = None,
        project: str | None = None,
    ) -> Record:
        """`channel` is webhook, mail or chat; `secret` of a webhook is shown this once only, `target` of a chat never.

        `whose` (mine or all) and `project` (one of them only) are for one's own.
        """
        body: dict[str, Any] = {"name": name, "channel": channel, "target": target, "events": [*events], "wait": wait}
        more = {"tags": [*tags] or None, "language": language, "whose": whose, "project": project}
        body |= {key: value for key, value in more.items() if value is not None}
        return Record(self._client.post(self._path(own), body).data)

    def update(self, /, notification: str, *, own: bool = False, **changes: Any) -> Record:
        """`name`, `target`, `events`, `wait`, `tags`, `language`, `muted`, and `whose` of one's own."""
        return Record(self._client.call("PATCH", self._path(own, notification), body=changes).data)

    def delete(self, notification: str, *, own: bool = False) -> None:
        self._client.call("DELETE", self._path(own, notification))

    def test(self, notification: str, *, own: bool = False) -> Record:
        """Sends a message of type notification.test; `id` is that of its delivery."""
        return Record(self._client.post(self._path(own, f"{notification}:test")).data)

    def rotate_secret(self, notification: str, *, own: bool = False) -> Record:
        """`secret`, shown this once only; for a day messages are signed with the old one, too."""
        return Record(self._client.post(self._path(own, f"{notification}:rotate-secret")).data)

    def mute_run(self, run: str, *, own: bool = True) -> None:
        """Nothing is sent about a run any more: to you, or with `own=False` by the project in force."""
        self._client.call("PUT", self._muted(run, own))

    def unmute_run(self, run: str, *, own: bool = True) -> None:
        """What is set up is sent about a run again."""
        self._client.call("DELETE", self._muted(run, own))

    def deliveries(self, notification: str, *, own: bool = False, limit: int | None = None) -> Iterator[Record]:
        """What was sent, newest first, each with its `attempts`."""
        return map(Record, self._client.items(self._path(own, notification, "deliveries"), None, limit))

    def resend(self, notification: str, delivery: str, *, own: bool = False) -> None:
        """Sends a message once more, under the same webhook-id."""
        self._client.post(self._path(own, notification, "deliveries", f"{delivery}:resend"))
