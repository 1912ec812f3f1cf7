"""`zserve compress`: write images into one small file, without loss."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client.cli.batch import Batch
from zserve_client.cli.command import Command, add_model_option, connect

EXAMPLES = """\
  zserve compress a.png b.png --out digits.zsi          two images of the model's size
  zserve compress digits.npy --model mnist@5            an array of images; the file needs mnist@5

The images must have the size of the model and come back unchanged from `zserve decompress`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve compress`."""
    parser.add_argument("images", type=Path, nargs="+", help="PNG, npy or npz files")
    add_model_option(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("images.zsi"), help="file to write (default: images.zsi)"
    )


def run(options: argparse.Namespace) -> None:
    """Save the compressed file, and print its size; images that do not fit are skipped."""
    batch = Batch(options.images)
    if not batch.has_one:
        batch.skip_unreadable()
    with connect(options) as client:
        file = batch.send(lambda files: client.compress(files, model=options.model))
    print(
        f"{file.save(options.out)}: {len(file.content)} bytes, "
        f"{file.bits_per_dimension:.3f} bits per dimension, by {file.model}"
    )
    batch.end()


COMMAND = Command(
    "compress", "write images into one file, without loss", EXAMPLES, add_options, run
)
