"""`python -m model_store import`: publish a model that was made elsewhere, without its code."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_store.command_line import ArgumentParser
from model_store.errors import CorruptVersionError, ShapeError, StoreError
from model_store.graphs.network import GraphNetwork
from model_store.graphs.pair import DECODER, ENCODER
from model_store.importing.card import card, description
from model_store.importing.detection import Pixels, Wishes, detect
from model_store.importing.files import FilesBeside, read_regular_file
from model_store.importing.keras import keras_graphs
from model_store.importing.layouts import (
    KERAS,
    LAYOUTS,
    MLP_LAYOUTS,
    PYTORCH_VAE,
    Converted,
    convert_mlp,
)
from model_store.importing.pytorch_vae import pytorch_vae_graphs
from model_store.spec import ImageShape, Manifest
from model_store.store import open_store
from model_store.store.options import add_store_option
from model_store.store.tensors import parse_safetensors

PROGRAM = "python -m model_store import"
DESCRIPTION = "Publish a model that was made elsewhere, without its code."
_GRAPHS = {KERAS: keras_graphs, PYTORCH_VAE: pytorch_vae_graphs}
"""Layouts whose weights become graphs."""
_PIXELS: dict[Pixels | None, str] = {
    "unit": "in [0, 1]",
    "signed": "in [-1, 1]",
    "logits": "in [0, 1], given by the decoder as logits",
}


def main(arguments: Sequence[str] | None = None, *, prog: str = PROGRAM) -> int:
    """Import a model and return the exit status.

    The status is 0 on success, 1 if a file is refused or cannot be read, and 2 if the version cannot be
    written or an argument is wrong. `prog` is the command as help and messages name it.
    """
    parser = ArgumentParser(prog=prog, description=DESCRIPTION)
    add_options(parser)
    options = parser.parse_args(arguments)
    graphs = options.encoder is not None and options.decoder is not None
    weights = options.safetensors is not None and options.layout is not None
    if graphs == weights or (options.encoder is None) != (options.decoder is None):
        parser.error("give --encoder and --decoder, or --safetensors and --layout")
    if options.pixels and options.layout in MLP_LAYOUTS:
        parser.error(f"the layout {options.layout} gives logits: leave --pixels out")
    try:
        converted = _from_graphs(options) if graphs else _from_weights(options)
        source = _graph_source(options) if graphs else f"weights of the layout {options.layout}"
        source += ", with pixels in [-1, 1]" if converted.pixels == "signed" else ""
        about = description(converted.spec, source, options.classes)
        store = open_store(options.store)
        manifest = store.publish(
            options.name, about, converted.weights, card=lambda ref: card(ref, about)
        )
    except StoreError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1 if isinstance(error, CorruptVersionError) else 2
    except OSError as error:
        print(f"{prog}: cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"published {manifest.ref} in {store.place(manifest.ref)}")
    if converted.pixels in _PIXELS:
        print(
            f"Pixels of its graphs are taken to be {_PIXELS[converted.pixels]}; if they are not, import it "
            "again with --pixels."
        )
    print(_how_it_is_served(manifest))
    return 0


def _from_graphs(options: argparse.Namespace) -> Converted:
    """Check a pair of graphs, and describe them; raises GraphError, OSError."""
    encoder, decoder = (read_regular_file(path) for path in (options.encoder, options.decoder))
    beside = [FilesBeside(path.parent) for path in (options.encoder, options.decoder)]
    return _detected(encoder, decoder, _wishes(options), beside)


def _from_weights(options: argparse.Namespace) -> Converted:
    """Convert weights of a known layout; raises CorruptVersionError, OSError."""
    try:
        tensors = parse_safetensors(read_regular_file(options.safetensors))
    except ValueError as error:
        raise CorruptVersionError(f"{options.safetensors} is unreadable: {error}") from error
    if options.layout in MLP_LAYOUTS:
        return convert_mlp(options.layout, tensors, options.image, options.upload)
    try:
        encoder, decoder = _GRAPHS[options.layout](tensors)
    except ValueError as error:
        raise ShapeError(f"{options.layout}: {error}") from error
    return _detected(encoder, decoder, _wishes(options))


def _detected(
    encoder: bytes,
    decoder: bytes,
    wishes: Wishes,
    beside: Sequence[FilesBeside | None] = (None, None),
) -> Converted:
    detected = detect(encoder, decoder, wishes, beside)
    GraphNetwork(detected.spec, detected.encoder, detected.decoder)  # loads as the service does
    contents = {ENCODER: detected.encoder, DECODER: detected.decoder}
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in contents.items()}
    return Converted(detected.spec, arrays, detected.pixels)


def _wishes(options: argparse.Namespace) -> Wishes:
    names = tuple(options.encoder_outputs.split(",")) if options.encoder_outputs else ()
    return Wishes(options.image, names, options.upload, options.pixels)


def _graph_source(options: argparse.Namespace) -> str:
    return f"the graphs {options.encoder.name} and {options.decoder.name}"


def _how_it_is_served(manifest: Manifest) -> str:
    if manifest.spec.network.kind == "onnx":
        return (
            "It is served in float by ONNX Runtime: the last bits of its results may differ from machine "
            "to machine."
        )
    return (
        "It is served in float, which needs PyTorch; `python -m training evaluate "
        f"{manifest.ref} --data DATASET` measures it and publishes it in the exact arithmetic."
    )


def _image(text: str) -> ImageShape:
    """Parse a shape such as 1x28x28."""
    match = re.fullmatch(r"([13])x([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", text)
    if match is None:
        raise argparse.ArgumentTypeError("expected channels, height and width, such as 1x28x28")
    channels, height, width = map(int, match.groups())
    return ImageShape.model_validate({"channels": channels, "height": height, "width": width})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to a parser."""
    add_store_option(parser)
    parser.add_argument("--name", required=True, help="name of the model in the store")
    parser.add_argument(
        "--encoder",
        type=Path,
        metavar="FILE",
        help="ONNX graph from images to mu and ln sigma^2, or to a latent",
    )
    parser.add_argument(
        "--decoder",
        type=Path,
        metavar="FILE",
        help="ONNX graph from latents to images in [0, 1], logits or grey levels",
    )
    parser.add_argument(
        "--safetensors", type=Path, metavar="FILE", help="weights of a network of a tutorial"
    )
    parser.add_argument("--layout", choices=LAYOUTS, help="the tutorial")
    parser.add_argument(
        "--image",
        type=_image,
        metavar="CxHxW",
        help="shape of the images, such as 1x28x28, if the files leave it open",
    )
    parser.add_argument(
        "--upload",
        choices=("digit", "resize"),
        default="resize",
        help="preparation of uploads: placed as MNIST places digits, or cropped and resized (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--pixels",
        choices=("unit", "signed", "logits"),
        help="pixels of the networks: in [0, 1], in [-1, 1], or given as logits (default: as 16 drawn images "
        "show)",
    )
    parser.add_argument(
        "--encoder-outputs",
        metavar="MU,LOGVAR",
        help="names of the encoder's outputs, if there are several and their names do not say it",
    )
    parser.add_argument(
        "--classes",
        type=lambda text: tuple(text.split(",")),
        metavar="A,B,...",
        help="names of the classes in the order of their labels",
    )
