"""A small installation with everything that pages must be able to show: each state, long and nasty texts."""

import datetime
import hashlib
import math
import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.domain import capsule
from app.domain.access import Actor
from app.domain.loglines import Record, encode
from app.domain.preflight import judge
from app.domain.preflight_facts import Facts, NodeFacts, PodFacts
from app.models import (
    Attempt,
    Capsule,
    Cluster,
    ClusterRegistry,
    Environment,
    LogChunk,
    Membership,
    MetricPoint,
    MetricSeries,
    Notification,
    NotificationAttempt,
    NotificationMessage,
    OneTimeLink,
    Output,
    Pool,
    Project,
    ProjectKubeconfig,
    ProjectNamespace,
    Replica,
    Run,
    RunEvent,
    SavedView,
    Secret,
    SecretUse,
    User,
)
from app.services import (
    definitions,
    links,
    namespace_drift,
    passwords,
    projects,
    service_accounts,
    sessions,
    terminals,
    tokens,
)
from app.stores import objects
from app.workloads.kinds.job import JobSpec
from app.workloads.namespace_drift import Difference
from tests.browser.seed_many import add_many
from tests.browser.seed_outputs import add_outputs
from tests.browser.seed_usage import add_usage

NASTY = "<script>alert(1)</script> <b hx-get='/' hx-trigger='load'>x</b> {{ 7 * 7 }} \u202egnp.exe\u202c"
LONG = "a-name-that-goes-on-and-on-" * 8
PASSWORD = "correct horse battery"


@dataclass
class Seed:
    """What was made: ids by a short name, cookies by user, one-time keys by kind."""

    runs: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    ids: dict[str, uuid.UUID] = field(default_factory=dict)


def seed(session: Session) -> Seed:
    """Fills an empty database."""
    made = Seed()
    now = datetime.datetime.now(datetime.UTC)
    password = passwords.hash_password(PASSWORD)
    for name in ("alice", "bob", "nobody"):
        made.ids[name] = uuid7()
        session.execute(
            insert(User).values(
                id=made.ids[name], name=name, password_hash=password, is_admin=name == "alice", display_name=NASTY
            )
        )
    for name, title in (("vision", "Vision"), ("empty-project", ""), ("speech", NASTY)):
        made.ids[name] = uuid7()
        session.execute(insert(Project).values(id=made.ids[name], name=name, title=title))
        session.execute(insert(Membership).values(project_id=made.ids[name], user_id=made.ids["alice"], role="owner"))
    session.execute(insert(Membership).values(project_id=made.ids["vision"], user_id=made.ids["bob"], role="viewer"))
    cluster = uuid7()
    facts = {"host": "node-1", "isolation": "none", "limits": "watchdog and affinity"}
    session.execute(insert(Cluster).values(id=cluster, name="local", kind="local", facts=facts, seen_at=now))
    session.execute(
        insert(Pool).values(name="local", cluster_id=cluster, cpu_millis=8000, memory_bytes=16 << 30, gpus=0)
    )
    _clusters(session, made, now)
    session.flush()
    _runs(session, made, now)
    _secrets(session, made, now)
    _definitions(session, made)
    _notifications(session, made, now)
    for name in ("alice", "bob", "nobody"):
        opened = sessions.open_session(session, made.ids[name], name, address="127.0.0.1", agent="test")
        made.cookies[name] = opened.cookie
    _settings(session, made)
    made.keys["setup"] = links.create(session, links.SETUP)
    made.keys["invitation"] = links.create(session, links.INVITATION, user_id=made.ids["bob"])
    made.keys["sign_in"] = links.create(session, links.SIGN_IN, user_id=made.ids["alice"])
    made.keys["terminal"] = terminals.start(session, address="127.0.0.1", name="laptop").user_code
    # All tests of a module look at it, which may take longer than it would work.
    session.execute(update(OneTimeLink).values(expires_at=now + datetime.timedelta(days=1)))
    return made


