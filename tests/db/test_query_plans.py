"""Every list reads about as many rows as it shows, with 100,000 runs stored: none gets slower with age.

Counted are the rows that scans read from each table, given or thrown away, as EXPLAIN ANALYZE says. Sequential
scans are allowed, so that a plan is judged by what it reads and not by its form. A `list_…` of a repository
without a case here fails the last test.

Not bounded, and so not here: filters that no index serves in the order of the list. A tag of every seventh run, a
word of names, a parameter that equals a value or a number of GPUs is looked for from the newest run on, and costs as
many pages as there are runs between the hits.
"""

import datetime
import importlib
import inspect
import pkgutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app import db, repositories, schema
from app.domain import filters
from app.domain.access import Actor, Role
from app.domain.retention import Rules
from app.repositories import (
    audit,
    clusters,
    definitions,
    experiments,
    home,
    logs,
    members,
    metrics,
    notifications,
    outputs,
    pools,
    projects,
    retention,
    run_filters,
    runs,
    secrets,
    tokens,
    usage,
    users,
    views,
)
from app.repositories.logs import LogSource
from app.repositories.notifications import Owner
from app.repositories.runs import ITEM_FIELDS, Position
from bench import rows as bench_rows
from tests import factories

RUNS = 100_000
PAGE = 50
LOOKED_AT = 500
# Tables that complete each row of a list, by their keys.
DIMENSIONS = frozenset({"user", "project"})
ALL = Actor(uuid.uuid4(), "admin", is_admin=True)


@dataclass(frozen=True)
class World:
    """A filled database, and what in it is asked about. `shown` are public ids and `page` keys of the newest,
    `deep` a place far down."""

    engine: Engine
    project: uuid.UUID
    person: uuid.UUID
    run: uuid.UUID
    shown: list[str]
    page: list[uuid.UUID]
    deep: Position
    actor: Actor
    definition: uuid.UUID


@pytest.fixture(scope="module")
def world(server_url: str, worker_id: str) -> Iterator[World]:
    """A database of its own, because it takes seconds to fill."""
    url = make_url(server_url.replace("postgresql://", "postgresql+psycopg://", 1))
    name = f"berth_plans_{worker_id}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"drop database if exists {name} with (force)"))
        connection.execute(text(f"create database {name}"))
    filled = create_engine(url.set(database=name))
    _fill(filled)
    filled.dispose()
    engine = create_engine(url.set(database=name), connect_args={"cursor_factory": Explaining, "options": db.PLANNING})
    with engine.connect() as connection:
        found = _look(engine, connection)
    yield found
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    admin.dispose()


def _fill(engine: Engine) -> None:
    schema.upgrade(engine)
    url = engine.url.render_as_string(hide_password=False).replace("postgresql+psycopg://", "postgresql://", 1)
    bench_rows.prepare(url)
    with psycopg.connect(url, autocommit=True) as connection:
        [(first,)] = connection.execute(_FIRST).fetchall()
    bench_rows.fill(url, RUNS, first, _MORE)


