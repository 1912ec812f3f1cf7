"""The parts of a subcommand, and the options that several subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: The word after `zserve`.
        summary: One line for `zserve --help`; lower case, without a full stop.
        examples: Indented lines for `zserve NAME --help`.
        add_options: Adds the options to a parser.
        run: Runs the subcommand.
    """

    name: str
    summary: str
    examples: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add --model."""
    parser.add_argument("--model", metavar="REF", help="name, name@version or name@alias")


def add_image_options(parser: argparse.ArgumentParser, out: str, formats: str = "") -> None:
    """Add --model, --scale and --out; `formats` continues the help of --out."""
    add_model_option(parser)
    parser.add_argument("--scale", type=int, default=1, help="enlarge each pixel (default: 1)")
    parser.add_argument(
        "--out", type=Path, default=Path(out), help=f"file to write{formats} (default: {out})"
    )


def add_upload_options(parser: argparse.ArgumentParser) -> None:
    """Add --preprocess."""
    parser.add_argument(
        "--preprocess",
        choices=["auto", "none"],
        default="auto",
        help="auto: adapt any photo to the model; none: the image fits already (default: auto)",
    )
