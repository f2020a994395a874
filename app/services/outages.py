"""What of Berth does not answer while pages are looked at: asked for on requests, so it costs next to nothing.

One small statement and one of Redis in some seconds, for all requests of a process; the page about Berth's health
looks at everything else. Judged in domain/health.py.
"""

import threading
import time
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain import health
from app.domain.health import Outage
from app.services.health import WORKERS_KEY, held_seconds, needed_loops
from app.settings import get_settings

_FRESH_SECONDS = 2.0
_PATIENCE = 0.2  # of Redis: whoever asks is a request that waits

_LOOK = text("""
select name, extract(epoch from now() - until)::float8 from lease where name = any(:loops)
union all
(select 'cluster:' || name, extract(epoch from now() - seen_at)::float8
   from cluster where seen_at is not null order by name limit 200)
""")

_lock = threading.Lock()
_known: tuple[float, tuple[Outage, ...]] = 0.0, ()


def list_outages(session: Session) -> tuple[Outage, ...]:
    """What does not answer, as it was found at most some seconds ago; nothing while nothing was ever heard."""
    global _known
    now = time.monotonic()
    if now - _known[0] < _FRESH_SECONDS or not _lock.acquire(blocking=False):
        return _known[1]
    try:
        _known = now, _look(session)
    finally:
        _lock.release()
    return _known[1]


def forget() -> None:
    """The next request looks again: for tests, which change what is there."""
    global _known
    _known = 0.0, ()


def _look(session: Session) -> tuple[Outage, ...]:
    loops = {name: held_seconds(name) for name in needed_loops()}
    rows = session.execute(_LOOK, {"loops": list(loops)}).all()
    ended = {name: age for name, age in rows if name in loops}
    clusters = {name.removeprefix("cluster:"): age for name, age in rows if name not in loops}
    return health.judge_outages(time.time(), ended, loops, clusters, _worker_age())


def _worker_age() -> float | None:
    """Seconds since a worker was heard; None where that is not known."""
    client = _redis()
    if client is None:
        return None
    import redis

    try:
        heard: Any = client.zrevrange(WORKERS_KEY, 0, 0, withscores=True)
    except redis.RedisError:
        return None
    return time.time() - heard[0][1] if heard else None


@lru_cache(maxsize=1)
def _redis() -> Any:
    if get_settings().redis.url is None:
        return None
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        get_settings().redis_url,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