_FIRST = """
  insert into run (id, public_id, project_id, created_by, name, kind, spec, pool, cpu_millis, memory_bytes, gpus)
  select '01900000-0000-7000-8000-000000000000', 'r-2222222222', p.id, u.id, 'first', 'job',
    '{"parameters": {"lr": 0.1}}', 'local', 1000, 1 << 30, 0
  from project p, "user" u where p.name = 'project-03' and u.name = 'bench'
  returning public_id
"""
# One run, user and project with much of everything that is listed; the rest have what they usually have.
_ONE = "(select id from run where name = 'train-50002')"
_MORE = [
    """update run set experiment = 'sweep-' || right(name, 5)::int % 2000 where name like 'train-_____'""",
    """update run set archived = true where id in (
         select r.id from run r join project p on p.id = r.project_id
         where p.name = 'project-03' and r.state in ('succeeded', 'failed', 'stopped')
         order by r.id desc limit 1000)""",
    """update run set is_debug = true where id in (
         select r.id from run r join project p on p.id = r.project_id where p.name = 'project-03'
         order by r.id limit 300)""",
    """insert into "user" (id, name) select gen_random_uuid(), 'somebody-' || n from generate_series(1, 20000) n""",
    """insert into project (id, name) select gen_random_uuid(), 'quiet-' || n from generate_series(1, 2000) n""",
    """insert into membership (project_id, user_id, role) select p.id, u.id, 'viewer'
       from (select id from project where name = 'project-03') p,
         (select id from "user" where name like 'somebody-1_' or name like 'somebody-2_') u""",
    """insert into membership (project_id, user_id, role) select p.id, u.id, 'viewer'
       from (select id from project where name like 'quiet-1_') p,
         (select id from "user" where name like 'somebody-2__') u""",
    """insert into run_columns (user_id, project_id, columns) select u.id, p.id, '{tags}'
       from (select id from project where name = 'project-03') p,
         (select id from "user" where name = 'person3' or name like 'somebody-%') u""",
    """insert into api_token (id, user_id, name, hint, token_hash, scope, revoked_at)
       select gen_random_uuid(), u.id, 'token-' || n, 'berth_u_', sha256(n::text::bytea), 'read',
         case when n % 10 > 0 then now() end
       from (select id from "user" where name = 'person3') u, generate_series(1, 2000) n""",
    f"""insert into run_event (run_id, code, attempt) select {_ONE}, 'retried', 1 from generate_series(1, 5000)""",
    f"""insert into output (run_id, path, attempt, bytes, sha256, object_key)
       select {_ONE}, 'file-' || n, 1, n, 'x', 'x' from generate_series(1, 5000) n""",
    f"""insert into metric_series (run_id, name) select {_ONE}, 'metric-' || n from generate_series(1, 40) n""",
    """insert into metric_series (run_id, name, last_value)
       select id, 'loss', split_part(name, '-', 2)::int % 1000 / 1000.0 from run where name ~ '^train-[0-9]+$'""",
    f"""insert into log_chunk (run_id, attempt, replica, first_line, lines, bytes, end_offset, first_at, last_at, data,
         object_key)
       select {_ONE}, 1, 0, 1 + n * 100, 100, 4096, n * 4096, now(), now(),
         case when n >= 40 then 'x'::bytea end, case when n < 40 then 'x' end
       from generate_series(0, 79) n""",
    """insert into secret (id, project_id, name, description, key_id, wrapped_key, ciphertext, created_by, updated_by)
       select gen_random_uuid(), p.id, 'S-' || n, '', 'k', '', '', 'bench', 'bench'
       from project p, generate_series(1, 1000) n""",
    """insert into definition (id, project_id, name, title, newest, created_by)
       select gen_random_uuid(), p.id, 'job-' || n, '', case n when 1 then 1000 else 1 end, u.id
       from project p, "user" u, generate_series(1, 1000) n where p.name in ('project-03', 'project-04')
         and u.name = 'bench'""",
    """insert into definition_version (definition_id, number, source, document, created_by)
       select d.id, n, repeat('x', 500), '{}', d.created_by
       from definition d, generate_series(1, 1000) n where n <= d.newest""",
    """update run set definition_id = d.id, definition_version = 1
       from (select id, split_part(name, '-', 2)::int / 20 as turn from run where name ~ '^train-[0-9]+$') r,
         definition d
       where r.id = run.id and d.project_id = run.project_id and turn % 10 in (7, 8)
         and d.name = case turn % 10 when 7 then 'job-1' else 'job-' || 2 + turn % 90 end""",
    """insert into log_chunk
         (run_id, attempt, replica, first_line, lines, bytes, end_offset, first_at, last_at, object_key)
       select id, 1, 0, 1 + n * 100, 100, 4096, n * 4096, now(), now(), 'x'
       from (select id from run order by id limit 5000) r, generate_series(0, 3) n""",
]


def _look(engine: Engine, connection: Connection) -> World:
    def one(statement: str) -> Any:
        return connection.execute(text(statement)).scalar_one()

    project = one("select id from project where name = 'project-03'")
    person = one("select id from \"user\" where name = 'person3'")
    deep = connection.execute(
        text("select id, name from run where project_id = :project order by id offset 500 limit 1"),
        {"project": project},
    ).one()
    return World(
        project=project,
        person=person,
        run=one("select id from run where name = 'train-50002'"),
        shown=list(connection.execute(text("select public_id from run order by id desc limit 50")).scalars()),
        page=list(connection.execute(text("select id from run order by id desc limit 50")).scalars()),
        deep=Position(deep.id, deep.name),
        actor=Actor(person, "person3", roles={project: Role.EDITOR}),
        engine=engine,
        definition=one("select id from definition where newest = 1000 limit 1"),
    )


