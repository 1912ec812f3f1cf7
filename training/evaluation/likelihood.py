"""The bound and the likelihood of a test split: -ELBO, and -ln p(x) by importance sampling.

All noise is drawn on the CPU from seeds that the protocols name, so that a GPU or another machine
measures the same numbers up to rounding. Sums are float64, so that the order of 10,000 additions
has no visible effect.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from model_store.spec import Metric
from model_store.vae import TrainedVAE, reparameterise
from training.data.images import Images, Splits, affordable_batch, batch_indices
from training.evaluation.importance_sampling import (
    UNIFORM_TIMES,
    MeanNLL,
    binarized_nll,
    bounded,
    mean_nll,
    most_nats,
    vae_importance_estimate,
)
from training.evaluation.metrics import (
    SEED,
    binarized_targets,
    every_nth_image,
    grey_targets,
    kl_metric,
    latent_draws,
    nats_metric,
    over_test_split,
)
from training.evaluation.posteriors import BATCH, encode_images
from training.fitting.objective import kl_to_prior
from training.progress import tracked

DRAWS = 8
"""Draws of z per image for the -ELBO."""
NLL_IMAGES = 1000
NLL_VALUES = NLL_IMAGES * 3 * 32 * 32
"""Values of all images whose NLL is estimated: fewer images if they are larger than 32x32 in colour."""
NLL_MIN_IMAGES = 100
NLL_SAMPLES = 128
"""Draws of z per image for the NLL."""
NLL_SEEDS = (0, 1, 2, 3, 4)
NLL_5000_IMAGES = 100
NLL_5000_SAMPLES = 5000

NLL_5000 = "test_nll_by_many_draws"
NLL_128_SAME_IMAGES = "test_nll_of_the_same"


class BoundNats(NamedTuple):
    """The two parts of the -ELBO, means over images and draws, nats; their sum is the -ELBO."""

    reconstruction: float
    kl: float


@torch.no_grad()
def bound_nats(vae: TrainedVAE, images: Images, draws: int) -> BoundNats:
    """Return -ln p(x | z) and KL(q(z | x) || p(z)); the KL is exact if the prior is N(0, I).

    An image counts `most_nats` at most in each of them.
    """
    most = most_nats(vae.spec)
    posterior = encode_images(vae.posterior, images)
    noise = torch.Generator().manual_seed(SEED)
    device = images.pixels.device
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for index in tracked(
        batch_indices(len(images), affordable_batch(BATCH, vae.spec.image.pixels))
    ):
        x = images.batch(index.to(device))
        mu, logvar = posterior.mu[index].to(device), posterior.logvar[index].to(device)
        for _ in range(draws):
            eps = torch.randn(mu.shape, generator=noise).to(device)
            z = reparameterise(mu, logvar, eps)
            log_px = vae.log_likelihood(x, vae.logits(z))
            kl = kl_to_prior(vae, mu.double(), logvar.double(), z)
            parts = (-log_px.double(), kl.double().sum(dim=1))
            sums += torch.stack([bounded(part, most).sum() for part in parts])
    return BoundNats(*(sums / draws / len(images)).tolist())


def bound_metrics(vae: TrainedVAE, splits: Splits) -> dict[str, Metric]:
    """Measure the test -ELBO and its parts; the KL only if a flow makes it an estimate."""
    parts = bound_nats(vae, splits.test, DRAWS)
    protocol = (
        f"{over_test_split(len(splits.test), splits)}; {grey_targets(vae)}; {latent_draws(DRAWS)}"
    )
    metrics = {
        "test_negative_elbo": nats_metric(parts.reconstruction + parts.kl, protocol),
        "test_reconstruction": nats_metric(parts.reconstruction, f"-ln p(x | z), {protocol}"),
    }
    if vae.has_flow:
        metrics["test_kl"] = kl_metric(parts.kl, f"KL(q(z | x) || p(z)), p(z) a flow; {protocol}")
    return metrics


def nll_images(values: int) -> int:
    """Return the number of test images whose NLL is estimated, if an image has `values` values.

    Each of them is decoded 640 times, which would take half an hour for 1,000 images of 64x64 in
    colour.
    """
    return max(NLL_MIN_IMAGES, min(NLL_IMAGES, NLL_VALUES // values))


def nll_metrics(vae: TrainedVAE, splits: Splits) -> dict[str, Metric]:
    """Measure -ln p(x) of evenly spaced test images, and how reliable the estimate is."""
    step = max(1, len(splits.test) // nll_images(vae.spec.image.pixels))
    chosen = Images(splits.test.pixels[::step])
    nll = importance_nll(vae, chosen, NLL_SAMPLES, NLL_SEEDS)
    protocol = _nll_protocol(vae, splits, chosen, step, nll)
    mean, std = nll.mean, nll.std
    metrics = {
        "test_nll": nats_metric(mean, f"{protocol}; mean over images and seeds"),
        "test_nll_std": Metric(
            value=std,
            unit="nats",
            protocol=f"of the mean over images, between the seeds of test_nll ({len(nll.per_seed)})",
            tolerance=0.002 + 0.002 * std,
        ),
        "test_nll_effective_samples": Metric(
            value=nll.effective_samples,
            unit=f"of {NLL_SAMPLES}",
            protocol="(sum w)^2 / sum w^2 of the weights of test_nll, mean over images and seeds",
            tolerance=0.005 * nll.effective_samples,
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


def nll_5000_metrics(vae: TrainedVAE, splits: Splits) -> dict[str, Metric]:
    """Measure the NLL of a few images by 5,000 draws, and by 128 draws for comparison.

    5,000 draws cost 39 times as much per image as 128, hence the few images.
    """
    step = max(1, len(splits.test) // NLL_5000_IMAGES)
    chosen = Images(splits.test.pixels[::step])
    metrics = {}
    for name, samples in ((NLL_5000, NLL_5000_SAMPLES), (NLL_128_SAME_IMAGES, NLL_SAMPLES)):
        nll = importance_nll(vae, chosen, samples, NLL_SEEDS)
        protocol = _nll_protocol(vae, splits, chosen, step, nll)
        metrics[name] = nats_metric(nll.mean, f"{protocol}; mean over images and seeds")
    return metrics


def importance_nll(vae: TrainedVAE, images: Images, samples: int, seeds: Sequence[int]) -> MeanNLL:
    """Return the mean NLL of images in nats, by `samples` draws of z per image and seed."""
    x = images.batch(torch.arange(len(images), device=images.pixels.device))
    if vae.spec.likelihood == "bernoulli":
        return binarized_nll(vae, x, samples, seeds)
    estimates = [
        vae_importance_estimate(vae, x, samples, torch.Generator().manual_seed(seed))
        for seed in tracked(seeds)
    ]
    return mean_nll(estimates, samples, most_nats(vae.spec))


def _nll_protocol(vae: TrainedVAE, splits: Splits, chosen: Images, step: int, nll: MeanNLL) -> str:
    return (
        f"-ln p(x), importance sampling, L = {nll.samples}; "
        f"{every_nth_image(len(chosen), step, splits)}; {binarized_targets(vae)} by torch seeds "
        f"{NLL_SEEDS[0]} to {NLL_SEEDS[-1]}{bounded_images(vae, nll)}"
    )


def bounded_images(vae: TrainedVAE, nll: MeanNLL) -> str:
    """Describe how many images counted `most_nats`, for the end of a protocol; usually nothing."""
    if not nll.bounded_images:
        return ""
    return (
        f"; {nll.bounded_images:,} of the images with estimates above {most_nats(vae.spec):,.0f} nats, "
        f"{UNIFORM_TIMES} times those of uniform noise, counted as that"
    )
