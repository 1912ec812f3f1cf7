"""What a judge says of a model's images: reconstructions, samples, midpoints, classes.

The judge knows real images only. It is sure of half the blends of two digits and of uniform
noise, so being sure is no proof of being right: these numbers compare models, and the distances
of real images from real ones are their floor.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model_store.class_latents import ClassLatents
from model_store.spec import Metric
from model_store.vae import VAE
from training.classifier.model import SURE, Judge, Verdict, judge_images
from training.data.loading import Images, Splits
from training.evaluation.class_mixtures import latents_of_class
from training.evaluation.sample_quality import (
    Quality,
    compare,
    compare_classes,
    label_agreement,
    sure_share,
)

SEED = 0
BATCH = 500
NEIGHBOURS = 3

Decode = Callable[[Tensor], Tensor]


def measure(
    vae: VAE,
    judge: Judge,
    splits: Splits,
    test_mu: Tensor,
    class_latents: ClassLatents,
) -> dict[str, Metric]:
    """All numbers that need the judge; `test_mu` (images, latent) lies on the CPU."""
    images = len(splits.test)
    noise = torch.Generator().manual_seed(SEED)
    real = verdict_of_images(judge, splits.test)
    reconstructed = verdict_of_latents(vae, judge, test_mu)
    z = torch.randn((images, vae.spec.latent), generator=noise)
    partner = torch.randperm(images, generator=noise)
    others = torch.randperm(len(splits.train), generator=noise)[:images]
    against = f"as many as and against the {images:,} test images of {splits.title}"
    metrics = {"reconstruction_label_agreement": _agreement(real, reconstructed, splits, images)}
    made = {
        "samples": (verdict_of_latents(vae, judge, z), "decoded from z ~ N(0, I)"),
        "midpoints": (
            verdict_of_latents(vae, judge, 0.5 * (test_mu + test_mu[partner])),
            "decoded halfway between the mu of two test images",
        ),
        "real": (
            verdict_of_images(judge, _at(splits.train, others)),
            "real training images: what no model can be expected to pass",
        ),
    }
    for name, (verdict, what) in made.items():
        if len(verdict) == images:  # a small training split gives no floor
            how = f"{what}, torch seed {SEED}, {against}"
            metrics |= _quality(name, compare(verdict, real, k=NEIGHBOURS), how)
    return metrics | _classes(vae, judge, splits, real, class_latents)


def quick(vae: VAE, judge: Judge, few: Splits, mu: Tensor) -> dict[str, Metric]:
    """Two numbers over a few test images and as many samples."""
    real, reconstructed = verdict_of_images(judge, few.test), verdict_of_latents(vae, judge, mu)
    z = torch.randn((len(mu), vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    samples = verdict_of_latents(vae, judge, z)
    agreement = _agreement(real, reconstructed, few, len(mu), which="first ")
    return {
        "quick_label_agreement": agreement.model_copy(update={"tolerance": 0.003}),
        "quick_sure_share": _share(
            sure_share(samples.confidence),
            f"share of {len(mu):,} samples that the judge gives a class by at least {SURE}; "
            f"decoded from z ~ N(0, I), torch seed {SEED}",
            tolerance=0.0035,
        ),
    }


def verdict_of_images(judge: Judge, images: Images) -> Verdict:
    """On real images, in batches."""
    device = images.pixels.device
    parts = [
        judge_images(judge, images.batch(index.to(device)))
        for index in torch.split(torch.arange(len(images)), BATCH)
    ]
    return _joined(parts)


def verdict_of_latents(vae: VAE, judge: Judge, z: Tensor) -> Verdict:
    """On the images that z (images, latent), on the CPU, decodes to."""
    device = next(vae.parameters()).device
    parts = [
        judge_images(judge, vae.mean_image(vae.decode(part.to(device))))
        for part in torch.split(z, BATCH)
    ]
    return _joined(parts)


# --- inside ------------------------------------------------------------------------------------


def _classes(
    vae: VAE,
    judge: Judge,
    splits: Splits,
    real: Verdict,
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
    made = verdict_of_latents(vae, judge, torch.cat(z))
    found = compare_classes(made, asked, real, labels, k=NEIGHBOURS)
    how = (
        f"samples of the class's Gaussian mixture{_kept(class_latents)}, temperature 1, torch seed "
        f"{SEED}, as many as test images of the class in {splits.title}"
    )
    meanings = {
        "right": "share that the judge gives the class that was asked for",
        "precision": "share within the class's manifold of test images, judge's features, k = 3",
        "recall": "share of the class's test images within the samples' manifold, k = 3",
    }
    metrics = {}
    for measure_name, meaning in meanings.items():
        values = [getattr(quality, measure_name) for quality in found]
        mean = sum(v * n for v, n in zip(values, counts, strict=True)) / sum(counts)
        metrics[f"label_{measure_name}"] = _share(mean, f"{meaning}, over all classes; {how}")
        for name, value in zip(names, values, strict=True):
            metrics[f"label_{measure_name}[{name}]"] = _share(
                value, f"{meaning}; {how}", tolerance=0.004
            )
    return metrics


def _kept(classes: ClassLatents) -> str:
    space = " of q(z | x)" if classes.before_flow else ""
    kept = (
        f", drawn anew below p(class | z) = {classes.min_class_probability:.2g}"
        if classes.min_class_probability > 0
        else ""
    )
    return space + kept


def _quality(name: str, quality: Quality, how: str) -> dict[str, Metric]:
    features = f"judge's features, k = {NEIGHBOURS}, Kynkaanniemi et al. 2019; {how}"
    return {
        f"{name}_sure_share": _share(
            quality.sure_share,
            f"share that the judge gives a class by at least {SURE}; {how}",
        ),
        f"{name}_relative_sure_share": Metric(
            value=quality.relative_sure_share,
            unit="of that of the test images",
            protocol=f"the same, divided by that of the test images; {how}",
            tolerance=0.002,
        ),
        f"{name}_class_distance": _share(
            quality.class_distance,
            f"total variation between the shares of the classes, by the judge; {how}",
        ),
        f"{name}_frechet_distance": Metric(
            value=quality.frechet_distance,
            unit="squared distance of features",
            protocol=f"Frechet distance on the judge's features (no FID); {how}",
            tolerance=0.002 + 0.003 * quality.frechet_distance,
        ),
        f"{name}_precision": _share(
            quality.precision, f"share within the manifold of test images, {features}"
        ),
        f"{name}_recall": _share(
            quality.recall, f"share of test images within their manifold, {features}"
        ),
    }


def _agreement(
    real: Verdict, reconstructed: Verdict, splits: Splits, images: int, which: str = ""
) -> Metric:
    return _share(
        label_agreement(real, reconstructed),
        f"share of the {which}{images:,} test images of {splits.title} whose reconstruction, "
        "decoded from mu, the judge labels as the original",
    )


def _share(value: float, protocol: str, tolerance: float = 0.001) -> Metric:
    return Metric(value=value, unit="share", protocol=protocol, tolerance=tolerance)


def _at(images: Images, index: Tensor) -> Images:
    return Images(images.pixels[index.to(images.pixels.device)])


def _joined(parts: Sequence[Verdict]) -> Verdict:
    return Verdict(
        torch.cat([part.features for part in parts]).cpu(),
        torch.cat([part.probabilities for part in parts]).cpu(),
    )
