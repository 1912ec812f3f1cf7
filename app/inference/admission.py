"""Decide whether a request may join the queue, by the time that it would wait.

A request is refused if its answer would take longer than a target. A request that takes longer by
itself is admitted if it need not wait for more than the batches that keep the computation busy.

Once requests had to be refused, the service is overloaded: a queue of a whole target of work would
then only make every admitted request wait that long, without computing more. Until the overload
ends, requests are therefore admitted only up to a short wait. A client that used less than half of
an equal share lately is admitted up to the target nevertheless.

All times are in seconds.
"""

import math
from contextvars import ContextVar
from dataclasses import dataclass

from app.inference.fair_queue import Backlog

SHORT_WAIT_S = 0.01
"""Wait (s) that is always short."""
SHORT_WAIT_REQUESTS = 4
"""Number of requests of usual size whose computation is a short wait."""
SHORT_WAIT_BATCHES = 2
"""Number of full batches whose computation is a short wait: one runs, and the next is complete."""
CALM_SHARE = 0.1
"""Share of refused requests below which an overload has ended."""
CALM_PERIOD_S = 1.0
"""Period (s) over which the share of refused requests is counted."""
_ROUNDING = 1e-6
"""Share of a turn that is an error of rounding, and no turn of its own."""
_USUAL_REQUESTS = 32
"""Number of requests after which an old request has lost most of its weight in the usual size."""


@dataclass(slots=True)
class Ticket:
    """The client of an HTTP request, and whether the request was admitted.

    Further calls to the engine of a request that was admitted are not refused: its first results
    would be lost.
    """

    client: str = ""
    """Address of the client; empty for the service itself."""
    admitted: bool = False


TICKET: ContextVar[Ticket | None] = ContextVar("ticket", default=None)
"""Ticket of the request that the current task handles."""


def wait_s(backlog: Backlog, work_s: float, turn_s: float) -> float:
    """Return an estimate of the computing time between a request's arrival and its end.

    The request's own computing time `work_s` is not included, nor is the batch that runs already.
    `turn_s` is the time of a full batch. Jobs that arrive later are not considered.

    While the rows of the request are computed, each job of its client gets as many turns as the
    request needs; each other client gets at most as much time as this client, and one turn more.
    The last batch may have rows of others as well. All of this together is not more than the work
    that waits. Batches of others that are filled up can add a turn per client.
    """
    turns = math.ceil(work_s / turn_s - _ROUNDING)
    own_s = min(backlog.own_s, (backlog.own_jobs * turns + 1) * turn_s)
    others_s = backlog.total_s - backlog.own_s
    return own_s + min(others_s, backlog.other_clients * (own_s + work_s + turn_s))


class Usage:
    """Computing time that each client was admitted for lately; older time counts less.

    `memory_s` is the time after which it counts for 1/e.
    """

    MOST_CLIENTS = 1024

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._used: dict[str, float] = {}  # times exp(at / memory_s), so that nothing must decay
        self._total = 0.0
        self._began_s = 0.0

    def add(self, client: str, work_s: float, now_s: float) -> None:
        """Record work that was admitted."""
        if now_s - self._began_s > 30 * self._memory_s or len(self._used) >= self.MOST_CLIENTS:
            self._forget(now_s)
        weighted = work_s * self._weight(now_s)
        self._used[client] = self._used.get(client, 0.0) + weighted
        self._total += weighted

    def is_small(self, client: str, work_s: float, now_s: float) -> bool:
        """Return True if a client stays below half of an equal share, this work included."""
        if not self._used:
            return False
        share = self._total / (len(self._used) + (client not in self._used))
        return self._used.get(client, 0.0) + work_s * self._weight(now_s) <= share / 2

    @property
    def clients(self) -> int:
        """Number of clients that are remembered."""
        return len(self._used)

    def _weight(self, now_s: float) -> float:
        return math.exp(min(600.0, (now_s - self._began_s) / self._memory_s))

    def _forget(self, now_s: float) -> None:
        """Let time begin now, and drop the clients that used least."""
        old = self._weight(now_s)
        kept = sorted(self._used.items(), key=lambda item: -item[1])[: self.MOST_CLIENTS // 2]
        self._used = {client: used / old for client, used in kept if used > self._total / 1000}
        self._total = sum(self._used.values())
        self._began_s = now_s


class Admission:
    """The decisions, and the state of overload. `target_s` is the longest time to an answer."""

    def __init__(self, target_s: float) -> None:
        self.target_s = target_s
        self.overloaded = False
        self._usage = Usage(memory_s=target_s)
        self._usual_s = 0.0
        self._period_began_s = 0.0
        self._asked = 0
        self._refused = 0

    def admits(
        self,
        client: str,
        work_s: float,
        expected_wait_s: float,
        turn_s: float,
        now_s: float,
    ) -> bool:
        """Return True if a request may join the queue.

        `work_s` is its own time, `turn_s` that of a full batch of its model, computation alone.
        """
        if now_s - self._period_began_s > 2 * CALM_PERIOD_S:
            self.overloaded = False  # there was no request for a whole period
        busy_s = min(self.target_s, max(SHORT_WAIT_S, SHORT_WAIT_BATCHES * turn_s))
        limit_s = max(self.target_s - work_s, busy_s)
        if self.overloaded:
            short_s = max(busy_s, SHORT_WAIT_REQUESTS * self._usual_s)
            if expected_wait_s > short_s and not self._usage.is_small(client, work_s, now_s):
                return False
        return expected_wait_s <= limit_s

    def admitted(self, client: str, work_s: float, now_s: float) -> None:
        """Record a request that was admitted while others waited, or during an overload."""
        self._usual_s = self._usual_s or work_s
        self._usual_s += (work_s - self._usual_s) / _USUAL_REQUESTS
        self._usage.add(client, work_s, now_s)
        self._count(0, now_s)

    def refused(self, expected_wait_s: float, now_s: float, *, room_s: float = math.inf) -> None:
        """Record a request that was refused.

        `room_s` is the computing time of the images for which the queue still has room.
        """
        usual_is_late = expected_wait_s + self._usual_s > self.target_s
        if not self.overloaded and (usual_is_late or self._usual_s > room_s):
            self.overloaded = True
            self._period_began_s, self._asked, self._refused = now_s, 0, 0
        self._count(1, now_s)

    def _count(self, refused: int, now_s: float) -> None:
        """Count a request, and end the overload if few were refused during a whole period."""
        self._asked += 1
        self._refused += refused
        if now_s - self._period_began_s < CALM_PERIOD_S:
            return
        if self._refused < CALM_SHARE * self._asked:
            self.overloaded = False
        self._period_began_s, self._asked, self._refused = now_s, 0, 0
