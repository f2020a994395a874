"""Runs on the wire."""

import datetime
from collections.abc import Collection
from functools import lru_cache, partial
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.api import wire
from app.domain.quantities import format_cpu, format_memory
from app.domain.reasons import EVENTS, say_reason
from app.i18n import translate
from app.repositories.runs import PRIORITY_NAMES, EventRow, ItemRow, RunRow
from app.settings import get_settings
from app.workloads.base import Duration, Line, plain_text
from app.workloads.debugging import MOST_TTL, USUAL_TTL, check_ttl, exec_command
from app.workloads.kinds.job import JobSpec
from app.workloads.yaml_source import MAX_BYTES

ShortLine = Annotated[Line, Field(max_length=200)]


class Source(BaseModel):
    """Where the code came from, as the client found it; recorded, not checked."""

    model_config = ConfigDict(extra="forbid")

    git_commit: Annotated[str | None, Field(pattern=r"^[0-9a-f]{7,64}$")] = None
    git_branch: ShortLine | None = None
    git_dirty: Annotated[bool | None, Field(strict=True)] = None
    entry: ShortLine | None = None


class RunCreate(BaseModel):
    """A run to be submitted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"spec": {"name": "hello", "command": ["python3", "-c", "print('hello')"], "cpu": "1"}}]
        },
    )

    spec: JobSpec
    source: Source = Source()
    source_text: Annotated[
        Annotated[str, StringConstraints(max_length=MAX_BYTES), AfterValidator(plain_text)] | None,
        Field(
            description="The YAML that `spec` was read from. It is kept with its comments and shown as far as it says"
            " the same; what is run is `spec` alone.",
            examples=["# the baseline\nname: hello\ncommand: [python3, -c, \"print('hello')\"]\ncpu: 1\n"],
        ),
    ] = None


class RunClone(BaseModel):
    """Fields of the spec to change; the rest is as in the original."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"changes": {"parameters": {"lr": 0.2}}}]}
    )

    changes: dict[str, Any] = Field(default={}, max_length=50)


class Empty(BaseModel):
    """No fields are needed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})


class RunAgain(BaseModel):
    """`exact`: with the very manifest of the run, or not at all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"exact": True}]})

    exact: Annotated[bool, Field(strict=True)] = False


class RunDebug(BaseModel):
    """`ttl`: how long the debug run lasts at most."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ttl": "2h"}]})

    ttl: Annotated[
        Duration,
        AfterValidator(check_ttl),
        Field(description=f"How long it lasts, at most {MOST_TTL}; then it has succeeded."),
    ] = USUAL_TTL


class ReasonRead(BaseModel):
    """Why a run waits or why it ended. `code` is stable, `text` is in the reader's language."""

    code: str
    text: str
    args: dict[str, Any]


class ReplicaRead(BaseModel):
    """One process of an attempt."""

    index: int
    state: str
    exit_code: int | None
    usage: dict[str, Any] | None


class AttemptRead(BaseModel):
    """One try of a run."""

    number: int
    state: str
    cause: str | None
    reason: ReasonRead | None
    exit_code: int | None
    first_error: str | None
    admitted_at: str
    started_at: str | None
    finished_at: str | None
    image: str | None = Field(default=None, description="The container image that it got, by its digest.")
    replicas: list[ReplicaRead]


class Progress(BaseModel):
    """How far the program says it is."""

    done: int
    total: int | None


class DefinitionRef(BaseModel):
    """The job definition that a run was made of, and which version of it."""

    name: str
    version: int


class RunItem(BaseModel):
    """A run as lists give it: the fields that were asked for, or those that stand first."""

    id: str
    name: str | None = None
    state: str | None = None
    desired: str | None = None
    tags: list[str] | None = None
    created_by: str | None = None
    priority: str | None = None
    pool: str | None = None
    cpu: str | None = None
    memory: str | None = None
    gpus: int | None = None
    reason: ReasonRead | None = None
    first_error: str | None = None
    progress: Progress | None = None
    created_at: datetime.datetime | None = None
    waited_seconds: float | None = None
    ran_seconds: float | None = None
    version: int | None = None
    # Only when asked for.
    experiment: str | None = None
    archived: bool | None = None
    project: str | None = None
    kind: str | None = None
    replicas: int | None = None
    attempt: int | None = None
    exit_code: int | None = None
    queued_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    parent: str | None = None
    definition: DefinitionRef | None = None
    debug_of: str | None = None
    url: str | None = None


class RunRead(BaseModel):
    """One run with everything that is known of it."""

    id: str
    project: str
    name: str
    kind: str
    state: str
    desired: str
    tags: list[str]
    experiment: str | None
    archived: bool
    created_by: str
    priority: str
    pool: str
    cpu: str
    memory: str
    gpus: int
    replicas: int
    attempt: int
    reason: ReasonRead | None
    exit_code: int | None
    first_error: str | None
    progress: Progress | None
    created_at: datetime.datetime
    queued_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    waited_seconds: float
    ran_seconds: float | None
    url: str
    version: int
    spec: dict[str, Any]
    source: dict[str, Any]
    parent: str | None
    debug_of: Annotated[
        str | None, Field(description="The run that this one repeats with a sleep in place of its program.")
    ]
    exec_commands: Annotated[
        list[str],
        Field(
            description="Of a debug run that runs: what opens a shell in each of its pods. It needs rights on the"
            " cluster, which Berth does not give."
        ),
    ]
    definition: DefinitionRef | None
    place: int | None
    attempts: list[AttemptRead]


