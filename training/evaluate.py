"""The numbers of a version, from its weights and the test split alone."""

from dataclasses import dataclass

import torch

from model_store import VAE, LatentStatistics, Metric, kl_per_dimension, reparameterise
from training.data import Images
from training.fit import batch_indices

DRAWS = 8
SEED = 0


@dataclass(frozen=True)
class Evaluation:
    """What is published about a model; see `Metric.protocol` for how each number was measured."""

    metrics: dict[str, Metric]
    latents: LatentStatistics


@torch.no_grad()
def evaluate(vae: VAE, test: Images, title: str, batch_size: int = 500) -> Evaluation:
    """Test -ELBO with grey targets, its two parts, and what the latents do.

    Images and VAE lie on one device; `title` names the data set in the protocols. Sums are
    float64, so that the order of 10,000 additions does not show.
    """
    vae.eval()
    device = test.pixels.device
    noise = torch.Generator(device).manual_seed(SEED)
    log_px = torch.zeros((), dtype=torch.float64, device=device)
    kl_nats, mean, mean_square = torch.zeros(
        (3, vae.spec.latent), dtype=torch.float64, device=device
    )
    for index in batch_indices(len(test), batch_size):
        x = test.batch(index.to(device))
        mu, logvar = vae.encode(x)
        kl_nats += kl_per_dimension(mu, logvar).sum(dim=0)
        mean += mu.sum(dim=0)
        mean_square += (mu.double().square() + logvar.exp()).sum(dim=0)
        for _ in range(DRAWS):
            eps = torch.randn(mu.shape, generator=noise, device=device)
            x_logits = vae.decode(reparameterise(mu, logvar, eps))
            log_px += vae.log_likelihood(x, x_logits).sum() / DRAWS
    images = len(test)
    return Evaluation(
        metrics=_metrics((-log_px / images).item(), kl_nats.sum().item() / images, images, title),
        latents=_latent_statistics(kl_nats / images, mean / images, mean_square / images),
    )


def _metrics(reconstruction: float, kl: float, images: int, title: str) -> dict[str, Metric]:
    over = f"mean over the {images:,} test images of {title}"
    drawn = f"{over}; grey pixels as probabilities; {DRAWS} draws of z per image, torch seed {SEED}"
    unit = "nats per image, summed over pixels"
    return {
        "test_negative_elbo": Metric(value=reconstruction + kl, unit=unit, protocol=drawn),
        "test_reconstruction": Metric(
            value=reconstruction, unit=unit, protocol=f"-ln p(x | z), {drawn}"
        ),
        "test_kl": Metric(
            value=kl, unit="nats per image", protocol=f"KL(q(z | x) || N(0, I)), exact; {over}"
        ),
    }


def _latent_statistics(
    kl_nats: torch.Tensor, mean: torch.Tensor, mean_square: torch.Tensor
) -> LatentStatistics:
    """Of the aggregate posterior, the mixture of all q(z | x): its variance is E z^2 - (E z)^2."""
    std = (mean_square - mean.square()).clamp_min(0).sqrt()
    return LatentStatistics(
        kl_nats=tuple(kl_nats.tolist()), mean=tuple(mean.tolist()), std=tuple(std.tolist())
    )
