"""How often somebody may try: counted in Redis where there is one, in this process where it does not answer.

A throttle never makes a sign-in fail because Redis is away; each process then counts for itself.
"""

import hashlib
import time
from functools import lru_cache

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import N_, TooMany
from app.settings import get_settings

log = structlog.get_logger(__name__)

_RETRY_REDIS_AFTER = 10.0
_REDIS_TIMEOUT = 0.3
_redis_away_until = 0.0


class TooManyTries(TooMany):
    """Too many sign-ins for one name or from one address."""

    code = "TOO_MANY_TRIES"
    title = N_("Too many tries")
    detail = N_("There were too many tries for this name or from this address. Nothing was checked.")
    hint = N_("Wait a minute, then try once more.")


def check_sign_in(name: str, address: str) -> None:
    """Counts a try. Raises TooManyTries above the limit per minute for the name or for the address."""
    per_minute = get_settings().web.login_per_minute
    allowed = [_hit("name", name, per_minute), _hit("address", address, per_minute)]
    if not all(allowed):
        raise TooManyTries


def check(what: str, whose: str, per_minute: int) -> None:
    """Counts one use of something else that must not be guessed or flooded. Raises TooMany."""
    if not _hit(what, whose, per_minute):
        raise TooMany


def forget() -> None:
    """Starts counting anew in this process, for tests."""
    _local.cache_clear()
    _shared.cache_clear()


def _hit(what: str, whose: str, per_minute: int) -> bool:
    global _redis_away_until
    limit = RateLimitItemPerMinute(per_minute)
    # Names are hashed: what people type into a name field is sometimes their password.
    key = (what, hashlib.sha256(whose.encode("utf-8", "replace")).hexdigest()[:32])
    if get_settings().redis.url is not None and time.monotonic() >= _redis_away_until:
        try:
            return _shared().hit(limit, *key)
        except Exception as error:  # whatever Redis or its client do, people can still sign in
            _redis_away_until = time.monotonic() + _RETRY_REDIS_AFTER
            log.warning("Redis does not answer; tries are counted in this process", error=repr(error)[:200])
    return _local().hit(limit, *key)


@lru_cache(maxsize=1)
def _local() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


@lru_cache(maxsize=1)
def _shared() -> MovingWindowRateLimiter:
    import redis

    pool = redis.ConnectionPool.from_url(
        get_settings().redis_url, socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT
    )
    storage = RedisStorage("redis://localhost", connection_pool=pool, key_prefix="berth-limits")
    return MovingWindowRateLimiter(storage)
