"""`zserve score`: say how likely and how typical images are of a model's data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from zserve_client import Score
from zserve_client.cli.batch import Batch
from zserve_client.cli.command import Command, add_model_option, add_upload_options, connect

EXAMPLES = """\
  zserve score digit.png letter.png                    one row for each file
  zserve score *.png --model fashion-flow --draws 256  more draws for the likelihood
  zserve score digit.png --json | jq '.images[0]'      JSON for programs

The verdict is `typical`, `atypical` (99 % of the model's test images are more typical) or
`out_of_distribution` (99.9 %). `quantile` is the share of the test images that are more typical."""

_COLUMNS = ("verdict", "quantile", "score", "-ln p(x)", "ELBO", "bits/dim", "file")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve score`."""
    parser.add_argument("images", type=Path, nargs="+", help="image files")
    add_model_option(parser)
    add_upload_options(parser)
    parser.add_argument(
        "--draws", type=int, default=64, help="latents per image for -ln p(x) (default: 64)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print a table of the scores; images that the service refuses are skipped."""
    batch = Batch(options.images)
    if not batch.has_one:
        batch.skip_unreadable()
    with connect(options) as client:
        scores = batch.send(
            lambda files: client.score(
                files,
                draws=options.draws,
                seed=options.seed,
                model=options.model,
                preprocess=options.preprocess,
            )
        )
    if options.json:
        print(json.dumps(asdict(scores), indent=1))
    else:
        rows = [_row(score, file) for score, file in zip(scores.images, batch.files, strict=True)]
        print(_as_text(rows))
        print(f"{scores.model}, {scores.draws} draws, seed {scores.seed}, nats")
        if scores.notice:
            print(scores.notice)
    batch.end()


def _row(score: Score, file: Path) -> tuple[str, ...]:
    return (
        score.verdict or "-",
        _number(score.quantile, 4),
        _number(score.score, 2),
        _number(score.nll_nats, 2),
        _number(score.elbo_nats, 2),
        _number(score.bits_per_dimension, 4),
        str(file),
    )


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _as_text(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table; numbers are aligned on the right, verdict and file on the left."""
    widths = [max(len(row[i]) for row in (_COLUMNS, *rows)) for i in range(len(_COLUMNS))]
    lines = []
    for row in (_COLUMNS, *rows):
        numbers = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers, row[-1]]))
    return "\n".join(lines)


COMMAND = Command("score", "say how likely and how typical images are", EXAMPLES, add_options, run)
