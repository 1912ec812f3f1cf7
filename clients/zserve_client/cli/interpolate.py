"""`zserve interpolate`: walk from one image to another."""

from __future__ import annotations

import argparse
from pathlib import Path

from zserve_client.cli.command import (
    Command,
    add_image_options,
    add_upload_options,
    check_picture,
    connect,
)

EXAMPLES = """\
  zserve interpolate 1 2                               from seed 1 to seed 2, eight frames
  zserve interpolate digit.png other.jpg --steps 12    from file to file
  zserve interpolate digit.png 7 --path slerp          from a file to a seed, along an arc
  zserve interpolate 1 2 --scale 8 --out walk.gif      an animation to seed 2 and back"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve interpolate`."""
    parser.add_argument("a", help="the start: an image file, or a seed")
    parser.add_argument("b", help="the end: an image file, or a seed")
    parser.add_argument("--steps", type=int, default=8, help="number of frames (default: 8)")
    parser.add_argument("--path", choices=["linear", "slerp"], default="linear")
    parser.add_argument(
        "--frame-ms", type=int, help="duration of each frame of an animation, in milliseconds"
    )
    add_upload_options(parser)
    add_image_options(
        parser, "interpolation.png", "; .gif and .apng are animations that run back to the start"
    )


def run(options: argparse.Namespace) -> None:
    """Save the frames as a row, or as an animation if the suffix is .gif or .apng."""
    check_picture(options.out, ".gif", ".apng")
    suffix = options.out.suffix.removeprefix(".").lower()
    animated = suffix in {"gif", "apng"}
    with connect(options) as client:
        frames = client.interpolate(
            _seed_or_path(options.a),
            _seed_or_path(options.b),
            steps=options.steps,
            path=options.path,
            model=options.model,
            preprocess=options.preprocess,
            format=suffix if animated else "png",
            frame_ms=options.frame_ms,
            bounce=True if animated else None,
            scale=options.scale,
        )
    there_and_back = " and back" if animated else ""
    saved = frames.save(options.out)
    print(f"{saved}: {options.steps} frames of {frames.model}{there_and_back}")


def _seed_or_path(text: str) -> int | Path:
    return int(text) if text.isdecimal() else Path(text)


COMMAND = Command("interpolate", "walk from one image to another", EXAMPLES, add_options, run)
