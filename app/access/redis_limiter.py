"""Limit rates in Redis, so that all workers and machines count together."""

import logging
import time
from collections.abc import Callable

from redis import asyncio as redis
from redis.exceptions import RedisError

from app.access.limiter import Limiter, MemoryLimiter
from app.rates import Rate

log = logging.getLogger("zserve")

TIMEOUT_S = 0.25
"""Longest wait for Redis, in seconds."""
PAUSE_S = 5.0
"""Seconds without an attempt after Redis failed, so that requests do not wait for it one by one."""

# Redis runs a script as one step, and its own clock is the same for all workers.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local interval, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local wait = full_at + interval - period - now
if wait > 0.000001 then return tostring(wait) end
full_at = full_at + interval
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000))
return '0'
"""


class RedisLimiter:
    """Limit the rate of each client in Redis; while Redis fails, in this process.

    Args:
        rate: Rate that each client may have.
        url: Address of Redis.
        name: Name of the limit, which is part of its keys.
        clock: Returns a monotonic time in seconds.
    """

    def __init__(
        self, rate: Rate, url: str, *, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self._name = name
        self._clock = clock
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._script = self._redis.register_script(_TAKE)
        self._fallback: Limiter = MemoryLimiter(rate)
        self._retry_at = 0.0

    async def take(self, client: str) -> float:
        """Count a request, and return 0; if it exceeds the rate, return the seconds to wait."""
        if self._clock() >= self._retry_at:
            try:
                arguments = [self.rate.interval_s, self.rate.period_s]
                wait_s = float(await self._script(keys=[self._key(client)], args=arguments))
            except (RedisError, OSError) as error:
                self._pause(error)
            else:
                self._retry_at = 0.0
                return wait_s
        return await self._fallback.take(client)

    async def forget(self, client: str) -> None:
        """Give a client its whole allowance back."""
        await self._fallback.forget(client)
        if self._clock() >= self._retry_at:
            try:
                await self._redis.delete(self._key(client))
            except (RedisError, OSError) as error:
                self._pause(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _key(self, client: str) -> str:
        return f"zserve:{self._name}:{client}"

    def _pause(self, error: Exception) -> None:
        """Count in this process for a while; log the first failure of an outage."""
        if self._retry_at == 0.0:
            log.warning(
                "Redis cannot count requests (%s): each worker counts its own until it can",
                str(error).partition("\n")[0] or type(error).__name__,
            )
        self._retry_at = self._clock() + PAUSE_S
