"""The API's reference as pages, made of its OpenAPI document. Pure; the document's own words are English."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from app.errors import N_

# Nouns of operations that no page has for its title.
TITLES = (N_("Usage"), N_("Job definitions"), N_("Snapshots"), N_("Session"), N_("Audit"), N_("Namespaces"))
_METHODS = ("get", "post", "put", "patch", "delete")
_CURL = "curl --header 'Authorization: Bearer '\"$BERTH_TOKEN\""


@dataclass(frozen=True)
class Entry:
    """An operation in the list."""

    key: str
    method: str
    path: str
    summary: str


@dataclass(frozen=True)
class Group:
    """The operations about one noun."""

    title: str
    entries: list[Entry]


@dataclass(frozen=True)
class Field:
    """A parameter, or a field of a body. `place` is path, query or header; empty in a body."""

    name: str
    type: str
    text: str
    is_required: bool
    place: str = ""
    default: str = ""


@dataclass(frozen=True)
class Failure:
    """An error that the operation may answer; it has a page below /problems."""

    status: int
    code: str
    title: str


@dataclass
class Operation:
    """Everything about one operation."""

    method: str
    path: str
    description: str
    parameters: list[Field] = field(default_factory=list)
    body_type: str = ""
    body: list[Field] = field(default_factory=list)
    body_example: str = ""
    status: int = 200
    phrase: str = ""
    answer: list[Field] = field(default_factory=list)
    answer_types: str = ""
    failures: list[Failure] = field(default_factory=list)
    command: str = ""


def groups(document: Mapping[str, Any]) -> list[Group]:
    """All operations by noun, in the order of the document."""
    made: dict[str, list[Entry]] = {}
    for path, method, operation in _operations(document):
        summary = operation.get("description", operation["summary"]).split("\n")[0]
        entry = Entry(key_of(operation), method.upper(), path, summary)
        made.setdefault(operation["tags"][0], []).append(entry)
    return [Group(title, entries) for title, entries in made.items()]


def find(document: Mapping[str, Any], key: str, base_url: str) -> Operation | None:
    """The operation by its key, with a command to try it against `base_url`; None where there is none."""
    for path, method, operation in _operations(document):
        if key_of(operation) == key:
            return _build(_Schemas(document), path, method, operation, base_url)
    return None


def key_of(operation: Mapping[str, Any]) -> str:
    """Its name in addresses: the operation id without the path that FastAPI adds."""
    return str(operation["operationId"]).split("_api_v1")[0].replace("_", "-")


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


class _Schemas:
    """Looks references up."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._known = document["components"]["schemas"]

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self._known[schema["$ref"].rpartition("/")[2]]
        return schema

    def type_of(self, schema: Mapping[str, Any]) -> str:
        """In short: `string`, `integer or null`, `list of RunRead`, `one of read, write`."""
        if "$ref" in schema:
            return str(schema["$ref"].rpartition("/")[2])
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return " or ".join(dict.fromkeys(self.type_of(choice) for choice in choices))
        if "enum" in schema:
            return " | ".join(str(value) for value in schema["enum"])
        if "const" in schema:
            return json.dumps(schema["const"])
        if schema.get("type") == "array":
            return f"list of {self.type_of(schema.get('items', {}))}"
        kind = schema.get("type", "any")
        named = " or ".join(kind) if isinstance(kind, list) else str(kind)
        return f"{named} ({schema['format']})" if "format" in schema else named

    def fields(self, schema: Mapping[str, Any]) -> list[Field]:
        """Of an object; of the objects in a list or a page of one where it is that."""
        found = self.resolve(schema)
        required = found.get("required", ())
        made = []
        for name, described in found.get("properties", {}).items():
            text = described.get("description") or self.resolve(described).get("description", "")
            default = json.dumps(described["default"], ensure_ascii=False) if "default" in described else ""
            made.append(Field(name, self.type_of(described), text, name in required, default=default))
        return made


def _build(schemas: _Schemas, path: str, method: str, operation: Mapping[str, Any], base_url: str) -> Operation:
    made = Operation(method.upper(), path, operation.get("description", ""))
    filled, query = path, []
    for parameter in operation.get("parameters", ()):
        described = parameter["schema"]
        default = json.dumps(described["default"], ensure_ascii=False) if "default" in described else ""
        made.parameters.append(
            Field(
                parameter["name"],
                schemas.type_of(described),
                parameter.get("description", ""),
                parameter.get("required", False),
                parameter["in"],
                default,
            )
        )
        example = next(iter(described.get("examples", ())), None)
        if parameter["in"] == "path":
            filled = filled.replace(f"{{{parameter['name']}}}", str(example or "…"))
        elif parameter["in"] == "query" and parameter.get("required") and example is not None:
            query.append(f"{parameter['name']}={example}")
    _add_body(made, schemas, operation.get("requestBody"))
    _add_answers(made, schemas, operation["responses"])
    made.command = _command(made, f"{base_url}{filled}{'?' + '&'.join(query) if query else ''}")
    return made


def _add_body(made: Operation, schemas: _Schemas, body: Mapping[str, Any] | None) -> None:
    if not body:
        return
    made.body_type = ", ".join(body["content"])
    content = body["content"].get("application/json")
    if content is None:
        return
    schema = schemas.resolve(content["schema"])
    made.body = schemas.fields(schema)
    examples = schema.get("examples") or [one["value"] for one in content.get("examples", {}).values()]
    if examples:
        made.body_example = json.dumps(examples[0], indent=2, ensure_ascii=False)


def _add_answers(made: Operation, schemas: _Schemas, responses: Mapping[str, Any]) -> None:
    for status, response in sorted(responses.items()):
        content = response.get("content", {})
        if status.startswith("2"):
            made.status, made.phrase = int(status), HTTPStatus(int(status)).phrase
            made.answer_types = ", ".join(content)
            if "application/json" in content:
                made.answer = schemas.fields(content["application/json"].get("schema", {}))
            continue
        for code, example in content.get("application/problem+json", {}).get("examples", {}).items():
            made.failures.append(Failure(int(status), code, example["summary"]))


def _command(made: Operation, url: str) -> str:
    parts = [_CURL]
    if made.method != "GET":
        parts.append(f"--request {made.method}")
    if made.body_example:
        text = json.dumps(json.loads(made.body_example), ensure_ascii=False).replace("'", "'\\''")
        parts += ["--header 'Content-Type: application/json'", f"--data '{text}'"]
    parts.append(f"'{url}'")
    return " \\\n  ".join(parts)
