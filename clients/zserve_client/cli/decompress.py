"""`zserve decompress`: read the images of a compressed file."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client.cli.command import Command, connect, counted

EXAMPLES = """\
  zserve decompress digits.zsi --out folder            folder/000000.png and so on

The service must have the version that the file was written with."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve decompress`."""
    parser.add_argument("file", type=Path, help="a file that `zserve compress` has written")
    parser.add_argument(
        "--out", type=Path, default=Path("images"), help="folder to write to (default: images)"
    )


def run(options: argparse.Namespace) -> None:
    """Write the images into a folder."""
    with connect(options) as client:
        images = client.decompress(options.file)
    paths = images.save(options.out)
    print(f"{options.out}: {counted(len(paths), 'image')}, by {images.model}")


COMMAND = Command("decompress", "read the images of a compressed file", EXAMPLES, add_options, run)
