"""Measure the shape of handwritten digits: thickness, slant, width, height and length of the stroke.

The measures are those of Morpho-MNIST (Castro et al. 2019, "Morpho-MNIST: quantitative assessment
and diagnostics for representation learning", JMLR 20), computed by numpy alone:

    thickness   pixels    twice the mean distance to the paper along the skeleton of the stroke
    slant       degrees   shear of the second moments; positive if the digit leans to the right
    width       pixels    of the parallelogram with this slant that contains 98 % of the ink along each axis
    height      pixels    of the same parallelogram
    length      pixels    of the skeleton

Castro et al. take the medial axis of the stroke; the skeleton here is that of Zhang & Suen 1984,
which has no branches into corners. Ink and paper are divided half-way between the darkest and the
lightest value of an image that is enlarged four times.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]
Indices = NDArray[np.intp]

MEASURES = ("thickness", "slant", "width", "height", "length")

_SCALE = 4
_CHUNK = 500
"""Images that are measured at a time: 12 MB of enlarged pixels."""
_OUTSIDE = 0.01
"""Share of the ink that lies outside of the parallelogram at each side."""
_MAX_RADIUS = 24
"""Largest distance to the paper, in enlarged pixels; a digit of 20 pixels has strokes below 10."""
_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The neighbours of a pixel, clockwise from the one above; (rows, columns)."""


def measure(pixels: Bits) -> Mapping[str, Array]:
    """Measure grey images of light ink on black paper; pixels (images, height, width), uint8.

    Returns a value for each of MEASURES and each image, (images,); NaN for an image without ink.
    """
    parts = [_measure(pixels[i : i + _CHUNK]) for i in range(0, len(pixels), _CHUNK)]
    if not parts:
        return {name: np.zeros(0) for name in MEASURES}
    return {name: np.concatenate([part[name] for part in parts]) for name in MEASURES}


def _measure(pixels: Bits) -> dict[str, Array]:
    large = _enlarged(pixels)
    lowest, highest = large.min(axis=(1, 2)), large.max(axis=(1, 2))
    ink = large >= ((lowest + highest) / 2)[:, None, None]
    ink[highest == lowest] = False
    slant, width, height = _box(large - lowest[:, None, None])
    thickness, length = _stroke(ink)
    values = {
        "thickness": thickness / _SCALE,
        "slant": slant,
        "width": width / _SCALE,
        "height": height / _SCALE,
        "length": length / _SCALE,
    }
    empty = ~ink.any(axis=(1, 2))
    return {name: np.where(empty, np.nan, value) for name, value in values.items()}


def _enlarged(pixels: Bits) -> NDArray[np.float32]:
    """Enlarge images by linear interpolation; values beyond the edge are those of the edge."""
    rows, columns = (_interpolation(side) for side in pixels.shape[1:])
    return np.asarray(rows @ pixels.astype(np.float32) @ columns.T)


def _interpolation(side: int) -> NDArray[np.float32]:
    """Return the matrix that interpolates one axis; (_SCALE * side, side)."""
    centres = (np.arange(_SCALE * side) + 0.5) / _SCALE - 0.5
    inside = centres.clip(0, side - 1)
    distance = np.abs(inside[:, None] - np.arange(side))
    return (1 - distance).clip(0).astype(np.float32)


def _sums(place: Indices, values: Array, places: int) -> Array:
    """Return the sum of the values at each place; (places,)."""
    return np.bincount(place, values, minlength=places).astype(np.float64, copy=False)


# --- slant, width and height -------------------------------------------------------------------


def _box(large: NDArray[np.float32]) -> tuple[Array, Array, Array]:
    """Return slant (degrees), width and height (enlarged pixels) of ink above 0; each (images,)."""
    images, rows, columns = large.shape
    image, y, x = np.nonzero(large)
    mass = large[image, y, x].astype(np.float64)

    def total(values: Array) -> Array:
        return _sums(image, values, images)

    with np.errstate(invalid="ignore", divide="ignore"):
        all_mass = total(mass)
        middle = total(mass * y) / all_mass
        dx, dy = x - (total(mass * x) / all_mass)[image], y - middle[image]
        shear = np.nan_to_num(total(mass * dx * dy) / total(mass * dy * dy))
    # Ink beyond the edge of an extremely sheared image counts at the edge of three image widths.
    sheared = np.rint(x - shear[image] * dy).astype(np.intp) + columns
    width = _spread(image, sheared.clip(0, 3 * columns - 1), mass, images, 3 * columns)
    height = _spread(image, y, mass, images, rows)
    return np.rad2deg(np.arctan(-shear)), width, height


