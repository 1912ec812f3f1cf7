"""The measured tables in benchmarks/results/, one JSON and one Markdown file a day and machine."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common.machine import Machine

RESULTS = Path(__file__).parents[1] / "results"


def add_record_option(parser: argparse.ArgumentParser) -> None:
    """Add `--record`."""
    parser.add_argument(
        "--record",
        action="store_true",
        help="append the result to benchmarks/results/YYYY-MM-DD-<machine>.json and .md",
    )


def record(
    benchmark: str,
    machine: Machine,
    markdown: str,
    values: Mapping[str, Any],
    folder: Path = RESULTS,
) -> Path:
    """Append a run to the files of its day and machine; return the path of the Markdown file.

    `markdown` has no heading above level 3. The Markdown file is written anew from the JSON file,
    so that both always hold the same runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{machine.started[:10]}-{machine.slug()}.json"
    runs = json.loads(path.read_text()) if path.exists() else []
    runs.append(
        {"benchmark": benchmark, "machine": asdict(machine), "markdown": markdown, **values}
    )
    path.write_text("[\n" + ",\n".join(json.dumps(run) for run in runs) + "\n]\n")
    page = path.with_suffix(".md")
    page.write_text(f"# {path.stem}\n\n" + "\n".join(_section(run) for run in runs))
    return page


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(run: Mapping[str, Any]) -> str:
    machine = Machine(**run["machine"])
    facts = "\n".join(f"- {label}: {text}" for label, text in machine.lines().items())
    return f"## {run['benchmark']}\n\n{facts}\n\n{run['markdown'].strip()}\n"
