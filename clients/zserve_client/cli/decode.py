"""`zserve decode`: draw the images of latents."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zserve_client import InputError
from zserve_client.cli.command import FILE_FORMATS, Command, add_image_options, connect, counted

EXAMPLES = """\
  zserve decode latents.json --out images.png          the latents that `zserve encode` wrote
  zserve decode latents.json --out images.zip          one PNG file for each; also .npz and .json
  zserve decode latents.csv --model mnist@11           columns z0, z1 ... or mu0, mu1 ...
  echo '[[0, 0.5, -1]]' | zserve decode - --model tiny rows of numbers as JSON, from stdin

A manifest.csv of `zserve generate --out FOLDER` has the latents of its images, too."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve decode`."""
    parser.add_argument("latents", type=Path, help=".json or .csv file, or - for JSON on stdin")
    add_image_options(parser, "decoded.png", FILE_FORMATS)


def run(options: argparse.Namespace) -> None:
    """Save the images in the format of --out: a grid, or a file of all."""
    rows = _read(options.latents)
    with connect(options) as client:
        download = client.download_decoded(
            options.out, rows, model=options.model, scale=options.scale
        )
    print(f"{download.path}: {counted(len(rows), 'image')} of {download.model}")


def _read(path: Path) -> list[list[float]]:
    """Return the latents of a file; raises InputError."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text()
    try:
        rows = _rows_of_csv(text) if path.suffix == ".csv" else _rows_of_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} has no latents: {error}; rows of numbers are expected, or what `zserve encode` writes"
        ) from error
    if not rows:
        raise InputError(f"{path} has no latents")
    return rows


def _rows_of_json(document: Any) -> list[list[float]]:
    """Return rows of numbers, of `{"z": rows}`, or of the result of `zserve encode`."""
    if isinstance(document, dict):
        document = (
            document["z"] if "z" in document else [image["mu"] for image in document["images"]]
        )
    return [[float(number) for number in row] for row in document]


def _rows_of_csv(text: str) -> list[list[float]]:
    """Return the columns z0, z1 ..., or else mu0, mu1 ..., of a table."""
    header, *rows = list(csv.reader(text.splitlines()))
    columns = _columns(header, "z") or _columns(header, "mu")
    if not columns:
        raise ValueError("no column is named z0 or mu0")
    return [[float(row[i]) for i in columns] for row in rows]


def _columns(header: Sequence[str], prefix: str) -> list[int]:
    wanted = [f"{prefix}{i}" for i in range(len(header))]
    return [header.index(name) for name in wanted if name in header]


COMMAND = Command("decode", "draw the images of latents", EXAMPLES, add_options, run)
