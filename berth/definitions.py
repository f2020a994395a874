"""Job definitions: runs that others start by filling in values. The server checks; here it is only sent and read."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from berth.errors import InvalidInput
from berth.records import Record
from berth.results import Run, read_run

if TYPE_CHECKING:
    from berth.client import Client

YAML = {"Content-Type": "application/yaml"}


class Definitions:
    """`client.jobs`: the project's job definitions."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def _path(self, project: str | None, *parts: str) -> str:
        return self._client.path("projects", project or self._client.project, "jobs", *parts)

    def list(self, archived: bool = False, project: str | None = None) -> Iterator[Record]:
        """Those in use by name, each with `version` (the newest) and `last_run`; or the archived ones."""
        query = {"archived": "true"} if archived else None
        return map(Record, self._client.items(self._path(project), query))

    def get(self, name: str, version: int | None = None, project: str | None = None) -> Record:
        """`parameters` (a JSON Schema), `spec` and `source` of the newest version or of one."""
        parts = (name,) if version is None else (name, "versions", str(version))
        return Record(self._client.get(self._path(project, *parts)).data)

    def apply(self, source: str, project: str | None = None) -> Record:
        """Saves YAML: a new definition, or a new version of the one that it names; the same text changes nothing.

        `created` says whether anything was saved. Raises BerthError with the line of each mistake.
        """
        path = self._path(project)
        headers = YAML | {"Accept": "application/json"}
        answer = self._client.send("POST", path, query={"if_exists": "version"}, body=source.encode(), headers=headers)
        return Record(json.loads(answer.body) | {"created": answer.status == 201})

    def change(self, name: str, changes: Mapping[str, Any], project: str | None = None) -> Record:
        """A new version with some fields changed (a JSON Merge Patch); comments and order of the rest stay."""
        return Record(self._client.post(self._path(project, name, "versions"), {"changes": dict(changes)}).data)

    def run(
        self,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        changes: Mapping[str, Any] | None = None,
        version: int | None = None,
        project: str | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Submits a run with these parameters; `changes` are fields of its spec, for this run only."""
        body: dict[str, Any] = {"parameters": dict(parameters or {}), "changes": dict(changes or {})}
        if version is not None:
            body["version"] = version
        path = self._path(project, f"{name}:run")
        return read_run(self._client.post(path, body, idempotency_key).data, self._client.runs)

    def versions(self, name: str, project: str | None = None) -> Iterator[Record]:
        """All versions, newest first."""
        return map(Record, self._client.items(self._path(project, name, "versions")))

    def diff(self, name: str, before: int, after: int, project: str | None = None) -> Record:
        """`changes` in words and `unified`, the lines of the YAML that differ."""
        return Record(self._client.get(self._path(project, name, "diff"), {"from": before, "to": after}).data)

    def export(self, name: str, version: int | None = None, project: str | None = None) -> bytes:
        """The YAML, byte for byte as it was written."""
        number = version or self.get(name, project=project).raw["version"]
        path = self._path(project, name, "versions", str(number), "source")
        return self._client.send("GET", path, headers={"Accept": "application/yaml"}).body

    def archive(self, name: str, archived: bool = True, project: str | None = None) -> Record:
        """Takes it out of what is offered, or back in."""
        path = self._path(project, name)
        answer = self._client.call("PATCH", path, body={"archived": archived}, headers={"If-Match": "*"})
        return Record(answer.data)


def read_parameters(given: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Texts of a command line as the types that the definition declares; what cannot be read stays a text."""
    properties = schema.get("properties", {})
    return {name: _typed(text, properties.get(name, {})) for name, text in given.items()}


def _typed(text: str, declared: Mapping[str, Any]) -> Any:
    kind = declared.get("type", "string")
    if kind == "string":
        return text
    if kind == "array":
        try:
            found = json.loads(text) if text.startswith("[") else None
        except ValueError:
            raise InvalidInput(f"{text}: a list is written as a,b,c or as JSON") from None
        if found is not None:
            return found
        return [_typed(part.strip(), declared.get("items", {})) for part in text.split(",") if part.strip()]
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
