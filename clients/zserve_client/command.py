"""The command `zserve`: one subcommand for each thing that one can ask of a service."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from zserve_client import programs
from zserve_client.bench import Load, Report, bench
from zserve_client.client import URL, Client
from zserve_client.errors import InputError, ZserveError
from zserve_client.operations import DOWNLOADS
from zserve_client.results import Model

TELLING = ("test_nll", "test_negative_elbo", "test_kl", "active_units")
WHEN_INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""

ABOUT = """\
Images of variational autoencoders, from a zserve over HTTP.

  zserve serve                                      start a service on http://localhost:8000
  zserve generate --n 16 --seed 7 --out digits.png  sixteen digits; the same whenever you ask
  zserve models                                     what is served, and how good it is
"""
EPILOG = """\
The service is http://localhost:8000 unless --url or the variable ZSERVE_URL says otherwise.
`zserve COMMAND --help` has examples for each command. An error is one line on stderr, and status 1.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in programs.PROGRAMS:
            programs.become(given[0], given[1:])
        options = parser().parse_args(given)
        options.run(options)
    except (ZserveError, programs.NotInstalledError) as error:
        sys.exit(f"zserve: {error}")
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        sys.exit(f"zserve: {named}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(WHEN_INTERRUPTED)


# --- the command line --------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """All subcommands with their options."""
    whole = argparse.ArgumentParser(
        prog="zserve",
        description=ABOUT,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], None], about: str, examples: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(run=run)
        one.add_argument(
            "--url",
            default=os.environ.get("ZSERVE_URL") or URL,
            help=f"the service (default: $ZSERVE_URL, else {URL})",
        )
        return one

    _generate_options(
        command("generate", _generate, "draw samples: one picture, or a data set", _GENERATE)
    )
    _reconstruct_options(
        command(
            "reconstruct", _reconstruct, "show what the model makes of your images", _RECONSTRUCT
        )
    )
    _interpolate_options(
        command("interpolate", _interpolate, "go from one image to another", _INTERPOLATE)
    )
    _traverse_options(
        command("traverse", _traverse, "show what each latent dimension does", _TRAVERSE)
    )
    _models_options(command("models", _models, "list what is served, and how good it is", _MODELS))
    _bench_options(command("bench", _bench, "measure how fast the service answers", _BENCH))
    # Their options belong to the programs behind them: `main` hands everything on.
    commands.add_parser("serve", help="start a service (python -m app)", add_help=False)
    commands.add_parser(
        "train", help="train a model and publish it (python -m training train)", add_help=False
    )
    return whole


_GENERATE = """\
  zserve generate --n 16 --seed 7 --out digits.png      a grid of 16; seed 7 always gives these
  zserve generate --n 8 --label 3 --scale 8             eight threes, large enough to look at
  zserve generate --n 500 --out digits.zip              a PNG each, with manifest.csv
  zserve generate --n 10000 --label 3 --out data/train  a data set: data/train/3/000000.png ...
  zserve generate --n 1000 --label all --out data/train     the same for every class

An --out without a suffix is a folder that torchvision.datasets.ImageFolder opens: a folder for
each label (`unlabelled` where none was asked for), and manifest.csv with the seed and the latent
of each image. Given again, the same command goes on where it was cut."""
_RECONSTRUCT = """\
  zserve reconstruct digit.png                         above what the model saw, below what it made
  zserve reconstruct photos/*.jpg --out both.png       several at once, with BCE and KL of each
  zserve reconstruct tile.png --preprocess none        an image that has the model's form already"""
_INTERPOLATE = """\
  zserve interpolate 1 2                               from seed 1 to seed 2, eight frames
  zserve interpolate digit.png other.jpg --steps 12    from file to file
  zserve interpolate digit.png 7 --path slerp          from a file to a seed, along an arc
  zserve interpolate 1 2 --scale 8 --out walk.gif      as a film, there and back"""
_TRAVERSE = """\
  zserve traverse                                      around z = 0, the most informative first
  zserve traverse --seed 7 --dims 0,3,7                three dimensions, around a sample
  zserve traverse --image digit.png --span 2           around an image of yours"""
_MODELS = """\
  zserve models                                        a line for each model
  zserve models mnist                                  the card of its production version
  zserve models mnist@1 --figure samples --out made.png
  zserve models --json | jq '.[].name'                 for programs"""
_BENCH = """\
  zserve bench                                         one image at a time, eight clients, 10 s
  zserve bench --n 64 --concurrency 32 --duration 30
  zserve bench --json > after.json                     for programs

Each request has a seed of its own, so that no cache can help. Client and service share this
machine if they run on it, and so do their times."""


