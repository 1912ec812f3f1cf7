"""`zserve models`: list the models, or show one."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from zserve_client import Model
from zserve_client.cli.command import Command, check_picture, connect

HEADLINE_METRICS = ("test_nll", "test_negative_elbo", "test_kl", "active_units")
EXAMPLES = """\
  zserve models                                        one line for each model
  zserve models mnist                                  the card of its production version
  zserve models mnist@1 --figure samples --out made.png
  zserve models --json | jq '.[].name'                 JSON for programs"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve models`."""
    parser.add_argument("ref", nargs="?", help="name, name@version or name@alias: show its card")
    parser.add_argument("--figure", help="save a figure, such as samples")
    parser.add_argument("--out", type=Path, default=Path("figure.png"), help="file of the figure")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Save a figure, print one version, or list all models."""
    with connect(options) as client:
        if options.figure:
            check_picture(options.out)
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
    """Return one line about a model, with its most important metrics and its sample quality."""
    parts = [
        f"{model.ref}{' (default)' if model.default else ''}: {model.dataset}",
        f"{model.width}x{model.height}x{model.channels}",
        f"{model.latent} dimensions",
        *([f"{len(model.classes)} labels"] if model.classes else []),
    ]
    headline = [name for name in HEADLINE_METRICS if name in model.metrics]
    for name in headline or list(model.metrics)[:4]:
        metric = model.metrics[name]
        parts.append(f"{name} {metric.value:.2f}{' nats' if 'nats' in metric.unit else ''}")
    return ", ".join([*parts, _samples(model)])


def _samples(model: Model) -> str:
    """Return the quality of the samples, and whether no other model of the data set is better."""
    quality = model.sample_quality
    if quality is None:
        return "samples not measured"
    best = f" (best for {model.dataset})" if model.best_samples else ""
    return (
        f"samples {100 * quality.recognisable:.0f} % as recognisable as real ones, "
        f"Frechet distance {quality.frechet_distance:.2f}{best}"
    )


COMMAND = Command("models", "list the models and their metrics", EXAMPLES, add_options, run)