class Explaining(psycopg.Cursor[Any]):
    """Explains what it executes, and keeps the plans."""

    plans: ClassVar[list[dict[str, Any]]] = []

    def execute(self, query: Any, params: Any = None, **options: Any) -> "Explaining":
        if str(query).lstrip().lower().startswith(("select", "with")):
            super().execute(f"explain (analyze, timing off, format json) {query}", params, **options)
            [(found,)] = self.fetchall()
            self.plans.append(found[0]["Plan"])
        super().execute(query, params, **options)
        return self


def _rows_read(plan: dict[str, Any]) -> Counter[str]:
    """What scans read, by table: rows given and rows thrown away, in all loops."""
    found: Counter[str] = Counter()
    if "Relation Name" in plan:
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        read += plan.get("Rows Removed by Index Recheck", 0)
        found[plan["Relation Name"]] += round(read * plan["Actual Loops"])
    for part in plan.get("Plans", []):
        found += _rows_read(part)
    return found


def _outline(plan: dict[str, Any], depth: int = 0) -> str:
    """The plan in lines, for a failure's message."""
    of = plan.get("Relation Name", ""), plan.get("Index Name", ""), plan.get("Index Cond", plan.get("Filter", ""))
    away = plan.get("Rows Removed by Filter", 0)
    line = f"{'  ' * depth}{plan['Node Type']} {' '.join(of)}: {plan['Actual Rows']} x {plan['Actual Loops']} (-{away})"
    return "\n".join([line, *(_outline(part, depth + 1) for part in plan.get("Plans", []))])


Ask = Callable[[Session, World], Any]


def _runs(q: str = "", sort: str = "-created", *, is_deep: bool = False) -> Ask:
    def ask(session: Session, world: World) -> Any:
        found = runs.list_runs(
            session,
            world.actor,
            world.project,
            terms=filters.parse(q),
            sort=sort,
            after=world.deep if is_deep else None,
            limit=PAGE,
            now=datetime.datetime.now(datetime.UTC),
        )
        assert found, "a list without rows proves nothing"
        return found

    return ask


def _looking(q: str, **options: Any) -> Ask:
    """With fewer runs looked at than the project has."""

    def ask(session: Session, world: World) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_filters, "LOOKED_AT", LOOKED_AT)
            return _runs(q, **options)(session, world)

    return ask


def _items(session: Session, world: World) -> Any:
    now = datetime.datetime.now(datetime.UTC)
    return runs.list_run_items(session, world.actor, world.project, ITEM_FIELDS, limit=PAGE, now=now)


def _audit(**filter_: Any) -> Ask:
    given: dict[str, Any] = {
        "project_id": None,
        "actor": None,
        "object_type": None,
        "object_id": None,
        "after": None,
    } | filter_
    return lambda session, world: audit.list_entries(
        session,
        limit=PAGE,
        **(given | ({"project_id": world.project} if given["project_id"] else {})),
    )


def _notifications(session: Session, world: World) -> Any:
    """Among those of other projects."""
    for number in range(2000):
        factories.make_notification(session, project_id=world.project if number % 10 == 0 else _other(session, world))
    session.execute(text("analyze notification"))
    Explaining.plans.clear()
    return notifications.list_notifications(session, Owner(project_id=world.project), None, PAGE)


def _deliveries(session: Session, world: World) -> Any:
    """Each with its attempt."""
    made = [factories.make_notification(session, project_id=world.project) for _ in range(3)]
    for notification in made:
        session.execute(
            text(
                "insert into notification_message (notification_id, event_key, type, at, data)"
                " select :id, n::text, 'run.ended', now(), '{}' from generate_series(1, 3000) n"
            ),
            {"id": notification.id},
        )
    session.execute(
        text(
            "insert into notification_attempt (message_id, ok, milliseconds)"
            " select id, true, 1 from notification_message"
        )
    )
    session.execute(text("analyze notification_message; analyze notification_attempt"))
    Explaining.plans.clear()
    return notifications.list_deliveries(session, made[1].id, None, PAGE)


def _other(session: Session, world: World) -> uuid.UUID:
    found = session.scalar(text("select id from project where id <> :id limit 1"), {"id": world.project})
    assert isinstance(found, uuid.UUID)
    return found


