"""What a tenant may have written, all of it hostile: every column of text that comes from outside Berth.

A column of the models that stands in none of the tables below fails a test.
"""

import json
from typing import Any

from sqlalchemy import String, Text, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from app.domain.access import Actor
from app.domain.loglines import Record, encode
from app.models import Base, Capsule, Environment, LogChunk, Output, Run, RunColumns, SavedView
from app.services import definitions
from app.stores import objects
from tests.browser.seed import Seed

# Everything here would set window.owned, ask for /owned, or take the place of a part of the page.
PAYLOAD = (
    "<script>window.owned=1</script>\"'><img src=/owned onerror=window.owned=1><svg onload=window.owned=1>"
    "<b id=main class=owned hx-swap-oob=true hx-get=/owned hx-trigger=load data-hx-get=/owned data-hx-trigger=load"
    " hx-on:load=window.owned=1 hx-on::after-request=window.owned=1 data-hx-on-load=window.owned=1>x</b>"
    "<a href=javascript:window.owned=1>{{ 7 * 191 }}${7*191}<%= 7*191 %>{% raw %}</a><base href=//evil.example/>"
    "<style>*{display:none}</style><meta http-equiv=refresh content='0;url=/owned'><iframe srcdoc=x></iframe>"
    "</title></textarea></pre></template>-->javascript:owned() \u202egnp.exe\u2066"
)
TERMINAL = (
    "\x1b]8;;javascript:window.owned=1\x07link\x1b]8;;\x07\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[2J\x1b[31m\x9b31m"
)

# Those that are different in each row.
DIFFERENT = {"metric_series.name", "saved_view.name", "definition.title"}
# Lines of text, and lists of them.
TEXTS = {
    "api_token.name",
    "attempt.first_error",
    "audit_entry.object_id",
    "cluster.server",
    "cluster.trouble",
    "cluster_registry.username",
    "namespace_drift.trouble",
    "namespace_drift.was",
    "project_kubeconfig.trouble",
    "definition.title",
    "metric_series.name",
    "notification.name",
    "notification.tags",
    "notification.target",
    "notification_attempt.answer",
    "one_time_link.name",
    "project.title",
    "run.experiment",
    "run.first_error",
    "run.name",
    "run.tags",
    "saved_view.name",
    "secret.description",
    "usage.gpu_meter",
    "user.display_name",
    "user_session.agent",
}
# JSON of which every text that says something is replaced.
DOCUMENTS = {
    "attempt.platform",
    "attempt.reason",
    "audit_entry.after",
    "audit_entry.before",
    "cluster.facts",
    "cluster.findings",
    "cluster.settings",
    "notification_message.data",
    "notification_message.reason",
    "run.reason",
    "run_event.data",
}
# Made by `fill` in a way of their own.
WRITTEN = {
    "capsule.manifest",
    "capsule.source_text",
    "definition_version.source",
    "environment.document",
    "log_chunk.data",
    "output.path",
    "run.source",
    "run.spec",
    "run_columns.metric",
    "saved_view.metric",
}
# What no tenant chooses freely, and why.
OURS = {
    "names of a checked form": """attempt.image run.image audit_entry.actor_name cluster.created_by
        cluster_registry.server cluster_registry.updated_by
        cluster.name definition.name pool.name project.name run.pool
        reservation.pool secret.created_by secret.name secret.updated_by user.name audit_entry.request_id""",
    "codes, kinds and states": """attempt.cause attempt.reason_code attempt.state audit_entry.object_type
        audit_entry.verb cluster.kind cluster.state
        membership.role notification.channel notification.events notification.whose
        notification_attempt.error notification_message.state notification_message.type one_time_link.kind
        one_time_link.role replica.state retention_plan.state retention_plan_run.outcome run.desired run.kind
        run.reason_code run.state run_event.code run_event.new_state run_event.old_state saved_view.sort api_token.scope
        user.kind user.language user.theme notification.language run_columns.columns saved_view.columns""",
    "made by Berth": """api_token.hint attempt.environment cluster.key_id capsule.digest environment.digest
        idempotency_key.body idempotency_key.key idempotency_key.location idempotency_key.route lease.holder
        lease.name log_chunk.object_key project_namespace.name project_namespace.fingerprint
        cluster_registry.key_id project_kubeconfig.key_id namespace_drift.namespace namespace_drift.object
        namespace_drift.field namespace_drift.should notification.target_key_id
        notification_message.event_key one_time_link.user_code output.object_key output.sha256 run.public_id
        secret.key_id snapshot.digest user.password_hash attempt.handle retention_plan.rules output.removed_by""",
    "the address of a connection": "audit_entry.address user_session.address",
    "checked as a filter": "saved_view.q",
    "checked as tags, and shown as those of runs are": """retention_rules.keep_tags
        retention_rules.keep_experiments""",
    "figures": "replica.usage",
    "shown by no page": "observation.status",
}


def columns() -> set[str]:
    """Every column that can hold text."""
    kinds = (String, Text, JSONB, ARRAY)
    tables = Base.metadata.sorted_tables
    return {f"{table.name}.{one.name}" for table in tables for one in table.columns if isinstance(one.type, kinds)}


