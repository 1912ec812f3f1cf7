"""Metrics that need the judge: of reconstructions, samples, midpoints and classes.

The judge was trained on real images only. It is sure of half of the blends of two digits and of
uniform noise, so a high sure share does not prove that images are right. The numbers compare
models with each other and with real images, which are measured in the same way (`real_`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.class_latents import ClassLatents
from model_store.spec import Metric
from model_store.vae import TrainedVAE
from training.classifier.model import SURE_PROBABILITY, Judge, Predictions, judge_images
from training.data.images import Images, Splits, batch_indices
from training.evaluation.class_metrics import by_class, class_tolerance, samples_by_class
from training.evaluation.class_mixtures import latents_of_class
from training.evaluation.density_coverage import NEIGHBOURS as PRDC_NEIGHBOURS
from training.evaluation.latent_metrics import nearest_other
from training.evaluation.metrics import SEED, share_metric
from training.evaluation.posteriors import BATCH
from training.evaluation.sample_quality import (
    Quality,
    frechet_distance,
    label_agreement,
    measure_class_quality,
    measure_quality,
    relative_sure_share,
    sure_share,
)
from training.progress import tracked

NEIGHBOURS = 3
SAMPLES = "decoded from z ~ N(0, I)"


def measure(
    vae: TrainedVAE,
    judge: Judge,
    splits: Splits,
    test_mu: Tensor,
    class_latents: ClassLatents,
) -> dict[str, Metric]:
    """Measure all metrics that need the judge; `test_mu` (images, latent) is on the CPU."""
    images = len(splits.test)
    noise = torch.Generator().manual_seed(SEED)
    real = predict_images(judge, splits.test)
    reconstructed = predict_latents(vae, judge, test_mu)
    z = torch.randn((images, vae.spec.latent), generator=noise)
    partner = torch.randperm(images, generator=noise)
    others = torch.randperm(len(splits.train), generator=noise)[:images]
    metrics = {"reconstruction_label_agreement": _agreement(real, reconstructed, splits, images)}
    sets = {
        "samples": (predict_latents(vae, judge, z), SAMPLES),
        "midpoints": (
            predict_latents(vae, judge, 0.5 * (test_mu + test_mu[partner])),
            "decoded halfway between the mu of two test images",
        ),
        "real": (
            predict_images(judge, _at(splits.train, others)),
            "real training images: the best that a model can be expected to reach",
        ),
    }
    for name, (predictions, what) in sets.items():
        if len(predictions) == images:  # a smaller training split has too few images for `real`
            how = _how(what, splits)
            quality = measure_quality(predictions, real, k=NEIGHBOURS)
            metrics |= _quality_metrics(name, quality, how)
            if name == "samples":
                metrics |= samples_by_class(quality, predictions, real, splits)
    metrics |= _neighbour_midpoints(vae, judge, splits, test_mu, real)
    return metrics | _class_metrics(vae, judge, splits, real, class_latents)


def measure_classes(
    vae: TrainedVAE, judge: Judge, splits: Splits, class_latents: ClassLatents
) -> dict[str, Metric]:
    """Measure images of each class alone, by the same draws as `measure`."""
    return _class_metrics(vae, judge, splits, predict_images(judge, splits.test), class_latents)


def measure_samples(vae: TrainedVAE, judge: Judge, splits: Splits) -> dict[str, Metric]:
    """Measure the quality of samples alone, by the same draws as `measure`."""
    images = len(splits.test)
    z = torch.randn((images, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    quality = measure_quality(
        predict_latents(vae, judge, z), predict_images(judge, splits.test), k=NEIGHBOURS
    )
    return _quality_metrics("samples", quality, _how(SAMPLES, splits))


def measure_quick(vae: TrainedVAE, judge: Judge, few: Splits, mu: Tensor) -> dict[str, Metric]:
    """Measure two numbers on a few test images and as many samples."""
    real, reconstructed = predict_images(judge, few.test), predict_latents(vae, judge, mu)
    z = torch.randn((len(mu), vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    samples = predict_latents(vae, judge, z)
    agreement = _agreement(real, reconstructed, few, len(mu), which="first ")
    return {
        "quick_label_agreement": agreement.model_copy(update={"tolerance": 0.003}),
        "quick_sure_share": share_metric(
            sure_share(samples.confidence),
            f"share of {len(mu):,} samples to which the judge gives a class with a probability of "
            f"at least {SURE_PROBABILITY}; decoded from z ~ N(0, I), torch seed {SEED}",
            tolerance=0.0035,
        ),
    }


def _neighbour_midpoints(
    vae: TrainedVAE, judge: Judge, splits: Splits, mu: Tensor, real: Predictions
) -> dict[str, Metric]:
    """Measure images decoded halfway between neighbours, which should look like real images."""
    made = predict_latents(vae, judge, 0.5 * (mu + mu[nearest_other(mu)]))
    against = f"as many as and against the {len(mu):,} test images of {splits.title}"
    how = f"decoded halfway between the mu of each test image and the nearest other mu, {against}"
    distance = frechet_distance(made.features, real.features)
    share = relative_sure_share(made, real)
    return {
        f"neighbour_midpoints_{name}": metric
        for name, metric in {
            "relative_sure_share": _relative_metric(share, "their sure share", how),
            "frechet_distance": _frechet_metric(distance, how),
        }.items()
    }


def predict_images(judge: Judge, images: Images) -> Predictions:
    """Run the judge on real images, in batches."""
    device = images.pixels.device
    parts = [
        judge_images(judge, images.batch(index.to(device)))
        for index in tracked(batch_indices(len(images), BATCH))
    ]
    return _joined(parts)


def predict_latents(
    vae: TrainedVAE, judge: Judge, z: Tensor, *, before_flow: bool = False
) -> Predictions:
    """Run the judge on the images of z (images, latent), on any device.

    z has the prior N(0, I), or if `before_flow`, is in the space of q(z | x), where the flow is the prior.
    """
    device = vae.device
    decode = vae.logits if before_flow else vae.decode
    parts = [
        judge_images(judge, vae.mean_image(decode(part.to(device))))
        for part in tracked(torch.split(z, BATCH))
    ]
    return _joined(parts)


def _class_metrics(
    vae: TrainedVAE,
    judge: Judge,
    splits: Splits,
    real: Predictions,
    class_latents: ClassLatents,
) -> dict[str, Metric]:
    names = splits.classes
    if splits.test.labels is None or names is None or not class_latents:
        return {}
    labels = splits.test.labels.cpu()
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    if min(counts) <= NEIGHBOURS:
        return {}
    noise = torch.Generator().manual_seed(SEED)
    z = [latents_of_class(vae, class_latents, label, n, noise) for label, n in enumerate(counts)]
    asked = torch.cat([torch.full((n,), label) for label, n in enumerate(counts)])
    made = predict_latents(vae, judge, torch.cat(z))
    qualities = measure_class_quality(made, asked, real, labels, k=NEIGHBOURS)
    how = (
        f"samples of the class's Gaussian mixture{_rejection(class_latents)}, temperature 1, torch seed "
        f"{SEED}, as many as test images of the class in {splits.title}"
    )
    meanings = {
        "right": "share that the judge assigns to the requested class",
        "precision": "share within the class's manifold of test images, judge's features, k = 3",
        "recall": "share of the class's test images within the samples' manifold, k = 3",
    }
    metrics = {}
    for measure_name, meaning in meanings.items():
        values = [getattr(quality, measure_name) for quality in qualities]
        mean = sum(v * n for v, n in zip(values, counts, strict=True)) / sum(counts)
        metrics[f"label_{measure_name}"] = share_metric(mean, f"{meaning}, over all classes; {how}")
        for name, value, n in zip(names, values, counts, strict=True):
            metrics[by_class(f"label_{measure_name}", name)] = share_metric(
                value, f"{meaning}; {how}", tolerance=class_tolerance(n)
            )
    return metrics


def _how(what: str, splits: Splits) -> str:
    """Describe the measured images, their seed, and the images that they are compared with."""
    against = f"as many as and against the {len(splits.test):,} test images of {splits.title}"
    return f"{what}, torch seed {SEED}, {against}"


def _rejection(classes: ClassLatents) -> str:
    """Describe in which space the mixtures are, and which draws are rejected."""
    space = " of q(z | x)" if classes.before_flow else ""
    least = (
        f", drawn again below p(class | z) = {classes.min_class_probability:.2g}"
        if classes.min_class_probability > 0
        else ""
    )
    return space + least


def _quality_metrics(name: str, quality: Quality, how: str) -> dict[str, Metric]:
    features = f"judge's features, k = {NEIGHBOURS}, Kynkaanniemi et al. 2019; {how}"
    prdc = f"judge's features, k = {PRDC_NEIGHBOURS}, Naeem et al. 2020; {how}"
    return {
        f"{name}_sure_share": share_metric(
            quality.sure_share,
            f"share to which the judge gives a class with a probability of at least "
            f"{SURE_PROBABILITY}; {how}",
        ),
        f"{name}_relative_sure_share": _relative_metric(
            quality.relative_sure_share, f"{name}_sure_share", how
        ),
        f"{name}_class_distance": share_metric(
            quality.class_distance,
            f"total variation between the shares of the classes assigned by the judge; {how}",
        ),
        f"{name}_frechet_distance": _frechet_metric(quality.frechet_distance, how),
        f"{name}_precision": share_metric(
            quality.precision, f"share within the manifold of test images, {features}"
        ),
        f"{name}_recall": share_metric(
            quality.recall, f"share of test images within their manifold, {features}"
        ),
        f"{name}_density": Metric(
            value=quality.density,
            unit="relative to the test images",
            protocol=f"neighbourhoods of test images around an image, divided by k, {prdc}",
            tolerance=0.002 + 0.002 * quality.density,
        ),
        f"{name}_coverage": share_metric(
            quality.coverage, f"share of test images with an image in their neighbourhood, {prdc}"
        ),
    }


def _relative_metric(share: float, name: str, how: str) -> Metric:
    return Metric(
        value=share,
        unit="relative to the test images",
        protocol=f"{name}, divided by the sure share of the test images; {how}",
        tolerance=0.002,
    )


def _frechet_metric(distance: float, how: str) -> Metric:
    return Metric(
        value=distance,
        unit="squared distance of features",
        protocol=f"Frechet distance on the judge's features (not a FID); {how}",
        tolerance=0.002 + 0.003 * distance,
    )


def _agreement(
    real: Predictions, reconstructed: Predictions, splits: Splits, images: int, which: str = ""
) -> Metric:
    return share_metric(
        label_agreement(real, reconstructed),
        f"share of the {which}{images:,} test images of {splits.title} whose reconstruction, "
        "decoded from mu, the judge labels as the original",
    )


def _at(images: Images, index: Tensor) -> Images:
    return Images(images.pixels[index.to(images.pixels.device)])


def _joined(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(
        torch.cat([part.features for part in parts]).cpu(),
        torch.cat([part.probabilities for part in parts]).cpu(),
    )
