"""The parts of a subcommand, and the options that several subcommands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zserve_client import Client, InputError
from zserve_client._requests import DOWNLOAD_FORMATS

FILE_FORMATS = f": .{', .'.join(DOWNLOAD_FORMATS)}"
"""Help for --out of a subcommand that downloads a file."""


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: The word after `zserve`.
        summary: One line for `zserve --help`; lower case, without a full stop.
        examples: Indented lines for `zserve NAME --help`.
        add_options: Adds the options to a parser.
        run: Runs the subcommand.
        over_http: True if it asks a service, whose address --url names.
    """

    name: str
    summary: str
    examples: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    over_http: bool = True


def connect(options: argparse.Namespace) -> Client:
    """Return a client of the service that --url names, with the key in ZSERVE_TOKEN if it is set."""
    return Client(options.url, token=token_of_environment())


def token_of_environment() -> str | None:
    """Return ZSERVE_TOKEN; an option would show the key to everybody who can list processes."""
    return os.environ.get("ZSERVE_TOKEN") or None


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 image`, `2 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def check_picture(path: Path, *animations: str) -> None:
    """Raise InputError if the name of a file to which a picture is saved says another format."""
    suffixes = (".png", *animations)
    if path.suffix and path.suffix.lower() not in suffixes:
        raise InputError(f"{path} has none of the suffixes {', '.join(suffixes)}; name --out so")


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add --model."""
    parser.add_argument("--model", metavar="REF", help="name, name@version or name@alias")


def add_image_options(
    parser: argparse.ArgumentParser,
    out: str,
    formats: str = "",
    place: Callable[[str], Path | str] = Path,
) -> None:
    """Add --model, --scale and --out; `formats` continues the help of --out, `place` reads it."""
    add_model_option(parser)
    parser.add_argument("--scale", type=int, default=1, help="enlarge each pixel (default: 1)")
    parser.add_argument(
        "--out", type=place, default=Path(out), help=f"file to write{formats} (default: {out})"
    )


def add_upload_options(parser: argparse.ArgumentParser) -> None:
    """Add --preprocess."""
    parser.add_argument(
        "--preprocess",
        choices=["auto", "none"],
        default="auto",
        help="auto: adapt any photo to the model; none: the image fits already (default: auto)",
    )
