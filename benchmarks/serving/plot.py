"""Plot the requests per second of each server."""

from pathlib import Path
from typing import Any

from benchmarks.common.statistics import Estimate, estimate
from benchmarks.serving.exported_models import DEFAULT, LAB
from benchmarks.serving.load_points import N16_C32
from benchmarks.serving.results import ZSERVE, Results

OWN_COLOUR, PEER_COLOUR = "#1f77b4", "#b0b7bf"


def plot(results: Results, file: Path) -> None:
    """Write bars with intervals, n=16 and 32 connections, one panel per model; log scale."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only needed at the end

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True, layout="constrained")
    for axis, model in zip(axes, (LAB, DEFAULT), strict=True):
        _draw_bars(axis, _rates(results, model))
        axis.set_title(f"{'MLP' if model == LAB else 'default model'}, n=16, 32 connections")
        axis.set_xlabel("requests/s")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _draw_bars(axis: Any, rates: dict[str, Estimate]) -> None:
    names = list(rates)
    medians = [rate.median for rate in rates.values()]
    below = [rate.median - rate.low for rate in rates.values()]
    above = [rate.high - rate.median for rate in rates.values()]
    colours = [OWN_COLOUR if name.startswith(ZSERVE) else PEER_COLOUR for name in names]
    axis.barh(names, medians, xerr=[below, above], color=colours, ecolor="#444444", capsize=3)
    for row, rate in enumerate(rates.values()):
        axis.annotate(
            f"{rate.median:,.0f}",
            (rate.high, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    if names:
        axis.set_xscale("log")
        axis.margins(x=0.15)


def _rates(results: Results, model: str) -> dict[str, Estimate]:
    """Return server -> requests per second, the fastest last because barh draws upwards."""
    rates = {}
    for server in results.servers:
        values = list(results.series(server, model, N16_C32).values())
        if values:
            rates[server] = estimate(values)
    return dict(sorted(rates.items(), key=lambda item: item[1].median))