def _secrets(session: Session, made: Seed, now: datetime.datetime) -> None:
    """Rows as the pages show them; nothing opens these values."""
    sealed = {"key_id": "none", "wrapped_key": b"", "ciphertext": b"", "created_by": "alice", "updated_by": "alice"}
    rows = [("HF_TOKEN", "Hugging Face, read-only, of the team", 3), ("ssh-key", "", 0), ("wandb.api-key", NASTY, 1)]
    for name, description, uses in [*rows, ("x" * 63, LONG[:200], 0)]:
        key = uuid7()
        row = {"id": key, "project_id": made.ids["vision"], "name": name, "description": description}
        changed = now - datetime.timedelta(days=len(name))
        session.execute(insert(Secret).values(**row, **sealed, created_at=changed, updated_at=changed, version=2))
        for index, run in enumerate(["running", "failed", "nasty"][:uses]):
            used = {"run_id": made.ids[run], "secret_id": key, "used_at": now - datetime.timedelta(hours=index)}
            session.execute(insert(SecretUse).values(**used))


def _settings(session: Session, made: Seed) -> None:
    """A service account with a token, tokens of one's own, and changes worth a line in the audit log."""
    alice, vision = Actor(made.ids["alice"], "alice", is_admin=True), made.ids["vision"]
    service_accounts.create_account(session, alice, vision, "nightly", "editor")
    service_accounts.update_account(session, alice, vision, "nightly", {"role": "viewer"})
    account = service_accounts.get_account(session, vision, "nightly")
    tokens.create_for_account(session, alice, vision, account, "nightly", "ci", "write", "90d")
    tokens.create_own(session, alice, "laptop", "admin")
    tokens.create_own(session, alice, NASTY, "read", project_id=vision, expires_in="30d")
    project = projects.lock_project(session, made.ids["speech"])
    projects.update_project(session, alice, made.ids["speech"], project, f"{NASTY} 2")


DIGITS = """\
# Ask before you change the limits: the test set is small.
name: train-digits
title: Train the digits classifier
description: |
  Trains on the handwritten digits and keeps the model.
  Takes about five minutes with what is usual.
parameters:
  lr:              # the one that matters
    type: number
    title: Learning rate
    description: How far each step goes. Smaller is slower and steadier.
    default: 0.1
    minimum: 0.0001
    maximum: 10
  epochs:
    type: integer
    title: Epochs
    default: 20
    minimum: 1
    maximum: 500
  optimizer:
    title: Optimizer
    enum: [sgd, adam, rmsprop]
    default: sgd
  layers:
    type: array
    items: {type: integer, minimum: 1}
    title: Hidden layers
    description: The width of each, from the input on.
    default: [128, 64]
  augment:
    type: boolean
    title: Turn and shift the images
    default: true
  note:
    type: string
    title: What is this run for?
    maxLength: 200
spec:
  name: digits lr=${{ params.lr }} ${{ params.optimizer }}
  command: [python3, train.py, --lr, "${{ params.lr }}", --epochs, "${{ params.epochs }}"]
  cpu: "2"
  memory: 1Gi
  tags: [digits]
"""


def _definitions(session: Session, made: Seed) -> None:
    """One with every kind of field and three versions, a nasty one, an archived one."""
    actor, vision = Actor(made.ids["alice"], "alice", is_admin=True), made.ids["vision"]
    row = definitions.create_definition(session, actor, vision, DIGITS)
    definitions.add_version(session, actor, vision, row.name, DIGITS.replace("default: 0.1", "default: 0.05"))
    changed = DIGITS.replace("maximum: 500", "maximum: 1000").replace('cpu: "2"', 'cpu: "4"')
    definitions.add_version(session, actor, vision, row.name, changed)
    for key, version in (("succeeded", 2), ("failed", 1), ("running", 3)):
        values = {"definition_id": row.id, "definition_version": version}
        session.execute(update(Run).where(Run.public_id == made.runs[key]).values(values))
    nasty: dict[str, Any] = {"type": "string", "title": NASTY[:100], "description": NASTY, "default": LONG}
    document = {"name": "nasty", "title": NASTY, "description": NASTY, "parameters": {"x": nasty}}
    document["spec"] = {"command": ["echo", NASTY.replace("\u202e", "").replace("{{", "{")], "name": LONG[:100]}
    definitions.create_definition(session, actor, vision, definitions.text_of(document))
    old = {"name": "old-pipeline", "title": "Old pipeline", "spec": {"command": ["true"]}}
    definitions.create_definition(session, actor, vision, definitions.text_of(old))
    definitions.set_archived(session, actor, vision, "old-pipeline", True)


