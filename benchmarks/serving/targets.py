"""The performance targets: goal, measured value and verdict. Pure functions of the results."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.common.statistics import Estimate, difference, estimate, ratio
from benchmarks.serving import peer_servers, servers
from benchmarks.serving.exported_models import DEFAULT, LAB
from benchmarks.serving.load_points import N1_C32, N16_C1, N16_C32, NOT_MODIFIED, LoadPoint
from benchmarks.serving.results import ZSERVE, Results, paired

NOT_MEASURED = "not measured"
MB_PER_MIB = 1.048576


@dataclass(frozen=True)
class Target:
    """One line of the table of targets."""

    quantity: str
    goal: float
    stretch_goal: float
    unit: str
    measured: Estimate | None
    remark: str = ""
    at_most: bool = False
    """True if the goals are upper bounds."""

    @property
    def verdict(self) -> str:
        """Compare the median with the goals."""
        if self.measured is None:
            return NOT_MEASURED
        if self._meets(self.stretch_goal):
            return "stretch goal met"
        return "goal met" if self._meets(self.goal) else "missed"

    def _meets(self, goal: float) -> bool:
        value = self.measured.median if self.measured else float("nan")
        return value <= goal if self.at_most else value >= goal


def targets(results: Results) -> list[Target]:
    """Return all targets; those without a model and size are for the MLP and n=16."""
    return [*_against_peers(results), *_latency(results), *_own_features(results)]


def _against_peers(results: Results) -> list[Target]:
    best = best_of(results, (peer_servers.LITSERVE, peer_servers.BENTOML, peer_servers.TEXTBOOK))
    remark = f"the best is {best}; {_cpu_time_remark(results, best)}" if best else ""
    peers = [
        ("the best of LitServe, BentoML, textbook FastAPI", 4.0, 6.0, best, remark),
        ("mosec", 1.2, 2.0, peer_servers.MOSEC, _cpu_time_remark(results, peer_servers.MOSEC)),
        (
            "constant-PNG FastAPI",
            0.5,
            0.7,
            peer_servers.CONSTANT,
            _cpu_time_remark(results, peer_servers.CONSTANT),
        ),
    ]
    return [
        Target(f"requests/s against {name}", goal, stretch, "x", _rate_ratio(results, peer), remark)
        for name, goal, stretch, peer, remark in peers
    ]


def _latency(results: Results) -> list[Target]:
    latency = results.pair_with(peer_servers.CONSTANT, LAB, N16_C1, "p50_ms")
    ready_s = list(results.startup_series(ZSERVE, LAB, "ready_s").values())
    rss_mib = results.startup_series(ZSERVE, LAB, "rss_mb").values()
    return [
        Target(
            "latency at 1 connection, p50, above constant-PNG FastAPI",
            0.8,
            0.4,
            " ms",
            _compared(difference, latency),
            at_most=True,
        ),
        Target("ready after start", 5, 2, " s", _estimated(ready_s), at_most=True),
        Target(
            "resident memory, one worker",
            500,
            350,
            " MB",
            _estimated([mib * MB_PER_MIB for mib in rss_mib]),
            at_most=True,
        ),
    ]


def _own_features(results: Results) -> list[Target]:
    network = paired(results.series(ZSERVE, DEFAULT, N16_C32), results.network_only_series(DEFAULT))
    return [
        _batching(results),
        _not_modified(results),
        Target(
            "PNG bytes against Pillow's default",
            1.1,
            1.0,
            "x",
            _estimated(results.png_ratio),
            f"with metadata {_median(results.png_ratio_with_metadata)}x",
            at_most=True,
        ),
        Target(
            "default model against its network in a loop without a server",
            0.8,
            0.9,
            "x",
            _compared(ratio, network),
        ),
        _telemetry(results),
    ]


def best_of(results: Results, names: tuple[str, ...]) -> str | None:
    """Return the server with the highest median of requests per second."""
    medians = {}
    for name in names:
        values = list(results.series(name, LAB, N16_C32).values())
        if values:
            medians[name] = estimate(values).median
    return max(medians, key=lambda name: medians[name]) if medians else None


def _rate_ratio(results: Results, other: str | None, point: LoadPoint = N16_C32) -> Estimate | None:
    """Estimate zserve's requests per second relative to another server's."""
    return _compared(ratio, results.pair_with(other, LAB, point)) if other else None


def _cpu_time_remark(results: Results, other: str) -> str:
    """Return the ratio by CPU time, which other work on the machine hardly affects."""
    mine, its = results.pair_with(other, LAB, N16_C32, "cpu_ms")
    return f"by CPU time per request {ratio(its, mine).median:.2f}x" if mine else ""


def _batching(results: Results) -> Target:
    """Compare with the same server without batching.

    A request for n=16 fills a batch by itself, so batching matters more for small requests; the
    remark has their ratio.
    """
    large = _rate_ratio(results, servers.UNBATCHED)
    small = _rate_ratio(results, servers.UNBATCHED, N1_C32)
    remark = f"with n=1 {small.median:.2f}x" if small else ""
    return Target("batching at 32 connections against without", 1.3, 2, "x", large, remark)


def _telemetry(results: Results) -> Target:
    """Compare metrics, headers and a log line per request with none of them."""
    without = results.series(servers.NO_TELEMETRY, LAB, N16_C32)
    logged = paired(results.series(servers.REQUEST_LOG, LAB, N16_C32), without)
    unlogged = _rate_ratio(results, servers.NO_TELEMETRY)
    return Target(
        "requests/s with telemetry and a log line per request, against without",
        0.95,
        1,
        "x",
        _compared(ratio, logged),
        f"without log lines {unlogged.median:.2f}x" if unlogged else "",
    )


def _not_modified(results: Results) -> Target:
    mine = results.series(ZSERVE, LAB, NOT_MODIFIED)
    constant = results.series(peer_servers.CONSTANT, LAB, N16_C32)
    return Target(
        "304 answers against constant-PNG FastAPI",
        0.8,
        1,
        "x",
        _compared(ratio, paired(mine, constant)),
        "" if mine else "a seeded GET /generate gave no 304",
    )


def _compared(
    comparison: Callable[[list[float], list[float]], Estimate],
    pair: tuple[list[float], list[float]],
) -> Estimate | None:
    return comparison(*pair) if pair[0] else None


def _median(values: list[float]) -> str:
    return f"{estimate(values).median:.2f}" if values else "?"


def _estimated(values: list[float]) -> Estimate | None:
    return estimate(values) if values else None
