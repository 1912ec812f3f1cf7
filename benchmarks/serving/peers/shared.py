"""Load the model, draw images and encode them, as tutorials do; imported by every peer.

Runs in the environment of a peer, which has torch, torchvision and the package model_store, but
not zserve's server. MODEL is a folder with spec.json and weights.safetensors.
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
"""Settings from the grid in benchmarks/serving/peer_servers.py."""


def load_model() -> VAE:
    """Load the model from MODEL, and limit torch to one thread."""
    torch.set_num_threads(1)
    folder = Path(os.environ["MODEL"])
    spec = ModelSpec.model_validate_json((folder / "spec.json").read_bytes())
    return build_vae(spec, load_file(folder / "weights.safetensors"))


@torch.inference_mode()
def draw(vae: VAE, n: int) -> Tensor:
    """Draw n images from the prior; (n, channels, height, width) in [0, 1]."""
    return vae.mean_image(vae.decode(torch.randn(n, vae.spec.latent)))


def draw_each(vae: VAE, counts: list[int]) -> list[Tensor]:
    """Draw the images of several requests in one decode; one tensor per request."""
    return list(torch.split(draw(vae, sum(counts)), counts))


def to_png(images: Tensor) -> bytes:
    """Encode a grid with torchvision; (n, channels, height, width) -> PNG."""
    file = io.BytesIO()
    save_image(images, file, format="png", nrow=math.isqrt(len(images) - 1) + 1)
    return file.getvalue()
