"""Exact versions with random weights whose data are noise, and their typicality tables."""

from pathlib import Path

import numpy as np

from model_store.arithmetic.golden import executor_maker
from model_store.arithmetic.model import ExactModel
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.spec import TrainingRecord
from model_store.store import Store
from model_store.typicality import Typicality, fit, statistics
from tests.api.service import MOVING_DIRECTIONS, png
from tests.unit.arithmetic.networks import SPECS, exact_network
from tests.unit.models import a_card, tiny_description

SIDE = SPECS["flow"].image.height
IMAGES = np.random.default_rng(0).integers(0, 256, (200, 1, SIDE, SIDE), np.uint8)


def noise(i: int) -> bytes:
    """Return an image of the data as a PNG; those from 100 on are test images."""
    return png(IMAGES[i, 0])


def black() -> bytes:
    """Return an image that is not like the data, as a PNG."""
    return png(np.zeros((SIDE, SIDE), np.uint8))


def publish_typical(
    root: Path, kind: str, name: str | None = None, *, moving: bool = False
) -> None:
    """Publish the model `kind` with a table; it takes images of its size as they are.

    `moving` adds directions.
    """
    spec = SPECS[kind].model_copy(update={"upload": "resize"})
    steps = np.random.default_rng(1).normal(0, 0.5, (3, spec.latent)).astype(np.float32)
    training = TrainingRecord(preset="tiny", dataset="noise", seed=0, epochs=0)
    changes = {
        "spec": spec,
        "latents": None,
        "training": training,
        "directions": MOVING_DIRECTIONS if moving else None,
    }
    description = tiny_description().model_copy(update=changes)
    Store(root).publish(
        name or kind,
        description,
        None,
        card=a_card,
        network=exact_network(kind),
        directions=Directions(MOVING_DIRECTIONS.names, steps) if moving else NO_DIRECTIONS,
        typicality=fitted(kind),
    )


def fitted(kind: str) -> Typicality:
    """Return the table of a model; its likelihoods are made up."""
    model = ExactModel(exact_network(kind), SPECS[kind], executor_maker("numpy"))
    mu, _ = model.encode(IMAGES)
    values = statistics(IMAGES, model.decode(mu), mu)
    nats = np.linspace(-80, 0, 50)
    return fit(values[:100], values[100:], elbo_nats=nats, nll_nats=-nats, draws=64)
