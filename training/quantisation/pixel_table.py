"""Count how often each grey level occurs at each logit, for the pixel table of compression.

Latents are drawn from the posterior of each image, as they are when images are compressed.
"""

import numpy as np

from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Bytes
from model_store.compression.pixels import (
    BINS,
    GREY_LEVELS,
    HIGHEST_LOG_WEIGHT,
    WEIGHT_EXPONENT,
    LogWeights,
    logit_bins,
)
from training.quantisation.layers import Doubles

BATCH = 500
BACKGROUND = 8.0
"""Number of counts that are added to each bin, distributed as in its neighbours."""
UNIFORM = 0.01
"""Fraction of BACKGROUND that is distributed evenly over all levels."""
DECAY = 0.5
"""Factor of a neighbour's counts for each bin of distance."""


def count_pixels(model: ExactModel, levels: Bytes, seed: int = 0) -> LogWeights:
    """Return the log weights (BINS, 256) of a model with Bernoulli pixels.

    `levels` are training images, grey levels 0..255 (images, channels, height, width).
    """
    generator = np.random.default_rng(seed)
    counts = np.zeros(BINS * GREY_LEVELS, np.int64)
    for begin in range(0, len(levels), BATCH):
        batch = levels[begin : begin + BATCH]
        mu, logvar = model.posterior(batch)
        eps = generator.standard_normal(mu.shape, np.float32)
        z = (mu + np.exp(logvar / 2) * eps).astype(np.float32)
        bins = logit_bins(model.logits(z))
        pairs = bins * GREY_LEVELS + batch.reshape(len(batch), -1)
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    return _log_weights(_smoothed(counts.reshape(BINS, GREY_LEVELS).astype(np.float64)))


def _smoothed(counts: Doubles) -> Doubles:
    """Return probabilities of counts, both (bins, levels); neighbouring bins smooth rare levels."""
    distance = np.abs(np.arange(BINS)[:, None] - np.arange(BINS))
    near = DECAY**distance @ counts
    near /= near.sum(axis=1, keepdims=True)
    borrowed = BACKGROUND * ((1 - UNIFORM) * near + UNIFORM / GREY_LEVELS)
    return np.asarray((counts + borrowed) / (counts.sum(axis=1, keepdims=True) + BACKGROUND))


def _log_weights(probabilities: Doubles) -> LogWeights:
    log_weights = HIGHEST_LOG_WEIGHT + np.rint(np.log2(probabilities) * 2**WEIGHT_EXPONENT)
    return np.asarray(np.clip(log_weights, 0, HIGHEST_LOG_WEIGHT), np.uint8)
