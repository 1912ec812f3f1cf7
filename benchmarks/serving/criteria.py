"""The table of targets: what was wanted, what was measured, met or missed. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.serving import servers
from benchmarks.serving.models import DEFAULT, LAB
from benchmarks.serving.results import NOT_MODIFIED, Cell, Results, paired
from benchmarks.serving.statistics import Estimate, difference, estimate, ratio

BUSY, QUIET, SMALL = Cell(16, 32), Cell(16, 1), Cell(1, 32)
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Target:
    """One line of the table."""

    what: str
    reach: float
    stretch: float
    unit: str
    measured: Estimate | None
    remark: str = ""
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """By the median: stretch met, reach met, missed."""
        if self.measured is None:
            return NOT_MEASURED
        if self._meets(self.stretch):
            return "stretch met"
        return "reach met" if self._meets(self.reach) else "missed"

    def _meets(self, goal: float) -> bool:
        value = self.measured.median if self.measured else float("nan")
        return value <= goal if self.at_most else value >= goal


def targets(results: Results) -> list[Target]:
    """Every line, from one run; the MLP and n = 16 unless it says otherwise."""
    best = best_of(results, (servers.LITSERVE, servers.BENTOML, servers.TEXTBOOK))
    return [
        Target(
            "requests/s against the best of LitServe, BentoML, textbook FastAPI",
            4,
            6,
            "x",
            _against(results, best),
            f"the best is {best}; {_by_cpu_time(results, best)}" if best else "",
        ),
        Target(
            "requests/s against mosec",
            1.2,
            2,
            "x",
            _against(results, servers.MOSEC),
            _by_cpu_time(results, servers.MOSEC),
        ),
        Target(
            "requests/s against constant-PNG FastAPI",
            0.5,
            0.7,
            "x",
            _against(results, servers.CONSTANT),
            _by_cpu_time(results, servers.CONSTANT),
        ),
        Target(
            "latency at 1 connection, p50, above constant-PNG FastAPI",
            0.8,
            0.4,
            " ms",
            _maybe(difference, *_rates(results, servers.CONSTANT, QUIET, "p50_ms")),
            at_most=True,
        ),
        _batching(results),
        _not_modified(results),
        Target(
            "PNG bytes against Pillow's default",
            1.1,
            1.0,
            "x",
            _single(results.png_ratio),
            f"with the parameters in it {_median(results.told_png_ratio)}x",
            at_most=True,
        ),
        Target(
            "ready after start",
            5,
            2,
            " s",
            _single(list(results.started(servers.ZSERVE, LAB, "ready_s").values())),
            at_most=True,
        ),
        Target(
            "resident memory, one worker",
            500,
            350,
            " MB",
            _single(
                [mib * 1.048576 for mib in results.started(servers.ZSERVE, LAB, "rss_mb").values()]
            ),
            at_most=True,
        ),
        Target(
            "default model against the same network in a bare loop",
            0.8,
            0.9,
            "x",
            _maybe(
                ratio,
                *paired(
                    results.series(servers.ZSERVE, DEFAULT, BUSY),
                    results.loop(DEFAULT),
                ),
            ),
        ),
        _telling(results),
    ]


def best_of(results: Results, names: tuple[str, ...]) -> str | None:
    """The server with the highest median of requests a second."""
    medians = {}
    for name in names:
        values = list(results.series(name, LAB, BUSY).values())
        if values:
            medians[name] = estimate(values).median
    return max(medians, key=lambda name: medians[name]) if medians else None


def _against(results: Results, other: str | None) -> Estimate | None:
    return _maybe(ratio, *_rates(results, other, BUSY)) if other else None


def _by_cpu_time(results: Results, other: str) -> str:
    """The same by CPU time, which hardly notices what else the machine does."""
    mine, its = _rates(results, other, BUSY, "cpu_ms")
    return f"by CPU time a request {ratio(its, mine).median:.2f}x" if mine else ""


def _rates(
    results: Results, other: str, cell: Cell, what: str = "requests_per_s"
) -> tuple[list[float], list[float]]:
    return paired(
        results.series(servers.ZSERVE, LAB, cell, what), results.series(other, LAB, cell, what)
    )


def _batching(results: Results) -> Target:
    """Against the same server with batching switched off.

    A request of n = 16 fills a tile by itself and shares it with nobody, so batching shows with
    small requests; they are the remark.
    """
    busy, small = (
        _maybe(
            ratio,
            *paired(
                results.series(servers.ZSERVE, LAB, cell),
                results.series(servers.UNBATCHED, LAB, cell),
            ),
        )
        for cell in (BUSY, SMALL)
    )
    remark = f"with n=1 {small.median:.2f}x" if small else ""
    return Target("batching at 32 connections against without", 1.3, 2, "x", busy, remark)


def _telling(results: Results) -> Target:
    """Metrics, headers and a log line for each request, against none of them."""
    told, untold = (
        results.series(server, LAB, BUSY) for server in (servers.LOGGED, servers.UNTOLD)
    )
    quiet = _maybe(ratio, *paired(results.series(servers.ZSERVE, LAB, BUSY), untold))
    return Target(
        "requests/s with telemetry and a log line each, against without",
        0.95,
        1,
        "x",
        _maybe(ratio, *paired(told, untold)),
        f"without the lines {quiet.median:.2f}x" if quiet else "",
    )


def _not_modified(results: Results) -> Target:
    mine = results.series(servers.ZSERVE, LAB, Cell(NOT_MODIFIED, 32))
    constant = results.series(servers.CONSTANT, LAB, BUSY)
    return Target(
        "304 answers against constant-PNG FastAPI",
        0.8,
        1,
        "x",
        _maybe(ratio, *paired(mine, constant)),
        "" if mine else "not offered: a seeded GET /generate gave no 304",
    )


def _maybe(
    compare: Callable[[list[float], list[float]], Estimate], a: list[float], b: list[float]
) -> Estimate | None:
    return compare(a, b) if a else None


def _median(values: list[float]) -> str:
    return f"{estimate(values).median:.2f}" if values else "?"


def _single(values: list[float]) -> Estimate | None:
    return estimate(values) if values else None


def chosen(settings: Mapping[str, object]) -> str:
    """Settings in words."""
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "as they come"
