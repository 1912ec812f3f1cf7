"""The variational autoencoder: q(z | x) and p(x | z) as one module.

Kingma & Welling 2014, "Auto-encoding variational Bayes".
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_store.arithmetic.program import LATENT_LIMIT
from model_store.errors import ShapeError
from model_store.spec import ModelSpec, Package
from model_store.vae.flow import Coupling, RealNVP
from model_store.vae.gaussian import standard_normal_log_density
from model_store.vae.likelihood import (
    bernoulli_log_likelihood,
    discretised_logistic_log_likelihood,
)
from model_store.vae.networks import build_decoder, build_encoder
from model_store.vae.packages import build_networks


class VAE(nn.Module):
    """A VAE with a diagonal Gaussian posterior and N(0, I) or a flow as prior, built from its spec."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.clamps_latents = False
        if isinstance(spec.network, Package):
            self.encoder, self.decoder = build_networks(spec, spec.network)
        else:
            self.encoder, features = build_encoder(spec)
            self.to_mu = nn.Linear(features, spec.latent)
            self.to_logvar = nn.Linear(features, spec.latent)
            self.decoder = build_decoder(spec)
        self.flow = RealNVP(spec.prior, spec.latent) if spec.prior else None
        if spec.likelihood == "discretised_logistic":
            self.log_scale = nn.Parameter(torch.full((spec.image.channels, 1, 1), -2.0))

    @property
    def device(self) -> torch.device:
        """Return the device that the weights are on."""
        return next(self.parameters()).device

    @property
    def uses_labels(self) -> bool:
        """Return True if training gives the encoder the labels of images; see vae/packages.py."""
        return bool(getattr(self.encoder, "uses_labels", False))

    @property
    def has_flow(self) -> bool:
        """Return True if the prior of z is a flow."""
        return self.flow is not None

    # --- internal latent space z, in which q(z | x) is a Gaussian: training and evaluation -----

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar = ln sigma^2 of q(z | x), both (batch, latent).

        x is (batch, channels, height, width) in [0, 1].
        """
        if isinstance(self.spec.network, Package):
            mu, logvar = self.encoder(x)
        else:
            features = self.encoder(x)
            mu, logvar = self.to_mu(features), self.to_logvar(features)
        return mu, self._bounded(logvar)

    def labelled_posterior(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mu and logvar of q(z | x, label), (batch, latent), and nats to add to the loss, (batch,).

        labels (batch,) are those of the images. Only for networks that use labels.
        """
        mu, logvar, further = cast(Any, self.encoder).with_labels(x, labels)
        return mu, self._bounded(logvar), further

    def _bounded(self, logvar: Tensor) -> Tensor:
        bound = self.spec.logvar_bound
        return logvar if bound is None else logvar.clamp(-bound, bound)

    def log_prior(self, z: Tensor) -> Tensor:
        """Return ln p(z); (batch, latent) -> (batch,), nats."""
        if self.flow is None:
            return standard_normal_log_density(z)
        u, log_det = self.z_to_u(z)
        return torch.add(standard_normal_log_density(u), log_det)

    def z_to_u(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return u, (batch, latent), and ln |det du/dz|, (batch,)."""
        if self.flow is None:
            return z, torch.zeros_like(z[:, 0])
        return cast(tuple[Tensor, Tensor], self.flow(z))

    def logits(self, z: Tensor) -> Tensor:
        """Return the logits of p(x | z); (batch, latent) -> (batch, channels, height, width).

        While training, latents are clamped as the exact arithmetic clamps them: under a flow, which
        follows any scale, training would otherwise use latents that the exact network cannot tell
        apart. `clamping_latents` does the same in evaluation mode.
        """
        if self.training or self.clamps_latents:
            z = z.clamp(-LATENT_LIMIT, LATENT_LIMIT)
        return cast(Tensor, self.decoder(z))

    # --- public latent space u, whose prior is N(0, I): the service; u is z without a flow -----

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of images in the space of u, both (batch, latent).

        With a flow, mu is the flow's value at the posterior's mean, and exp(logvar) is the variance
        to first order: one sigma along each axis of z moves u, and the squares of these
        displacements are summed. x is (batch, channels, height, width) in [0, 1].
        """
        mu, logvar = self.posterior(x)
        if self.flow is None:
            return mu, logvar
        return self._through_the_flow(mu, logvar)

    def to_u(self, z: Tensor) -> Tensor:
        """Map z to u; both (batch, latent)."""
        return z if self.flow is None else cast(Tensor, self.flow(z)[0])

    def decode(self, u: Tensor) -> Tensor:
        """Return the logits of p(x | u); (batch, latent) -> (batch, channels, height, width)."""
        return self.logits(u if self.flow is None else self.flow.inverse(u))

    @contextlib.contextmanager
    def clamping_latents(self) -> Iterator[None]:
        """Clamp latents inside of the block as in training, in the decoder and in the flow.

        The networks of a flow learn nothing about latents beyond the clamp, and may turn these into
        numbers of any size.
        """
        couplings = [m for m in self.modules() if isinstance(m, Coupling)]
        clamped: list[VAE | Coupling] = [self, *couplings]
        for module in clamped:
            module.clamps_latents = True
        try:
            yield
        finally:
            for module in clamped:
                module.clamps_latents = False

    def _through_the_flow(self, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
        flow = cast(RealNVP, self.flow)
        batch, latent = mu.shape
        steps = torch.diag_embed(torch.exp(0.5 * logvar))  # (batch, latent, latent)
        ahead, _ = flow((mu.unsqueeze(1) + steps).flatten(end_dim=1))
        behind, _ = flow((mu.unsqueeze(1) - steps).flatten(end_dim=1))
        moved = (0.5 * (ahead - behind)).view(batch, latent, latent)
        return flow(mu)[0], moved.square().sum(dim=1).log()

    def mean_image(self, x_logits: Tensor) -> Tensor:
        """Return the mean of p(x | z), which is the image that is shown; same shape, in [0, 1]."""
        return torch.sigmoid(x_logits)

    def log_likelihood(self, x: Tensor, x_logits: Tensor) -> Tensor:
        """Return ln p(x | z); images and logits of one shape -> (batch,), nats."""
        if self.spec.likelihood == "discretised_logistic":
            mean = self.mean_image(x_logits)
            return discretised_logistic_log_likelihood(x, mean, self.log_scale)
        return bernoulli_log_likelihood(x, x_logits)


def build_vae(spec: ModelSpec, weights: Mapping[str, Tensor | NDArray[np.generic]]) -> VAE:
    """Return the network of a spec with these weights, in evaluation mode.

    The network uses the memory of the weights, which must not be changed afterwards. Raises
    RuntimeError if names or shapes do not fit the spec; for the network of a package, ShapeError, and
    MissingPackageError if it is not installed.
    """
    with torch.device("meta"):
        vae = VAE(spec)
    tensors = {name: torch.as_tensor(weight) for name, weight in weights.items()}
    if isinstance(spec.network, Package):
        _check_shapes(vae, tensors)
        with torch.random.fork_rng(devices=[]):
            vae = VAE(spec)  # may have tensors that are no weights, and so need memory
    vae.load_state_dict(tensors, strict=True, assign=True)
    return vae.eval().requires_grad_(False)


def _check_shapes(vae: VAE, tensors: Mapping[str, Tensor]) -> None:
    """Raise ShapeError unless the weights are those of a network; it may be on the device `meta`."""
    expected = {name: tuple(weight.shape) for name, weight in vae.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        shape = tuple(tensors[name].shape) if name in tensors else None
        if shape != expected.get(name):
            raise ShapeError(
                f"tensor {name} is {shape or 'missing'}, the installed package asks for "
                f"{expected.get(name, 'none of that name')}; install the release that made the version"
            )
