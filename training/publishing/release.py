"""Turn trained weights into a version: quantise, measure, draw figures, write the card, publish.

`train`, `publish` and `republish` all end here. The numbers in a card are therefore measured on the
network that is served, by the function that `evaluate` uses to verify them.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model_store.arithmetic.golden import executor_maker, fastest_installed
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import ExactNetwork
from model_store.class_latents import ClassLatents
from model_store.compression.pixels import LogWeights
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.encoded_images import EncodedImages
from model_store.snapshots import Snapshots
from model_store.spec import Description, Manifest, Metric, ModelSpec, TrainingRecord
from model_store.store import Store
from model_store.store.tensors import Weights
from model_store.typicality import Typicality
from model_store.vae import VAE, TrainedVAE
from training.classifier.model import Judge, judge_for
from training.data.images import Splits
from training.errors import NoExactFormError, SettingError
from training.evaluation import float_metrics, typicality
from training.evaluation.directions import MeasuredDirections, dataset_name, find_directions
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import DRAWS, bound_nats
from training.evaluation.posteriors import posteriors
from training.evaluation.warnings import find_warnings, training_of
from training.publishing import figures, model_card
from training.publishing.options import Figures, ReleaseOptions, Storage

CALIBRATION_IMAGES = 1000
"""Training images, evenly spaced, on which an exact network is calibrated."""
MAX_ROUNDING_NATS = 0.01
"""Largest accepted increase of the test -ELBO when weights are rounded to 16 bits."""


def _ignore(_stage: str) -> None:
    pass


@dataclass(frozen=True)
class Release:
    """Everything that a version contains; the store chooses its number."""

    description: Description
    weights: Weights | None
    class_latents: ClassLatents
    figures: dict[str, bytes]
    network: ExactNetwork | None = None
    pixels: LogWeights | None = None
    directions: Directions = NO_DIRECTIONS
    typicality: Typicality | None = None
    encoded_images: EncodedImages | None = None
    snapshots: Snapshots | None = None

    def publish(self, store: Store, name: str) -> Manifest:
        """Add the version to a store; raises StoreError and then leaves the store unchanged."""
        return store.publish(
            name,
            self.description,
            self.weights,
            card=lambda ref: model_card.write(
                ref, self.description, self.figures, exact=self.network is not None
            ),
            figures=self.figures,
            class_latents=self.class_latents,
            network=self.network,
            pixels=self.pixels,
            directions=self.directions,
            typicality=self.typicality,
            encoded_images=self.encoded_images,
            snapshots=self.snapshots,
        )


def prepare_release(
    vae: VAE,
    splits: Splits,
    record: TrainingRecord,
    options: ReleaseOptions,
    *,
    other_figures: Mapping[str, bytes] | None = None,
    float_numbers: Mapping[str, Metric] | None = None,
    snapshots: Snapshots | None = None,
    report: Callable[[str], None] = _ignore,
) -> Release:
    """Quantise, measure and draw figures; `report` is called with the name of each stage.

    `other_figures` (name -> PNG) are added unchanged. `float_numbers` are metrics of these weights
    in float, which are measured if any is missing. `snapshots` are those of the training. VAE and
    images must be on one device. Raises SettingError if rounding to 16 bits costs too much.
    """
    weights = stored_weights(vae, options.storage)
    if options.storage is Storage.FLOAT16:
        vae = _round_to_16_bits(vae, weights, splits, report)
    judge = judge_for(record, vae, splits.classes)
    network = _exact_network(vae, splits, report) if options.arithmetic != "float" else None
    served = vae if network is None else _exact_vae(network, vae)
    evaluation = evaluate(served, splits, options.level, judge=judge, report=report)
    if network is not None:
        report("the float weights")
        numbers = _float_numbers(vae, splits, evaluation, options, judge, float_numbers or {})
        evaluation = replace(evaluation, metrics=evaluation.metrics | numbers)
    pixels = None if network is None else _pixel_table(network, vae.spec, splits, report)
    kept = None if network is not None and not options.float_weights else weights
    release = complete_release(
        served,
        splits,
        record,
        options,
        evaluation,
        judge,
        other_figures=other_figures,
        report=report,
    )
    return replace(release, weights=kept, network=network, pixels=pixels, snapshots=snapshots)


def complete_release(  # noqa: PLR0917 - the parts of one measurement
    served: TrainedVAE,
    splits: Splits,
    record: TrainingRecord,
    options: ReleaseOptions,
    evaluation: Evaluation,
    judge: Judge | None,
    *,
    other_figures: Mapping[str, bytes] | None = None,
    report: Callable[[str], None] = _ignore,
) -> Release:
    """Add directions, figures and description to the evaluation of a network; it has no weights yet."""
    table = evaluation.typicality or typicality.fit(served, splits)
    directions = MeasuredDirections()
    if options.level.includes(EvaluationLevel.FULL):
        report("directions")
        directions = find_directions(served, splits, dataset_name(record), judge)
    report("figures")
    drawn = dict(other_figures or {}) | draw(served, splits, evaluation, record, options.figures)
    description = Description(
        spec=served.spec,
        training=record,
        metrics=evaluation.metrics,
        latents=evaluation.latents,
        classes=splits.classes,
        directions=directions.table,
        warnings=find_warnings(evaluation.metrics, served.spec.latent, training_of(record, splits)),
    )
    return Release(
        description,
        None,
        evaluation.class_latents,
        drawn,
        directions=directions.vectors,
        typicality=table,
        encoded_images=evaluation.encoded_images,
    )


def _exact_network(vae: VAE, splits: Splits, report: Callable[[str], None]) -> ExactNetwork | None:
    """Quantise the network, or return None, with a message, if it has no exact form."""
    from training.quantisation import quantise  # noqa: PLC0415 - switches TF32 off for the process

    report("quantising")
    step = max(1, len(splits.train) // CALIBRATION_IMAGES)
    index = torch.arange(len(splits.train))[::step][:CALIBRATION_IMAGES]
    images = splits.train.batch(index.to(splits.train.pixels.device)).cpu()
    try:
        return quantise(copy.deepcopy(vae).cpu(), images)
    except NoExactFormError as error:
        report(f"publishing in float, because the network has no exact form: {error}")
        return None


def _pixel_table(
    network: ExactNetwork, spec: ModelSpec, splits: Splits, report: Callable[[str], None]
) -> LogWeights | None:
    """Count the grey levels of the training images, or return None if the pixels are no Bernoulli."""
    from training.quantisation.pixel_table import (  # noqa: PLC0415 - switches TF32 off
        count_pixels,
    )

    if spec.likelihood != "bernoulli":
        return None
    report("counting grey levels for compression")
    model = ExactModel(network, spec, executor_maker(fastest_installed()))
    return count_pixels(model, splits.train.pixels.cpu().numpy())


def _exact_vae(network: ExactNetwork, vae: VAE) -> TrainedVAE:
    from model_store.vae.exact import ExactVAE  # noqa: PLC0415 - loads ONNX Runtime

    return ExactVAE(network, vae.spec, vae.device)


def _float_numbers(  # noqa: PLR0917 - the parts of one measurement
    vae: VAE,
    splits: Splits,
    evaluation: Evaluation,
    options: ReleaseOptions,
    judge: Judge | None,
    measured: Mapping[str, Metric],
) -> dict[str, Metric]:
    """Return the metrics of the float weights: `measured` if they are complete, else new ones."""
    if float_metrics.are_complete(measured, evaluation.metrics):
        return dict(measured)
    return float_metrics.measure(vae, splits, options.level, judge)


def stored_weights(vae: VAE, storage: Storage) -> dict[str, Tensor]:
    """Return the tensors to store; only floating-point tensors are rounded."""
    weights = {name: tensor.detach().cpu() for name, tensor in vae.state_dict().items()}
    if storage is Storage.FLOAT32:
        return weights
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}


@torch.no_grad()
def draw(
    vae: TrainedVAE, splits: Splits, evaluation: Evaluation, record: TrainingRecord, which: Figures
) -> dict[str, bytes]:
    """Draw the figures of a version, and return name -> PNG; VAE and images must be on one device."""
    if isinstance(vae, VAE):
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
        if len(first) >= 2:
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