def _spread(image: Indices, place: Indices, mass: Array, images: int, places: int) -> Array:
    """Return the distance between the places with _OUTSIDE of the mass below and above; (images,)."""
    histogram = _sums(image * places + place, mass, images * places)
    below = np.cumsum(histogram.reshape(images, places), axis=1)
    ends = []
    for share in (_OUTSIDE, 1 - _OUTSIDE):
        wanted = share * below[:, -1]
        at = (below < wanted[:, None]).sum(axis=1).clip(max=places - 1)
        before = np.where(at > 0, below[np.arange(images), at - 1], 0.0)
        step = below[np.arange(images), at] - before
        ends.append(at + np.divide(wanted - before, step, out=np.zeros(images), where=step > 0))
    return np.asarray(ends[1] - ends[0])


# --- thickness and length ----------------------------------------------------------------------


def _stroke(ink: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the mean thickness and the length of strokes in enlarged pixels; each (images,)."""
    images, rows, columns = ink.shape
    # One row and column of paper around each image, and rows of paper around all of them: the
    # places of neighbours are then sums of flat indices, and paper is met before the next image.
    padded = np.zeros((images, rows + 2, columns + 2), np.uint8)
    padded[:, 1:-1, 1:-1] = ink
    stride, size = columns + 2, (rows + 2) * (columns + 2)
    margin = _MAX_RADIUS * (stride + 1)
    flat = np.pad(padded.ravel(), margin)
    skeleton = _thinned(flat.copy(), stride)
    at = np.flatnonzero(skeleton)
    image = (at - margin) // size
    distances = _sums(image, _distance_to_paper(flat, at, stride), images)
    points = np.bincount(image, minlength=images)
    thickness = np.divide(2 * distances, points, out=np.full(images, np.nan), where=points > 0)
    return thickness, _sums(image, _links(skeleton, at, stride), images)


def _thinned(flat: Bits, stride: int) -> Bits:
    """Reduce strokes to lines of one pixel, Zhang & Suen 1984; changes and returns `flat`."""
    at = np.flatnonzero(flat)
    offsets = [row * stride + column for row, column in _AROUND]
    changed = True
    while changed:
        changed = False
        for removable in _REMOVABLE:
            around = np.zeros(len(at), np.uint8)
            for bit, offset in enumerate(offsets):
                around |= flat[at + offset] << np.uint8(bit)
            removed = removable[around]
            flat[at[removed]] = 0
            at = at[~removed]
            changed = changed or bool(removed.any())
    return flat


def _removable() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, for both steps of an iteration, which of 256 neighbourhoods let a pixel be removed."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    above, _, right, _, below, _, left, _ = bits.T.astype(bool)
    neighbours = bits.sum(axis=1)
    rises = ((bits == 0) & (np.roll(bits, -1, axis=1) == 1)).sum(axis=1)
    simple = (neighbours >= 2) & (neighbours <= 6) & (rises == 1)
    first = ~(above & right & below) & ~(right & below & left)
    second = ~(above & right & left) & ~(above & below & left)
    return simple & first, simple & second


_REMOVABLE = _removable()


def _distance_to_paper(flat: Bits, at: Indices, stride: int) -> Array:
    """Return the Euclidean distance of pixels to the nearest pixel of paper; (pixels,)."""
    reach = np.arange(-_MAX_RADIUS, _MAX_RADIUS + 1)
    rows, columns = (axis.ravel() for axis in np.meshgrid(reach, reach, indexing="ij"))
    squares = rows * rows + columns * columns
    distances = np.full(len(at), float(_MAX_RADIUS))
    open_places = np.arange(len(at))
    for place in np.argsort(squares, kind="stable"):
        if not len(open_places) or squares[place] > _MAX_RADIUS**2:
            break
        paper = flat[at[open_places] + rows[place] * stride + columns[place]] == 0
        distances[open_places[paper]] = np.sqrt(squares[place])
        open_places = open_places[~paper]
    return distances


def _links(skeleton: Bits, at: Indices, stride: int) -> Array:
    """Return for each skeleton pixel the length of its links to the right and below; (pixels,).

    A diagonal link counts only if no shorter path of two links joins the same pixels.
    """
    right, below, left = skeleton[at + 1], skeleton[at + stride], skeleton[at - 1]
    to_right = skeleton[at + stride + 1] & ~(right | below) & 1
    to_left = skeleton[at + stride - 1] & ~(left | below) & 1
    straight = right.astype(np.float64) + below
    return np.asarray(straight + np.sqrt(2.0) * (to_right.astype(np.float64) + to_left))
