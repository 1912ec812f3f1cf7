"""A run as Markdown, JSON and a plot."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.serving import criteria, servers
from benchmarks.serving.criteria import chosen, targets
from benchmarks.serving.models import DEFAULT, LAB
from benchmarks.serving.results import NOT_MODIFIED, Cell, Results, paired
from benchmarks.serving.statistics import Estimate, estimate, ratio

FEW = 100
"""Below so many answers a round, a p99 says little: it is marked."""


def write(results: Results, folder: Path) -> str:
    """serving.json, serving.md and serving.png; the Markdown is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    (folder / "serving.json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    (folder / "serving.md").write_text(text)
    plot(results, folder / "serving.png")
    return text


def markdown(results: Results) -> str:
    """All tables."""
    parts = ["# zserve beside other servers", _facts(results), _target_table(results)]
    for model in (LAB, DEFAULT):
        parts += [_load_table(results, model), _start_table(results, model)]
    parts.append(_settings(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(results: Results) -> str:
    lines = [f"- {name}: {value}" for name, value in results.facts.items()]
    lines += [f"- {note}" for note in results.notes]
    lines += [f"- **left out**: {name}: {why}" for name, why in results.left_out.items()]
    return "\n".join(lines)


def _target_table(results: Results) -> str:
    rows = [
        [
            target.what + (f" ({target.remark})" if target.remark else ""),
            f"{target.reach:g}{target.unit}",
            f"{target.stretch:g}{target.unit}",
            _shown(target.measured, target.unit),
            target.verdict,
        ]
        for target in targets(results)
    ]
    head = ["MLP, n=16, one run", "reach", "stretch", "measured", "verdict"]
    return "## Targets\n\n" + _table(head, rows)


def _load_table(results: Results, model: str) -> str:
    rows = []
    cells = sorted(
        {(s.n, s.connections) for s in results.samples if s.model == model},
        key=lambda cell: (cell[0] == NOT_MODIFIED, cell),
    )
    for n, connections in cells:
        cell = Cell(n, connections)
        for server in results.servers:
            row = _load_row(results, model, server, cell)
            rows += [row] if row else []
    if not rows:
        return ""
    head = ["n", "connections", "server", "requests/s", "zserve to it", "p50 ms", "p99 ms"]
    head.append("CPU ms")
    note = (
        "Medians over the rounds, in brackets their order-statistic interval; ratios are taken "
        "round by round. CPU ms: of all processes of the server, a request. "
        f"* fewer than {FEW} answers in a round."
    )
    return f"## {_name(results, model)}\n\n{note}\n\n" + _table(head, rows)


def _load_row(results: Results, model: str, server: str, cell: Cell) -> list[str] | None:
    asked = (server, model, cell.n, cell.connections)
    samples = [s for s in results.samples if (s.server, s.model, s.n, s.connections) == asked]
    if not samples:
        return None
    shown_n = "304" if cell.n == NOT_MODIFIED else str(cell.n)
    if not all(s.requests for s in samples):
        return [shown_n, str(cell.connections), server, "no answer in time", "", "", "", ""]
    few = "*" if min(s.requests for s in samples) < FEW else ""
    mine, its = paired(
        results.series(servers.ZSERVE, model, cell), results.series(server, model, cell)
    )
    against = _shown(ratio(mine, its), "x") if mine and server != servers.ZSERVE else ""
    return [
        shown_n,
        str(cell.connections),
        server,
        _shown(estimate([s.requests_per_s for s in samples]), "") + few,
        against,
        f"{estimate([s.p50_ms for s in samples]).median:.2f}",
        f"{estimate([s.p99_ms for s in samples]).median:.2f}{few}",
        f"{estimate([s.cpu_ms for s in samples]).median:.2f}",
    ]


def _start_table(results: Results, model: str) -> str:
    rows = []
    for server in results.servers:
        starts = [s for s in results.starts if (s.server, s.model) == (server, model)]
        if starts:
            rows.append(
                [
                    server,
                    _shown(estimate([s.ready_s for s in starts]), ""),
                    f"{estimate([s.rss_mb for s in starts]).median:.0f}",
                    f"{estimate([s.pss_mb for s in starts]).median:.0f}",
                    str(max(s.processes for s in starts)),
                ]
            )
    if not rows:
        return ""
    head = ["server", "first answer after start, s", "RSS MiB", "PSS MiB", "processes"]
    return f"### Start and memory, {model}, after its loads of n=16\n\n" + _table(head, rows)


def _settings(results: Results) -> str:
    rows = []
    for server, tried in results.tuning.items():
        best = chosen(results.chosen.get(server, {}))
        shown = "; ".join(f"{what}: {value:,.0f}/s" for what, value in tried.items())
        rows.append([server, results.servers.get(server, ""), shown, best])
    head = ["server", "what it is", "tried (MLP, n=16, 32 connections)", "taken"]
    return "## Settings\n\n" + _table(head, rows)


def _name(results: Results, model: str) -> str:
    return f"{'MLP' if model == LAB else 'Default model'}: {results.facts.get(model, model)}"


def _shown(value: Estimate | None, unit: str) -> str:
    if value is None:
        return criteria.NOT_MEASURED
    digits = 0 if abs(value.median) >= 100 else 2
    shown = f"{value.median:,.{digits}f}{unit}"
    if value.rounds > 1:
        shown += f" [{value.low:,.{digits}f}, {value.high:,.{digits}f}]"
    return shown


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- the plot ----------------------------------------------------------------------------------


def plot(results: Results, file: Path) -> None:
    """Requests a second of each server, n=16 and 32 connections, with intervals; log scale."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only needed at the end

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True, layout="constrained")
    for axis, model in zip(axes, (LAB, DEFAULT), strict=True):
        bars = _bars(results, model)
        names = list(bars)
        medians = [bars[name].median for name in names]
        below = [bars[name].median - bars[name].low for name in names]
        above = [bars[name].high - bars[name].median for name in names]
        colours = ["#1f77b4" if name.startswith("zserve") else "#b0b7bf" for name in names]
        axis.barh(names, medians, xerr=[below, above], color=colours, ecolor="#444444", capsize=3)
        for row, median in enumerate(medians):
            axis.annotate(
                f"{median:,.0f}",
                (bars[names[row]].high, row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        if names:
            axis.set_xscale("log")
            axis.margins(x=0.15)
        axis.set_title(f"{'MLP' if model == LAB else 'default model'}, n=16, 32 connections")
        axis.set_xlabel("requests/s")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _bars(results: Results, model: str) -> Mapping[str, Estimate]:
    """Server -> requests a second, the fastest last: barh draws upwards."""
    found = {}
    for server in results.servers:
        values = list(results.series(server, model, criteria.BUSY).values())
        if values:
            found[server] = estimate(values)
    return dict(sorted(found.items(), key=lambda item: item[1].median))
