"""How often one caller may ask: a token bucket for each, counted in this process or, in Redis, by all of them.

They are kept as GCRA keeps them: of each, only the time at which it will be full again. `limits` 5.8, the library for
this, has no such bucket yet, but windows of whole seconds by the clock of each host, and wants an older Redis client.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from coldstart.errors import MissingExtra
from coldstart.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

_log = logging.getLogger(__name__)
TIMEOUT_S = 0.25
PAUSE_S = 1.0
"""How long Redis is left alone after it failed to answer."""
MAX_BUCKETS = 100_000

# Redis' own clock, so that those of the hosts need not agree. Whole microseconds, written out: by itself Lua would
# write such a number with 14 digits.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval
local wait = full_at - now - interval * burst
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return 0
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second; after a pause, so many at once."""

    per_second: float
    burst: int

    @property
    def interval_us(self) -> int:
        """Microseconds in which one token comes back, rounded so that no more come than promised."""
        return ceil(1e6 / self.per_second)


class Buckets(Protocol):
    """A bucket of tokens for each name."""

    async def take(self, name: str) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        ...


class LocalBuckets:
    """Buckets in this process.

    Parameters
    ----------
    rate : Rate
        Of every bucket.
    clock : callable, optional
        Seconds that only grow.
    """

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._full_at: dict[str, int] = {}

    async def take(self, name: str) -> float:
        """See `Buckets.take`."""
        now, interval = int(self._clock() * 1e6), self._rate.interval_us
        full_at = max(self._full_at.get(name, 0), now) + interval
        wait = full_at - now - interval * self._rate.burst
        if wait > 0:
            return wait / 1e6
        if len(self._full_at) >= MAX_BUCKETS:
            # A full bucket is one that need not be remembered.
            self._full_at = {each: at for each, at in self._full_at.items() if at > now}
            if len(self._full_at) >= MAX_BUCKETS:
                self._full_at.clear()
        self._full_at[name] = full_at
        return 0.0


class SharedBuckets:
    """Buckets in Redis. While it does not answer, each process counts for itself: together N let N times as much in.

    Parameters
    ----------
    redis : Redis
        With short timeouts and without retries: requests wait for it.
    rate : Rate
        Of every bucket.
    """

    def __init__(self, redis: "Redis", rate: Rate) -> None:
        self._take, self._rate, self._own = redis.register_script(_TAKE), rate, LocalBuckets(rate)
        self._asks_again_at = 0.0

    async def take(self, name: str) -> float:
        """See `Buckets.take`."""
        from redis import RedisError

        if monotonic() >= self._asks_again_at:
            try:
                wait = await self._take([f"coldstart:rate:{name}"], [self._rate.interval_us, self._rate.burst])
            except (RedisError, OSError) as error:
                _log.warning("rates are counted by this process alone: Redis failed", extra={"error": repr(error)})
                self._asks_again_at = monotonic() + PAUSE_S
            else:
                return float(wait) / 1e6
        return await self._own.take(name)


@asynccontextmanager
async def open_buckets(settings: Settings) -> AsyncIterator[Buckets | None]:
    """What the settings ask for; ``None`` for no limit.

    Raises
    ------
    MissingExtra
        Where Redis is to be used and its client is not installed.
    """
    if settings.rate_limit is None:
        yield None
        return
    rate = Rate(settings.rate_limit, settings.rate_burst)
    if settings.rates_url is None:
        yield LocalBuckets(rate)
        return
    async with _connected(settings.rates_url) as redis:
        yield SharedBuckets(redis, rate)


def _connected(url: str) -> "Redis":
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ModuleNotFoundError:
        raise MissingExtra("redis", extra="redis", purpose="Sharing rate limits through Redis") from None
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), retries=0)
    )
