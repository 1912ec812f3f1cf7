"""`zserve traverse`: show the effect of each latent dimension, or of directions."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client.cli.command import (
    Command,
    add_image_options,
    add_upload_options,
    check_picture,
    connect,
)

EXAMPLES = """\
  zserve traverse                                      around z = 0, the most informative
                                                       dimensions first
  zserve traverse --seed 7 --dims 0,3,7                three dimensions, around a sample
  zserve traverse --image digit.png --span 2           around an image of your own
  zserve traverse --seed 7 --direction slant           along a direction with a meaning"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve traverse`."""
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--image", type=Path, help="the start: an image file")
    start.add_argument("--seed", type=int, help="the start: a seed (default: z = 0)")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--dims", type=_dimensions, help="dimensions such as 0,3,7 (default: all that fit)"
    )
    rows.add_argument(
        "--direction",
        metavar="NAMES",
        help="directions with a meaning instead, such as slant,thickness; `zserve models --json` "
        "lists those of each model",
    )
    parser.add_argument("--steps", type=int, default=7, help="images in each row (default: 7)")
    parser.add_argument("--span", type=float, default=3.0, help="from -span to +span (default: 3)")
    add_upload_options(parser)
    add_image_options(parser, "traversal.png")


def run(options: argparse.Namespace) -> None:
    """Save the rows, and print the dimension of each."""
    check_picture(options.out)
    with connect(options) as client:
        rows = client.traverse(
            options.image or options.seed,
            dims=options.dims,
            directions=options.direction,
            steps=options.steps,
            span=options.span,
            model=options.model,
            preprocess=options.preprocess,
            scale=options.scale,
        )
    kind = "dimensions" if rows.dims else "directions"
    names = ", ".join(map(str, rows.dims or rows.directions))
    print(f"{rows.save(options.out)}: {kind} {names} of {rows.model}, one in each row")


def _dimensions(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError("send whole numbers, such as 0,3,7") from error


COMMAND = Command(
    "traverse", "show the effect of each latent dimension", EXAMPLES, add_options, run
)
