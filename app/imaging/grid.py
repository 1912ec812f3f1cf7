"""Lay out images: grids, enlarged pixels, order of channels."""

import math

import numpy as np

from app.typing import Bytes


def make_grid(images: Bytes, columns: int, padding: int = 2) -> Bytes:
    """Lay out images as torchvision.utils.make_grid(nrow=columns) does, on black.

    (batch, channels, height, width) -> (channels, height, width). A single image gets no padding.
    """
    n, channels, height, width = images.shape
    if n == 1:
        single: Bytes = images[0]
        return single
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    step_y, step_x = height + padding, width + padding
    grid = np.zeros((channels, rows * step_y + padding, columns * step_x + padding), np.uint8)
    plane, line, pixel = grid.strides
    cells = np.ndarray(  # a view into `grid`, so that each image is copied once, to its cell
        (rows, columns, channels, height, width),
        np.uint8,
        grid.data,
        padding * (line + pixel),
        (step_y * line, step_x * pixel, plane, line, pixel),
    )
    full_rows, rest = divmod(n, columns)
    cells[:full_rows] = images[: full_rows * columns].reshape(full_rows, *cells.shape[1:])
    cells[full_rows:, :rest] = images[full_rows * columns :]
    return grid


def enlarge(image: Bytes, scale: int) -> Bytes:
    """Repeat each pixel as a square of scale x scale; (..., height, width)."""
    if scale == 1:
        return image
    return image.repeat(scale, axis=-2).repeat(scale, axis=-1)


def channels_last(images: Bytes) -> Bytes:
    """Move the channels to the end, or drop the axis if the images are grey.

    (..., channels, height, width) -> (..., height, width[, 3])
    """
    if images.shape[-3] == 1:
        grey: Bytes = images[..., 0, :, :]
        return grey
    return np.moveaxis(images, -3, -1)
