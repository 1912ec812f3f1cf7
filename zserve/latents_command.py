"""`zserve latents`: encode images in bulk, and write their latents to a Parquet or npz file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.errors import ServiceError
from model_store.command_line import ArgumentParser, counted
from model_store.errors import ImageError, StoreError
from zserve.latents import LatentsError, read_images, write_latents
from zserve.vae import load

EXAMPLES = """\
examples:
  zserve latents photos/ --model mnist --out latents.parquet
  zserve latents digits.npz --model mnist@11 --out latents.npz

An image in photos/cat/ has the label cat. `pandas.read_parquet("latents.parquet")` reads the table.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        vae = load(options.model, store=options.store, device=options.device)
        images = read_images(vae, options.sources, as_is=options.preprocess == "none")
        count = write_latents(vae, images, options.out)
    except (LatentsError, StoreError, ServiceError, ImageError, ValueError) as error:
        print(f"zserve latents: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        print(f"zserve latents: {file}{error.strerror or error}", file=sys.stderr)
        return 1
    print(f"{counted(count, 'image')} encoded by {vae.name}: {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog="zserve latents",
        description="Encode image files, folders of them, or arrays (.npy, .npz) in this process, and "
        "write mu, logvar and KL of each image.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command accepts to a parser."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="FILE|FOLDER")
    parser.add_argument("--model", required=True, metavar="NAME[@VERSION|@ALIAS]")
    parser.add_argument("--out", required=True, type=Path, help="a .parquet or an .npz file")
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="folder or address (default: $ZSERVE_STORE, or the shipped)",
    )
    parser.add_argument(
        "--preprocess",
        choices=("auto", "none"),
        default="auto",
        help="none takes image files of the model's size as they are (default: auto)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
