"""Looking at each part of Berth, for administrators. Judged in domain/health.py; nothing is changed.

Each look has an end: a part that does not answer costs some seconds of one request, and never the page.
"""

import shutil
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import make_url, text
from sqlalchemy.orm import Session

from app import schema
from app.db import read_session
from app.domain import health
from app.domain.health import Check
from app.settings import get_settings
from app.stores import objects

WORKERS_KEY = "berth:workers"  # a sorted set: who, by when it was last heard
_QUEUE = "berth"
_NO_PROJECT = uuid.UUID(int=0)  # where the object store is tried
_PATIENCE = 4.0
_LOOPS = ("dispatch", "admission")
_LOOPS_HERE = ("watch:local", "logs:local")


class _Known(NamedTuple):
    """What Postgres says."""

    schema: str | None
    took_ms: float
    leases: dict[str, float]
    clusters: list[tuple[str, float | None]]


def list_checks() -> list[Check]:
    """All parts in a fixed order: Postgres, Redis, worker, loops, object store, disk, clusters.

    Opens its own session, so that no connection waits for the parts outside of Postgres.
    """
    with read_session() as session:
        known = _ask_postgres(session)
    redis, store = _pool().submit(_ask_redis), _pool().submit(_ask_objects)
    error, took, waiting, ages = _result(redis.result, ("no answer in time", _PATIENCE * 1000, 0, None))
    store_error, store_took = _result(store.result, ("no answer in time", _PATIENCE * 1000))
    return [
        health.judge_postgres(known.schema, schema.head(), known.took_ms),
        health.judge_redis(error, took, waiting),
        health.judge_workers(ages),
        *_judge_loops(known.leases),
        health.judge_objects(store_error, store_took, *_objects_place()),
        _judge_disk(),
        *(health.judge_cluster(name, age) for name, age in known.clusters),
    ]


class Backend(NamedTuple):
    """Something that Berth stands on: its check, and where it is, without name and password."""

    check: Check
    place: str


def list_backends() -> list[Backend]:
    """The database, the queue and the clusters that were found, each with its check."""
    checks = [check for check in list_checks() if check.part.partition(":")[0] in ("postgres", "redis", "cluster")]
    if not any(check.part.startswith("cluster") for check in checks):
        checks.append(health.judge_no_cluster())
    return [Backend(check, _place(check.part)) for check in checks]


def _place(part: str) -> str:
    if part == "postgres":
        url = make_url(get_settings().database_url)
        host = url.host or str(url.query.get("host") or "localhost")
        return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"
    if part == "redis" and get_settings().redis.url is not None:
        found = urlsplit(get_settings().redis_url)
        return found.netloc.rpartition("@")[2] or found.path
    return ""


def record_worker(client: Any, name: str) -> None:
    """A worker says that it is there. `client` is its connection to Redis; raises what that raises."""
    now = time.time()
    client.zadd(WORKERS_KEY, {name: now})
    client.zremrangebyscore(WORKERS_KEY, "-inf", now - 86_400)


def _ask_postgres(session: Session) -> _Known:
    begun = time.perf_counter()
    version = session.scalar(text("select version_num from alembic_version"))
    took = (time.perf_counter() - begun) * 1000
    # The loops of a cluster that was removed are led by nobody, as it should be.
    leases = session.execute(
        text("""
        select name, extract(epoch from until - now())::float8 from lease
         where position(':' in name) = 0 or split_part(name, ':', 2) in (select 'local' union select name from cluster)
         order by name
        """)
    )
    found: dict[str, float] = {name: left for name, left in leases}  # noqa: C416 - rows are no pairs to a type checker
    clusters = session.execute(
        text("select name, extract(epoch from now() - seen_at)::float8 from cluster order by name limit 200")
    )
    return _Known(version, took, found, [(name, age) for name, age in clusters])


def _judge_loops(leases: dict[str, float]) -> list[Check]:
    needed = (*needed_loops(), "housekeeping")
    names = [*needed, *sorted(leases.keys() - set(needed))]
    return [health.judge_loop(name, leases.get(name), held_seconds(name, leases.get(name))) for name in names]


def needed_loops() -> tuple[str, ...]:
    """The loops of the controller that runs and what is shown of them depend on."""
    return _LOOPS + (_LOOPS_HERE if get_settings().local.enabled else ())


def held_seconds(name: str, left: float | None = None) -> float:
    """For how long the loop's lease is taken: twice its pause where that is longer than usual."""
    usual = max(get_settings().convergence.leader_seconds, 2 * get_settings().convergence.sweep_seconds)
    if name == "housekeeping":
        usual = max(usual, 120.0)
    return max(usual, left or 0.0)


def _ask_redis() -> tuple[str | None, float, int, list[float] | None]:
    import redis

    settings = get_settings()
    if settings.redis.url is None:
        return "BERTH_REDIS__URL is not set", 0.0, 0, None
    begun = time.perf_counter()
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=1.0, socket_connect_timeout=1.0)
    try:
        waiting = int(client.llen(_QUEUE))
        took = (time.perf_counter() - begun) * 1000
        now = time.time()
        heard: Any = client.zrevrange(WORKERS_KEY, 0, 999, withscores=True)
        return None, took, waiting, [max(0.0, now - at) for _, at in heard]
    except redis.RedisError as error:
        return type(error).__name__, (time.perf_counter() - begun) * 1000, 0, None
    finally:
        client.close()


def _ask_objects() -> tuple[str | None, float]:
    begun, data = time.perf_counter(), b"berth"
    place = objects.of(_NO_PROJECT)
    key = f"{objects.project_prefix(_NO_PROJECT)}health/{uuid.uuid4().hex}"
    try:
        place.put(key, data)
        is_same = place.get_all(key) == data
        place.delete([key])
    except Exception as error:  # whatever a store or its network does is what is asked for here
        return type(error).__name__, (time.perf_counter() - begun) * 1000
    return None if is_same else "other bytes came back", (time.perf_counter() - begun) * 1000


def _objects_place() -> tuple[str, str]:
    settings = get_settings()
    if settings.objects.bucket is not None:
        return "bucket", settings.objects.bucket
    return ("url", "") if settings.objects.url is not None else ("folder", str(settings.home / "objects"))


def _judge_disk() -> Check:
    usage = shutil.disk_usage(get_settings().home)
    return health.judge_disk(usage.free, usage.total, f"{usage.free / 2**30:.1f} GiB")


def _result(ask: Callable[..., Any], otherwise: Any) -> Any:
    try:
        return ask(timeout=_PATIENCE)
    except TimeoutError:
        return otherwise


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    # A few of its own: a store that never answers takes them one by one, and then looks say so at once.
    return ThreadPoolExecutor(4, thread_name_prefix="health")
