"""Shift and scale the latents so that they have mean 0 and variance 1 over all images.

    z' = (z - m) / s,  m = E[mu],  s^2 = E[(mu - m)^2 + sigma^2],  for each dimension separately

Among all shifts and scales this one minimises E[KL(q(z' | x) || N(0, I))]: the derivatives by m
and s are zero there. The linear layers before and after the latents absorb the change, so images
are encoded and decoded as before and only the KL falls. This matters for images with many pixels:
the KL is then a small part of the loss, its gradients leave the mean of a dimension away from 0 for
a long time, and samples of N(0, I) fall where no image was encoded.
"""

import torch
from torch import Tensor, nn

from model_store.vae import VAE
from training.data.images import Images, affordable_batch


@torch.no_grad()
def standardise_latents(vae: VAE, images: Images, batch_size: int = 512) -> None:
    """Change the weights in place so that m = 0 and s = 1 over the images.

    The VAE must have neither a flow, which includes such a map, nor a bound of logvar, which the
    map would not shift.
    """
    vae.eval()
    mean, variance = _moments(vae, images, affordable_batch(batch_size, vae.spec.image.pixels))
    scale = variance.sqrt()
    decoding = next(layer for layer in vae.decoder.modules() if isinstance(layer, nn.Linear))
    decoding.bias.add_(decoding.weight @ mean)
    decoding.weight.mul_(scale)
    vae.to_mu.bias.sub_(mean).div_(scale)
    vae.to_mu.weight.div_(scale.unsqueeze(1))
    vae.to_logvar.bias.sub_(variance.log())


def _moments(vae: VAE, images: Images, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return m and s^2, both (latent,)."""
    device, n = images.pixels.device, len(images)
    sums = torch.zeros(3, vae.spec.latent, dtype=torch.float64, device=device)
    for index in torch.split(torch.arange(n, device=device), batch_size):
        mu, logvar = (part.double() for part in vae.posterior(images.batch(index)))
        sums += torch.stack([mu.sum(0), mu.square().sum(0), logvar.exp().sum(0)])
    mean, square, noise = sums / n
    dtype = vae.to_mu.weight.dtype
    return mean.to(dtype), (square - mean.square() + noise).to(dtype)
