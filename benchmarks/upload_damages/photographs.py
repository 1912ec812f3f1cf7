"""Draw photographs of digits on paper, clean or damaged, by code and from a seed.

A photograph is a digit of 28x28 pixels, enlarged, in dark ink on light paper, with grain and JPEG
compression. Lengths are pixels of the photograph; light is in [0, 1].
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]

HEIGHT, WIDTH = 480, 400
SIDES = (140, 260)
"""The smallest and the largest side of the square of 28x28 pixels of MNIST in a photograph."""


@dataclass
class Scene:
    """A photograph that is being drawn; damages change it."""

    rng: np.random.Generator
    others: Bytes
    """Digits of which a second one is drawn; (digits, 28, 28), light on black."""
    ink: Array
    """Fraction of the paper's light that the ink takes away; (HEIGHT, WIDTH)."""
    box: tuple[int, int, int, int]
    """Top, left, bottom and right of the digit."""
    light: Array
    """Light that falls on the paper, times the paper's reflectance; (HEIGHT, WIDTH)."""
    grain: float = 0.012
    """Standard deviation of the noise."""
    blur: float = 0.7
    """Standard deviation of the blur of the lens."""
    quality: int = 85
    """Quality of the JPEG."""

    def add(self, ink: Array) -> None:
        """Draw ink over the ink that is there."""
        self.ink = np.maximum(self.ink, ink)


Damage = Callable[[Scene], None]


def photograph(digit: Bytes, damage: Damage, others: Bytes, seed: Sequence[int]) -> bytes:
    """Return a JPEG file of a digit (28, 28) under a damage."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(*SIDES))
    drawing = _enlarged(digit, side)
    top, bottom, left, right = _extent(drawing)
    height, width = bottom - top, right - left
    y = int((HEIGHT - height) / 2 + rng.uniform(-0.6, 0.6) * (HEIGHT - side) / 2)
    x = int((WIDTH - width) / 2 + rng.uniform(-0.6, 0.6) * (WIDTH - side) / 2)
    ink = np.zeros((HEIGHT, WIDTH))
    ink[y : y + height, x : x + width] = drawing[top:bottom, left:right] * rng.uniform(0.6, 0.85)
    light = np.full((HEIGHT, WIDTH), rng.uniform(0.75, 0.95))
    scene = Scene(rng, others, ink, (y, x, y + height, x + width), light)
    damage(scene)
    return _developed(scene)


def _developed(scene: Scene) -> bytes:
    picture = scene.light * (1 - scene.ink)
    image = Image.fromarray(_levels(picture)).filter(ImageFilter.GaussianBlur(scene.blur))
    noisy = np.asarray(image) / 255 + scene.rng.normal(0, scene.grain, picture.shape)
    file = io.BytesIO()
    Image.fromarray(_levels(noisy)).save(file, "JPEG", quality=scene.quality)
    return file.getvalue()


def _levels(picture: Array) -> Bytes:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _enlarged(digit: Bytes, side: int) -> Array:
    image = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image) / 255


def _extent(drawing: Array) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(drawing > 0.1)
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


# --- damages -----------------------------------------------------------------------------------


def clean(scene: Scene) -> None:
    """Leave the photograph as it is."""


def specks(scene: Scene) -> None:
    """Scatter 40 dark specks of 1 to 4 pixels' radius."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for _ in range(40):
        y, x = scene.rng.uniform(0, HEIGHT), scene.rng.uniform(0, WIDTH)
        radius = scene.rng.uniform(1, 4)
        distance = np.hypot(rows - y, columns - x)
        scene.add(np.clip(radius + 0.5 - distance, 0, 1) * scene.rng.uniform(0.4, 0.9))