class RunPage(BaseModel):
    """A page of runs."""

    items: list[RunItem]
    next: str | None
    has_more: bool


class EventRead(BaseModel):
    """One line of a run's history."""

    id: int
    at: datetime.datetime
    code: str
    text: str
    attempt: int
    old_state: str | None
    new_state: str | None
    actor: str | None


class EventPage(BaseModel):
    """A page of events, oldest first."""

    items: list[EventRead]
    next: str | None
    has_more: bool


def reason(code: str | None, args: dict[str, Any] | None, language: str) -> dict[str, Any] | None:
    """A stored reason with its sentence in `language`."""
    if code is None:
        return None
    return {"code": code, "text": say_reason(partial(translate, language), code, args), "args": args or {}}


ITEM_FIELDS = tuple(RunItem.model_fields)
USUAL_FIELDS = ITEM_FIELDS[: ITEM_FIELDS.index("version") + 1]


def run_item(row: ItemRow, wanted: Collection[str], language: str) -> str:
    """The JSON of a row of `repositories/runs.py:list_run_items`, with what Postgres cannot know added."""
    added = ""
    if "cpu" in wanted:
        added = f',"cpu":"{format_cpu(row.cpu_millis)}"'
    if "memory" in wanted:
        added += f',"memory":"{_memory(row.memory_bytes)}"'
    if "url" in wanted:
        added += f',"url":{wire.dumps(url_of(row.public_id)).decode()}'
    if "reason" in wanted:
        why = "null" if row.reason_code is None else wire.dumps(reason(row.reason_code, row.reason, language)).decode()
        added += f',"reason":{why}'
    return f"{row.json[:-1]}{added}}}"


_memory = lru_cache(maxsize=1000)(format_memory)


def url_of(public_id: str) -> str:
    """The run's page."""
    return f"{get_settings().console_url}/r/{public_id}"


def run_read(row: RunRow, now: datetime.datetime, language: str) -> dict[str, Any]:
    """A row of `repositories/runs.py:get_run`, as RunRead has it."""
    started, finished = row.started_at, row.finished_at
    waited_until = started or finished or now
    done = row.progress_done
    return {
        "id": row.public_id,
        "project": row.project,
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "desired": row.desired,
        "tags": row.tags,
        "experiment": row.experiment,
        "archived": row.archived,
        "created_by": row.created_by,
        "priority": PRIORITY_NAMES.get(row.priority, "normal"),
        "pool": row.pool,
        "cpu": format_cpu(row.cpu_millis),
        "memory": format_memory(row.memory_bytes),
        "gpus": row.gpus,
        "replicas": row.replicas,
        "attempt": row.attempt,
        "reason": reason(row.reason_code, row.reason, language),
        "exit_code": row.exit_code,
        "first_error": row.first_error,
        "progress": None if done is None else {"done": done, "total": row.progress_total},
        "created_at": row.created_at,
        "queued_at": row.queued_at,
        "started_at": started,
        "finished_at": finished,
        "waited_seconds": max(round((waited_until - row.queued_at).total_seconds(), 3), 0.0),
        "ran_seconds": None if started is None else max(round(((finished or now) - started).total_seconds(), 3), 0.0),
        "url": url_of(row.public_id),
        "version": row.version,
        "spec": row.spec,
        "source": row.source,
        "parent": row.parent,
        "debug_of": row.parent if row.is_debug else None,
        "exec_commands": [exec_command(pod["namespace"], pod["name"]) for pod in row.pods or ()],
        "definition": {"name": row.definition, "version": row.definition_version} if row.definition else None,
        "place": row.place,
        "attempts": [_attempt(attempt, language) for attempt in row.attempts],
    }


def _attempt(attempt: dict[str, Any], language: str) -> dict[str, Any]:
    return {
        "number": attempt["number"],
        "state": attempt["state"],
        "cause": attempt["cause"],
        "reason": reason(attempt["reason_code"], attempt["reason"], language),
        **{key: attempt.get(key) for key in ("exit_code", "first_error", "image")},
        **{key: _utc(attempt[key]) for key in ("admitted_at", "started_at", "finished_at")},
        "replicas": attempt["replicas"],
    }


def _utc(text: str | None) -> str | None:
    """A time as Postgres writes it in JSON, in the form that all others here have."""
    if text is None:
        return None
    moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def event_read(row: EventRow, language: str) -> dict[str, Any]:
    """A row of `repositories/runs.py:list_events`, with its sentence."""
    text = translate(language, EVENTS.get(row.code, row.code), **{"attempt": row.attempt} | row.data)
    kept = ("id", "at", "code", "attempt", "old_state", "new_state", "actor")
    return {key: getattr(row, key) for key in kept} | {"text": text}
