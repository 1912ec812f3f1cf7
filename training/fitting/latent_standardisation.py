"""Moves and stretches the latents so that those of all images together have mean 0, variance 1.

    z' = (z - m) / s,  m = E[mu],  s^2 = E[(mu - m)^2 + sigma^2],  of each dimension by itself

Of all such maps this one has the least E[KL(q(z' | x) || N(0, I))], as setting the derivatives by m
and s to zero shows. The linear layers around the latents take it up, so that images are encoded
and decoded to the same as before and only the KL falls. Where images have many pixels it is a
small part of the loss, and gradients leave the mean of a dimension off for long; samples of
N(0, I) then fall where no image was.
"""

import torch
from torch import Tensor, nn

from model_store.vae import VAE
from training.data.loading import Images


@torch.no_grad()
def centre(vae: VAE, images: Images, batch_size: int = 512) -> None:
    """Change the weights in place so that m = 0 and s = 1 over the images.

    The VAE has neither a flow, which does this and more, nor a bound of logvar, which would not
    move along.
    """
    vae.eval()
    mean, variance = _moments(vae, images, batch_size)
    scale = variance.sqrt()
    decoding = next(layer for layer in vae.decoder.modules() if isinstance(layer, nn.Linear))
    decoding.bias.add_(decoding.weight @ mean)
    decoding.weight.mul_(scale)
    vae.to_mu.bias.sub_(mean).div_(scale)
    vae.to_mu.weight.div_(scale.unsqueeze(1))
    vae.to_logvar.bias.sub_(variance.log())


def _moments(vae: VAE, images: Images, batch_size: int) -> tuple[Tensor, Tensor]:
    """m and s^2, both (latent,)."""
    device, n = images.pixels.device, len(images)
    sums = torch.zeros(3, vae.spec.latent, dtype=torch.float64, device=device)
    for index in torch.split(torch.arange(n, device=device), batch_size):
        mu, logvar = (part.double() for part in vae.posterior(images.batch(index)))
        sums += torch.stack([mu.sum(0), mu.square().sum(0), logvar.exp().sum(0)])
    mean, square, noise = sums / n
    dtype = vae.to_mu.weight.dtype
    return mean.to(dtype), (square - mean.square() + noise).to(dtype)
