"""`zserve reconstruct`: show the reconstructions of images."""

from __future__ import annotations

import argparse
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zserve_client import InputError, Reconstructions, UploadError
from zserve_client.cli.batch import Batch
from zserve_client.cli.command import (
    Command,
    add_image_options,
    add_upload_options,
    check_picture,
    connect,
)

if TYPE_CHECKING:
    from zserve_client import Client
    from zserve_client._requests import Preprocess

EXAMPLES = """\
  zserve reconstruct digit.png                         above the image as the model sees it, below
                                                       its reconstruction
  zserve reconstruct photos/*.jpg --out both.png       several images, with BCE and KL of each
  zserve reconstruct tile.png --preprocess none        an image that fits the model already"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve reconstruct`."""
    parser.add_argument("images", type=Path, nargs="+", help="image files")
    add_upload_options(parser)
    add_image_options(parser, "reconstructions.png")


def run(options: argparse.Namespace) -> None:
    """Save the reconstructions, and print how well the model describes each image.

    Files that are no images are named and skipped. Photos that are too large to be sent together
    are prepared one after the other.
    """
    check_picture(options.out)
    batch = Batch(options.images)
    with connect(options) as client:
        try:
            rows = _reconstruct(
                client,
                options,
                options.images,
                preprocess=options.preprocess,
                scale=options.scale,
            )
            numbers = (rows.numbers or {})["images"]
        except (UploadError, InputError):
            if batch.has_one:
                raise
            rows, numbers = _one_by_one(client, options, batch)
    print(
        f"{rows.save(options.out)}: the images prepared for {rows.model}, and their reconstructions"
    )
    for path, image in zip(batch.files, numbers, strict=True):
        print(f"{path}: BCE {image['bce_nats']:.1f} nats, KL {image['kl_nats']:.1f} nats")
    batch.end()


def _reconstruct(
    client: Client,
    options: argparse.Namespace,
    images: Sequence[Path | bytes],
    *,
    preprocess: Preprocess,
    scale: int,
) -> Reconstructions:
    return client.reconstruct(
        images, model=options.model, preprocess=preprocess, scale=scale, numbers=True
    )


def _one_by_one(
    client: Client, options: argparse.Namespace, batch: Batch
) -> tuple[Reconstructions, list[dict[str, Any]]]:
    """Prepare each file by itself, then send all prepared images, which are small, together."""
    prepared: list[Path | bytes] = []
    while len(prepared) < len(batch.files):
        path = batch.files[len(prepared)]
        try:
            alone = _reconstruct(client, options, [path], preprocess=options.preprocess, scale=1)
        except (UploadError, InputError) as error:
            batch.skip(len(prepared), error)
            continue
        (image,) = (alone.numbers or {})["images"]
        prepared.append(b64decode(image["input"]))
    rows = _reconstruct(client, options, prepared, preprocess="none", scale=options.scale)
    return rows, (rows.numbers or {})["images"]


COMMAND = Command("reconstruct", "show how a model reconstructs images", EXAMPLES, add_options, run)
