"""Berth's database with as many runs as wanted: one run made through the API, and the rest cloned from it by SQL.

20 projects and 50 people, as in the floor's table. The newest 400 runs wait or run, all others have ended.
Each has its attempt, replica, history and audit row, as runs do.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from sqlalchemy import create_engine

from app import schema

PROJECTS, PEOPLE, LIVE = 20, 50, 400
PROJECT = "project-03"  # the one that is measured; the others are there to be in the way
OTHER_PROJECT = "project-07"  # where runs are submitted to, so that the pages of the first stay as they are
PLACE = 2  # its runs are those whose number leaves this rest
TOKEN = "berth_u_" + "benchmark" * 4
COOKIE = "benchmark" * 4
# Points are logged to these many running runs, each with the token that a job would have.
LOGGING = 4

_ALPHABET = "23456789abcdefghjkmnpqrstwxyz"
_SPREAD = 362_437_069  # coprime to 29^10, so that ids neither repeat nor lie in order


def prepare(url: str) -> None:
    """The schema, the people and the place where runs would run."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    schema.upgrade(engine)
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_POOL)
    introduce(url)


def introduce(url: str) -> None:
    """The projects and people, and the one who measures, with a token and a browser's session."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_PEOPLE, {"projects": PROJECTS, "people": PEOPLE})
        known = {"token": _hash(TOKEN), "cookie": _hash(COOKIE), "projects": [PROJECT, OTHER_PROJECT, "project-11"]}
        connection.execute(_MEASURED, known)


def fill(url: str, runs: int, first: str, more: Sequence[str] = ()) -> None:
    """Clones the run with the public id `first` until there are `runs` more; vacuumed and analysed afterwards.

    `more` are statements that change many of them, which costs a fraction as long as there are no indexes.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        with _without_indexes(connection):
            connection.execute("set session_replication_role = replica")  # no foreign key is checked row by row
            values: dict[str, object] = {
                "runs": runs,
                "first": first,
                "live": LIVE,
                "spread": _SPREAD,
                "alphabet": _ALPHABET,
            }
            values["powers"] = [29**place for place in range(10)]
            for statement in (_RUNS, _ATTEMPTS, _REPLICAS, _EVENTS, _AUDIT):
                connection.execute(statement, values)
            connection.execute(_LOGGING, {"logging": LOGGING, "project": PROJECT})
            for statement in more:
                connection.execute(statement.encode())
        connection.execute("vacuum (freeze, analyze)")
        connection.execute("checkpoint")