def _clusters(session: Session, made: Seed, now: datetime.datetime) -> None:
    """Two that an administrator added: drained and with every kind of finding, and one that never answered."""
    node = NodeFacts("gpu-node-" + LONG, is_ready=False, is_gpu_machine=True)
    facts = Facts(
        version="v1.34.2",
        latency_ms=(4.1,),
        clock_seconds=0.2,
        nodes=[NodeFacts("node-1", is_ready=True), node],
        default_classes=[],
        pull_secret="berth/registry",
        pull_secret_trouble="there is no such secret",
        pod=PodFacts("registry/runtime:1", trouble=NASTY, patience=60),
    )
    settings = {"berth_url": "https://berth.example.com", "runtime_image": "registry/runtime:1"}
    row: dict[str, Any] = {
        "id": uuid7(),
        "name": "gpu-east",
        "kind": "kubernetes",
        "server": "https://10.20.0.5:6443",
        "seen_at": now,
    }
    row |= {"state": "draining", "settings": settings, "credentials_version": 2, "credentials_at": now}
    row |= {
        "facts": {"version": "v1.34.2", "nodes": 12, "ready_nodes": 11, "cpu_millis": 384_000, "memory_bytes": 1 << 41}
    }
    row |= {"findings": {"findings": [one.as_dict() for one in judge(facts)]}, "checked_at": now, "created_by": "alice"}
    session.execute(insert(Cluster).values(key_id="0", wrapped_key=b"", ciphertext=b"", **row))
    _namespaces(session, row["id"], made, now)
    away = {"id": uuid7(), "name": "gpu-west", "kind": "kubernetes", "trouble": NASTY, "created_by": "alice"}
    session.execute(insert(Cluster).values(**away))


def _namespaces(session: Session, cluster: uuid.UUID, made: Seed, now: datetime.datetime) -> None:
    """What others changed of one, a registry, one that is to go, and kubeconfigs in each state."""
    vision, alice = made.ids["vision"], made.ids["alice"]
    spaces = [{"project_id": vision, "name": "berth-0a1b2c3d4e5f-9c8b7a6d"}]
    spaces.append({"project_id": uuid7(), "name": "berth-5f4e3d2c1b0a-1a2b3c4d", "deleting_at": now})
    for space in spaces:
        session.execute(insert(ProjectNamespace).values(cluster_id=cluster, fingerprint="0", **space))
    found = [
        (Difference("NetworkPolicy berth", (), "", ""), ""),
        (Difference("ResourceQuota berth", ("spec", "hard", "pods"), '"1"', '"5k"'), ""),
        (Difference("RoleBinding berth-viewer", ("roleRef", "name"), f'"{NASTY}"', '"berth-viewer"'), NASTY),
        (Difference("NetworkPolicy berth", ("spec", "egress"), f'["{LONG}"]', "[]"), ""),
    ]
    for _ in range(2):
        namespace_drift.record(session, cluster, vision, "berth-0a1b2c3d4e5f-9c8b7a6d", found)
    given = {"key_id": "0", "wrapped_key": b"", "ciphertext": b"", "updated_by": "alice"}
    for server, username in (("registry.example.com:5000", "puller"), ("ghcr.io", NASTY)):
        row = {"id": uuid7(), "cluster_id": cluster, "server": server, "username": username}
        session.execute(insert(ClusterRegistry).values(**row, **given))
    whose = {"project_id": vision, "cluster_id": cluster, "user_id": alice, "hours": 8}
    ready: dict[str, object] = {"made_at": now, "expires_at": now + datetime.timedelta(hours=8)}
    states: dict[str, dict[str, object]] = {"requested": {}, "ready": ready, "failed": {"trouble": NASTY}}
    for state, values in states.items():
        made.ids[f"kubeconfig {state}"] = uuid7()
        session.execute(insert(ProjectKubeconfig).values(id=made.ids[f"kubeconfig {state}"], **whose, **values))


