"""Estimate the memory of a training before it starts, and give advice if there is too little.

The estimate counts what PyTorch keeps until the backward pass. It is made for refusing what cannot
work, such as a batch of 256 images of 256x256, and is right within a factor of two.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from model_store.network_size import network_size
from model_store.spec import MLP, ModelSpec, Onnx, Package, Residual
from training.config import Preset
from training.data.images import affordable_batch
from training.errors import OutOfMemoryError

PROCESS = 600_000_000
"""Bytes of a process that has loaded PyTorch and trained one step of a tiny network."""
_FLOAT = 4
_WEIGHT_COPIES = 13
"""Weights, gradients, two moments and an average; checkpoints copy four of these twice."""
_KEPT_PER_BLOCK = 7
"""Feature maps kept by a residual block: two convolutions, norms, activations, and the sum."""
_KEPT_PER_STEP = 5
"""Feature maps kept by a change of resolution: convolution, norm, activation, gradients."""
_KEPT_PER_PIXEL = {"bernoulli": 6, "discretised_logistic": 14}
"""Values kept for each value of a pixel by image, output and likelihood."""
_MEASURED_AT_ONCE = 1000
"""Most images that are measured at once."""


@dataclass(frozen=True)
class Memory:
    """Estimated bytes of a training, by cause."""

    weights: int
    images: int
    """The whole data set as bytes."""
    batch: int
    """Tensors that one training step keeps for all images of a batch."""
    measuring: int
    """Tensors that are kept while the test split is measured."""

    @property
    def total(self) -> int:
        """Return the bytes of the whole process at its peak."""
        return PROCESS + self.weights + self.images + max(self.batch, self.measuring)


def estimate_memory(preset: Preset, images: int) -> Memory:
    """Estimate the memory of training and measuring `images` images, of both splits."""
    spec, objective = preset.model, preset.objective
    pixels = spec.image.pixels
    per_pixel = _KEPT_PER_PIXEL[spec.likelihood]
    per_image = _FLOAT * (_kept_maps(spec) + per_pixel * pixels)
    shown = preset.optimiser.batch_size * objective.importance_samples
    shown *= 2 if objective.consistency else 1
    measured = affordable_batch(_MEASURED_AT_ONCE, pixels)
    largest_map = _FLOAT * network_size(spec).values
    passes = 1 + (preset.optimiser.passes or 1)  # the images, and those of an epoch in order
    return Memory(
        weights=_WEIGHT_COPIES * _FLOAT * network_size(spec).parameters,
        images=passes * images * pixels,
        batch=shown * per_image,
        measuring=measured * (_FLOAT * per_pixel * pixels + 4 * largest_map),
    )


def check_memory(preset: Preset, images: int, available: int | None) -> None:
    """Raise OutOfMemoryError if a training needs more than `available` bytes; None checks nothing."""
    needed = estimate_memory(preset, images)
    if available is not None and needed.total > available:
        raise OutOfMemoryError(
            f"training needs about {gigabytes(needed.total)} of memory, and this process can have "
            f"{gigabytes(available)}: {advice(preset, needed)}"
        )


def advice(preset: Preset, needed: Memory) -> str:
    """Return what to change so that a training needs less memory."""
    height, width = preset.model.image.height, preset.model.image.width
    if needed.images > max(needed.batch, needed.measuring):
        return "use fewer images with --set data.train_images=N, or smaller ones"
    if needed.batch > needed.measuring and preset.optimiser.batch_size > 1:
        smaller = max(1, preset.optimiser.batch_size // 4)
        return f"try --set optimiser.batch_size={smaller}, or images smaller than {width}x{height}"
    return f"use images smaller than {width}x{height}, or fewer channels in model.network"


@contextlib.contextmanager
def advising_on_memory(preset: Preset, images: int = 1000) -> Iterator[None]:
    """Turn the errors of an allocation that fails inside of the block into OutOfMemoryError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        needed = estimate_memory(preset, images)
        raise OutOfMemoryError(f"out of memory: {advice(preset, needed)}") from error


def is_out_of_memory(error: Exception) -> bool:
    """Return True if an allocation failed, on the CPU or on a GPU."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which needs no import here
        or "can't allocate memory" in text
        or "not enough memory" in text
    )


def gigabytes(size_bytes: int) -> str:
    """Format bytes, such as `1.5 GB`."""
    return f"{size_bytes / 1e9:.1f} GB"


def _kept_maps(spec: ModelSpec) -> int:
    """Return the values that one image's backward pass needs, without those of its pixels."""
    network = spec.network
    if isinstance(network, MLP):
        return 6 * sum(network.hidden)
    if isinstance(network, Onnx | Package):  # unknown
        return 0
    heights, widths = network.sizes(spec.image.height), network.sizes(spec.image.width)
    maps = [
        channels * height * width
        for channels, height, width in zip(network.channels, heights[1:], widths[1:], strict=True)
    ]
    blocks = network.encoder_blocks + network.decoder_blocks if isinstance(network, Residual) else 0
    return math.ceil(sum(maps) * (_KEPT_PER_BLOCK * blocks + 2 * _KEPT_PER_STEP))
