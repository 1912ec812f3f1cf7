"""From trained weights to a version in the store: round, measure, draw, write the card, publish.

Training and `republish` end here, so what a card says was measured on the weights that are
stored, and by what `evaluate` measures again.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from model_store.class_latents import ClassLatents
from model_store.spec import Description, Manifest, TrainingRecord
from model_store.store import Store
from model_store.vae import VAE
from training.classifier.model import JUDGES, Judge, load_judge
from training.data.loading import Splits
from training.errors import SettingError
from training.evaluation.evaluate import (
    DRAWS,
    Evaluation,
    Extent,
    bound_nats,
    evaluate,
    posteriors,
)
from training.publishing import figures, model_card

AFFORDABLE_NATS = 0.01
"""What rounding may cost in test -ELBO."""


class Figures(StrEnum):
    """Which figures to publish; `model` leaves out those that show images of the data set."""

    ALL = "all"
    MODEL = "model"


class Storage(StrEnum):
    """Bits of a stored weight; computing is always in 32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class Plan:
    """How to publish."""

    extent: Extent = Extent.FULL
    storage: Storage = Storage.FLOAT32
    figures: Figures = Figures.ALL


def _silent(_stage: str) -> None:
    pass


@dataclass(frozen=True)
class Release:
    """All of a version but its number."""

    description: Description
    weights: dict[str, Tensor]
    class_latents: ClassLatents
    figures: dict[str, bytes]

    def publish(self, store: Store, name: str) -> Manifest:
        """Add the version; raises StoreError, and then the store is as it was."""
        return store.publish(
            name,
            self.description,
            self.weights,
            card=lambda ref: model_card.write(ref, self.description, self.figures),
            figures=self.figures,
            class_latents=self.class_latents,
        )


def prepare(
    vae: VAE,
    splits: Splits,
    record: TrainingRecord,
    plan: Plan,
    *,
    other_figures: Mapping[str, bytes] | None = None,
    report: Callable[[str], None] = _silent,
) -> Release:
    """Round, measure and draw; `report` hears what is being done.

    `other_figures` come as they are. VAE and images lie on one device. Raises SettingError where
    16 bits cost too much.
    """
    weights = stored_weights(vae, plan.storage)
    if plan.storage is Storage.FLOAT16:
        vae = _check_the_cost_of_rounding(vae, weights, splits, report)
    judge = judge_of(record, vae)
    evaluation = evaluate(vae, splits, plan.extent, judge=judge, report=report)
    report("figures")
    drawn = dict(other_figures or {}) | draw(vae, splits, evaluation, record, plan.figures)
    description = Description(
        spec=vae.spec,
        training=record,
        metrics=evaluation.metrics,
        latents=evaluation.latents,
        classes=splits.classes,
    )
    return Release(description, weights, evaluation.class_latents, drawn)


def stored_weights(vae: VAE, storage: Storage) -> dict[str, Tensor]:
    """The tensors as they are stored; counters and the like keep their type."""
    weights = {name: tensor.detach().cpu() for name, tensor in vae.state_dict().items()}
    if storage is Storage.FLOAT32:
        return weights
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}


def judge_of(record: TrainingRecord, vae: VAE) -> Judge | None:
    """The judge of the data set that a version was trained on; None where there is none."""
    data = record.settings.get("data")
    dataset = data.get("dataset") if isinstance(data, dict) else None
    if not (JUDGES / f"{dataset}.json").exists() or vae.spec.image.shape != (1, 28, 28):
        return None
    judge, _ = load_judge(str(dataset))
    return judge.to(next(vae.parameters()).device)


@torch.no_grad()
def draw(
    vae: VAE, splits: Splits, evaluation: Evaluation, record: TrainingRecord, which: Figures
) -> dict[str, bytes]:
    """Name -> PNG."""
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


def _check_the_cost_of_rounding(
    vae: VAE, weights: dict[str, Tensor], splits: Splits, report: Callable[[str], None]
) -> VAE:
    """The VAE with the stored weights; raises SettingError where they are worse than affordable."""
    rounded = copy.deepcopy(vae)
    rounded.load_state_dict(weights)
    report("what 16 bits cost")
    cost = _negative_elbo(rounded, splits) - _negative_elbo(vae, splits)
    report(f"16 bits cost {cost:+.4f} nats")
    if cost > AFFORDABLE_NATS:
        raise SettingError(
            f"--storage float16 costs {cost:.3f} nats of test -ELBO, more than {AFFORDABLE_NATS}; "
            "use --storage float32"
        )
    return rounded


@torch.no_grad()
def _negative_elbo(vae: VAE, splits: Splits) -> float:
    vae.eval()
    return sum(bound_nats(vae, splits.test.first(2000), DRAWS))