def _notifications(session: Session, made: Seed, now: datetime.datetime) -> None:
    vision = made.ids["vision"]
    rows: list[dict[str, Any]] = [
        {"project_id": vision, "name": "failures to chat", "events": ["run.failed"], "tags": ["nightly"]},
        {"project_id": vision, "name": NASTY, "events": ["run.ended", "run.waiting"], "muted": True, "tags": [NASTY]},
        {"user_id": made.ids["bob"], "name": "mine", "events": ["run.ended"], "whose": "mine"},
    ]
    for row in rows:
        given = {"channel": "webhook", "target": "https://hooks.example.org/berth", "whose": "all"} | row
        notification = Notification(**given)
        session.add(notification)
        session.flush()
        made.ids.setdefault("notification", notification.id)
    answers = [(503, "status", "<b>upstream</b> is away " + "x" * 300), (204, None, "")]
    for number, state in enumerate(("sent", "failed", "pending", "cancelled")):
        message = NotificationMessage(
            notification_id=made.ids["notification"],
            event_key=f"event:{number}",
            type="run.failed",
            at=now - datetime.timedelta(hours=4 - number),
            data={"run": made.runs["failed"], "project": "vision", "name": NASTY, "state": "failed", "reason": None},
            state=state,
            due_at=now + datetime.timedelta(minutes=10),
        )
        session.add(message)
        session.flush()
        for status, error, answer in answers[: 2 if state == "sent" else 0 if state == "cancelled" else 1]:
            ok = error is None
            session.add(
                NotificationAttempt(
                    message_id=message.id, ok=ok, status=status, error=error, milliseconds=83, answer=answer
                )
            )
    session.flush()


