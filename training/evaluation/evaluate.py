"""Measure the published numbers of a model, from its weights and the data alone.

Publishing and `python -m training evaluate` both call `evaluate`, so a card can be recomputed from
the weights. Each metric contains a tolerance for the difference of two measurements.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.class_latents import NO_CLASSES, ClassLatents, as_stored
from model_store.encoded_images import EncodedImages
from model_store.spec import LatentStatistics, Metric
from model_store.typicality import Typicality
from model_store.vae import VAE, TrainedVAE
from training.classifier.model import Judge
from training.data.images import Images, Splits, affordable_batch, batch_indices
from training.evaluation import classifier_metrics, typicality
from training.evaluation.class_mixtures import fit_class_mixtures
from training.evaluation.encoded_images import encoded_images
from training.evaluation.judged_classes import fit_to_right_draws
from training.evaluation.latent_metrics import (
    ACTIVE_VARIANCE,
    active_units,
    knn_accuracy,
    linear_probe_accuracy,
    mean_kl_per_dimension,
)
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import (
    NLL_5000_SAMPLES,
    bound_metrics,
    bound_nats,
    bounded_images,
    importance_nll,
    nll_5000_metrics,
    nll_metrics,
)
from training.evaluation.metrics import (
    SEED,
    binarized_targets,
    grey_targets,
    kl_metric,
    latent_draws,
    nats_metric,
    over_test_split,
    share_metric,
)
from training.evaluation.posteriors import (
    BATCH,
    Posteriors,
    class_posteriors,
    encode_images,
    posteriors,
)
from training.evaluation.warnings import MIN_IMAGES_PER_CLASS

QUICK_IMAGES = 1000
QUICK_NLL_IMAGES = 200
QUICK_NLL_SAMPLES = 16
NEIGHBOURS = 5


@dataclass(frozen=True)
class Evaluation:
    """The measured part of a version; each `Metric.protocol` says how its number was measured."""

    metrics: dict[str, Metric]
    latents: LatentStatistics
    class_latents: ClassLatents = NO_CLASSES
    typicality: Typicality | None = None
    """The table of the version, or None at the level `quick`."""
    encoded_images: EncodedImages | None = None


def _ignore(_stage: str) -> None:
    pass


@torch.no_grad()
def evaluate(
    vae: TrainedVAE,
    splits: Splits,
    level: EvaluationLevel = EvaluationLevel.FULL,
    *,
    judge: Judge | None = None,
    class_latents: ClassLatents | None = None,
    report: Callable[[str], None] = _ignore,
) -> Evaluation:
    """Measure a model on the test split; `report` is called with the name of each stage.

    VAE, judge and images must be on one device. If `class_latents` is None and every class has
    enough images, mixtures are fitted to the training split in the space where q(z | x) is a
    Gaussian, which is before a flow. The linear probe and the nearest neighbours use mu in the
    space of these mixtures.
    """
    if isinstance(vae, VAE):
        vae.eval()
    report("latents of the test split")
    test = posteriors(vae, splits.test)
    metrics = _latent_metrics(vae, splits, test) | _quick_metrics(vae, splits, judge)
    if level.includes(EvaluationLevel.BOUND):
        report("-ELBO")
        metrics |= bound_metrics(vae, splits)
    table = None
    if level.includes(EvaluationLevel.BOUND):
        report("images of other kinds")
        table = typicality.fit(vae, splits)
        metrics |= typicality.measure(vae, splits, table)
    if level.includes(EvaluationLevel.FULL):
        report("NLL by importance sampling")
        metrics |= nll_metrics(vae, splits)
    if level.includes(EvaluationLevel.EXHAUSTIVE):
        report(f"NLL by {NLL_5000_SAMPLES:,} draws per image")
        metrics |= nll_5000_metrics(vae, splits)
    if level.includes(EvaluationLevel.BOUND) and has_every_class(splits):
        fitted = fit_classes(vae, splits, judge, class_latents, report=report)
        class_latents = fitted.class_latents
        before_flow = class_latents.before_flow
        report("linear probe and nearest neighbours")
        probed = encode_images(vae.posterior, splits.test) if before_flow else test
        mu = "mu of q(z | x)" if before_flow else "mu"
        metrics |= _probe_metrics(splits, fitted.train, probed, mu)
    if judge is not None and level.includes(EvaluationLevel.FULL):
        report("samples, midpoints and classes, by the judge")
        metrics |= classifier_metrics.measure(
            vae, judge, splits, test.mu, class_latents or NO_CLASSES
        )
    return Evaluation(
        metrics,
        latent_statistics(test),
        class_latents or NO_CLASSES,
        table,
        encoded_images(splits.test, test),
    )


@dataclass(frozen=True)
class FittedClasses:
    """The latents of the classes, and the posteriors of the training images in their space."""

    class_latents: ClassLatents
    train: Posteriors


@torch.no_grad()
def fit_classes(
    vae: TrainedVAE,
    splits: Splits,
    judge: Judge | None,
    class_latents: ClassLatents | None = None,
    *,
    report: Callable[[str], None] = _ignore,
) -> FittedClasses:
    """Fit a mixture to the posteriors of each class, unless `class_latents` are given.

    Every class must have training images. If there is a judge, the mixtures are fitted again to the
    draws that it calls right.
    """
    report("latents of the training split")
    before_flow = vae.has_flow if class_latents is None else class_latents.before_flow
    train = class_posteriors(vae, splits.train, before_flow=before_flow)
    if class_latents is None:
        report("mixtures of the classes")
        labels = splits.train.require_labels()
        fitted = fit_class_mixtures(train.mu, train.logvar, labels, before_flow=before_flow)
        if judge is not None:
            report("mixtures of the classes, by the judge")
            fitted = fit_to_right_draws(vae, judge, fitted, labels.bincount())
        class_latents = as_stored(fitted)
    return FittedClasses(class_latents, train)


def _latent_metrics(vae: TrainedVAE, splits: Splits, test: Posteriors) -> dict[str, Metric]:
    over = over_test_split(len(splits.test), splits)
    metrics = {
        "active_units": Metric(
            value=active_units(test.mu),
            unit=f"of {vae.spec.latent} latent dimensions",
            protocol=f"variance of mu above {ACTIVE_VARIANCE}, Burda et al. 2016; {over}",
            tolerance=0,
        ),
    }
    if not vae.has_flow:  # under a flow the KL is an estimate by draws: see bound_metrics
        kl = float(mean_kl_per_dimension(test.mu, test.logvar).sum())
        metrics["test_kl"] = kl_metric(kl, f"KL(q(z | x) || N(0, I)), exact; {over}")
    return metrics


def _quick_metrics(vae: TrainedVAE, splits: Splits, judge: Judge | None) -> dict[str, Metric]:
    images = splits.test.first(QUICK_IMAGES)
    few = Splits(splits.title, splits.train, images, splits.classes)
    posterior = posteriors(vae, images)
    first = f"the first {len(images):,} test images of {splits.title}"
    nll_images = images.first(QUICK_NLL_IMAGES)
    nll = importance_nll(vae, nll_images, QUICK_NLL_SAMPLES, (SEED,))
    metrics = {
        "quick_reconstruction": nats_metric(
            bound_nats(vae, images, 1).reconstruction,
            f"-ln p(x | z), mean over {first}; {grey_targets(vae)}; {latent_draws(1)}",
        ),
        "quick_nll": nats_metric(
            nll.per_seed[0],
            f"-ln p(x), importance sampling, L = {QUICK_NLL_SAMPLES}; mean over the first "
            f"{len(nll_images):,} test images of {splits.title}; {binarized_targets(vae)} by "
            f"torch seed {SEED}{bounded_images(vae, nll)}",
        ),
        "variance_explained": Metric(
            value=variance_explained(vae, splits.train, images),
            unit="of the variance",
            protocol="1 - squared error of the reconstructions from mu / squared error of the mean "
            f"training image; {first}",
            tolerance=0.002,
        ),
    }
    if judge is not None:
        metrics |= classifier_metrics.measure_quick(vae, judge, few, posterior.mu)
    return metrics


def variance_explained(vae: TrainedVAE, train: Images, test: Images) -> float:
    """Return the share of the variance of test pixels that reconstructions explain; at most 1.

    It is 0 for reconstructions that are as good as the mean training image.
    """
    device = test.pixels.device
    mean_image = _mean_image(train)
    error = torch.zeros(2, dtype=torch.float64, device=device)
    for index in batch_indices(len(test), affordable_batch(BATCH, vae.spec.image.pixels)):
        x = test.batch(index.to(device))
        seen = vae.mean_image(vae.logits(vae.posterior(x)[0]))
        differences = (seen - x, mean_image - x)
        error += torch.stack([d.double().square().sum() for d in differences])
    reconstruction, mean = error.tolist()
    return 1.0 - reconstruction / mean if mean else 0.0


def _mean_image(images: Images) -> Tensor:
    """Return the mean of all images, (channels, height, width) in [0, 1]."""
    sums = torch.zeros(images.pixels.shape[1:], dtype=torch.int64, device=images.pixels.device)
    for part in torch.split(images.pixels, BATCH):
        sums += part.sum(dim=0, dtype=torch.int64)
    return (sums / (255 * len(images))).float()


def _probe_metrics(
    splits: Splits, train: Posteriors, test: Posteriors, mu: str
) -> dict[str, Metric]:
    train_labels, test_labels = splits.train.require_labels(), splits.test.require_labels()
    fitted = f"fitted to {mu} of the {len(train_labels):,} training images of {splits.title}"
    right = f"share of the {len(test_labels):,} test images that get their true label"
    return {
        "linear_probe_accuracy": share_metric(
            linear_probe_accuracy(train.mu, train_labels, test.mu, test_labels),
            f"{right} by multinomial logistic regression {fitted}, L2 1e-4",
        ),
        "knn_accuracy": share_metric(
            knn_accuracy(train.mu, train_labels, test.mu, test_labels, k=NEIGHBOURS),
            f"{right} by the majority of the {NEIGHBOURS} nearest neighbours in mu, {fitted}",
        ),
    }


def latent_statistics(test: Posteriors) -> LatentStatistics:
    """Describe the aggregate posterior, the mixture of all q(z | x); Var z = E z^2 - (E z)^2."""
    mu, logvar = test.mu.double(), test.logvar.double()
    mean = mu.mean(dim=0)
    std = ((mu.square() + logvar.exp()).mean(dim=0) - mean.square()).clamp_min(0).sqrt()
    kl_nats = mean_kl_per_dimension(test.mu, test.logvar)
    return LatentStatistics(
        kl_nats=tuple(kl_nats.tolist()), mean=tuple(mean.tolist()), std=tuple(std.tolist())
    )


def has_every_class(splits: Splits) -> bool:
    """Return True if every class has enough training images for a mixture."""
    if splits.classes is None or splits.train.labels is None or splits.test.labels is None:
        return False
    counts = torch.bincount(splits.train.labels, minlength=len(splits.classes))
    return int(counts.min()) >= MIN_IMAGES_PER_CLASS
