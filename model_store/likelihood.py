"""ln p(x | z), pixel models of a decoder's output: pure functions.

Each takes images in [0, 1] of shape (batch, channels, height, width) and gives one value per
image, (batch,), in nats, summed over pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

GREY_LEVELS = 256


def bernoulli_log_likelihood(x: Tensor, x_logits: Tensor) -> Tensor:
    """ln p(x | z) of pixels under Bernoulli(sigmoid(x_logits)); <= 0.

    Grey pixels are taken as probabilities: the value is then the expectation over binarized
    images.
    """
    nll = F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")
    return -nll.flatten(start_dim=1).sum(dim=1)


def discretised_logistic_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """ln p(x | z) of 8-bit pixels, x = k / 255, under a logistic distribution cut into 256 bins.

    mean like x; log_scale broadcasts to it, ln of the scale in units of the pixel range. The
    first and the last bin reach to infinity, so the 256 probabilities sum to one. Kingma et al.
    2016, "Improved variational inference with inverse autoregressive flow", section 5.3.
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