def _runs(session: Session, made: Seed, now: datetime.datetime) -> None:
    def ago(**span: float) -> datetime.datetime:
        return now - datetime.timedelta(**span)

    for number in range(60):
        _run(
            session,
            made,
            f"old-{number}",
            now,
            name=f"sweep-trial-{number:03d}",
            state="succeeded",
            created=ago(days=2, minutes=number),
            started=ago(days=2, minutes=number - 1),
            finished=ago(days=2, minutes=number - 4),
            exit_code=0,
            tags=["sweep"],
        )
    _run(
        session,
        made,
        "nasty",
        now,
        name=NASTY,
        state="succeeded",
        created=ago(hours=5),
        started=ago(hours=5),
        finished=ago(hours=4),
        exit_code=0,
        tags=[NASTY, "مرحبا بالعالم", "训练任务"],
        parameters={NASTY: NASTY},
    )
    _run(
        session,
        made,
        "long",
        now,
        name=LONG,
        state="stopped",
        created=ago(hours=3),
        started=ago(hours=3),
        finished=ago(hours=2),
        exit_code=143,
        tags=[LONG, "x"],
        reason=("STOPPED", {"by": "alice"}),
        parameters={LONG: LONG},
    )
    _run(
        session,
        made,
        "failed",
        now,
        name="digits-lr-10",
        state="failed",
        created=ago(minutes=50),
        started=ago(minutes=49),
        finished=ago(minutes=46),
        exit_code=1,
        attempt=2,
        tags=["baseline"],
        reason=("EXIT_CODE", {"exit_code": 1}),
        parameters={"lr": 10, "epochs": 30},
        first_error="ValueError: loss is not finite: nan at step 112",
    )
    _run(
        session,
        made,
        "oom",
        now,
        name="wide-resnet-b4096",
        state="failed",
        created=ago(minutes=40),
        started=ago(minutes=39),
        finished=ago(minutes=38),
        exit_code=137,
        reason=("OOM_KILLED", {"memory": "1Gi"}),
    )
    _run(
        session,
        made,
        "outputs",
        now,
        name="digits-lr-0.2",
        state="succeeded",
        created=ago(hours=3),
        started=ago(hours=3),
        finished=ago(hours=2),
        exit_code=0,
        tags=["digits"],
    )
    add_outputs(session, made.ids["vision"], made.ids["outputs"])
    session.execute(update(Attempt).where(Attempt.run_id == made.ids["outputs"]).values(outputs_stored_at=now))
    _run(
        session,
        made,
        "succeeded",
        now,
        name="digits-lr-0.1",
        state="succeeded",
        created=ago(minutes=30),
        started=ago(minutes=29),
        finished=ago(minutes=12),
        exit_code=0,
        tags=["baseline", "digits"],
        parameters={"lr": 0.1, "epochs": 40, "hidden": 64},
        outputs=True,
        progress=(40, 40),
    )
    _run(
        session,
        made,
        "running",
        now,
        name="resnet50-imagenet-b512",
        state="running",
        created=ago(minutes=112),
        started=ago(minutes=107),
        tags=["baseline", "amp"],
        progress=(31, 90),
        lines=1230,
        parameters={"batch_size": 512, "lr": 0.1, "lr_schedule": "cosine", "momentum": 0.9, "seed": 42},
    )
    _run(
        session,
        made,
        "many",
        now,
        name="transformer-xl-probes",
        state="succeeded",
        created=ago(hours=30),
        started=ago(hours=29),
        finished=ago(hours=27),
        exit_code=0,
        attempt=3,
    )
    add_many(session, made.ids["many"], ago(hours=29))
    _run(session, made, "starting", now, name="vit-small-pretrain", state="starting", created=ago(minutes=1))
    _run(
        session,
        made,
        "queued",
        now,
        name="wav2vec2-large-zh",
        state="queued",
        created=ago(minutes=41),
        reason=(
            "CPU_BUSY",
            {
                "pool": "local",
                "asked": "4",
                "free": "1 CPU",
                "capacity": "8 CPU",
                "holders": "r-7f3k2m9qwa, r-6xq1p0abcd",
            },
        ),
        tags=["deadline"],
    )
    _run(
        session,
        made,
        "archived",
        now,
        name="archived-trial",
        state="failed",
        created=ago(days=9),
        started=ago(days=9),
        finished=ago(days=9),
        exit_code=1,
    )
    session.execute(update(Run).where(Run.id == made.ids["archived"]).values(archived=True))
    add_usage(session, made.ids["running"], ago(minutes=107), 6420, "idle")
    add_usage(session, made.ids["succeeded"], ago(minutes=29), 1020, "gpu")
    add_usage(session, made.ids["failed"], ago(minutes=49), 180, "full", attempt=1)
    add_usage(session, made.ids["failed"], ago(minutes=49), 180, "full", attempt=2)
    add_usage(session, made.ids["oom"], ago(minutes=39), 0, "short")
    for experiment, keys in {
        "digits": ("failed", "succeeded", "running"),
        "sweep/first": [f"old-{number}" for number in range(20)],
    }.items():
        session.execute(update(Run).where(Run.id.in_([made.ids[key] for key in keys])).values(experiment=experiment))
    worse = update(MetricSeries).where(MetricSeries.run_id == made.ids["failed"])
    session.execute(worse.values(last_value=MetricSeries.last_value * 1.4))
    for name, q, owner, is_shared in (
        ("My failures", "status:failed owner:me", "alice", False),
        (NASTY[:60], "tag:sweep", "alice", True),
    ):
        session.execute(
            insert(SavedView).values(
                project_id=made.ids["vision"], user_id=made.ids[owner], name=name, q=q, sort="name", is_shared=is_shared
            )
        )