def _model_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", metavar="REF", help="name, name@version or name@alias")


def _picture_options(command: argparse.ArgumentParser, out: str, forms: str = "") -> None:
    _model_option(command)
    command.add_argument("--scale", type=int, default=1, help="enlarge each pixel (default: 1)")
    command.add_argument(
        "--out", type=Path, default=Path(out), help=f"file to write{forms} (default: {out})"
    )


def _upload_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--preprocess",
        choices=["auto", "none"],
        default="auto",
        help="auto: bring any photo to the model's form; none: it has that form (default: auto)",
    )


def _generate_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n", type=int, default=16, help="images, of each label (default: 16)")
    command.add_argument("--seed", type=int, help="image i has seed + i (default: a new one)")
    command.add_argument(
        "--label",
        action="append",
        help="a class by name or place; into a folder also several times, or `all`",
    )
    command.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="0 is the mean image, 1 the prior (default: 1)",
    )
    command.add_argument(
        "--no-metadata",
        dest="metadata",
        action="store_false",
        help="leave out what each file says about how to get it again",
    )
    forms = f": .{', .'.join(DOWNLOADS)}, or a folder"
    _picture_options(command, "samples.png", forms)


def _reconstruct_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("images", type=Path, nargs="+", help="PNG or JPEG files")
    _upload_options(command)
    _picture_options(command, "reconstructions.png")


def _interpolate_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("a", help="where to start: a PNG or JPEG file, or a seed")
    command.add_argument("b", help="where to end: a PNG or JPEG file, or a seed")
    command.add_argument("--steps", type=int, default=8, help="frames (default: 8)")
    command.add_argument("--path", choices=["linear", "slerp"], default="linear")
    command.add_argument("--frame-ms", type=int, help="how long a film shows each frame")
    _upload_options(command)
    _picture_options(command, "interpolation.png", "; .gif and .apng are films, there and back")


def _traverse_options(command: argparse.ArgumentParser) -> None:
    start = command.add_mutually_exclusive_group()
    start.add_argument("--image", type=Path, help="where to start: a PNG or JPEG file")
    start.add_argument("--seed", type=int, help="where to start: a seed (default: around 0)")
    command.add_argument("--dims", type=_numbers, help="such as 0,3,7 (default: all that fit)")
    command.add_argument("--steps", type=int, default=7, help="images in a row (default: 7)")
    command.add_argument("--span", type=float, default=3.0, help="-span to +span (default: 3)")
    _upload_options(command)
    _picture_options(command, "traversal.png")


def _models_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("ref", nargs="?", help="name, name@version or name@alias: show its card")
    command.add_argument("--figure", help="save this figure, such as samples")
    command.add_argument("--out", type=Path, default=Path("figure.png"), help="its file")
    command.add_argument("--json", action="store_true", help="for programs")


def _bench_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n", type=_positive, default=1, help="images a request (default: 1)")
    command.add_argument(
        "--concurrency", type=_positive, default=8, help="clients at once (default: 8)"
    )
    command.add_argument("--duration", type=float, default=10.0, help="seconds (default: 10)")
    command.add_argument(
        "--warm-up", type=float, default=1.0, help="seconds before that, not counted (default: 1)"
    )
    _model_option(command)
    command.add_argument("--json", action="store_true", help="for programs")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError("send whole numbers, such as 0,3,7") from error


# --- what each does ----------------------------------------------------------------------------


def _generate(options: argparse.Namespace) -> None:
    labels: list[str] | None = options.label
    same: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("seed", "model", "temperature", "scale", "metadata")
    }
    with Client(options.url) as client:
        if not options.out.suffix or options.out.is_dir():
            with Progress("images") as progress:
                made = client.export(
                    options.out, options.n, labels=labels, progress=progress.show, **same
                )
            kept = (
                f", {made.n - made.fetched} of them there before" if made.fetched < made.n else ""
            )
            print(f"{made.folder}: {made.n} images of {made.model}, seed {made.seed}{kept}")
            return
        if labels is not None and (len(labels) > 1 or labels == ["all"]):
            raise InputError("several labels go into a folder: give --out a name without suffix")
        done = client.download(options.out, options.n, label=labels[0] if labels else None, **same)
    print(f"{done.path}: {options.n} images of {done.model}, seed {done.seed}")


def _reconstruct(options: argparse.Namespace) -> None:
    with Client(options.url) as client:
        made = client.reconstruct(
            options.images,
            model=options.model,
            preprocess=options.preprocess,
            scale=options.scale,
            numbers=True,
        )
    print(f"{made.save(options.out)}: what {made.model} saw, and its reconstructions")
    for path, image in zip(options.images, (made.numbers or {})["images"], strict=True):
        print(f"{path}: BCE {image['bce_nats']:.1f} nats, KL {image['kl_nats']:.1f} nats")


