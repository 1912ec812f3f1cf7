"""Draw with matplotlib: grids of images, labels beside them, and curves, as bytes of PNG files."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torchvision.utils import make_grid  # type: ignore[import-untyped]

from model_store.spec import EpochRecord

DPI = 100
INK = "#222222"
_MAGNIFIED_SIDE = 96
"""Largest side in pixels of a magnified image: 28 and 32 pixels are tripled, 64 stay."""
_PADDING = 2
_PAPER = 1.0


def curve(
    axes: Axes,
    history: Sequence[EpochRecord],
    part: str,
    *,
    style: str,
    colour: str,
    label: str,
) -> None:
    """Plot one number of the history over the epochs; `part` is a field, or `test_elbo`."""
    epochs = [record.epoch for record in history]
    values = [_part(record, part) for record in history]
    axes.plot(epochs, values, style, color=colour, label=label, marker=".", ms=4)


def _part(record: EpochRecord, part: str) -> float:
    if part == "test_elbo":
        return record.test_reconstruction + record.test_kl
    return float(getattr(record, part))


def finish_curve(axes: Axes, title: str) -> None:
    """Add title, axis labels, grid and legend."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.legend(frameon=False, fontsize=9)


def grid(
    images: torch.Tensor,
    columns: int,
    magnification: int | None = None,
    padding: int = _PADDING,
) -> np.ndarray:
    """Arrange and magnify images; (images, C, H, W) in [0, 1] -> (height, width, 3).

    If `magnification` is None, small images are magnified, so that every figure has a similar size.
    """
    if magnification is None:
        magnification = max(1, _MAGNIFIED_SIDE // max(images.shape[-2:]))
    arranged = make_grid(images.cpu(), nrow=columns, padding=padding, pad_value=_PAPER)
    pixels: np.ndarray = arranged.permute(1, 2, 0).numpy()
    return pixels.repeat(magnification, axis=0).repeat(magnification, axis=1)


def image_png(pixels: np.ndarray) -> bytes:
    """Return a PNG of these pixels and nothing else."""
    height, width, _ = pixels.shape
    figure = new_figure(width / DPI, height / DPI)
    figure.figimage(pixels, vmin=0, vmax=1)
    return figure_png(figure)


def labelled_png(
    pixels: np.ndarray, rows: Sequence[str], rows_title: str, columns: Sequence[str]
) -> bytes:
    """Return a PNG of these pixels with a label beside each row and above each column."""
    longest = max(len(text) for text in (rows_title, *rows))
    left, top = max(110, 20 + 8 * longest), 30 if any(columns) or rows_title else 0
    height, width, _ = pixels.shape
    figure = new_figure((left + width) / DPI, (top + height) / DPI)
    figure.figimage(pixels, xo=left, yo=0)
    row_height, column_width = height / len(rows), width / len(columns)

    def write(x: float, y: float, text: str, alignment: str) -> None:
        """Write a text at x pixels from the left and y from the top."""
        x, y = x / (left + width), 1 - y / (top + height)
        figure.text(x, y, text, ha=alignment, va="center", fontsize=10, color=INK)

    write(left - 10, top / 2, rows_title, "right")
    for row, label in enumerate(rows):
        write(left - 10, top + (row + 0.5) * row_height, label, "right")
    for column, label in enumerate(columns):
        write(left + (column + 0.5) * column_width, top / 2, label, "center")
    return figure_png(figure)


def new_figure(width: float, height: float) -> Figure:
    """Create a figure; sizes in inches. The tenth of a pixel keeps rounding from losing a row."""
    return Figure(figsize=(width + 0.1 / DPI, height + 0.1 / DPI), dpi=DPI, facecolor="white")


def figure_png(figure: Figure) -> bytes:
    """Encode a figure, in one channel if it is grey, which halves the size; deterministic."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    with io.BytesIO() as file:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png", optimize=True)
        return file.getvalue()