def _run(
    session: Session,
    made: Seed,
    key: str,
    now: datetime.datetime,
    *,
    name: str,
    state: str,
    created: datetime.datetime,
    started: datetime.datetime | None = None,
    finished: datetime.datetime | None = None,
    exit_code: int | None = None,
    attempt: int = 1,
    tags: list[str] | None = None,
    reason: tuple[str, dict[str, Any]] | None = None,
    parameters: dict[str, Any] | None = None,
    first_error: str | None = None,
    outputs: bool = False,
    progress: tuple[int, int] | None = None,
    lines: int = 0,
    project: str = "vision",
) -> None:
    run_id, public_id = uuid7(), "r-" + hashlib.sha256(key.encode()).hexdigest()[:10].translate(_LETTERS)
    made.runs[key], made.ids[key] = public_id, run_id
    spec: dict[str, Any] = {"name": name, "command": ["python", "train.py", "--lr", "0.1"], "grace": "30s"}
    if parameters:
        spec["parameters"] = parameters
    session.execute(
        insert(Run).values(
            id=run_id,
            public_id=public_id,
            project_id=made.ids[project],
            created_by=made.ids["alice"],
            name=name,
            kind="job",
            spec=spec,
            tags=tags or [],
            pool="local",
            cpu_millis=2000,
            memory_bytes=4 << 30,
            gpus=0,
            source={
                "git_commit": "8f31c2e9a7b04d7f",
                "git_branch": "main",
                "entry": "train.py",
                "git_dirty": key == "running",
            },
            state=state,
            attempt=attempt,
            reason_code=reason and reason[0],
            reason=reason and reason[1],
            exit_code=exit_code,
            first_error=first_error,
            created_at=created,
            queued_at=created,
            started_at=started,
            finished_at=finished,
            progress_done=progress and progress[0],
            progress_total=progress and progress[1],
            stopped_by=made.ids["alice"] if state == "stopped" else None,
        )
    )
    if not key.startswith("old"):
        _capsule(session, run_id, spec)
    session.execute(
        insert(RunEvent).values(
            run_id=run_id,
            at=created,
            code="submitted",
            attempt=1,
            new_state="queued",
            actor_id=made.ids["alice"],
            data={"by": "alice"},
        )
    )
    if state == "queued":
        return
    admitted = created + datetime.timedelta(seconds=40)
    for number in range(1, attempt + 1):
        session.execute(
            insert(Attempt).values(
                run_id=run_id,
                number=number,
                state=state if number == attempt else "failed",
                admitted_at=admitted,
                started_at=started,
                finished_at=finished,
                exit_code=exit_code,
                cause="failed" if state == "failed" else None,
                reason_code=reason and reason[0],
                reason=reason and reason[1],
                first_error=first_error,
                logs_sealed_at=finished,
                environment=_environment(session, made.ids[project], key) if started else None,
                platform={"berth": "0.1.0", "os": "Linux 6.1.0-28-amd64", "machine": "x86_64"} if started else None,
            )
        )
        session.execute(
            insert(Replica).values(
                run_id=run_id,
                attempt=number,
                index=0,
                state=state,
                exit_code=exit_code,
                usage={"max_rss_bytes": 612 << 20, "cpu_seconds": 400.0} if started else None,
            )
        )
        if started is not None and not key.startswith("old"):
            _log(session, run_id, number, started, key, lines or 60)
    session.execute(
        insert(RunEvent).values(
            run_id=run_id,
            at=admitted,
            code="admitted",
            attempt=attempt,
            old_state="queued",
            new_state="starting",
            data={"asked": "2 CPU, 4Gi", "pool": "local"},
        )
    )
    if started is not None:
        session.execute(insert(RunEvent).values(run_id=run_id, at=started, code="started", attempt=attempt, data={}))
        if not key.startswith("old"):
            _metrics(session, run_id, started)
    if outputs:
        for path in ("model.pkl", "plots/confusion.png", NASTY, LONG):
            session.execute(
                insert(Output).values(
                    run_id=run_id,
                    path=path,
                    attempt=1,
                    bytes=123_456,
                    sha256="ab" * 32,
                    object_key=objects.output_key(made.ids[project], run_id, 1, path),
                )
            )


def _capsule(session: Session, run_id: uuid.UUID, spec: dict[str, Any]) -> None:
    complete = JobSpec(name="x", command=["x"]).model_dump(mode="json") | spec
    manifest = capsule.make_manifest(complete, "job", None)
    session.execute(insert(Capsule).values(run_id=run_id, manifest=manifest, digest=capsule.digest_of(manifest)))


def _environment(session: Session, project_id: uuid.UUID, key: str) -> str:
    """What the attempt ran in; that of failed runs has other versions."""
    packages = {f"package-{number}": f"1.{number}.0" for number in range(40)}
    packages |= {"numpy": "2.2.1" if key == "failed" else "2.1.0", "torch": "2.5.1+cu124"}
    told = {"interpreter": "/srv/venvs/digits/bin/python", "version": "3.11.2", "packages": packages}
    document = capsule.read_environment(told).document()
    digest = capsule.digest_of(capsule.canonical(document))
    values = {"project_id": project_id, "digest": digest, "document": document}
    session.execute(upsert(Environment).values(values).on_conflict_do_nothing())
    return digest


_LETTERS = str.maketrans("01ilouv", "2345678")


