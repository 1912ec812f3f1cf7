"""Turn trained weights into a version: round, measure, draw figures, write the card, publish.

`train`, `publish` and `republish` all end here. The numbers in a card are therefore measured on the
weights that are stored, by the function that `evaluate` uses to verify them.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.class_latents import ClassLatents
from model_store.spec import Description, Manifest, TrainingRecord
from model_store.store import Store
from model_store.vae import VAE
from training.classifier.model import judge_for
from training.data.images import Splits
from training.errors import SettingError
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.likelihood import DRAWS, bound_nats
from training.evaluation.posteriors import posteriors
from training.publishing import figures, model_card
from training.publishing.options import Figures, ReleaseOptions, Storage

MAX_ROUNDING_NATS = 0.01
"""Largest accepted increase of the test -ELBO when weights are rounded to 16 bits."""


def _ignore(_stage: str) -> None:
    pass


@dataclass(frozen=True)
class Release:
    """Everything that a version contains; the store chooses its number."""

    description: Description
    weights: dict[str, Tensor]
    class_latents: ClassLatents
    figures: dict[str, bytes]

    def publish(self, store: Store, name: str) -> Manifest:
        """Add the version to a store; raises StoreError and then leaves the store unchanged."""
        return store.publish(
            name,
            self.description,
            self.weights,
            card=lambda ref: model_card.write(ref, self.description, self.figures),
            figures=self.figures,
            class_latents=self.class_latents,
        )


def prepare_release(
    vae: VAE,
    splits: Splits,
    record: TrainingRecord,
    options: ReleaseOptions,
    *,
    other_figures: Mapping[str, bytes] | None = None,
    report: Callable[[str], None] = _ignore,
) -> Release:
    """Round, measure and draw figures; `report` is called with the name of each stage.

    `other_figures` (name -> PNG) are added unchanged. VAE and images must be on one device. Raises
    SettingError if rounding to 16 bits costs too much.
    """
    weights = stored_weights(vae, options.storage)
    if options.storage is Storage.FLOAT16:
        vae = _round_to_16_bits(vae, weights, splits, report)
    judge = judge_for(record, vae)
    evaluation = evaluate(vae, splits, options.level, judge=judge, report=report)
    report("figures")
    drawn = dict(other_figures or {}) | draw(vae, splits, evaluation, record, options.figures)
    description = Description(
        spec=vae.spec,
        training=record,
        metrics=evaluation.metrics,
        latents=evaluation.latents,
        classes=splits.classes,
    )
    return Release(description, weights, evaluation.class_latents, drawn)


def stored_weights(vae: VAE, storage: Storage) -> dict[str, Tensor]:
    """Return the tensors to store; only floating-point tensors are rounded."""
    weights = {name: tensor.detach().cpu() for name, tensor in vae.state_dict().items()}
    if storage is Storage.FLOAT32:
        return weights
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}


@torch.no_grad()
def draw(
    vae: VAE, splits: Splits, evaluation: Evaluation, record: TrainingRecord, which: Figures
) -> dict[str, bytes]:
    """Draw the figures of a version; name -> PNG."""
    vae.eval()
    device = splits.test.pixels.device
    drawn = {
        "samples": figures.samples(vae),
        "seed_interpolations": figures.seed_interpolations(vae),
        "traversal": figures.traversal(vae, evaluation.latents.kl_nats),
    }
    if evaluation.class_latents and splits.classes:
        drawn["classes"] = figures.classes(vae, evaluation.class_latents, splits.classes)
    if vae.spec.latent == 2:
        drawn["manifold"] = figures.manifold(vae)
        drawn["latents"] = figures.latent_scatter(
            posteriors(vae, splits.test).mu, splits.test.labels, splits.classes
        )
    if record.history:
        drawn["loss"] = figures.loss_curve(record.history)
    if which is Figures.ALL:
        first = splits.test.batch(torch.arange(min(24, len(splits.test)), device=device))
        drawn["reconstructions"] = figures.reconstructions(vae, first)
        drawn["interpolations"] = figures.interpolations(vae, first[: len(first) // 2 * 2][:16])
    return drawn


def _round_to_16_bits(
    vae: VAE, weights: dict[str, Tensor], splits: Splits, report: Callable[[str], None]
) -> VAE:
    """Return the VAE with rounded weights; raises SettingError if that costs too many nats."""
    rounded = copy.deepcopy(vae)
    rounded.load_state_dict(weights)
    report("cost of rounding to 16 bits")
    cost = _negative_elbo(rounded, splits) - _negative_elbo(vae, splits)
    report(f"rounding to 16 bits costs {cost:+.4f} nats")
    if cost > MAX_ROUNDING_NATS:
        raise SettingError(
            f"--storage float16 costs {cost:.3f} nats of test -ELBO; at most {MAX_ROUNDING_NATS} "
            "are accepted; use --storage float32"
        )
    return rounded


@torch.no_grad()
def _negative_elbo(vae: VAE, splits: Splits) -> float:
    vae.eval()
    return sum(bound_nats(vae, splits.test.first(2000), DRAWS))