def frame(scene: Scene) -> None:
    """Draw a dark frame of 3 to 14 pixels at the edge of the photograph, or up to 25 from it."""
    inset = max(0.0, scene.rng.uniform(-8, 25))
    depth = _depth(scene, (inset, inset, HEIGHT - 1 - inset, WIDTH - 1 - inset), degrees=1)
    thickness = scene.rng.uniform(3, 14)
    scene.add(_band(depth, thickness) * scene.rng.uniform(0.6, 0.9))


def form_box(scene: Scene) -> None:
    """Draw the box of a form around the digit, 6 to 40 pixels away, lines 2 to 5 pixels thick."""
    top, left, bottom, right = scene.box
    margin = scene.rng.uniform(6, 40, 4)
    box = (top - margin[0], left - margin[1], bottom + margin[2], right + margin[3])
    depth = _depth(scene, box, degrees=1.5)
    scene.add(_band(depth, scene.rng.uniform(2, 5)) * scene.rng.uniform(0.4, 0.85))


def ruled_paper(scene: Scene) -> None:
    """Draw ruled lines 30 to 60 pixels apart, and a line for the margin, turned by up to 2 degrees."""
    slope = np.tan(np.radians(scene.rng.uniform(-2, 2)))
    scene.add(_rules(scene, slope, scene.rng.uniform(30, 60)) * scene.rng.uniform(0.2, 0.45))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.abs(columns - slope * rows - scene.rng.uniform(20, 60))
    scene.add(np.clip(1.75 - distance, 0, 1) * 0.35)


def squared_paper(scene: Scene) -> None:
    """Write in pencil on squared paper: squares of 18 to 34 pixels, turned by up to 2 degrees."""
    scene.ink *= scene.rng.uniform(0.55, 0.75)
    slope = np.tan(np.radians(scene.rng.uniform(-2, 2)))
    pitch, contrast = scene.rng.uniform(18, 34), scene.rng.uniform(0.12, 0.25)
    scene.add(_rules(scene, slope, pitch) * contrast)
    scene.add(_rules(scene, -slope, pitch, upright=True) * contrast)


def uneven_light(scene: Scene) -> None:
    """Let the light fall off to a third or a half across the photograph, and at its corners."""
    rows, columns = _unit_coordinates()
    angle = scene.rng.uniform(0, 2 * np.pi)
    across = 0.5 + 0.5 * (rows * np.sin(angle) + columns * np.cos(angle)) / 1.42
    darkest = scene.rng.uniform(0.33, 0.5)
    corners = 1 - 0.12 * (rows**2 + columns**2)
    scene.light *= (darkest + (1 - darkest) * across) * corners


def shadow(scene: Scene) -> None:
    """Cast a shadow over a part of the photograph, its edge 6 to 40 pixels wide."""
    rows, columns = _unit_coordinates()
    angle = scene.rng.uniform(0, 2 * np.pi)
    distance = rows * np.sin(angle) + columns * np.cos(angle) - scene.rng.uniform(-0.5, 0.5)
    edge = scene.rng.uniform(6, 40) / (WIDTH / 2)
    scene.light *= 1 - scene.rng.uniform(0.3, 0.5) * np.clip(distance / edge + 0.5, 0, 1)


def smaller_digit(scene: Scene) -> None:
    """Write a second digit of 45 to 70 percent of the size beside the first one."""
    _write_beside(scene, scene.rng.uniform(0.45, 0.7), cut=False)


def cut_digit(scene: Scene) -> None:
    """Write a second digit of the same size that the edge of the photograph cuts."""
    _write_beside(scene, 1.0, cut=True)


def faint_pencil(scene: Scene) -> None:
    """Write with a faint pencil on grainy paper."""
    scene.ink *= scene.rng.uniform(0.22, 0.35) / 0.75
    scene.grain = 0.03


def blur(scene: Scene) -> None:
    """Miss the focus, in dim light, and compress strongly."""
    scene.blur = scene.rng.uniform(3, 6)
    scene.grain = 0.04
    scene.quality = 30


