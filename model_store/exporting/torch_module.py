"""A version as plain PyTorch: one file of code, written from the layers, and one of weights.

The code needs torch and safetensors. Float weights are those of the version, or are derived from the
integers of an exact version that ships without them; see model_store/vae/derived.py. They do not round
as the integers do, so a pixel may differ from the service's by some grey levels.
"""

import json
from collections.abc import Iterable

import safetensors.numpy
from torch import nn

from model_store.arithmetic.program import LATENT_LIMIT
from model_store.exporting.metadata import metadata
from model_store.exporting.onnx_float import NotExportableError
from model_store.spec import Manifest
from model_store.store.tensors import to_arrays
from model_store.vae import VAE
from model_store.vae.flow import MAX_LOG_SCALE
from model_store.vae.networks import ResidualBlock

CODE, WEIGHTS = "vae.py", "vae.safetensors"

_HEAD = '''\
"""{ref}, exported from zserve as plain PyTorch; it needs torch and safetensors alone.

    from vae import load

    vae = load()                      # reads vae.safetensors beside this file
    images = vae.sample(16)           # (16, {channels}, {height}, {width}) in [0, 1]
    mu, logvar = vae.posterior(images)
    again = vae.decode(vae.latents(mu))
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
'''

_RESIDUAL = '''

class ResidualBlock(nn.Module):
    """h + f(h)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.change = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.change(h)
'''

_FLOW = '''

class Coupling(nn.Module):
    """Keep the dimensions of one parity; from them, scale and shift the others."""

    def __init__(self, kept: int, *layers: nn.Module) -> None:
        super().__init__()
        self.kept, self.changed = slice(kept, None, 2), slice(1 - kept, None, 2)
        self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        log_scale, shift = self._scale_and_shift(z)
        return self._with_changed(z, z[:, self.changed] * log_scale.exp() + shift)

    def inverse(self, u: Tensor) -> Tensor:
        log_scale, shift = self._scale_and_shift(u)
        return self._with_changed(u, (u[:, self.changed] - shift) * (-log_scale).exp())

    def _scale_and_shift(self, z: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.net(z[:, self.kept]{limit}).chunk(2, dim=1)
        return {scale} * torch.tanh(raw / {scale}), shift

    def _with_changed(self, z: Tensor, changed: Tensor) -> Tensor:
        result = z.clone()
        result[:, self.changed] = changed
        return result


class Flow(nn.Module):
    """The prior: an invertible map between z of q(z | x) and latents ~ N(0, I)."""

    def __init__(self) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(
            [
{couplings}
            ]
        )

    def forward(self, z: Tensor) -> Tensor:
        for coupling in self.couplings:
            z = coupling(z)
        return z

    def inverse(self, latents: Tensor) -> Tensor:
        for coupling in reversed(self.couplings):
            latents = coupling.inverse(latents)
        return latents
'''

_VAE = '''

class VAE(nn.Module):
    """Images (batch, {channels}, {height}, {width}) in [0, 1]; latents (batch, {latent}) ~ N(0, I)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
{encoder}
        )
        self.to_mu = {to_mu}
        self.to_logvar = {to_logvar}
        self.decoder = nn.Sequential(
{decoder}
        )
{more}
    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and ln sigma^2 of q(z | x), both (batch, {latent})."""
        features = self.encoder(x)
        return self.to_mu(features), self.to_logvar(features){clamp}

    def latents(self, z: Tensor) -> Tensor:
        """Return the latents, whose prior is N(0, I), of z of q(z | x)."""
        return {to_latents}

    def logits(self, latents: Tensor) -> Tensor:
        """Return the logits of images."""
        return self.decoder({to_z}{limit})

    def decode(self, latents: Tensor) -> Tensor:
        """Return the mean images of latents, in [0, 1]."""
        return torch.sigmoid(self.logits(latents))

    @torch.no_grad()
    def sample(self, images: int) -> Tensor:
        """Return new images."""
        device = self.to_mu.weight.device
        return self.decode(torch.randn(images, {latent}, device=device))


def load(path: "str | Path" = Path(__file__).with_name("{weights}")) -> VAE:
    """Return the trained network, in evaluation mode."""
    vae = VAE()
    vae.load_state_dict(load_file(path))
    return vae.eval()
'''


def torch_files(vae: VAE, manifest: Manifest) -> dict[str, bytes]:
    """Return vae.py and vae.safetensors of a VAE: name -> content; raises NotExportableError."""
    arrays = to_arrays(vae.state_dict())
    entries = {"zserve": json.dumps(metadata(manifest, "vae"))}
    return {CODE: source(vae, manifest).encode(), WEIGHTS: safetensors.numpy.save(arrays, entries)}


def source(vae: VAE, manifest: Manifest) -> str:
    """Return the code of a VAE; raises NotExportableError."""
    spec = vae.spec
    shape = spec.image.model_dump() | {"latent": spec.latent}
    bound = spec.logvar_bound
    exact = manifest.arithmetic != "float"
    limit = f".clamp(-{LATENT_LIMIT}, {LATENT_LIMIT})" if exact else ""
    parts = [_HEAD.format(ref=manifest.ref, **shape)]
    if any(isinstance(module, ResidualBlock) for module in vae.modules()):
        parts.append(_RESIDUAL)
    if vae.flow is not None:
        couplings = [
            f"Coupling({place % 2}, {', '.join(_expressions(_list(module.net)))}),"  # type: ignore[arg-type]
            for place, module in enumerate(vae.flow.couplings)
        ]
        parts.append(
            _FLOW.format(scale=MAX_LOG_SCALE, couplings=_indented(couplings, 16), limit=limit)
        )
    log_scale = spec.likelihood == "discretised_logistic"
    more = ["self.flow = Flow()"] if vae.flow is not None else []
    more += [f"self.log_scale = nn.Parameter(torch.zeros({spec.image.channels}, 1, 1))"] * log_scale
    parts.append(
        _VAE.format(
            encoder=_indented(_lines(vae.encoder), 12),
            decoder=_indented(_lines(vae.decoder), 12),
            to_mu=_expression(vae.to_mu),
            to_logvar=_expression(vae.to_logvar),
            more="".join(f"        {line}\n" for line in more),
            clamp="" if bound is None else f".clamp({-bound}, {bound})",
            to_latents="z" if vae.flow is None else "self.flow(z)",
            to_z="latents" if vae.flow is None else "self.flow.inverse(latents)",
            limit=limit,
            weights=WEIGHTS,
            **shape,
        )
    )
    return "".join(parts)


def _lines(network: nn.Module) -> list[str]:
    return [f"{each}," for each in _expressions(_list(network))]


def _list(network: nn.Module) -> list[nn.Module]:
    if not isinstance(network, nn.Sequential):
        raise NotExportableError(f"{type(network).__name__} is not a sequence of layers")
    return list(network)


def _expressions(layers: Iterable[nn.Module]) -> list[str]:
    return [_expression(layer) for layer in layers]


def _expression(layer: nn.Module) -> str:
    """Return the expression that makes a layer."""
    match layer:
        case ResidualBlock():
            inner = _expressions(layer.change)
            return f"ResidualBlock({', '.join(inner)})"
        case (
            nn.Linear()
            | nn.Conv2d()
            | nn.ConvTranspose2d()
            | nn.BatchNorm2d()
            | nn.ReLU()
            | nn.SiLU()
            | nn.Flatten()
            | nn.Unflatten()
        ):
            return f"nn.{layer!r}"
        case other:
            raise NotExportableError(f"{type(other).__name__} has no plain form here")


def _indented(lines: Iterable[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in lines)