def fill(session: Session, made: Seed) -> None:
    """Writes into what was seeded. Each value begins with the name of its column, to be found on a page again."""
    session.flush()
    for column in sorted(TEXTS):
        table, name = column.split(".")
        is_list = isinstance(Base.metadata.tables[table].columns[name].type, ARRAY)
        value = ":value || ctid::text" if column in DIFFERENT else ":value"
        chosen = f"array[{value}]" if is_list else value
        where = f"where {name} is not null" + (" and kind = 'terminal'" if column == "one_time_link.name" else "")
        session.execute(text(f'update "{table}" set {name} = {chosen} {where}'), {"value": column + PAYLOAD})
    for column in sorted(DOCUMENTS):
        _documents(session, *column.split("."))
    _columns(session, made)
    _runs(session)
    _logs(session)
    _outputs(session, made)
    _definition(session, made)


def _columns(session: Session, made: Seed) -> None:
    """A metric's name has at most 200 characters; one that is longer is shown nowhere."""
    said, shown = ("run_columns.metric" + PAYLOAD)[:200], {"columns": ["metric"]}
    key = {"user_id": made.ids["alice"], "project_id": made.ids["vision"]}
    session.execute(insert(RunColumns).values(**key, **shown, metric=said))
    session.execute(update(SavedView).values(**shown, metric=("saved_view.metric" + PAYLOAD)[:200]))


def _documents(session: Session, table: str, name: str) -> None:
    rows = session.execute(text(f'select ctid::text, {name} from "{table}" where {name} is not null')).all()
    statement = text(f'update "{table}" set {name} = :value where ctid = cast(:place as tid)')
    for place, document in rows:
        written = _poisoned(document, f"{table}.{name}{PAYLOAD}")
        session.execute(statement.bindparams(bindparam("value", type_=JSONB)), {"place": place, "value": written})


# Texts that decide what is shown, rather than being shown.
_KEPT = {"code", "status", "says", "fix", "run", "project", "state", "isolation", "asked", "free", "capacity", "memory"}


def _poisoned(value: Any, said: str) -> Any:
    if isinstance(value, dict):
        return {key: inside if key in _KEPT else _poisoned(inside, said) for key, inside in value.items()}
    if isinstance(value, list):
        return [_poisoned(inside, said) for inside in value]
    return said if isinstance(value, str) else value


def _runs(session: Session) -> None:
    said = "run.spec" + PAYLOAD
    for key, spec in session.execute(select(Run.id, Run.spec)).all():
        free = {"name": said, "command": ["python", said], "env": {said: said}, "parameters": {said: said, "lr": said}}
        source = {"git_commit": "8f31c2e9a7b04d7f", "git_branch": "run.source" + PAYLOAD, "entry": said}
        session.execute(update(Run).where(Run.id == key).values(spec=spec | free, source=source))
        kept = session.get(Capsule, key)
        if kept is not None:
            manifest = json.loads(kept.manifest)
            manifest["spec"] |= free | {"command": ["capsule.manifest" + PAYLOAD]}
            kept.manifest = json.dumps(manifest)
            kept.source_text = f"# capsule.source_text{PAYLOAD}\nname: x\n"
    for number, environment in enumerate(session.scalars(select(Environment))):
        said = "environment.document" + PAYLOAD
        environment.document = {
            "interpreter": said,
            "version": said,
            "packages": {said: f"{said}{number}", "numpy": said},
            "note": said,
        }
    session.flush()


def _logs(session: Session) -> None:
    said = [*(PAYLOAD.splitlines()), TERMINAL + PAYLOAD, "Traceback (most recent call last):", f"ValueError: {PAYLOAD}"]
    lines = [("g", "120 4096 log_chunk.data" + PAYLOAD)] + [("o", "log_chunk.data" + one) for one in said]
    for chunk in session.scalars(select(LogChunk)):
        at = int(chunk.first_at.timestamp() * 1000)
        # As many lines as before, so that what is counted stays true.
        given = (lines * (chunk.lines // len(lines) + 1))[: chunk.lines]
        chunk.data = b"".join(encode(Record(at, stream, one.encode())) for stream, one in given)
        chunk.bytes, chunk.gaps = len(chunk.data), sum(stream == "g" for stream, _ in given)


def _outputs(session: Session, made: Seed) -> None:
    for run, path in (("outputs", f"output.path{PAYLOAD}"), ("succeeded", f"output.path{PAYLOAD}.html")):
        key = objects.output_key(made.ids["vision"], made.ids[run], 1, path[:80])
        objects.of(made.ids["vision"]).put(key, PAYLOAD.encode())
        row = {"path": path, "attempt": 1, "bytes": len(PAYLOAD.encode()), "sha256": "ab" * 32, "object_key": key}
        session.execute(insert(Output).values(run_id=made.ids[run], **row))


def _definition(session: Session, made: Seed) -> None:
    """A definition with hostile text wherever one may be written, as a member would send it."""
    said = "definition_version.source" + PAYLOAD.replace("\u202e", "").replace("\u2066", "").replace("${", "$")
    choice: dict[str, Any] = {
        "type": "string",
        "title": said[:100],
        "description": said,
        "enum": [said, "b"],
        "default": said,
    }
    many: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "title": said[:100], "default": [said]}
    document = {"name": "hostile", "title": said[:200], "description": said, "parameters": {"x": choice, "y": many}}
    document["spec"] = {"command": ["echo", said], "name": said[:200], "tags": ["x"], "env": {"X": said}}
    actor = Actor(made.ids["alice"], "alice", is_admin=True)
    row = definitions.create_definition(session, actor, made.ids["vision"], definitions.text_of(document))
    values = {"definition_id": row.id, "definition_version": 1}
    session.execute(update(Run).where(Run.public_id == made.runs["long"]).values(values))
