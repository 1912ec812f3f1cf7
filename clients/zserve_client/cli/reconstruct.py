"""`zserve reconstruct`: show the reconstructions of images."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client import Client
from zserve_client.cli.command import Command, add_image_options, add_upload_options

EXAMPLES = """\
  zserve reconstruct digit.png                         above the image as the model sees it, below
                                                       its reconstruction
  zserve reconstruct photos/*.jpg --out both.png       several images, with BCE and KL of each
  zserve reconstruct tile.png --preprocess none        an image that fits the model already"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve reconstruct`."""
    parser.add_argument("images", type=Path, nargs="+", help="PNG or JPEG files")
    add_upload_options(parser)
    add_image_options(parser, "reconstructions.png")


def run(options: argparse.Namespace) -> None:
    """Save the reconstructions, and print how well the model describes each image."""
    with Client(options.url) as client:
        rows = client.reconstruct(
            options.images,
            model=options.model,
            preprocess=options.preprocess,
            scale=options.scale,
            numbers=True,
        )
    print(
        f"{rows.save(options.out)}: the images prepared for {rows.model}, and their reconstructions"
    )
    for path, image in zip(options.images, (rows.numbers or {})["images"], strict=True):
        print(f"{path}: BCE {image['bce_nats']:.1f} nats, KL {image['kl_nats']:.1f} nats")


COMMAND = Command("reconstruct", "show how a model reconstructs images", EXAMPLES, add_options, run)
