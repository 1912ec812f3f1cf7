"""Build metrics with their units and tolerances, and the recurring parts of their protocols.

A tolerance is the largest accepted difference of two measurements of the same weights on different
machines.
"""

from model_store.spec import Metric
from model_store.vae import TrainedVAE
from training.data.images import Splits

SEED = 0
"""Seed of all random numbers, unless a protocol names another seed."""


def share_metric(value: float, protocol: str, tolerance: float = 0.001) -> Metric:
    """Return a share of images in [0, 1].

    The default tolerance lets a few images fall on the other side of a threshold.
    """
    return Metric(value=value, unit="share", protocol=protocol, tolerance=tolerance)


def nats_metric(
    value: float, protocol: str, unit: str = "nats per image, summed over pixels"
) -> Metric:
    """Return a mean over images in nats."""
    return Metric(value=value, unit=unit, protocol=protocol, tolerance=0.01 + 1e-4 * abs(value))


def kl_metric(value: float, protocol: str) -> Metric:
    """Return a mean KL over images, in nats, summed over latent dimensions."""
    return nats_metric(value, protocol, unit="nats per image")


def over_test_split(images: int, splits: Splits) -> str:
    """Describe the images over which a mean was taken."""
    return f"mean over the {images:,} test images of {splits.title}"


def every_nth_image(images: int, step: int, splits: Splits) -> str:
    """Describe which images of the test split were chosen; `images` is their number."""
    which = "the" if step == 1 else f"every {step}th of the {len(splits.test):,}"
    return f"{which} test images of {splits.title}, {images:,} in all"


def latent_draws(draws: int) -> str:
    """Describe how many latents were drawn for each image."""
    return f"{draws} draw{'s' if draws > 1 else ''} of z per image, torch seed {SEED}"


def grey_targets(vae: TrainedVAE) -> str:
    """Describe how pixels enter the likelihood without binarization."""
    if vae.spec.likelihood == "bernoulli":
        return "grey pixels as probabilities"
    return "8-bit pixels"


def binarized_targets(vae: TrainedVAE) -> str:
    """Describe the pixels of importance sampling, for a text that ends in `by torch seed ...`."""
    if vae.spec.likelihood == "bernoulli":
        return "pixels binarized again"
    return "8-bit pixels, latents drawn"