def _log(session: Session, run_id: uuid.UUID, attempt: int, start: datetime.datetime, key: str, lines: int) -> None:
    at, records = int(start.timestamp() * 1000), []
    rng = random.Random(7)
    for number in range(1, lines + 1):
        at += rng.randrange(200, 2600)
        text = (
            f"\x1b[90mINFO\x1b[0m epoch {number // 12} step {number * 10}"
            f" loss \x1b[1m{2.3 * math.exp(-number / 400):.4f}\x1b[0m lr {0.1:.5f} {42 + rng.random():.1f}k img/s"
        )
        if number % 37 == 0:
            text = f"\x1b[33mWARN\x1b[0m slow batch: {rng.random():.2f} s"
            text += "  \x1b[38;5;208morange\x1b[0m \x1b[38;2;80;200;120mgreen\x1b[0m"
        records.append(Record(at, "o" if number % 3 else "e", text.encode()))
    tail = [
        (b"o", "10%\r50%\r100% done"),
        (b"o", NASTY),
        (b"o", "\x1b]0;title\x07\x1b[2J\x07bell 训练 مرحبا"),
        (b"b", "Berth: the process was asked to end"),
        (b"g", "120 4096 the log is longer than what is kept"),
        (b"o", "x" * 400),
    ]
    if key == "failed":
        tail += [
            (b"e", "Traceback (most recent call last):"),
            (b"e", '  File "train.py", line 88, in <module>'),
            (b"e", "ValueError: loss is not finite: nan at step 112"),
        ]
    records += [Record(at + index, stream.decode(), text.encode()) for index, (stream, text) in enumerate(tail, 1)]
    first = 1
    for start_index in range(0, len(records), 700):
        part = records[start_index : start_index + 700]
        data = b"".join(encode(record) for record in part)
        moment = datetime.datetime.fromtimestamp(part[0].at_ms / 1000, datetime.UTC)
        session.execute(
            insert(LogChunk).values(
                run_id=run_id,
                attempt=attempt,
                replica=0,
                first_line=first,
                lines=len(part),
                bytes=len(data),
                gaps=sum(record.stream == "g" for record in part),
                end_offset=len(data),
                first_at=moment,
                last_at=moment,
                data=data,
                object_key=None,
            )
        )
        first += len(part)


def _metrics(session: Session, run_id: uuid.UUID, start: datetime.datetime) -> None:
    rng = random.Random(3)
    for name, every in (("train/loss", 1), ("val/loss", 12), ("val/accuracy", 12), (NASTY, 30)):
        points, values = [], []
        for step in range(0, 400, every):
            value = 2.3 * math.exp(-step / 120) + 0.1 + rng.random() * 0.08
            if "accuracy" in name:
                value = 0.985 - 0.9 * math.exp(-step / 60)
            points.append((step, start + datetime.timedelta(seconds=step * 3), value))
            values.append(value)
        series_id = session.scalar(
            insert(MetricSeries)
            .values(
                run_id=run_id,
                name=name,
                points=len(points),
                last_step=points[-1][0],
                last_at=points[-1][1],
                last_value=values[-1],
                min_value=min(values),
                max_value=max(values),
            )
            .returning(MetricSeries.id)
        )
        session.execute(
            insert(MetricPoint),
            [{"series_id": series_id, "step": step, "at": at, "value": value} for step, at, value in points],
        )


def add_run(
    session: Session, made: Seed, key: str, *, state: str, name: str, lines: int = 0, project: str = "vision"
) -> None:
    """Another run of alice's, as it would be now."""
    now = datetime.datetime.now(datetime.UTC)
    created = now - datetime.timedelta(seconds=30)
    started = None if state == "queued" else now - datetime.timedelta(seconds=20)
    finished = now if state == "succeeded" else None
    _run(
        session,
        made,
        key,
        now,
        name=name,
        state=state,
        created=created,
        started=started,
        finished=finished,
        exit_code=0 if finished else None,
        lines=lines,
        project=project,
        reason=("JUST_SUBMITTED", {}) if state == "queued" else None,
    )


def finish(session: Session, run_id: uuid.UUID) -> None:
    """A running run ends well, as convergence would record it."""
    now = datetime.datetime.now(datetime.UTC)
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(state="succeeded", finished_at=now, exit_code=0, version=Run.version + 1)
    )
    session.execute(
        update(Attempt).where(Attempt.run_id == run_id).values(state="succeeded", finished_at=now, exit_code=0)
    )
