"""Give a trained VAE fewer channels and narrower linear layers, to continue training in a smaller network.

Channels that are added to each other, as those of residual blocks are, are kept or left out together.
Those are kept whose weights are largest: the group norm of Fang et al. 2023, "DepGraph".

Of the hidden units of the encoder's last and the decoder's first layer, those are kept that move
the next layer most over some training images: standard deviation of the unit times the norm of its
outgoing weights. The next layer is then fitted anew, by least squares, to what it computed before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from model_store.spec import Conv, ModelSpec, Residual
from model_store.vae import VAE
from model_store.vae.networks import ResidualBlock

RIDGE = 1e-3
"""Weight of the penalty of the least squares, relative to the mean square of the units."""

Weights = dict[str, Tensor]


def can_be_narrowed(wide: ModelSpec, narrow: ModelSpec) -> bool:
    """Return True if the specs differ in `channels`, `hidden` and `prior` alone, and none is wider."""
    a, b = wide.network, narrow.network
    if not isinstance(a, Conv | Residual) or not isinstance(b, Conv | Residual):
        return False
    same = wide.model_copy(update={"network": b, "prior": narrow.prior}) == narrow
    if not same or a.model_copy(update={"channels": b.channels, "hidden": b.hidden}) != b:
        return False
    widths = list(zip((*a.channels, a.hidden), (*b.channels, b.hidden), strict=False))
    return (
        len(a.channels) == len(b.channels)
        and all(old >= new for old, new in widths)
        and any(old > new for old, new in widths)
    )


@torch.no_grad()
def narrowed_weights(wide: VAE, narrow: ModelSpec, images: Tensor) -> Weights:
    """Return the weights of `narrow`, but for its flow, that come close to a trained VAE.

    `images` is (batch, channels, height, width) in [0, 1]. The specs must fit each other: see
    `can_be_narrowed`.
    """
    a, b = cast(Conv | Residual, wide.spec.network), cast(Conv | Residual, narrow.network)
    if a.channels != b.channels:
        network = b.model_copy(update={"hidden": a.hidden})
        wide = _with_fewer_channels(wide, wide.spec.model_copy(update={"network": network}))
    weights = {k: v for k, v in wide.state_dict().items() if not k.startswith("flow.")}
    if a.hidden == b.hidden:
        return weights
    return weights | _fewer_hidden_units(wide, weights, b.hidden, images)


def _fewer_hidden_units(wide: VAE, weights: Weights, width: int, images: Tensor) -> Weights:
    """Return the weights around the hidden units of the encoder's last and the decoder's first layer."""
    wide.eval()
    features = wide.encoder(images)
    mu, logvar = wide.to_mu(features), wide.to_logvar(features)
    kept = _most_used(features, torch.cat([wide.to_mu.weight, wide.to_logvar.weight]), width)
    last = f"encoder.{len(cast(nn.Sequential, wide.encoder)) - 2}"
    narrowed = _rows(weights, last, kept)
    narrowed |= _fitted("to_mu", features[:, kept], mu)
    narrowed |= _fitted("to_logvar", features[:, kept], logvar)
    noise = torch.Generator().manual_seed(0)
    z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=noise).to(mu.device)
    first, activation, second = list(cast(nn.Sequential, wide.decoder))[:3]
    hidden = activation(first(z))
    kept = _most_used(hidden, cast(nn.Linear, second).weight, width)
    narrowed |= _rows(weights, "decoder.0", kept)
    return narrowed | _fitted("decoder.2", hidden[:, kept], second(hidden))


def _most_used(hidden: Tensor, outgoing: Tensor, width: int) -> Tensor:
    """Return the indices of the units that move the next layer most, ascending; (width,)."""
    moves = hidden.std(dim=0) * torch.linalg.vector_norm(outgoing, dim=0)
    return torch.argsort(moves, descending=True)[:width].sort().values


def _rows(weights: Weights, layer: str, kept: Tensor) -> Weights:
    return {f"{layer}.{part}": weights[f"{layer}.{part}"][kept] for part in ("weight", "bias")}


def _fitted(layer: str, hidden: Tensor, outputs: Tensor) -> Weights:
    """Return weight and bias of the linear layer that maps hidden units to outputs best."""
    inputs = torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1).double()
    products = inputs.T @ inputs
    penalty = RIDGE * products.diag().mean() * torch.eye(len(products), device=inputs.device)
    solution = torch.linalg.solve(products + penalty, inputs.T @ outputs.double())
    solution = solution.to(outputs.dtype)
    return {f"{layer}.weight": solution[:-1].T.contiguous(), f"{layer}.bias": solution[-1].clone()}


# --- channels ---


@dataclass
class _Channels:
    """Channels that are kept or left out together."""

    count: int
    axes: list[tuple[str, int]] = field(default_factory=list)
    """Name of a weight, and its axis that has these channels, each once or once for every pixel."""

    def add(self, axis: int, *names: str) -> None:
        """Add an axis of some weights."""
        self.axes += [(name, axis) for name in names]

    def kept(self, weights: Weights, count: int) -> Tensor:
        """Return the indices of the channels with the largest weights, ascending; (count,)."""
        squares = torch.zeros(self.count, device=weights[self.axes[0][0]].device)
        for name, axis in self.axes:
            squares += (
                weights[name].float().square().movedim(axis, 0).reshape(self.count, -1).sum(1)
            )
        return torch.argsort(squares, descending=True)[:count].sort().values


def _with_fewer_channels(wide: VAE, narrow: ModelSpec) -> VAE:
    """Return a VAE with the channels of `narrow` that have the largest weights."""
    small = VAE(narrow)
    weights, shapes = wide.state_dict(), {k: v.shape for k, v in small.state_dict().items()}
    for channels in (*_channels("encoder.", wide.encoder), *_channels("decoder.", wide.decoder)):
        name, axis = channels.axes[0]
        pixels = weights[name].shape[axis] // channels.count
        kept = channels.kept(weights, shapes[name][axis] // pixels)
        for name, axis in channels.axes:
            pixels = weights[name].shape[axis] // channels.count
            index = (kept[:, None] * pixels + torch.arange(pixels, device=kept.device)).flatten()
            weights[name] = weights[name].index_select(axis, index)
    small.load_state_dict(weights)
    return small


def _channels(prefix: str, trunk: nn.Module) -> Iterator[_Channels]:
    """Yield the channels of an encoder or a decoder, in the order of its layers."""
    layers = list(cast(nn.Sequential, trunk).named_children())
    current: _Channels | None = None
    for (place, layer), (_, following) in zip(layers, [*layers[1:], ("", None)], strict=True):
        name = prefix + place
        if isinstance(layer, nn.Linear):
            if current is not None:
                current.add(1, f"{name}.weight")
                yield current
                current = None
            if isinstance(following, nn.Unflatten):
                current = _Channels(following.unflattened_size[0])
                current.add(0, f"{name}.weight", f"{name}.bias")
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            inputs, outputs = (1, 0) if isinstance(layer, nn.Conv2d) else (0, 1)
            if current is not None:
                current.add(inputs, f"{name}.weight")
                yield current
            current = _Channels(layer.out_channels)
            current.add(outputs, f"{name}.weight")
            current.add(0, f"{name}.bias")
        elif isinstance(layer, nn.BatchNorm2d) and current is not None:
            current.add(0, *_batch_norm(name))
        elif isinstance(layer, ResidualBlock) and current is not None:
            yield _inside(f"{name}.change.", layer.change, current)
    if current is not None:
        yield current


def _inside(prefix: str, change: nn.Sequential, around: _Channels) -> _Channels:
    """Return the channels between the two convolutions of a residual block.

    Adds to `around` what the block has of the channels that it changes.
    """
    inner: _Channels | None = None
    for name, layer in change.named_children():
        if isinstance(layer, nn.BatchNorm2d):
            (inner or around).add(0, *_batch_norm(prefix + name))
        elif isinstance(layer, nn.Conv2d):
            before, after = (
                (around, _Channels(layer.out_channels)) if inner is None else (inner, around)
            )
            before.add(1, f"{prefix}{name}.weight")
            after.add(0, f"{prefix}{name}.weight", f"{prefix}{name}.bias")
            inner = inner or after
    return cast(_Channels, inner)


def _batch_norm(name: str) -> list[str]:
    return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
