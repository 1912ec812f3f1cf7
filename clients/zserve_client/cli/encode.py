"""`zserve encode`: write the latents of images."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

from zserve_client import Encodings, InputError
from zserve_client.cli.batch import Batch
from zserve_client.cli.command import (
    Command,
    add_model_option,
    add_upload_options,
    connect,
    counted,
)

EXAMPLES = """\
  zserve encode digit.png                              JSON on stdout: mu, logvar, kl_nats
  zserve encode photos/*.jpg --out latents.csv         one row for each file
  zserve encode a.png b.png --out latents.json         what `zserve decode` takes

mu is the latent that `zserve reconstruct` decodes; logvar is ln sigma^2."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve encode`."""
    parser.add_argument("images", type=Path, nargs="+", help="image files")
    add_model_option(parser)
    add_upload_options(parser)
    parser.add_argument("--out", type=Path, help=".json or .csv file to write (default: stdout)")


def run(options: argparse.Namespace) -> None:
    """Write the latents; images that the service refuses are skipped."""
    if options.out is not None and options.out.suffix not in {".json", ".csv"}:
        raise InputError(
            f"{options.out} has none of the suffixes json, csv; for .npz and .parquet, "
            "`zserve latents` of the package zserve encodes without a service"
        )
    batch = Batch(options.images)
    if not batch.has_one:
        batch.skip_unreadable()
    with connect(options) as client:
        encodings = batch.send(
            lambda files: client.encode(files, model=options.model, preprocess=options.preprocess)
        )
    as_csv = options.out is not None and options.out.suffix == ".csv"
    text = _csv(encodings, batch.files) if as_csv else _json(encodings, batch.files)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text)
        print(
            f"{options.out}: latents of {counted(len(batch.files), 'image')}, by {encodings.model}"
        )
    batch.end()


def _json(encodings: Encodings, files: list[Path]) -> str:
    images = [
        {"file": str(file), **asdict(image)}
        for file, image in zip(files, encodings.images, strict=True)
    ]
    return json.dumps({"model": encodings.model, "images": images}, indent=1) + "\n"


def _csv(encodings: Encodings, files: list[Path]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    latent = range(len(encodings.images[0].mu))
    writer.writerow(
        ["file", "kl_nats", *(f"mu{i}" for i in latent), *(f"logvar{i}" for i in latent)]
    )
    for file, image in zip(files, encodings.images, strict=True):
        writer.writerow([file, image.kl_nats, *image.mu, *image.logvar])
    return text.getvalue()


COMMAND = Command("encode", "write the latents of images", EXAMPLES, add_options, run)
