"""Weights of networks that tutorials use -> networks of the store, by the names of their tensors.

Such networks are chains of layers that the store has, so they are published as one of its own: they can
be measured, trained further, and published in the exact arithmetic.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import ValidationError

from model_store import json_files
from model_store.errors import ShapeError
from model_store.importing.detection import Pixels
from model_store.spec import MLP, ImageShape, ModelSpec
from model_store.store.tensors import Array

Upload = Literal["digit", "resize"]

MLP_LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "pytorch-examples": {
        "fc1": "encoder.1",
        "fc21": "to_mu",
        "fc22": "to_logvar",
        "fc3": "decoder.0",
        "fc4": "decoder.2",
    },
    "pythae-mlp": {
        "encoder.layers.0.0": "encoder.1",
        "encoder.embedding": "to_mu",
        "encoder.log_var": "to_logvar",
        "decoder.layers.0.0": "decoder.0",
        "decoder.layers.1.0": "decoder.2",
    },
}
"""Layout -> name of a layer there -> its name here. Both are MLPs with one hidden layer of ReLU.

pytorch-examples  the VAE of github.com/pytorch/examples
pythae-mlp        the default encoder and decoder of pythae's VAE
"""
KERAS, PYTORCH_VAE = "keras-example", "pytorch-vae"
LAYOUTS = (*MLP_LAYOUTS, KERAS, PYTORCH_VAE)


@dataclass(frozen=True)
class Converted:
    """A spec, and the weights that it asks for."""

    spec: ModelSpec
    weights: Mapping[str, Array]
    pixels: Pixels | None = None
    """Pixels of the graphs that were converted; None for networks of the store."""


def convert_mlp(
    layout: str, tensors: Mapping[str, Array], image: ImageShape | None, upload: Upload
) -> Converted:
    """Return an MLP of the store with the tensors of a layout of MLP_LAYOUTS under its own names.

    `image` is the shape of the images; None means square ones, grey if that is possible. `upload` is
    the preparation of uploads. Raises ShapeError if the tensors are not those of the layout.
    """
    names = MLP_LAYOUTS[layout]
    weights = {}
    for there, here in names.items():
        for part, rank in (("weight", 2), ("bias", 1)):
            name = f"{there}.{part}"
            if name not in tensors:
                listed = ", ".join(sorted(tensors)[:10])
                raise ShapeError(f"{layout}: tensor {name} is missing; the file has {listed}")
            if tensors[name].ndim != rank:
                raise ShapeError(
                    f"{layout}: tensor {name} has {tensors[name].ndim} axes, not {rank}"
                )
            weights[f"{here}.{part}"] = np.ascontiguousarray(tensors[name], np.float32)
    others = sorted(
        tensors.keys() - {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    )
    if others:
        raise ShapeError(f"{layout}: tensor {others[0][:80]} is not part of the layout")
    hidden, pixels = weights["encoder.1.weight"].shape
    try:
        spec = ModelSpec(
            network=MLP(hidden=(hidden,)),
            latent=len(weights["to_mu.weight"]),
            image=image or _square(layout, pixels),
            upload=upload,
        )
    except ValidationError as error:
        raise ShapeError(f"{layout}: {json_files.first_problem(error)}") from error
    return Converted(spec, weights)


def _square(layout: str, pixels: int) -> ImageShape:
    """Return the shape of square images with this many pixels."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if channels * side * side == pixels:
            return ImageShape.model_validate({"channels": channels, "height": side, "width": side})
    raise ShapeError(f"{layout}: {pixels} pixels are no square; say the shape by --image 1x28x28")
