"""The values that a run measured, and the queries of the report. Plain data, saved as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.serving.load_points import LoadPoint

ZSERVE = "zserve"
"""Name of the server that all others are compared with."""


@dataclass(frozen=True)
class Measurement:
    """One run of the load generator against one server."""

    round: int
    model: str
    server: str
    point: LoadPoint
    requests_per_s: float
    requests: int
    p50_ms: float
    p99_ms: float
    timeouts: int
    checked: int
    """Answers that were decoded and checked tile by tile."""
    cpu_ms: float
    """CPU time (ms) of all processes of the server per request; excludes waiting for a core."""


@dataclass(frozen=True)
class Startup:
    """One start of one server; memory in MiB over all its processes, after a load of n=16."""

    round: int
    model: str
    server: str
    ready_s: float
    rss_mb: float
    pss_mb: float
    processes: int


@dataclass(frozen=True)
class NetworkOnly:
    """Calls per second of the network in a loop without a server, in one round."""

    round: int
    model: str
    calls_per_s: float


@dataclass
class Results:
    """Everything that one run measured."""

    conditions: dict[str, str] = field(default_factory=dict)
    """Machine, versions and load settings: label -> text."""
    models: dict[str, str] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Server -> reason."""
    unconfirmed: dict[str, str] = field(default_factory=dict)
    """Server -> why its fast mode is not confirmed. No ratio to such a server is computed."""
    tuning: dict[str, dict[str, float]] = field(default_factory=dict)
    """Server -> settings -> requests per second."""
    chosen_settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seeded_sha256: dict[str, str] = field(default_factory=dict)
    """Server -> SHA-256 of the PNG of one seeded request."""
    measurements: list[Measurement] = field(default_factory=list)
    startups: list[Startup] = field(default_factory=list)
    network_only: list[NetworkOnly] = field(default_factory=list)
    png_ratio: list[float] = field(default_factory=list)
    """Size of zserve's PNGs without metadata, relative to Pillow's default, n=16."""
    png_ratio_with_metadata: list[float] = field(default_factory=list)
    """Size of zserve's PNGs with a `parameters` chunk, relative to Pillow's default, n=16."""

    def as_json(self) -> dict[str, Any]:
        """Return plain dictionaries and lists."""
        return asdict(self)

    def at(self, server: str, model: str, point: LoadPoint) -> list[Measurement]:
        """Return the measurements of a server at a load point."""
        key = (server, model, point)
        return [m for m in self.measurements if (m.server, m.model, m.point) == key]

    def series(
        self, server: str, model: str, point: LoadPoint, quantity: str = "requests_per_s"
    ) -> dict[int, float]:
        """Return round -> value of a field of Measurement."""
        return {
            m.round: float(getattr(m, quantity))
            for m in self.at(server, model, point)
            if m.requests > 0
        }

    def pair_with(
        self, server: str, model: str, point: LoadPoint, quantity: str = "requests_per_s"
    ) -> tuple[list[float], list[float]]:
        """Return zserve's values and the server's, for the rounds that have both.

        Both lists are empty if the server's fast mode is not confirmed: a ratio to a peer that
        runs in a slower mode than its own best would be unfair.
        """
        if server in self.unconfirmed:
            return [], []
        return paired(
            self.series(ZSERVE, model, point, quantity),
            self.series(server, model, point, quantity),
        )

    def startup_series(self, server: str, model: str, quantity: str) -> dict[int, float]:
        """Return round -> value of a field of Startup."""
        return {
            s.round: float(getattr(s, quantity))
            for s in self.startups
            if (s.server, s.model) == (server, model)
        }

    def network_only_series(self, model: str) -> dict[int, float]:
        """Return round -> calls per second of the network without a server."""
        return {
            entry.round: entry.calls_per_s for entry in self.network_only if entry.model == model
        }


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """Return the values of the rounds that both have, in order."""
    rounds = sorted(a.keys() & b.keys())
    return [a[r] for r in rounds], [b[r] for r in rounds]
