"""What every peer does for a request, as the tutorials do it: draw, decode, lay out, encode.

Runs in the environment of a peer, which has torch, torchvision and the package model_store, and
nothing of zserve's server. MODEL is a folder with spec.json and weights.safetensors.
"""

import io
import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.utils import save_image  # type: ignore[import-untyped]

from model_store.spec import ModelSpec
from model_store.vae import VAE, build_vae

PORT = int(os.environ.get("PORT", "0"))
SETTINGS: dict[str, Any] = json.loads(os.environ.get("SETTINGS", "{}"))
"""The settings that this run tries, as benchmarks/serving/servers.py lists them."""


def load_model() -> VAE:
    """The model in MODEL; one torch thread."""
    torch.set_num_threads(1)
    folder = Path(os.environ["MODEL"])
    spec = ModelSpec.model_validate_json((folder / "spec.json").read_bytes())
    return build_vae(spec, load_file(folder / "weights.safetensors"))


@torch.inference_mode()
def draw(vae: VAE, n: int) -> Tensor:
    """n images of the prior; (n, channels, height, width) in [0, 1]."""
    return vae.mean_image(vae.decode(torch.randn(n, vae.spec.latent)))


def draw_each(vae: VAE, counts: list[int]) -> list[Tensor]:
    """The same for a batch of requests, decoded in one call."""
    return list(torch.split(draw(vae, sum(counts)), counts))


def to_png(images: Tensor) -> bytes:
    """The grid of the images as torchvision writes it; (n, channels, height, width) -> PNG."""
    file = io.BytesIO()
    save_image(images, file, format="png", nrow=math.isqrt(len(images) - 1) + 1)
    return file.getvalue()
