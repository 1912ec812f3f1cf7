"""A version with latents of test images, whose places on the map are therefore known."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_store.encoded_images import EncodedImages, round_latents
from model_store.spec import MLP, ImageShape, ModelSpec
from model_store.store import Store
from tests.unit.models import a_card, tiny_description, tiny_weights

CLASSES = ("4", "9", "b")
SPEC = ModelSpec(network=MLP(hidden=(8,)), latent=4, image=ImageShape(height=8, width=8))


def mapped_images() -> EncodedImages:
    """Return 300 latents around three means, with another spread in each dimension."""
    noise = np.random.default_rng(0)
    labels = np.arange(300) % 3
    means = np.array([[1.5, 0, 0, 0.5], [-1, 1, 0, 0], [0, -1.5, 0.5, 0]])
    u = means[labels] + noise.standard_normal((300, 4)) * [0.5, 0.3, 1.0, 0.2]
    return round_latents(
        u.astype(np.float32), (7 * np.arange(300)).astype(np.int32), labels.astype(np.int16)
    )


def mapped_latents() -> NDArray[np.float64]:
    return mapped_images().u.astype(np.float64)


def publish_mapped(root: Path, name: str) -> None:
    description = tiny_description(SPEC).model_copy(update={"classes": CLASSES})
    Store(root).publish(
        name, description, tiny_weights(3, SPEC), card=a_card, encoded_images=mapped_images()
    )
