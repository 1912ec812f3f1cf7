"""Convert images of digits to pen strokes, which follow the middle of the ink."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Stroke = list[tuple[float, float]]
"""Points (x, y) in image pixels, joined by straight lines."""

_FINER = 4
"""Factor by which an image is enlarged before thinning."""
_INK = 0.4
"""Grey level above which an enlarged pixel counts as ink."""
_BEND = 0.25
"""Largest distance of a stroke from the middle of the ink, in image pixels."""
_SPECK = 2.5
"""Length in image pixels below which a branch is noise at the edge of the ink."""


def strokes_of(x: NDArray[np.float32]) -> list[Stroke]:
    """Return the strokes of an image x (height, width) in [0, 1], light ink on black."""
    height, width = x.shape
    fine = Image.fromarray(x).resize((width * _FINER, height * _FINER), Image.Resampling.BICUBIC)
    middle = {(int(j), int(i)) for i, j in np.argwhere(_thinned(np.asarray(fine) > _INK))}
    paths = _paths(middle)
    long = [path for path in paths if _length(path) >= _SPECK * _FINER] or [max(paths, key=len)]
    return [
        [((i + 0.5) / _FINER, (j + 0.5) / _FINER) for i, j in _straightened(path, _BEND * _FINER)]
        for path in long
    ]


def _thinned(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin the ink (height, width) to lines one pixel wide; Zhang & Suen 1984."""
    ink = np.pad(ink, 1)
    while True:
        before = ink.sum()
        for first in (True, False):
            p = [np.roll(ink, shift, (0, 1)) for shift in _AROUND]
            north, east, south, west = p[0], p[2], p[4], p[6]
            neighbours = sum(q.astype(int) for q in p)
            rises = sum((~p[k] & p[(k + 1) % 8]).astype(int) for k in range(8))
            if first:
                open_side = ~(north & east & south) & ~(east & south & west)
            else:
                open_side = ~(north & east & west) & ~(north & south & west)
            ink = ink & ~((neighbours >= 2) & (neighbours <= 6) & (rises == 1) & open_side)
        if ink.sum() == before:
            return np.asarray(ink[1:-1, 1:-1])


_AROUND = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)]
"""Shifts that move each neighbour onto its pixel, clockwise from north."""

Pixel = tuple[int, int]


def _paths(pixels: set[Pixel]) -> list[list[Pixel]]:
    """Split thin lines into paths. A path starts at a loose end, joined to an earlier path if near."""
    left = set(pixels)
    drawn: set[Pixel] = set()
    paths = []
    while left:
        path = [min(left, key=lambda pixel: (len(_near(pixel, left)), pixel))]
        if fork := _near(path[0], drawn):
            path.insert(0, fork[0])
        left.discard(path[-1])
        while ahead := _near(path[-1], left):
            before = path[-2] if len(path) > 1 else path[-1]
            going = (path[-1][0] - before[0], path[-1][1] - before[1])
            here = path[-1]
            path.append(max(ahead, key=lambda p: _along(p, here, going)))
            left.discard(path[-1])
        if joint := [pixel for pixel in _near(path[-1], drawn) if pixel not in path]:
            path.append(joint[0])
        elif len(path) > 4 and path[0] in _near(path[-1], set(path[:1])):
            path.append(path[0])
        drawn.update(path)
        paths.append(path)
    return paths


def _near(pixel: Pixel, pixels: set[Pixel]) -> list[Pixel]:
    i, j = pixel
    return [(i - b, j - a) for a, b in _AROUND if (i - b, j - a) in pixels]


def _along(to: Pixel, here: Pixel, going: Pixel) -> int:
    return (to[0] - here[0]) * going[0] + (to[1] - here[1]) * going[1]


def _length(path: list[Pixel]) -> float:
    points = np.array(path, float)
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def _straightened(path: list[Pixel], bend: float) -> list[Pixel]:
    """Drop the points that are not needed to stay within `bend` of the path; Ramer 1972."""
    if len(path) < 3:
        return path
    points = np.array(path, float)
    way = points[-1] - points[0]
    away = points - points[0]
    length = float(np.hypot(*way))
    if length < 1:
        off = np.hypot(away[:, 0], away[:, 1])
    else:
        off = np.abs(away[:, 0] * way[1] - away[:, 1] * way[0]) / length
    furthest = int(off.argmax())
    if off[furthest] <= bend:
        return [path[0], path[-1]]
    return _straightened(path[: furthest + 1], bend)[:-1] + _straightened(path[furthest:], bend)
