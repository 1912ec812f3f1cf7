"""What a run measured: plain values, saved as JSON, looked up by the report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NOT_MODIFIED = -304
"""`n` of the answers to If-None-Match."""


@dataclass(frozen=True)
class Cell:
    """What is asked: n images a request, over so many connections."""

    n: int
    connections: int


@dataclass(frozen=True)
class Sample:
    """One run of the load generator against one server."""

    round: int
    model: str
    server: str
    n: int
    connections: int
    requests_per_s: float
    requests: int
    p50_ms: float
    p99_ms: float
    timeouts: int
    checked: int
    cpu_ms: float
    """CPU time of the server's processes for one request: it counts no waiting for a core."""


@dataclass(frozen=True)
class Start:
    """One start of one server; MiB after its loads of n=16, over all its processes."""

    round: int
    model: str
    server: str
    ready_s: float
    rss_mb: float
    pss_mb: float
    processes: int


@dataclass(frozen=True)
class Loop:
    """The bare network in one round."""

    round: int
    model: str
    calls_per_s: float


@dataclass
class Results:
    """Everything of one run."""

    facts: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    tuning: dict[str, dict[str, float]] = field(default_factory=dict)
    chosen: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    png_ratio: list[float] = field(default_factory=list)
    """Bytes against Pillow's default, n = 16: the picture alone, and with its parameters in it."""
    told_png_ratio: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    def series(
        self, server: str, model: str, cell: Cell, what: str = "requests_per_s"
    ) -> dict[int, float]:
        """Round -> value of one cell."""
        wanted = (server, model, cell.n, cell.connections)
        return {
            s.round: float(getattr(s, what))
            for s in self.samples
            if (s.server, s.model, s.n, s.connections) == wanted and s.requests > 0
        }

    def started(self, server: str, model: str, what: str) -> dict[int, float]:
        """Round -> ready_s, rss_mb or pss_mb."""
        return {
            s.round: float(getattr(s, what))
            for s in self.starts
            if (s.server, s.model) == (server, model)
        }

    def loop(self, model: str) -> dict[int, float]:
        """Round -> calls a second of the bare network."""
        return {loop.round: loop.calls_per_s for loop in self.loops if loop.model == model}


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """The values of the rounds that both have, in order."""
    rounds = sorted(a.keys() & b.keys())
    return [a[r] for r in rounds], [b[r] for r in rounds]