def _interpolate(options: argparse.Namespace) -> None:
    kind = options.out.suffix.removeprefix(".").lower()
    film = kind in {"gif", "apng"}
    with Client(options.url) as client:
        made = client.interpolate(
            _seed_or_path(options.a),
            _seed_or_path(options.b),
            steps=options.steps,
            path=options.path,
            model=options.model,
            preprocess=options.preprocess,
            format=kind if film else "png",
            frame_ms=options.frame_ms,
            bounce=True if film else None,
            scale=options.scale,
        )
    print(f"{made.save(options.out)}: {options.steps} frames of {made.model}")


def _seed_or_path(text: str) -> int | Path:
    return int(text) if text.isdecimal() else Path(text)


def _traverse(options: argparse.Namespace) -> None:
    with Client(options.url) as client:
        made = client.traverse(
            options.image or options.seed,
            dims=options.dims,
            steps=options.steps,
            span=options.span,
            model=options.model,
            preprocess=options.preprocess,
            scale=options.scale,
        )
    dims = ", ".join(map(str, made.dims))
    print(f"{made.save(options.out)}: dimensions {dims} of {made.model}, one in each row")


def _models(options: argparse.Namespace) -> None:
    with Client(options.url) as client:
        if options.figure:
            figure = client.figure(options.figure, options.ref)
            print(f"{figure.save(options.out)}: {options.figure} of {figure.model}")
        elif options.ref:
            version = client.model(options.ref)
            print(json.dumps(version.manifest, indent=1) if options.json else version.card)
        elif options.json:
            print(json.dumps([asdict(model) for model in client.models()], indent=1, default=str))
        else:
            for model in client.models():
                print(_line(model))


def _line(model: Model) -> str:
    """What a model is and its most telling numbers; a card has all of them."""
    parts = [
        f"{model.ref}{' (default)' if model.default else ''}: {model.dataset}",
        f"{model.width}x{model.height}x{model.channels}",
        f"{model.latent} dimensions",
        *([f"{len(model.classes)} labels"] if model.classes else []),
    ]
    for name in [name for name in TELLING if name in model.metrics] or list(model.metrics)[:4]:
        metric = model.metrics[name]
        parts.append(f"{name} {metric.value:.2f}{' nats' if 'nats' in metric.unit else ''}")
    return ", ".join(parts)


def _bench(options: argparse.Namespace) -> None:
    load = Load(options.n, options.concurrency, options.duration, options.warm_up, options.model)
    whole_s = load.warm_up_s + load.duration_s
    with Progress("s") as progress:
        report = asyncio.run(
            bench(options.url, load, progress=lambda s: progress.show(round(s), round(whole_s)))
        )
    print(json.dumps(asdict(report), indent=1) if options.json else _report(report))


def _report(report: Report) -> str:
    times = {"p50": report.p50_ms, "p95": report.p95_ms, "p99": report.p99_ms}
    times["worst"] = report.worst_ms
    asked = f"from {report.concurrency} clients, images a request: {report.n}"
    lines = [
        f"{report.model}: {report.answers} answers in {report.duration_s:.1f} s {asked}",
        f"  {report.answers_per_s:.1f} answers/s, {report.images_per_s:.1f} images/s",
        "  " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in times.items()),
    ]
    if report.queue_p50_ms is not None and report.inference_p50_ms is not None:
        lines.append(
            f"  of that in the service, p50: waiting {report.queue_p50_ms:.2f} ms, "
            f"computing {report.inference_p50_ms:.2f} ms"
        )
    lines += [f"  refused: {count} x {kind}" for kind, count in report.refused.items()]
    return "\n".join(lines)


class Progress:
    """One line on stderr that grows; nothing where stderr is no terminal."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._on = sys.stderr.isatty()
        self._begun: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._on and self._begun is not None:
            print(file=sys.stderr)

    def show(self, done: int, total: int) -> None:
        """Say how far it is, and how fast it went."""
        if not self._on:
            return
        now = time.monotonic()
        begun, at = self._begun = self._begun or (now, done)
        rate = (done - at) / (now - begun) if now > begun else 0.0
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        bar = "#" * (30 * min(done, total) // max(total, 1))
        text = f"\r[{bar:30}] {min(done, total)}/{total} {self._unit}{left}"
        print(f"{text:72}", end="", file=sys.stderr, flush=True)