def sheet_on_table(scene: Scene) -> None:
    """Photograph the sheet with the dark table around it."""
    top, left, bottom, right = scene.box
    edges = [top, left, HEIGHT - bottom, WIDTH - right]
    inset = [scene.rng.uniform(0.0, 0.6) * edge for edge in edges]
    depth = _depth(scene, (inset[0], inset[1], HEIGHT - inset[2], WIDTH - inset[3]), degrees=4)
    sheet = np.clip(depth + 0.5, 0, 1)
    table = scene.rng.uniform(0.1, 0.35)
    scene.light = sheet * scene.light + (1 - sheet) * table


DAMAGES: dict[str, Damage] = {
    "specks": specks,
    "frame": frame,
    "box of a form": form_box,
    "ruled paper": ruled_paper,
    "pencil on squared paper": squared_paper,
    "uneven light": uneven_light,
    "shadow": shadow,
    "a smaller digit beside it": smaller_digit,
    "a digit cut by the edge": cut_digit,
    "faint pencil, grainy paper": faint_pencil,
    "out of focus, strong compression": blur,
    "sheet on a dark table": sheet_on_table,
}


def _unit_coordinates() -> tuple[Array, Array]:
    """Return rows and columns of all pixels, in [-1, 1]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return rows / (HEIGHT - 1) * 2 - 1, columns / (WIDTH - 1) * 2 - 1


def _depth(scene: Scene, rectangle: tuple[float, float, float, float], degrees: float) -> Array:
    """Return how far each pixel is inside a rectangle that is turned by up to `degrees`.

    The rectangle is (top, left, bottom, right).
    """
    top, left, bottom, right = rectangle
    slope = np.tan(np.radians(scene.rng.uniform(-degrees, degrees)))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    y = rows - slope * (columns - WIDTH / 2)
    x = columns + slope * (rows - HEIGHT / 2)
    depth: Array = np.minimum(np.minimum(y - top, bottom - y), np.minimum(x - left, right - x))
    return depth


def _band(depth: Array, thickness: float) -> Array:
    """Return a line of a thickness along depth 0."""
    return np.clip(thickness / 2 + 0.5 - np.abs(depth - thickness / 2), 0, 1)


def _rules(scene: Scene, slope: float, pitch: float, *, upright: bool = False) -> Array:
    """Return parallel lines."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    if upright:
        rows, columns = columns, rows
    place = rows - slope * columns + scene.rng.uniform(0, pitch)
    distance = np.abs((place + pitch / 2) % pitch - pitch / 2)
    rules: Array = np.clip(scene.rng.uniform(1.2, 2.4) / 2 + 0.5 - distance, 0, 1)
    return rules


def _write_beside(scene: Scene, scale: float, *, cut: bool) -> None:
    """Write another digit where it does not touch the first one."""
    top, _, bottom, right = scene.box
    other = scene.others[int(scene.rng.integers(len(scene.others)))]
    drawing = _enlarged(other, max(8, int(scale * (bottom - top) * 28 / 20)))
    y0, y1, x0, x1 = _extent(drawing)
    drawing = drawing[y0:y1, x0:x1] * scene.ink.max()
    height, width = drawing.shape
    if cut:
        drawing = drawing[:, : max(1, int(width * scene.rng.uniform(0.3, 0.7)))]
        width = drawing.shape[1]
    gap = int(0.2 * (bottom - top))
    y = int(np.clip(top + scene.rng.uniform(-0.3, 0.5) * (bottom - top), 0, HEIGHT - height))
    x = WIDTH - width if cut else min(right + gap, WIDTH - width)
    if x < right + gap:  # no room at the right: the main digit moves to the left
        scene.ink = np.roll(scene.ink, -(right + gap - x), axis=1)
        scene.ink[:, -(right + gap - x) :] = 0
    layer = np.zeros((HEIGHT, WIDTH))
    layer[y : y + height, x : x + width] = drawing
    scene.add(layer)
