"""Tiny real models for the tests of the store."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_store.class_latents import ClassLatents, GaussianMixture
from model_store.spec import (
    MLP,
    Description,
    ImageShape,
    LatentStatistics,
    Manifest,
    Metric,
    ModelRef,
    ModelSpec,
    TrainingRecord,
)
from model_store.store import Store
from model_store.vae import VAE

TINY = ModelSpec(network=MLP(hidden=(5,)), latent=3, image=ImageShape(height=4, width=4))


def tiny_weights(seed: int = 0, spec: ModelSpec = TINY) -> dict[str, Tensor]:
    """Weights of an untrained model, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VAE(spec).state_dict()


def tiny_description(spec: ModelSpec = TINY) -> Description:
    kl_nats = tuple(itertools.islice(itertools.cycle((0.5, 2.0, 1.0)), spec.latent))
    return Description(
        spec=spec,
        training=TrainingRecord(preset="tiny", dataset="made", seed=0, epochs=0),
        metrics={"test_neg_elbo": Metric(value=12.5, unit="nats", protocol="made up")},
        latents=LatentStatistics(
            kl_nats=kl_nats, mean=(0.0,) * spec.latent, std=(1.0,) * spec.latent
        ),
    )


def measured_description(
    recognisable: float, frechet_distance: float, dataset: str = "made"
) -> Description:
    """Describe a tiny model whose samples a judge has measured."""
    tiny = tiny_description()
    values = {
        "samples_relative_sure_share": recognisable,
        "samples_frechet_distance": frechet_distance,
    }
    measured = {k: Metric(value=v, unit="made up", protocol="made up") for k, v in values.items()}
    training = tiny.training.model_copy(update={"dataset": dataset})
    return tiny.model_copy(update={"training": training, "metrics": tiny.metrics | measured})


def tiny_classes() -> ClassLatents:
    """Two classes of the tiny model: one component around -2, and two around 2 and 3."""
    eye = np.eye(3)
    return ClassLatents(
        (
            GaussianMixture(np.ones(1), np.full((1, 3), -2.0), 0.5 * eye[None]),
            GaussianMixture(
                np.array([0.25, 0.75]),
                np.array([[2.0] * 3, [3.0] * 3]),
                np.stack((0.1 * eye, 0.2 * eye + 0.3 * np.eye(3, k=-1))),
            ),
        )
    )


def a_card(ref: ModelRef) -> str:
    return f"# {ref}\n"


def publish_tiny(store: Store, name: str = "tiny", seed: int = 0) -> Manifest:
    """Publish a float version with two figures."""
    return store.publish(
        name,
        tiny_description(),
        tiny_weights(seed),
        card=a_card,
        figures={"samples": b"a picture", "loss": b"another"},
    )


def replace_file(folder: Path, filename: str, content: bytes) -> None:
    """Change a file of a version, with checksums that fit."""
    (folder / filename).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256(content).hexdigest()
    manifest["files"][filename] = {"sha256": digest, "size_bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)


def reseal(folder: Path) -> None:
    """Write SHA256SUMS for the files that a version has now, as somebody who changed them would."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))
