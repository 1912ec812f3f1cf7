"""Write a run as Markdown, JSON and a plot."""

import json
from pathlib import Path

from benchmarks.common.recording import table
from benchmarks.common.statistics import Estimate, estimate, ratio
from benchmarks.serving.exported_models import DEFAULT, LAB
from benchmarks.serving.load_points import LoadPoint
from benchmarks.serving.plot import plot
from benchmarks.serving.results import ZSERVE, Measurement, Results
from benchmarks.serving.servers import BASELINE, describe
from benchmarks.serving.targets import NOT_MEASURED, targets

FEW_ANSWERS = 100
"""Answers in a round below which a p99 means little; such values are marked."""


def write(results: Results, folder: Path) -> str:
    """Write serving.json, serving.md and serving.png; return the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    (folder / "serving.json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    (folder / "serving.md").write_text(text)
    plot(results, folder / "serving.png")
    return text


def markdown(results: Results) -> str:
    """Return the whole report."""
    conditions = "\n".join(f"- {label}: {text}" for label, text in results.conditions.items())
    parts = ["# zserve compared with other servers", conditions, body(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def body(results: Results) -> str:
    """Return the report without its title and conditions; headings are of level 3."""
    parts = [_notes(results), _baseline_table(results), _target_table(results)]
    for model in (LAB, DEFAULT):
        parts += [_load_table(results, model), _start_table(results, model)]
    parts.append(_settings_table(results))
    return "\n\n".join(part for part in parts if part)


def _notes(results: Results) -> str:
    lines = [f"- {note}" for note in results.notes]
    lines += [f"- **left out**: {name}: {reason}" for name, reason in results.left_out.items()]
    lines += [
        f"- **no ratio to {name}**: its fast mode is not confirmed: {reason}"
        for name, reason in results.unconfirmed.items()
    ]
    return "\n".join(lines)


def _baseline_table(results: Results) -> str:
    rows = []
    for model in (LAB, DEFAULT):
        for point in _points(results, model):
            ratios = [
                _formatted(ratio(*pair), "x") if pair[0] else NOT_MEASURED
                for pair in (
                    results.pair_with(BASELINE, model, point, quantity)
                    for quantity in ("requests_per_s", "cpu_ms", "p50_ms")
                )
            ]
            if results.at(BASELINE, model, point):
                rows.append([model, str(point), *ratios])
    if not rows:
        return ""
    hashes = results.seeded_sha256
    same = "the same bytes" if hashes.get(BASELINE) == hashes.get(ZSERVE) else "OTHER BYTES"
    head = ["model", "load", "requests/s", "CPU time per request", "p50"]
    text = f"zserve / baseline, round by round. A seeded grid is {same} in both."
    return f"### Against the baseline\n\n{text}\n\n" + table(head, rows)


def _target_table(results: Results) -> str:
    rows = [
        [
            target.quantity + (f" ({target.remark})" if target.remark else ""),
            f"{target.goal:g}{target.unit}",
            f"{target.stretch_goal:g}{target.unit}",
            _formatted(target.measured, target.unit),
            target.verdict,
        ]
        for target in targets(results)
    ]
    head = ["MLP, n=16", "goal", "stretch goal", "measured", "verdict"]
    return "### Targets\n\n" + table(head, rows)


def _points(results: Results, model: str) -> list[LoadPoint]:
    points = {m.point for m in results.measurements if m.model == model}
    return sorted(points, key=lambda point: (point.status, point.n, point.connections))


def _load_table(results: Results, model: str) -> str:
    rows = [
        _load_row(results, server, measurements)
        for point in _points(results, model)
        for server in results.servers
        if (measurements := results.at(server, model, point))
    ]
    if not rows:
        return ""
    head = ["load", "server", "requests/s", "zserve / server", "p50 ms", "p99 ms", "CPU ms"]
    note = (
        "Medians over the rounds, with order-statistic intervals in brackets; ratios are taken "
        "round by round. CPU ms: CPU time of all processes of the server per request. "
        f"* fewer than {FEW_ANSWERS} answers in a round."
    )
    return f"### {_title(results, model)}\n\n{note}\n\n" + table(head, rows)


def _load_row(results: Results, server: str, measurements: list[Measurement]) -> list[str]:
    point, model = measurements[0].point, measurements[0].model
    if not all(m.requests for m in measurements):
        return [str(point), server, "no answer in time", "", "", "", ""]
    few = "*" if min(m.requests for m in measurements) < FEW_ANSWERS else ""
    return [
        str(point),
        server,
        _formatted(estimate([m.requests_per_s for m in measurements]), "") + few,
        _ratio_cell(results, server, model, point),
        f"{estimate([m.p50_ms for m in measurements]).median:.2f}",
        f"{estimate([m.p99_ms for m in measurements]).median:.2f}{few}",
        f"{estimate([m.cpu_ms for m in measurements]).median:.2f}",
    ]


def _ratio_cell(results: Results, server: str, model: str, point: LoadPoint) -> str:
    if server in results.unconfirmed:
        return "none, see above"
    mine, its = results.pair_with(server, model, point)
    return _formatted(ratio(mine, its), "x") if mine and server != ZSERVE else ""


def _start_table(results: Results, model: str) -> str:
    rows = []
    for server in results.servers:
        starts = [s for s in results.startups if (s.server, s.model) == (server, model)]
        if starts:
            rows.append(
                [
                    server,
                    _formatted(estimate([s.ready_s for s in starts]), ""),
                    f"{estimate([s.rss_mb for s in starts]).median:.0f}",
                    f"{estimate([s.pss_mb for s in starts]).median:.0f}",
                    str(max(s.processes for s in starts)),
                ]
            )
    if not rows:
        return ""
    head = ["server", "first answer after start, s", "RSS MiB", "PSS MiB", "processes"]
    return f"### Start and memory, {model}, after loads of n=16\n\n" + table(head, rows)


def _settings_table(results: Results) -> str:
    rows = []
    for server, note in results.servers.items():
        rates = results.tuning.get(server, {})
        tried = "; ".join(f"{settings}: {rate:,.0f}/s" for settings, rate in rates.items())
        chosen = describe(results.chosen_settings.get(server, {}))
        rows.append([server, note, tried, chosen])
    if not rows:
        return ""
    head = ["server", "description", "tried (MLP, n=16, 32 connections)", "chosen"]
    return "### Settings\n\n" + table(head, rows)


def _title(results: Results, model: str) -> str:
    name = "MLP" if model == LAB else "Default model"
    return f"{name}: {results.models.get(model, model)}"


def _formatted(value: Estimate | None, unit: str) -> str:
    if value is None:
        return NOT_MEASURED
    digits = 0 if abs(value.median) >= 100 else 2
    text = f"{value.median:,.{digits}f}{unit}"
    if value.rounds > 1:
        text += f" [{value.low:,.{digits}f}, {value.high:,.{digits}f}]"
    return text
