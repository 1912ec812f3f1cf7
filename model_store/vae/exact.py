"""A VAE in the exact arithmetic, with the interface of the float VAE: tensors in and out.

Measurements and figures of an exact version use it, so they describe the images that are served.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model_store.arithmetic.executors import Executor
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor
from model_store.arithmetic.likelihood import LIMIT, grey_levels
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import SIGMOID_EXPONENT, Bytes, ExactNetwork, Floats, Function
from model_store.spec import ModelSpec
from model_store.vae.gaussian import standard_normal_log_density

GREATEST_GREY = 255
LOGIT_UNIT = 2.0**-SIGMOID_EXPONENT
ROWS_AT_ONCE = {"cpu": 64, "cuda": 4096}
"""Largest number of rows of a batch; larger batches need more memory and are no faster."""


class ExactVAE:
    """An exact network, run by ONNX Runtime, or by torch if `device` is a GPU.

    Logits are rounded to multiples of 2^-8 and clamped to [-16, 16], as they are for grey levels and
    likelihoods.
    """

    def __init__(
        self, network: ExactNetwork, spec: ModelSpec, device: torch.device | str = "cpu"
    ) -> None:
        self.spec = spec
        self.device = torch.device(device)
        self.network = network
        self._model = ExactModel(network, spec, self._executor)

    @property
    def has_flow(self) -> bool:
        """True if the prior of z is a flow."""
        return self._model.flow is not None

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of q(z | x), (batch, latent); x in [0, 1] is rounded to grey levels."""
        mu, logvar = self._model.posterior(_levels(x))
        return self._tensor(mu), self._tensor(logvar)

    def log_prior(self, z: Tensor) -> Tensor:
        """Return ln p(z); (batch, latent) -> (batch,), nats."""
        if self._model.flow is None:
            return standard_normal_log_density(z)
        u, log_det = self.z_to_u(z)
        return torch.add(standard_normal_log_density(u), log_det)

    def z_to_u(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return u, (batch, latent), and ln |det du/dz|, (batch,), nats."""
        if self._model.flow is None:
            return z, torch.zeros_like(z[:, 0])
        u, log_det = self._model.flow.forward_and_log_determinant(_floats(z))
        return self._tensor(u), self._tensor(log_det)

    def logits(self, z: Tensor) -> Tensor:
        """Return logits of p(x | z), multiples of 2^-8; z (batch, latent) -> (batch, *image)."""
        return self._logit_tensor(self._model.logits(_floats(z)))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of images in the space of u, both (batch, latent)."""
        mu, logvar = self._model.encode(_levels(x))
        return self._tensor(mu), self._tensor(logvar)

    def to_u(self, z: Tensor) -> Tensor:
        """Map z to u; both (batch, latent)."""
        return self._tensor(self._model.to_u(_floats(z)))

    def decode(self, u: Tensor) -> Tensor:
        """Return logits of p(x | u), multiples of 2^-8; u (batch, latent) -> (batch, *image)."""
        return self._logit_tensor(self._model.logits_of_u(_floats(u)))

    def mean_image(self, x_logits: Tensor) -> Tensor:
        """Return the images that are served, grey levels divided by 255; same shape."""
        grey = torch.from_numpy(grey_levels(_in_units(x_logits)))
        return grey.to(x_logits.device).float().div_(GREATEST_GREY)

    def log_likelihood(self, x: Tensor, x_logits: Tensor) -> Tensor:
        """Return ln p(x | z) of images x, rounded to grey levels, and logits; (batch,), nats."""
        nats = self._model.log_likelihood_of_logits(_levels(x), _in_units(x_logits))
        return torch.from_numpy(nats).to(x_logits.device)

    def _executor(self, function: Function, shape: Sequence[int]) -> Executor:
        if self.device.type == "cpu":
            run: Executor = OnnxExecutor(function, shape, torch.get_num_threads())
        else:
            from model_store.arithmetic.executors.torch_executor import (  # noqa: PLC0415
                TorchExecutor,  # importing it switches TF32 off in the process
            )

            run = TorchExecutor(function, self.device)
        return _InChunks(run, ROWS_AT_ONCE[self.device.type])

    def _logit_tensor(self, logits: Floats) -> Tensor:
        """Round logits in units of 2^-8, and return them as multiples of 2^-8."""
        levels = torch.from_numpy(logits)
        return levels.round_().clamp_(-LIMIT, LIMIT).mul_(LOGIT_UNIT).to(self.device)

    def _tensor(self, array: Floats) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class _InChunks:
    """Runs an executor on batches of at most `rows` rows, which gives the same bytes."""

    def __init__(self, run: Executor, rows: int) -> None:
        self._run = run
        self._rows = rows

    def __call__(self, batch: Floats) -> Floats:
        starts = range(0, max(1, len(batch)), self._rows)
        parts = [self._run(batch[start : start + self._rows]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _levels(x: Tensor) -> Bytes:
    levels: Bytes = (x * GREATEST_GREY).round().to(torch.uint8).cpu().numpy()
    return levels


def _floats(tensor: Tensor) -> Floats:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)


def _in_units(x_logits: Tensor) -> Floats:
    """Return logits in units of 2^-8; the conversion is exact."""
    return _floats(x_logits / LOGIT_UNIT)
