"""`zserve edit`: change images along directions with a meaning."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client import InputError
from zserve_client.cli.command import (
    Command,
    add_image_options,
    add_upload_options,
    check_picture,
    connect,
)

EXAMPLES = """\
  zserve edit digit.png --move slant=2                 the digit, leaning to the right
  zserve edit a.png b.png --move thickness=-1 --move slant=0.5
                                                       two images, thinner and more slanted
  zserve edit --seed 7 --move class:3=2                a sample, moved towards the threes"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve edit`."""
    parser.add_argument("images", type=Path, nargs="*", help="image files")
    parser.add_argument("--seed", type=int, help="edit the image of a seed instead")
    parser.add_argument(
        "--move",
        type=_move,
        action="append",
        required=True,
        metavar="NAME=BY",
        help="a direction, and the size of the move in standard deviations; may be repeated; "
        "`zserve models --json` lists the directions of each model",
    )
    add_upload_options(parser)
    add_image_options(parser, "edited.png")


def run(options: argparse.Namespace) -> None:
    """Save the edited reconstructions as one row."""
    check_picture(options.out)
    if bool(options.images) == (options.seed is not None):
        raise InputError("name image files, or --seed, and not both")
    with connect(options) as client:
        row = client.edit(
            options.images or options.seed,
            dict(options.move),
            model=options.model,
            preprocess=options.preprocess,
            scale=options.scale,
        )
    moves = ", ".join(f"{name} {by:+g}" for name, by in dict(options.move).items())
    print(f"{row.save(options.out)}: {row.n} images of {row.model}, {moves}")


def _move(text: str) -> tuple[str, float]:
    name, _, by = text.rpartition("=")
    try:
        if name:
            return name, float(by)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER, such as slant=2")


COMMAND = Command("edit", "change images along directions", EXAMPLES, add_options, run)