def public_id(number: int) -> str:
    """The id of the clone with this number, from 1."""
    rest = number * _SPREAD % 29**10
    return "r-" + "".join(_ALPHABET[rest // 29**place % 29] for place in range(10))


def logging_runs(url: str) -> list[tuple[str, str]]:
    """Public ids and job tokens of the runs that points are logged to."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select r.public_id from run r join attempt a on a.run_id = r.id"
            " where a.token_hash is not null order by r.id"
        ).fetchall()
    return [(public, job_token(place)) for place, (public,) in enumerate(rows, 1)]


def job_token(place: int) -> str:
    return f"berth_r_{place:040d}"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


@contextmanager
def _without_indexes(connection: "psycopg.Connection[tuple[object, ...]]") -> Iterator[None]:
    """Takes away the indexes that are no constraints, and makes the same again at the end, in one go each."""
    found = connection.execute("""
      select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i
      join pg_class t on t.oid = i.indrelid
      where t.relname in ('run', 'attempt', 'replica', 'run_event', 'audit_entry')
        and not exists (select 1 from pg_constraint where conindid = i.indexrelid)
    """).fetchall()
    for name, _ in found:
        connection.execute(f"drop index {name}".encode())
    yield
    connection.execute("set maintenance_work_mem = '512MB'")
    for _, definition in found:
        connection.execute(str(definition).encode())


_PEOPLE = """
  with projects as (
    insert into project (id, name) select gen_random_uuid(), 'project-' || to_char(n, 'fm00')
    from generate_series(1, %(projects)s::int) as n returning id
  ), people as (
    insert into "user" (id, name) select gen_random_uuid(), 'person' || n
    from generate_series(1, %(people)s::int) as n returning id
  )
  insert into membership (project_id, user_id, role) select projects.id, people.id, 'editor' from projects, people
  where abs(hashtext(projects.id::text || people.id::text)) %% 7 = 0
"""
_MEASURED = """
  with me as (
    insert into "user" (id, name) values (gen_random_uuid(), 'bench') returning id
  ), member as (
    insert into membership (project_id, user_id, role)
    select project.id, me.id, 'editor' from project, me
    where project.name = any(%(projects)s)
  ), token as (
    insert into api_token (id, user_id, name, hint, token_hash, scope)
    select gen_random_uuid(), me.id, 'bench', 'berth_u_benc', %(token)s, 'write' from me
  )
  insert into user_session (token_hash, user_id, address, agent, expires_at)
  select %(cookie)s, me.id, '', '', now() + interval '1 day' from me
"""
_POOL = """
  with cluster as (
    insert into cluster (id, name, kind) values (gen_random_uuid(), 'local', 'local') returning id
  )
  insert into pool (name, cluster_id, cpu_millis, memory_bytes, gpus)
  select 'local', id, 64000, 1::bigint << 40, 8 from cluster
"""
# The nth run is so many seconds younger than the first of them, which was submitted before any of the clones.
_RUNS = """
  with place as (
    select n, n > %(runs)s::int - %(live)s::int as is_live,
      now() - make_interval(secs => %(runs)s::int - n + 60) as at,
      (n * %(spread)s::bigint) %% 420707233300201 as number
    from generate_series(1, %(runs)s::int) as n
  ), named as (
    select place.*, 'r-' || (
        select string_agg(substr(%(alphabet)s, 1 + (number / power %% 29)::int, 1), '' order by power)
        from unnest(%(powers)s::bigint[]) as power
      ) as public_id,
      (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n %% 4096), 3, '0')
        || '8' || lpad(to_hex(n), 15, '0'))::uuid as id,
      case when not is_live then (array['succeeded', 'succeeded', 'succeeded', 'failed', 'stopped'])[1 + n / 20 %% 5]
           else (array['queued', 'queued', 'running', 'starting'])[1 + n / 20 %% 4] end as state
    from place
  )
  insert into run (id, public_id, project_id, created_by, name, kind, spec, source, tags, pool, priority, cpu_millis,
    memory_bytes, gpus, replicas, desired, state, reason_code, reason, exit_code, first_error, progress_done,
    progress_total, created_at, queued_at, started_at, finished_at, version)
  select named.id, named.public_id, projects.id, people.id, 'train-' || n, t.kind, t.spec, t.source,
    array['team-' || n %% 7, 'sweep-' || n / 100], t.pool, 0, t.cpu_millis, t.memory_bytes, t.gpus, t.replicas,
    'running', named.state,
    case named.state when 'failed' then 'FAILED' when 'queued' then 'JUST_SUBMITTED' end,
    case when named.state in ('failed', 'queued') then '{}'::jsonb end,
    case named.state when 'succeeded' then 0 when 'failed' then 1 end,
    case named.state when 'failed' then 'ValueError: the loss is not a number any more' end,
    case when named.state <> 'queued' then 40 end, case when named.state <> 'queued' then 90 end,
    at, at, case when named.state <> 'queued' then at + interval '2 seconds' end,
    case when not is_live then at + interval '61.5 seconds' end, 5
  from named
  join (select id, row_number() over (order by name) as place from project) projects on projects.place = 1 + n %% 20
  join (select id, row_number() over (order by id) as place from "user" where name <> 'bench') people
    on people.place = 1 + n / 100 %% 50
  cross join (select * from run where public_id = %(first)s) t
"""
_ATTEMPTS = """
  insert into attempt (run_id, number, state, cause, exit_code, admitted_at, started_at, finished_at, logs_sealed_at,
    outputs_stored_at, cleaned_at)
  select id, 1, state, case state when 'failed' then 'failed' end, exit_code, created_at, started_at, finished_at,
    finished_at, finished_at, finished_at
  from run where state <> 'queued' and public_id <> %(first)s
"""
_REPLICAS = """
  insert into replica (run_id, attempt, index, state, exit_code, usage)
  select run_id, 1, 0, state, exit_code, '{"memory_bytes": 268435456, "cpu_seconds": 58.2}' from attempt
"""
_EVENTS = """
  insert into run_event (run_id, at, code, attempt, old_state, new_state, actor_id)
  select r.id, r.created_at, e.code, 1, e.old_state, e.new_state, case e.code when 'submitted' then r.created_by end
  from run r cross join (values ('submitted', null, 'queued'), ('admitted', 'queued', 'starting'),
    ('started', 'starting', 'running'), ('ended', 'running', 'succeeded')) as e(code, old_state, new_state)
  where public_id <> %(first)s
"""
_AUDIT = """
  insert into audit_entry (at, actor_id, actor_name, verb, object_type, object_id, project_id, after)
  select r.created_at, u.id, u.name, 'run.submit', 'run', r.public_id, r.project_id,
    jsonb_build_object('name', r.name, 'state', 'queued')
  from run r join "user" u on u.id = r.created_by where public_id <> %(first)s order by r.id
"""
_LOGGING = """
  update attempt a set token_hash = sha256(('berth_r_' || lpad(chosen.place::text, 40, '0'))::bytea)
  from (
    select r.id, row_number() over (order by r.id) as place from run r join project p on p.id = r.project_id
    where r.state = 'running' and p.name = %(project)s order by r.id limit %(logging)s
  ) chosen
  where a.run_id = chosen.id
"""
