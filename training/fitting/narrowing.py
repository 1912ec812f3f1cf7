"""Give a trained VAE narrower linear layers, so that training can continue in a smaller network.

Of the hidden units of the encoder's last and the decoder's first layer, those are kept that move
the next layer most over some training images: standard deviation of the unit times the norm of its
outgoing weights. The next layer is then fitted anew, by least squares, to what it computed before.
"""

from typing import cast

import torch
from torch import Tensor, nn

from model_store.spec import Conv, ModelSpec, Residual
from model_store.vae import VAE

RIDGE = 1e-3
"""Weight of the penalty of the least squares, relative to the mean square of the units."""


def can_be_narrowed(wide: ModelSpec, narrow: ModelSpec) -> bool:
    """Return True if the specs differ in `hidden` and `prior` alone, and hidden becomes smaller."""
    a, b = wide.network, narrow.network
    if not isinstance(a, Conv | Residual) or not isinstance(b, Conv | Residual):
        return False
    same = wide.model_copy(update={"network": b, "prior": narrow.prior}) == narrow
    return same and a.model_copy(update={"hidden": b.hidden}) == b and b.hidden < a.hidden


@torch.no_grad()
def narrowed_weights(wide: VAE, narrow: ModelSpec, images: Tensor) -> dict[str, Tensor]:
    """Return the weights of `narrow`, but for its flow, that come close to a trained VAE.

    `images` is (batch, channels, height, width) in [0, 1]. The specs must fit each other: see
    `can_be_narrowed`.
    """
    width = cast(Conv | Residual, narrow.network).hidden
    weights = {k: v for k, v in wide.state_dict().items() if not k.startswith("flow.")}
    wide.eval()
    features = wide.encoder(images)
    mu, logvar = wide.to_mu(features), wide.to_logvar(features)
    kept = _most_used(features, torch.cat([wide.to_mu.weight, wide.to_logvar.weight]), width)
    last = f"encoder.{len(cast(nn.Sequential, wide.encoder)) - 2}"
    weights |= _rows(weights, last, kept)
    weights |= _fitted("to_mu", features[:, kept], mu) | _fitted(
        "to_logvar", features[:, kept], logvar
    )
    noise = torch.Generator().manual_seed(0)
    z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=noise).to(mu.device)
    first, activation, second = list(cast(nn.Sequential, wide.decoder))[:3]
    hidden = activation(first(z))
    kept = _most_used(hidden, cast(nn.Linear, second).weight, width)
    weights |= _rows(weights, "decoder.0", kept)
    return weights | _fitted("decoder.2", hidden[:, kept], second(hidden))


def _most_used(hidden: Tensor, outgoing: Tensor, width: int) -> Tensor:
    """Return the indices of the units that move the next layer most, ascending; (width,)."""
    moves = hidden.std(dim=0) * torch.linalg.vector_norm(outgoing, dim=0)
    return torch.argsort(moves, descending=True)[:width].sort().values


def _rows(weights: dict[str, Tensor], layer: str, kept: Tensor) -> dict[str, Tensor]:
    return {f"{layer}.{part}": weights[f"{layer}.{part}"][kept] for part in ("weight", "bias")}


def _fitted(layer: str, hidden: Tensor, outputs: Tensor) -> dict[str, Tensor]:
    """Return weight and bias of the linear layer that maps hidden units to outputs best."""
    inputs = torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1).double()
    products = inputs.T @ inputs
    penalty = RIDGE * products.diag().mean() * torch.eye(len(products), device=inputs.device)
    solution = torch.linalg.solve(products + penalty, inputs.T @ outputs.double())
    solution = solution.to(outputs.dtype)
    return {f"{layer}.weight": solution[:-1].T.contiguous(), f"{layer}.bias": solution[-1].clone()}
