"""ln p(x | z) of images, given the output of a decoder: pure functions.

Each takes images in [0, 1] of shape (batch, channels, height, width) and returns one value per
image, (batch,), in nats, summed over pixels.
"""

from typing import cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from model_store.vae.precision import to_float32

GREY_LEVELS = 256
_FACTORS_AT_ONCE = 120
"""Number of factors in [1, 2] that are multiplied at once; below 128, so that float32 holds them."""


def bernoulli_log_likelihood(x: Tensor, x_logits: Tensor) -> Tensor:
    """Return ln p(x | z) of pixels under Bernoulli(sigmoid(x_logits)); <= 0.

    Grey pixels are taken as probabilities: the value is the expectation over binarised images. For
    k latents of each image, x is (batch, 1, ...), x_logits (batch, k, ...), the result (batch, k).
    """
    leading = 2 if x_logits.dim() == 5 else 1
    return cast(
        Tensor,
        _BernoulliLogLikelihood.apply(
            x.flatten(start_dim=leading), to_float32(x_logits).flatten(start_dim=leading)
        ),
    )


def discretised_logistic_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return ln p(x | z) of 8-bit pixels under a logistic distribution cut into 256 bins.

    The first and the last bin reach to infinity, so the 256 probabilities sum to one. Kingma et al.
    2016, "Improved variational inference with inverse autoregressive flow", section 5.3.

    Args:
        x: pixels k / 255.
        mean: mean of the distribution of each pixel; same shape.
        log_scale: ln of its scale, in units of the pixel range; broadcasts to x.
    """
    half_bin = 0.5 / (GREY_LEVELS - 1)
    inverse_scale = torch.exp(-log_scale)
    upper = (x - mean + half_bin) * inverse_scale
    lower = (x - mean - half_bin) * inverse_scale
    # ln(sigmoid(u) - sigmoid(l)) without cancellation:
    # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u))
    inside = (
        F.logsigmoid(upper)
        + F.logsigmoid(-lower)
        + torch.log(-torch.expm1(-2 * half_bin * inverse_scale))
    )
    first, last = x <= half_bin, x >= 1 - half_bin
    log_px = torch.where(first, F.logsigmoid(upper), inside)
    log_px = torch.where(last, F.logsigmoid(-lower), log_px)
    return log_px.flatten(start_dim=1).sum(dim=1)


class _BernoulliLogLikelihood(torch.autograd.Function):
    """x (..., pixels), logits (..., pixels) -> (...); five times as fast as pixel by pixel.

    ln p = sum over pixels of (x l - max(l, 0)) - ln(1 + exp(-|l|)), l being the logit. The bracket
    is small if l predicts x well, so nothing large cancels. Many factors are multiplied before a
    logarithm is taken, so that fewer logarithms are computed. The derivative is x - sigmoid(l) for
    every l.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, logits: Tensor) -> Tensor:
        ctx.save_for_backward(x, logits)
        pixels = logits.shape[-1]
        at_once = max(n for n in range(1, _FACTORS_AT_ONCE + 1) if pixels % n == 0)
        factors = logits.abs().neg_().exp_().add_(1.0)
        log_normaliser = (
            factors.reshape(*logits.shape[:-1], -1, at_once).prod(dim=-1).log().sum(dim=-1)
        )
        log_px: Tensor = (x * logits).sub_(logits.relu()).sum(dim=-1) - log_normaliser
        return log_px

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        x, logits = ctx.saved_tensors  # type: ignore[attr-defined]
        grad = grad.unsqueeze(-1)
        grad_x = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            grad_x = (logits * grad).sum_to_size(x.shape)
        return grad_x, (x - logits.sigmoid()) * grad
