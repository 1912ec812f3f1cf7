"""`zserve augment`: draw variants of an image."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client.cli.command import (
    FILE_FORMATS,
    Command,
    add_image_options,
    add_upload_options,
    connect,
)

EXAMPLES = """\
  zserve augment digit.png                             a grid of 16 variants
  zserve augment digit.png --n 4 --seed 7              the same seed, the same variants
  zserve augment digit.png --n 500 --out variants.zip  500 PNG files; also .npz and .json
  zserve augment digit.png --temperature 2 --out wild.png   variants that differ more"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve augment`."""
    parser.add_argument("image", type=Path, help="image file")
    parser.add_argument("--n", type=int, default=16, help="number of variants (default: 16)")
    parser.add_argument("--seed", type=int, help="variant i has seed + i (default: a new seed)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="scale of the noise: 0 gives the reconstruction (default: 1)",
    )
    add_upload_options(parser)
    add_image_options(parser, "variants.png", FILE_FORMATS)


def run(options: argparse.Namespace) -> None:
    """Save the variants in the format of --out: a grid, or a file of all."""
    with connect(options) as client:
        download = client.download_variants(
            options.out,
            options.image,
            options.n,
            seed=options.seed,
            model=options.model,
            temperature=options.temperature,
            preprocess=options.preprocess,
            scale=options.scale,
        )
    print(f"{download.path}: {options.n} variants by {download.model}, seed {download.seed}")


COMMAND = Command("augment", "draw variants of an image", EXAMPLES, add_options, run)
