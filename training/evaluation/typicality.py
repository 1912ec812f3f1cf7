"""Fit the typicality table of a version, and measure how well its score detects images of other kinds.

The statistics are standardised by training images alone. Test images give the quantiles, and images
of other kinds only show how well the score works.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model_store import typicality as tables
from model_store.arithmetic.importance import Evidence, evidence, log_posterior
from model_store.spec import Metric
from model_store.typicality import Typicality
from model_store.vae import TrainedVAE, reparameterise
from training.data.images import Images, Splits, batch_indices
from training.evaluation import foreign_images
from training.evaluation.foreign_images import every_nth
from training.evaluation.metrics import SEED, share_metric

PREFIX = "ood_"
"""Beginning of the names of the metrics; ood means out of distribution."""
TRAINING_IMAGES = 3000
"""Largest number of training images that the statistics are standardised by."""
TEST_IMAGES = 10_000
"""Largest number of test images that have a score."""
LIKELIHOOD_PIXELS = 500 * 28 * 28
"""Pixel values of all test images whose likelihood is estimated; there are at least MIN_IMAGES."""
LIKELIHOOD_IMAGES = 500
MIN_IMAGES = 100
DRAWS = 64
"""Draws of z per test image for ELBO and NLL."""
FOREIGN_DRAWS = 1
"""Draws of z per image for the ELBO that is compared with the score."""
_ROWS = 100

Doubles = NDArray[np.float64]


class _Measured(NamedTuple):
    """Scores and -ELBO of some images, both (images,)."""

    scores: Doubles
    negative_elbo: Doubles


@torch.no_grad()
def fit(vae: TrainedVAE, splits: Splits) -> Typicality:
    """Return the table of a version; VAE and images must be on one device."""
    spec = vae.spec.image
    most = max(MIN_IMAGES, min(LIKELIHOOD_IMAGES, LIKELIHOOD_PIXELS // spec.pixels))
    estimates = estimate(vae, every_nth(splits.test, most), DRAWS)
    return tables.fit(
        statistics(vae, every_nth(splits.train, TRAINING_IMAGES)),
        statistics(vae, every_nth(splits.test, TEST_IMAGES)),
        elbo_nats=estimates.elbo.astype(np.float64),
        nll_nats=estimates.nll.astype(np.float64),
        draws=DRAWS,
    )


@torch.no_grad()
def measure(vae: TrainedVAE, splits: Splits, table: Typicality) -> dict[str, Metric]:
    """Return the limit of the score, and the AUROC for each kind of images that a model has not learnt.

    The AUROC is the probability that such an image has a higher score than a test image.
    """
    own = every_nth(splits.test, foreign_images.MOST_IMAGES)
    test = _measured(vae, own, table)
    metrics = {
        f"{PREFIX}score_limit": Metric(
            value=table.limit,
            unit="score",
            protocol=f"99 % of {table.images:,} test images of {splits.title} have a smaller score "
            "(docs/numbers.md, Typicality); larger ones are called atypical",
            tolerance=0.01 + 0.002 * table.limit,
        )
    }
    for kind, images, description in foreign_images.kinds(splits, vae.spec):
        other = _measured(vae, images.to(vae.device), table)
        against = f"{len(images):,} {description}, against {len(own):,} test images"
        metrics |= {
            f"{PREFIX}auroc[{kind}]": _auroc_metric(
                test.scores, other.scores, f"by the typicality score: {against}"
            ),
            f"{PREFIX}auroc_of_elbo[{kind}]": _auroc_metric(
                test.negative_elbo,
                other.negative_elbo,
                f"by -ELBO, {FOREIGN_DRAWS} draw of z per image, torch seed {SEED}: {against}",
            ),
            f"{PREFIX}atypical[{kind}]": share_metric(
                float((other.scores > table.limit).mean()),
                f"share of {len(images):,} {description} whose score is above ood_score_limit",
                tolerance=0.005,
            ),
        }
    return metrics


@torch.no_grad()
def statistics(vae: TrainedVAE, images: Images) -> Doubles:
    """Return the statistics of images, (images, 4), as the service computes them.

    `model_store.typicality.statistics` defines them.
    """
    parts = []
    for index in batch_indices(len(images), _ROWS):
        x = images.batch(index.to(images.pixels.device))
        mu = vae.to_u(vae.posterior(x)[0])  # as `encode`, without the variances, which take longer
        grey = (vae.mean_image(vae.decode(mu)) * 255).round().to(torch.uint8)
        seen = images.pixels[index].cpu().numpy()
        parts.append(tables.statistics(seen, grey.cpu().numpy(), mu.cpu().numpy()))
    return np.concatenate(parts)


@torch.no_grad()
def estimate(vae: TrainedVAE, images: Images, draws: int) -> Evidence:
    """Estimate ELBO and NLL of images, whose grey pixels are probabilities if they are Bernoulli."""
    noise = torch.Generator().manual_seed(SEED)
    device = images.pixels.device
    parts = []
    for index in batch_indices(len(images), _ROWS):
        x = images.batch(index.to(device))
        mu, logvar = vae.posterior(x)
        eps = torch.randn((len(index), draws, vae.spec.latent), generator=noise)
        joint = []
        for draw in range(draws):
            z = reparameterise(mu, logvar, eps[:, draw].to(device))
            joint.append(torch.stack([vae.log_likelihood(x, vae.logits(z)), vae.log_prior(z)]))
        log_px, log_pz = torch.stack(joint, dim=2).cpu().numpy()
        parts.append(evidence(log_px, log_pz, log_posterior(eps.numpy(), logvar.cpu().numpy())))
    return Evidence(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def auroc(test: Doubles, other: Doubles) -> float:
    """Return the probability that a value of `other` is above one of `test`; ties count half."""
    ordered = np.sort(test)
    below = np.searchsorted(ordered, other, "left") + np.searchsorted(ordered, other, "right")
    return float(below.mean() / (2 * len(test)))


def _measured(vae: TrainedVAE, images: Images, table: Typicality) -> _Measured:
    values = statistics(vae, images)
    elbo = estimate(vae, images, FOREIGN_DRAWS).elbo
    return _Measured(tables.scores(values, table.centre, table.scale), -elbo.astype(np.float64))


def _auroc_metric(test: Doubles, other: Doubles, protocol: str) -> Metric:
    return Metric(value=auroc(test, other), unit="AUROC", protocol=protocol, tolerance=0.005)
