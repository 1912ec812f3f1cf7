"""Limit rates in the memory of one process, by the generic cell rate algorithm (GCRA).

GCRA keeps one time per client: when its allowance will be full again. It allows a burst of the whole
rate, then one request per interval, and knows how long a refused client has to wait.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from app.rates import Rate


class Limiter(Protocol):
    """Counts the requests of each client against a rate."""

    rate: Rate

    async def take(self, client: str) -> float:
        """Count a request, and return 0; if it exceeds the rate, return the seconds to wait."""
        ...

    async def forget(self, client: str) -> None:
        """Give a client its whole allowance back."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class MemoryLimiter:
    """Limit the rate of each client in this process.

    Args:
        rate: Rate that each client may have.
        max_clients: Number of clients that are counted. If there are more, the one that was refused
            or counted longest ago is forgotten, so that memory stays bounded.
        clock: Returns a monotonic time in seconds.
    """

    def __init__(
        self, rate: Rate, *, max_clients: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self._max_clients = max_clients
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, client: str) -> float:
        """Count a request, and return 0; if it exceeds the rate, return the seconds to wait."""
        now = self._clock()
        full_at = max(self._full_at.pop(client, now), now)
        wait_s = full_at + self.rate.interval_s - self.rate.period_s - now
        refused = wait_s > 1e-9
        self._full_at[client] = full_at if refused else full_at + self.rate.interval_s
        self._drop_idle(now)
        return wait_s if refused else 0.0

    async def forget(self, client: str) -> None:
        """Give a client its whole allowance back."""
        self._full_at.pop(client, None)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def __len__(self) -> int:
        """Return the number of clients that are counted."""
        return len(self._full_at)

    def _drop_idle(self, now: float) -> None:
        """Drop at most two clients, oldest first: those with a whole allowance, or one too many.

        Two for each that is added empties the dictionary, and bounds the time of a request.
        """
        for _ in range(2):
            client, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= self._max_clients:
                return
            del self._full_at[client]
            if not self._full_at:
                return
