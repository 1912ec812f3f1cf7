"""`zserve bench`: measure how fast a service answers."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict

from zserve_client._load_test import Load, LoadReport, run_load
from zserve_client.cli.command import Command, add_model_option, token_of_environment
from zserve_client.cli.progress import ProgressBar

EXAMPLES = """\
  zserve bench                                         eight clients, one image per request, 10 s
  zserve bench --n 64 --concurrency 32 --duration 30
  zserve bench --json > after.json                     JSON for programs

Each request has a different seed, so that no cache can answer it. If the service runs on this
machine, it shares the processors with the clients, and the latencies include that."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve bench`."""
    parser.add_argument("--n", type=_positive, default=1, help="images per request (default: 1)")
    parser.add_argument(
        "--concurrency", type=_positive, default=8, help="number of clients (default: 8)"
    )
    parser.add_argument("--duration", type=float, default=10.0, help="seconds (default: 10)")
    parser.add_argument(
        "--warm-up",
        type=float,
        default=1.0,
        help="seconds before the measurement (default: 1)",
    )
    add_model_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Put the load on the service, and print the report."""
    load = Load(options.n, options.concurrency, options.duration, options.warm_up, options.model)
    total_s = round(load.warm_up_s + load.duration_s)
    with ProgressBar("s") as progress:
        report = asyncio.run(
            run_load(
                options.url,
                load,
                token=token_of_environment(),
                progress=lambda elapsed_s: progress.show(round(elapsed_s), total_s),
            )
        )
    print(json.dumps(asdict(report), indent=1) if options.json else _as_text(report))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _as_text(report: LoadReport) -> str:
    latencies = {"p50": report.p50_ms, "p95": report.p95_ms, "p99": report.p99_ms}
    latencies["worst"] = report.worst_ms
    clients = f"from {report.concurrency} clients, images per request: {report.n}"
    lines = [
        f"{report.model}: {report.answers} answers in {report.duration_s:.1f} s {clients}",
        f"  {report.answers_per_s:.1f} answers/s, {report.images_per_s:.1f} images/s",
        "  " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in latencies.items()),
    ]
    if report.queue_p50_ms is not None and report.inference_p50_ms is not None:
        lines.append(
            f"  in the service, p50: {report.queue_p50_ms:.2f} ms in the queue, "
            f"{report.inference_p50_ms:.2f} ms of computation"
        )
    lines += [f"  refused: {count} x {name}" for name, count in report.refused.items()]
    return "\n".join(lines)


COMMAND = Command("bench", "measure how fast the service answers", EXAMPLES, add_options, run)