def _source(world: World) -> LogSource:
    return LogSource(world.run, "", world.project, 1, 0, 1, 0, is_ended=True)


_LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


# By the function asked. Several states or owners are a page of each, which for two is still within twice a page;
# a list of everything that a run has is as long as that, and says so by its page.
CASES: list[tuple[Callable[..., Any], str, Ask, int]] = [
    (runs.list_runs, "by default", _runs(), PAGE),
    (runs.list_runs, "oldest first", _runs(sort="created"), PAGE),
    (runs.list_runs, "deep", _runs(is_deep=True), PAGE),
    (runs.list_runs, "by name", _runs(sort="name"), PAGE),
    (runs.list_runs, "by name, descending", _runs(sort="-name"), PAGE),
    (runs.list_runs, "by name, deep", _runs(sort="name", is_deep=True), PAGE),
    (runs.list_runs, "of a state", _runs("status:failed"), PAGE),
    (runs.list_runs, "of a rare state", _runs("status:queued"), PAGE),
    (runs.list_runs, "of a state, deep", _runs("status:failed", is_deep=True), PAGE),
    (runs.list_runs, "of two states", _runs("status:failed,stopped"), PAGE),
    (runs.list_runs, "of two rare states", _runs("status:queued,starting"), PAGE),
    (runs.list_runs, "of two states, deep", _runs("status:failed,stopped", is_deep=True), PAGE),
    (runs.list_runs, "of all but a state", _runs("-status:succeeded"), 5 * PAGE // 2),
    (runs.list_runs, "of an owner", _runs("owner:me"), PAGE),
    (runs.list_runs, "of two owners", _runs("owner:me,person7"), PAGE),
    (runs.list_runs, "with a tag of a hundred", _runs("tag:sweep-500"), PAGE),
    (runs.list_runs, "younger than", _runs("created:<20h"), PAGE),
    (runs.list_runs, "older than", _runs("created:>20h"), PAGE),
    (runs.list_runs, "of an experiment", _runs("experiment:sweep-502"), PAGE),
    (runs.list_runs, "of an experiment, by state", _runs("experiment:sweep-502 status:failed,succeeded"), PAGE),
    (runs.list_runs, "archived ones", _runs("archived:yes"), PAGE),
    (runs.list_runs, "debug runs", _runs("is:debug"), PAGE),
    (runs.list_runs, "archived ones by name", _runs("archived:yes", sort="name"), PAGE),
    (runs.list_runs, "archived or not", _runs("archived:any"), PAGE),
    (runs.list_runs, "archived or not, of a state", _runs("archived:any status:failed"), PAGE),
    (runs.list_runs, "of a usual value", _runs("metric.loss:<0.9"), PAGE),
    (runs.list_runs, "of a usual value, deep", _runs("metric.loss:<0.9", is_deep=True), filters.LOOKED_AT // 2),
    (runs.list_runs, "of a rare value", _looking("metric.loss:<0.05"), LOOKED_AT // 2),
    (runs.list_runs, "of a rare value, by state", _looking("metric.loss:<0.05 status:failed,succeeded"), LOOKED_AT),
    (runs.list_runs, "of a value by name", _looking("metric.loss:>0.05", sort="-name"), LOOKED_AT // 2),
    (runs.list_runs, "of a parameter's value", _looking("param.lr:>=0.1", sort="created"), LOOKED_AT // 2),
    (experiments.list_experiments, "first", lambda s, w: experiments.list_experiments(s, w.project, limit=PAGE), PAGE),
    (
        experiments.list_experiments,
        "later",
        lambda s, w: experiments.list_experiments(s, w.project, after="sweep-5", limit=PAGE),
        PAGE,
    ),
    (views.list_views, "all of a project", lambda s, w: views.list_views(s, w.project, w.person), PAGE),
    (views.get_columns, "of a person", lambda s, w: views.get_columns(s, w.project, w.person), 1),
    (metrics.last_values, "of a page", lambda s, w: metrics.last_values(s, w.page, "loss"), PAGE),
    (metrics.list_newest_names, "of a project", lambda s, w: metrics.list_newest_names(s, w.project), PAGE),
    (runs.list_run_items, "by default", _items, PAGE),
    (runs.find_previous, "of a name", lambda s, w: runs.find_previous(s, w.project, "train-50002", w.run), 2),
    (runs.list_by_public_ids, "shown ones", lambda s, w: runs.list_by_public_ids(s, ALL, w.shown), PAGE),
    (runs.list_events, "first", lambda s, w: runs.list_events(s, w.run, limit=PAGE), PAGE),
    (runs.list_newest_events, "first", lambda s, w: runs.list_newest_events(s, w.run, limit=PAGE), PAGE),
    (audit.list_entries, "of everything", _audit(), PAGE),
    (audit.list_entries, "of a project", _audit(project_id="the project"), PAGE),
    (audit.list_entries, "of a project, later", _audit(project_id="the project", after=50_000), PAGE),
    (audit.list_entries, "of an actor", _audit(actor="person3"), PAGE),
    (audit.list_entries, "of an object", _audit(object_type="run", object_id=bench_rows.public_id(4711)), PAGE),
    (tokens.list_tokens, "most revoked", lambda s, w: tokens.list_tokens(s, w.person, None, PAGE), PAGE),
    (audit.list_entries, "of a verb", _audit(verb="run.submit"), PAGE),
    (audit.list_entries, "of a rare verb", _audit(verb="project.create"), PAGE),
    (audit.list_entries, "since", _audit(since=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)), PAGE),
    (audit.list_entries, "until", _audit(until=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)), PAGE),
    (
        tokens.list_project_tokens,
        "first",
        lambda s, w: tokens.list_project_tokens(s, w.project, None, PAGE),
        PAGE,
    ),
    (users.list_sessions, "first", lambda s, w: users.list_sessions(s, w.actor, None, PAGE), PAGE),
    # One's own runs in the 19 projects that the actor has left are passed over.
    (home.list_live, "of a member", lambda s, w: home.list_live(s, w.actor, PAGE), 20 * PAGE),
    (home.list_failed, "of a member", lambda s, w: home.list_failed(s, w.actor, _LONG_AGO, PAGE), 20 * PAGE),
    (home.find_newest, "of a member", lambda s, w: home.find_newest(s, w.actor), 20),
    (home.has_runs, "of a member", lambda s, w: home.has_runs(s, w.actor), 20),
    (home.list_waiting, "of a member", lambda s, w: home.list_waiting(s, w.actor, _LONG_AGO, PAGE), PAGE),
    # Of each shown also the tokens, of which one has few.
    (users.list_users, "first", lambda s, w: users.list_users(s, None, PAGE), 5 * PAGE),
    (users.list_users, "later", lambda s, w: users.list_users(s, "somebody-5", PAGE), 5 * PAGE),
    (clusters.list_clusters, "first", lambda s, w: clusters.list_clusters(s, 60.0, None, PAGE), 5 * PAGE),
    (clusters.list_targets, "all", lambda s, w: clusters.list_targets(s), 1000),
    (clusters.list_runs, "of one", lambda s, w: clusters.list_runs(s, "local", PAGE), 5 * PAGE),
    (projects.list_projects, "of an admin", lambda s, w: projects.list_projects(s, ALL, "project-05", PAGE), PAGE),
    (projects.list_projects, "of a member", lambda s, w: projects.list_projects(s, w.actor, None, PAGE), PAGE),
    (members.list_members, "first", lambda s, w: members.list_members(s, w.project, None, PAGE), PAGE),
    (members.list_accounts, "first", lambda s, w: members.list_accounts(s, w.project, None, PAGE), PAGE),
    (outputs.list_outputs, "first", lambda s, w: outputs.list_outputs(s, w.run, limit=PAGE), PAGE),
    (outputs.list_outputs, "later", lambda s, w: outputs.list_outputs(s, w.run, after="file-4", limit=PAGE), PAGE),
    (definitions.list_definitions, "first", lambda s, w: definitions.list_definitions(s, w.project, limit=PAGE), PAGE),
    (
        definitions.list_definitions,
        "later",
        lambda s, w: definitions.list_definitions(s, w.project, after="job-500", limit=PAGE),
        PAGE,
    ),
    (definitions.list_versions, "first", lambda s, w: definitions.list_versions(s, w.definition, limit=PAGE), PAGE),
    (
        definitions.list_versions,
        "later",
        lambda s, w: definitions.list_versions(s, w.definition, before=900, limit=PAGE),
        PAGE,
    ),
    (runs.list_runs, "of a definition", _runs("definition:job-1"), PAGE),
    (
        runs.list_definition_versions,
        "shown ones",
        lambda s, w: runs.list_definition_versions(s, [w.run]),
        PAGE,
    ),
    # A folder is put together from all files below it, of which a run has a limited number.
    (outputs.list_folder, "the top one", lambda s, w: outputs.list_folder(s, w.run, "", limit=PAGE), 10_000),
    (outputs.list_below, "the top one", lambda s, w: outputs.list_below(s, w.run, "", limit=PAGE), 10_000),
    # Once an hour, and for a preview, each run of a project is looked at.
    (
        retention.list_removable,
        "of a project",
        lambda s, w: retention.list_removable(s, w.project, Rules(1, 10), limit=PAGE),
        500_000,
    ),
    # Each name is looked for once, and one run that has it is enough.
    (
        retention.list_unused,
        "known and unknown",
        lambda s, w: retention.list_unused(
            s, w.project, Rules(1, 1, ("team-1", "nobody's"), ("sweep-502", "nobody's"))
        ),
        PAGE,
    ),
    (retention.list_plans, "first", lambda s, w: retention.list_plans(s, w.project, limit=PAGE), PAGE),
    (retention.list_plan_runs, "first", lambda s, w: retention.list_plan_runs(s, uuid.uuid4(), limit=PAGE), PAGE),
    (notifications.list_notifications, "of a project", _notifications, PAGE),
    (notifications.list_deliveries, "newest", _deliveries, 2 * PAGE),
    (secrets.list_names, "all", lambda s, w: secrets.list_names(s, w.project), 500),
    (secrets.list_secrets, "first", lambda s, w: secrets.list_secrets(s, w.project, None, PAGE), 2 * PAGE),
    (secrets.list_secrets, "later", lambda s, w: secrets.list_secrets(s, w.project, "S-5", PAGE), 2 * PAGE),
    (metrics.list_series, "all of a run", lambda s, w: metrics.list_series(s, w.run), 40),
    (metrics.list_points, "of a series", lambda s, w: metrics.list_points(s, 1, None, PAGE), PAGE),
    (pools.list_rooms, "all", lambda s, w: pools.list_rooms(s, 60), 1000),
    (pools.list_ahead, "the head", lambda s, w: pools.list_ahead(s, "local", 0, PAGE), PAGE),
    (logs.list_heads, "all of a run", lambda s, w: logs.list_heads(s, w.run), 80),
    (logs.list_chunks, "in the middle", lambda s, w: logs.list_chunks(s, w.run, 1, 0, 4000, 5000, 20), PAGE),
    (logs.list_open, "first", lambda s, w: logs.list_open(s, _source(w), PAGE), 80),
    (logs.list_open_sizes, "all of a run", lambda s, w: logs.list_open_sizes(s, _source(w)), 80),
    (logs.list_unsealed, "all live ones", lambda s, w: logs.list_unsealed(s, "local"), 200),
    (usage.list_sources, "all live ones", lambda s, w: usage.list_sources(s, "local"), 200),
    (usage.list_sources_of, "of an attempt", lambda s, w: usage.list_sources_of(s, w.run, 1), 2),
]


@pytest.mark.parametrize(
    ("ask", "page"), [pytest.param(ask, page, id=f"{of.__name__}: {what}") for of, what, ask, page in CASES]
)
def test_a_list_reads_about_as_much_as_it_shows(world: World, ask: Ask, page: int) -> None:
    with Session(world.engine) as session:
        session.connection()
        Explaining.plans.clear()
        ask(session, world)
    read = sum((_rows_read(plan) for plan in Explaining.plans), Counter[str]())
    assert Explaining.plans
    listed = {name: count for name, count in read.items() if name not in DIMENSIONS}
    outline = "\n".join(_outline(plan) for plan in Explaining.plans)
    assert max(listed.values(), default=0) <= 2 * (page + 1), outline
    assert all(read[name] <= 2 * (page + 1) for name in DIMENSIONS), outline


def test_every_list_has_a_case() -> None:
    covered = {of for of, _, _, _ in CASES}
    for found in pkgutil.iter_modules(repositories.__path__):
        module = importlib.import_module(f"app.repositories.{found.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("list_") and function.__module__ == module.__name__:
                assert function in covered, f"{module.__name__}.{name} has no case here"
