"""Bounds of a whole network, which the bounds of its single fields do not imply.

A spec is read from a manifest before any weight is. A version that no machine could hold, or whose
first batch would take minutes, is refused at once, without building its network.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from model_store.spec import MLP, Conv, ModelSpec, Onnx, Package, Residual
from model_store.weight_shapes import weight_shapes

MAX_PARAMETERS = 2**28
"""Largest number of weights: 1 GiB in float32. The largest shipped network has 2.2 million."""
MAX_VALUES = 2**22
"""Largest number of values between two layers for one image: 16 MiB in float32."""
MAX_MULTIPLICATIONS = 2**34
"""Largest number of multiplications to encode and decode one image: some seconds on one core."""


@dataclass(frozen=True)
class NetworkSize:
    """What a network needs, derived from its spec."""

    parameters: int
    """Number of weights."""
    values: int
    """Number of values of the largest feature map of one image, or of its latents that are moved along
    each dimension through a flow."""
    multiplications: int
    """Number of multiplications to encode and decode one image, of its linear layers and filters."""


def network_size(spec: ModelSpec) -> NetworkSize:
    """Return the size of the network of a spec.

    The multiplications of graphs of ONNX are unknown, and of the network of a package everything: their
    files are bounded by their bytes, and graphs also by memory and time when they run.
    """
    if isinstance(spec.network, Onnx):
        return NetworkSize((spec.network.encoder_bytes + spec.network.decoder_bytes) // 4, 0, 0)
    if isinstance(spec.network, Package):
        return NetworkSize(0, 0, 0)
    shapes = {name: weight.shape for name, weight in weight_shapes(spec).items()}
    parameters = sum(map(math.prod, shapes.values()))
    # The variances of u follow from the flow at two points along each dimension: see vae/model.py.
    flow_rows, moved = (2 * spec.latent + 2, spec.latent**2) if spec.prior else (0, 0)
    linear = sum(
        math.prod(shape) * (flow_rows if name.startswith("flow.") else 1)
        for name, shape in shapes.items()
        if len(shape) == 2
    )
    if isinstance(spec.network, MLP):
        return NetworkSize(parameters, moved, linear)
    largest_map, filters = _convolutions(spec, spec.network)
    return NetworkSize(parameters, max(moved, largest_map), linear + filters)


def excess(spec: ModelSpec) -> str | None:
    """Return what is too large about a spec, or None."""
    size = network_size(spec)
    for value, limit, unit in (
        (size.parameters, MAX_PARAMETERS, "weights"),
        (size.values, MAX_VALUES, "values between two layers"),
        (size.multiplications, MAX_MULTIPLICATIONS, "multiplications for one image"),
    ):
        if value > limit:
            return f"the network has {value:,} {unit}, at most {limit:,} are supported"
    return None


def _convolutions(spec: ModelSpec, net: Conv | Residual) -> tuple[int, int]:
    """Return the values of the largest feature map, and the multiplications of all filters."""
    heights, widths = net.sizes(spec.image.height), net.sizes(spec.image.width)
    places = [height * width for height, width in zip(heights, widths, strict=True)]
    channels = (spec.image.channels, *net.channels)
    most = max(math.prod(pair) for pair in zip(channels, places, strict=True))
    filters = sum(
        2 * c_in * c_out * net.kernel**2 * place
        for (c_in, c_out), place in zip(pairwise(channels), places[1:], strict=True)
    )
    if isinstance(net, Residual):
        blocks = net.encoder_blocks + net.decoder_blocks
        filters += sum(
            blocks * 2 * 9 * c**2 * place for c, place in zip(net.channels, places[1:], strict=True)
        )
    return most, filters
