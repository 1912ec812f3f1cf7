"""`zserve generate`: draw samples into a file or a folder."""

from __future__ import annotations

import argparse
from typing import Any

from zserve_client import Client, InputError
from zserve_client.cli import shards
from zserve_client.cli.command import FILE_FORMATS, Command, add_image_options, connect, counted
from zserve_client.cli.progress import ProgressBar

EXAMPLES = """\
  zserve generate --n 16 --seed 7 --out digits.png      a grid of 16; seed 7 always gives these
  zserve generate --n 8 --label 3 --scale 8             eight images of the class 3, enlarged
  zserve generate --n 500 --out digits.zip              500 PNG files, with manifest.csv
  zserve generate --n 10000 --label 3 --out data/train  a data set: data/train/3/000000.png ...
  zserve generate --n 1000 --label all --out data/train     1000 images of every class
  zserve generate --n 10000000 --out s3://bucket/digits --processes 8    a data set in shards

An --out without a suffix is a folder that torchvision.datasets.ImageFolder reads: one folder for
each label (`unlabelled` without --label), and manifest.csv with the seed and the latent of each
image. If the command is interrupted, run it again to continue. Run it again with a larger --n to
get more images: those that are there stay as they are.

An address (s3://, gs:// or az://), and a folder with more than 100,000 images of a label, get tar
files as WebDataset reads them, and index.json. Each depends on its seeds, the weights and the
options alone. Run the command again to make the shards that are missing, also on several machines.
An address needs `pip install 'zserve-client[object-store]'`, and the variables of its store, such as
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve generate`."""
    parser.add_argument("--n", type=int, default=16, help="images of each label (default: 16)")
    parser.add_argument("--seed", type=int, help="image i has seed + i (default: a new seed)")
    parser.add_argument(
        "--label",
        action="append",
        help="a class by name or index; for a folder, repeat it or use `all`",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="scale of the latents: 0 gives the mean image, 1 the prior (default: 1)",
    )
    parser.add_argument(
        "--no-metadata",
        dest="metadata",
        action="store_false",
        help="do not write the parameters into each file",
    )
    formats = f"{FILE_FORMATS}, a folder, or s3://bucket/prefix"
    add_image_options(parser, "samples.png", formats, shards.place)
    shards.add_options(parser)


def run(options: argparse.Namespace) -> None:
    """Make shards or a folder if --out has no suffix, else download a file."""
    names = ("seed", "model", "temperature", "scale", "metadata")
    common = {name: getattr(options, name) for name in names}
    if shards.wanted(options):
        shards.run(options, common)
        return
    with connect(options) as client:
        if not options.out.suffix or options.out.is_dir():
            _export(client, options, common)
        else:
            _download(client, options, common)


def _export(client: Client, options: argparse.Namespace, common: dict[str, Any]) -> None:
    with ProgressBar("images") as progress:
        export = client.export(
            options.out, options.n, labels=options.label, progress=progress.show, **common
        )
    present = export.n - export.fetched
    note = f", {present} of them were already there" if present else ""
    print(
        f"{export.folder}: {counted(export.n, 'image')} of {export.model}, seed {export.seed}{note}"
    )


def _download(client: Client, options: argparse.Namespace, common: dict[str, Any]) -> None:
    labels: list[str] = options.label or []
    if len(labels) > 1 or labels == ["all"]:
        raise InputError("several labels need a folder: give --out a name without a suffix")
    label = labels[0] if labels else None
    download = client.download(options.out, options.n, label=label, **common)
    print(
        f"{download.path}: {counted(options.n, 'image')} of {download.model}, seed {download.seed}"
    )


COMMAND = Command("generate", "draw samples: an image or a data set", EXAMPLES, add_options, run)
