"""The numbers of a version, from its weights and the data alone.

What training publishes is what this measures, and `python -m training evaluate` measures it again
by the same function. All noise is drawn on the CPU from stated seeds, so another machine, or a
GPU, finds the same numbers up to rounding; how far they may lie apart stands in the metric.

    quick    latents and KL over the whole test split, the rest over its first QUICK_IMAGES
    bound    and the test -ELBO with its parts
    full     and all else: NLL, linear probe, neighbours, what a judge says of made images
    exhaustive  and the NLL of a few images by thousands of draws
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.class_latents import NO_CLASSES, ClassLatents, as_stored
from model_store.spec import LatentStatistics, Metric
from model_store.vae import VAE, reparameterise
from training.classifier.model import Judge
from training.data.loading import Images, Splits
from training.evaluation import classifier_metrics
from training.evaluation.class_mixtures import class_mixtures
from training.evaluation.importance_sampling import binarized_nll, vae_importance_estimate
from training.evaluation.latent_metrics import (
    ACTIVE_VARIANCE,
    active_units,
    knn_accuracy,
    linear_probe_accuracy,
    mean_kl_per_dimension,
)
from training.fitting.objective import kl_to_prior
from training.fitting.trainer import batch_indices

SEED = 0
DRAWS = 8
BATCH = 500
QUICK_IMAGES = 1000
QUICK_NLL_IMAGES = 200
QUICK_NLL_SAMPLES = 16
NLL_IMAGES = 1000
NLL_SAMPLES = 128
NLL_SEEDS = (0, 1, 2, 3, 4)
MANY_SAMPLES = 5000
MANY_SAMPLES_IMAGES = 100
NEIGHBOURS = 5
IMAGES_FOR_A_MIXTURE = 20
"""Of each class; with fewer a class has no statistics."""

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]

NLL_BY_MANY = "test_nll_by_many_draws"

NATS = "nats per image, summed over pixels"


class Extent(StrEnum):
    """How much to measure; each holds what the one before it does."""

    QUICK = "quick"
    BOUND = "bound"
    FULL = "full"
    EXHAUSTIVE = "exhaustive"

    def holds(self, other: "Extent") -> bool:
        """Whether all of another extent is measured too."""
        order = list(Extent)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Evaluation:
    """What is published about a model; see `Metric.protocol` for how each number was measured."""

    metrics: dict[str, Metric]
    latents: LatentStatistics
    class_latents: ClassLatents = NO_CLASSES


@dataclass(frozen=True)
class Posteriors:
    """A Gaussian for each image of a split: mu and logvar (images, latent), on the CPU."""

    mu: Tensor
    logvar: Tensor


def _silent(_stage: str) -> None:
    pass


@torch.no_grad()
def evaluate(
    vae: VAE,
    splits: Splits,
    extent: Extent = Extent.FULL,
    *,
    judge: Judge | None = None,
    class_latents: ClassLatents | None = None,
    report: Callable[[str], None] = _silent,
) -> Evaluation:
    """Measure a model on the test split; `report` hears what is being measured.

    VAE, judge and images lie on one device. Statistics of the classes are fitted to the training
    split where none are given and every class has images; where q(z | x) is a Gaussian, that is
    before a flow. Labels are read from mu in the space that these statistics lie in. Sums are
    float64, so that the order of 10,000 additions does not show.
    """
    vae.eval()
    report("the latents of the test split")
    test = posteriors(vae, splits.test)
    metrics = _of_latents(vae, splits, test) | _quick(vae, splits, judge)
    if extent.holds(Extent.BOUND):
        report("-ELBO")
        metrics |= _bound(vae, splits)
    if extent.holds(Extent.FULL):
        report("NLL by importance sampling")
        metrics |= _nll(vae, splits)
    if extent.holds(Extent.EXHAUSTIVE):
        report(f"NLL by {MANY_SAMPLES:,} draws an image")
        metrics |= _nll_by_many_draws(vae, splits)
    if extent.holds(Extent.BOUND) and _has_every_class(splits):
        report("the latents of the training split")
        before_flow = vae.flow is not None if class_latents is None else class_latents.before_flow
        train = _encoded(vae.posterior if before_flow else vae.encode, splits.train)
        if class_latents is None:
            report("where the latents of each class lie")
            labels = _labels(splits.train)
            class_latents = as_stored(
                class_mixtures(train.mu, train.logvar, labels, before_flow=before_flow)
            )
        if extent.holds(Extent.FULL):
            report("linear probe and neighbours")
            apart = _encoded(vae.posterior, splits.test) if before_flow else test
            metrics |= _probes(splits, train, apart, "mu of q(z | x)" if before_flow else "mu")
    if judge is not None and extent.holds(Extent.FULL):
        report("samples, midpoints and classes before the judge")
        metrics |= classifier_metrics.measure(
            vae, judge, splits, test.mu, class_latents or NO_CLASSES
        )
    return Evaluation(metrics, _latent_statistics(test), class_latents or NO_CLASSES)


def posteriors(vae: VAE, images: Images) -> Posteriors:
    """Where a split lies in the space of N(0, I), which is that of z where there is no flow."""
    return _encoded(vae.encode, images)


def _encoded(encode: Encode, images: Images) -> Posteriors:
    device = images.pixels.device
    pairs = [encode(images.batch(index.to(device))) for index in batch_indices(len(images), BATCH)]
    mu, logvar = (torch.cat(column).cpu() for column in zip(*pairs, strict=True))
    return Posteriors(mu, logvar)


# --- the parts ---------------------------------------------------------------------------------


def _of_latents(vae: VAE, splits: Splits, test: Posteriors) -> dict[str, Metric]:
    over = _over(len(splits.test), splits)
    found = {
        "active_units": Metric(
            value=active_units(test.mu),
            unit=f"of {vae.spec.latent} latent dimensions",
            protocol=f"variance of mu above {ACTIVE_VARIANCE}, Burda et al. 2016; {over}",
            tolerance=0,
        ),
    }
    if vae.flow is None:  # with one, the KL is an estimate by draws, and found with the bound
        kl = float(mean_kl_per_dimension(test.mu, test.logvar).sum())
        found["test_kl"] = _kl(kl, f"KL(q(z | x) || N(0, I)), exact; {over}")
    return found


def _bound(vae: VAE, splits: Splits) -> dict[str, Metric]:
    parts = bound_nats(vae, splits.test, DRAWS)
    drawn = f"{_over(len(splits.test), splits)}; {_targets(vae)}; {_draws(DRAWS)}"
    found = {
        "test_negative_elbo": _nats(parts.reconstruction + parts.kl, drawn),
        "test_reconstruction": _nats(parts.reconstruction, f"-ln p(x | z), {drawn}"),
    }
    if vae.flow is not None:
        found["test_kl"] = _kl(parts.kl, f"KL(q(z | x) || p(z)), p(z) a flow; {drawn}")
    return found


class BoundNats(NamedTuple):
    """Means over images and draws; their sum is the -ELBO."""

    reconstruction: float
    kl: float


@torch.no_grad()
def bound_nats(vae: VAE, images: Images, draws: int) -> BoundNats:
    """-ln p(x | z) and KL(q(z | x) || p(z)) of a split; exact KL where the prior is N(0, I)."""
    posterior = _encoded(vae.posterior, images)
    noise = torch.Generator().manual_seed(SEED)
    device = images.pixels.device
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for index in batch_indices(len(images), BATCH):
        x = images.batch(index.to(device))
        mu, logvar = posterior.mu[index].to(device), posterior.logvar[index].to(device)
        for _ in range(draws):
            eps = torch.randn(mu.shape, generator=noise).to(device)
            z = reparameterise(mu, logvar, eps)
            log_px = vae.log_likelihood(x, vae.logits(z))
            kl = kl_to_prior(vae, mu.double(), logvar.double(), z)
            sums += torch.stack([-log_px.double().sum(), kl.double().sum()])
    return BoundNats(*(sums / draws / len(images)).tolist())


def _quick(vae: VAE, splits: Splits, judge: Judge | None) -> dict[str, Metric]:
    images = splits.test.first(QUICK_IMAGES)
    few = Splits(splits.title, splits.train, images, splits.classes)
    posterior = posteriors(vae, images)
    first = f"the first {len(images):,} test images of {splits.title}"
    nll_images = images.first(QUICK_NLL_IMAGES)
    nll, _ = _importance(vae, nll_images, QUICK_NLL_SAMPLES, (SEED,))
    metrics = {
        "quick_reconstruction": _nats(
            bound_nats(vae, images, 1).reconstruction,
            f"-ln p(x | z), mean over {first}; {_targets(vae)}; {_draws(1)}",
        ),
        "quick_nll": _nats(
            nll[0],
            f"-ln p(x), importance sampling, L = {QUICK_NLL_SAMPLES}; mean over the first "
            f"{len(nll_images):,} test images of {splits.title}; {_pixels(vae)} by torch seed "
            f"{SEED}",
        ),
    }
    if judge is not None:
        metrics |= classifier_metrics.quick(vae, judge, few, posterior.mu)
    return metrics


def _nll(vae: VAE, splits: Splits) -> dict[str, Metric]:
    step = max(1, len(splits.test) // NLL_IMAGES)
    chosen = Images(splits.test.pixels[::step])
    nll, effective_samples = _importance(vae, chosen, NLL_SAMPLES, NLL_SEEDS)
    which = "the" if step == 1 else f"every {step}th of the {len(splits.test):,}"
    protocol = (
        f"-ln p(x), importance sampling, L = {NLL_SAMPLES}; {which} test images of "
        f"{splits.title}, {len(chosen):,} in all; {_pixels(vae)} by torch seeds "
        f"{NLL_SEEDS[0]} to {NLL_SEEDS[-1]}"
    )
    values = torch.tensor(nll, dtype=torch.float64)
    mean, std = float(values.mean()), float(values.std())
    metrics = {
        "test_nll": _nats(mean, f"{protocol}; mean over images and seeds"),
        "test_nll_std": Metric(
            value=std,
            unit="nats",
            protocol=f"of the mean over images, between the seeds of test_nll ({len(nll)})",
            tolerance=0.002 + 0.002 * std,
        ),
        "test_nll_effective_samples": Metric(
            value=effective_samples,
            unit=f"of {NLL_SAMPLES}",
            protocol="(sum w)^2 / sum w^2 of the weights of test_nll, mean over images and seeds",
            tolerance=0.005 * effective_samples,
        ),
    }
    if vae.spec.likelihood != "bernoulli":
        metrics["test_bits_per_dimension"] = Metric(
            value=mean / vae.spec.image.pixels / torch.log(torch.tensor(2.0)).item(),
            unit="bits per value of a pixel",
            protocol="test_nll / (ln 2 * channels * height * width)",
            tolerance=0.001,
        )
    return metrics


def _nll_by_many_draws(vae: VAE, splits: Splits) -> dict[str, Metric]:
    """With thousands of draws an image costs too much for all: a few, and fewer draws beside."""
    step = max(1, len(splits.test) // MANY_SAMPLES_IMAGES)
    chosen = Images(splits.test.pixels[::step])
    which = "the" if step == 1 else f"every {step}th of the {len(splits.test):,}"
    found = {}
    for name, samples in ((NLL_BY_MANY, MANY_SAMPLES), ("test_nll_of_the_same", NLL_SAMPLES)):
        nll, _ = _importance(vae, chosen, samples, NLL_SEEDS)
        found[name] = _nats(
            sum(nll) / len(nll),
            f"-ln p(x), importance sampling, L = {samples}; {which} test images of "
            f"{splits.title}, {len(chosen):,} in all; {_pixels(vae)} by torch seeds "
            f"{NLL_SEEDS[0]} to {NLL_SEEDS[-1]}; mean over images and seeds",
        )
    return found


def _importance(
    vae: VAE, images: Images, samples: int, seeds: tuple[int, ...]
) -> tuple[tuple[float, ...], float]:
    """The mean NLL for each seed, and the effective samples."""
    x = images.batch(torch.arange(len(images), device=images.pixels.device))
    if vae.spec.likelihood == "bernoulli":
        found = binarized_nll(vae, x, samples, seeds)
        return found.per_seed, found.effective_samples
    means, effective = [], []
    for seed in seeds:
        noise = torch.Generator().manual_seed(seed)
        estimate = vae_importance_estimate(vae, x, samples, noise)
        means.append(estimate.nll.mean().item())
        effective.append(estimate.effective_samples.mean().item())
    return tuple(means), sum(effective) / len(effective)


def _probes(splits: Splits, train: Posteriors, test: Posteriors, mu: str) -> dict[str, Metric]:
    train_labels, test_labels = _labels(splits.train), _labels(splits.test)
    learnt = f"learnt on {mu} of the {len(train_labels):,} training images of {splits.title}"
    right = f"share of the {len(test_labels):,} test images labelled rightly"
    return {
        "linear_probe_accuracy": share(
            linear_probe_accuracy(train.mu, train_labels, test.mu, test_labels),
            f"{right} by multinomial logistic regression {learnt}, L2 1e-4",
        ),
        "knn_accuracy": share(
            knn_accuracy(train.mu, train_labels, test.mu, test_labels, k=NEIGHBOURS),
            f"{right} by the majority of the {NEIGHBOURS} nearest of mu, {learnt}",
        ),
    }


def _latent_statistics(test: Posteriors) -> LatentStatistics:
    """Of the aggregate posterior, the mixture of all q(z | x): its variance is E z^2 - (E z)^2."""
    mu, logvar = test.mu.double(), test.logvar.double()
    mean = mu.mean(dim=0)
    std = ((mu.square() + logvar.exp()).mean(dim=0) - mean.square()).clamp_min(0).sqrt()
    kl_nats = mean_kl_per_dimension(test.mu, test.logvar)
    return LatentStatistics(
        kl_nats=tuple(kl_nats.tolist()), mean=tuple(mean.tolist()), std=tuple(std.tolist())
    )


# --- words and small things --------------------------------------------------------------------


def share(value: float, protocol: str, tolerance: float = 0.001) -> Metric:
    """A share of images in [0, 1]; a few of them may fall on the other side of a threshold."""
    return Metric(value=value, unit="share", protocol=protocol, tolerance=tolerance)


def _nats(value: float, protocol: str, unit: str = NATS) -> Metric:
    return Metric(value=value, unit=unit, protocol=protocol, tolerance=0.01 + 1e-4 * abs(value))


def _kl(value: float, protocol: str) -> Metric:
    return _nats(value, protocol, unit="nats per image")


def _over(images: int, splits: Splits) -> str:
    return f"mean over the {images:,} test images of {splits.title}"


def _draws(draws: int) -> str:
    return f"{draws} draw{'s' if draws > 1 else ''} of z per image, torch seed {SEED}"


def _targets(vae: VAE) -> str:
    if vae.spec.likelihood == "bernoulli":
        return "grey pixels as probabilities"
    return "8-bit pixels"


def _pixels(vae: VAE) -> str:
    if vae.spec.likelihood == "bernoulli":
        return "pixels binarized anew"
    return "8-bit pixels, latents drawn"


def _labels(images: Images) -> Tensor:
    if images.labels is None:
        raise ValueError("these images have no labels")
    return images.labels.cpu()


def _has_every_class(splits: Splits) -> bool:
    if splits.classes is None or splits.train.labels is None or splits.test.labels is None:
        return False
    counts = torch.bincount(splits.train.labels, minlength=len(splits.classes))
    return int(counts.min()) >= IMAGES_FOR_A_MIXTURE
