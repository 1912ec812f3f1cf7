"""The figures of a version: PNG files as bytes, drawn from values.

Images are laid out as `torchvision.utils.make_grid` does it and magnified without smoothing, so
that a pixel of the model stays a square in the figure.
"""

import io
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torchvision.utils import make_grid  # type: ignore[import-untyped]

from model_store import VAE
from training.fit import Averages, EpochDone

SEED = 0
DPI = 100
_SCALE = 3
_PADDING = 2
_PAPER = 1.0
_INK = "#222222"
_COLOURS = {"loss": "#1f3a5f", "reconstruction": "#c8553d", "kl": "#588157"}


@torch.no_grad()
def samples(vae: VAE, rows: int = 10) -> bytes:
    """rows x rows images decoded from z ~ N(0, I), torch seed SEED."""
    device = next(vae.parameters()).device
    z = torch.randn((rows * rows, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    return _picture(_grid(vae.mean_image(vae.decode(z.to(device))), columns=rows))


@torch.no_grad()
def reconstructions(vae: VAE, x: Tensor, columns: int = 12) -> bytes:
    """Images above, what the model makes of their mu below; x (images, C, H, W) in [0, 1]."""
    mu, _ = vae.encode(x)
    x_mean = vae.mean_image(vae.decode(mu))
    pairs = zip(torch.split(x, columns), torch.split(x_mean, columns), strict=True)
    return _picture(_grid(torch.cat([image for pair in pairs for image in pair]), columns))


@torch.no_grad()
def traversal(
    vae: VAE, kl_nats: Sequence[float], *, columns: int = 11, span: float = 3.0, rows: int = 20
) -> bytes:
    """A row per latent dimension, the most informative first, from -span to +span sigma.

    All other dimensions are 0. Beside each row stand its dimension and its KL in nats.
    """
    dimensions = sorted(range(len(kl_nats)), key=lambda d: (-kl_nats[d], d))[:rows]
    steps = torch.linspace(-span, span, columns).round(decimals=4) + 0.0  # no -0.0
    z = torch.zeros(len(dimensions), columns, len(kl_nats))
    for row, dimension in enumerate(dimensions):
        z[row, :, dimension] = steps
    device = next(vae.parameters()).device
    grid = _grid(vae.mean_image(vae.decode(z.flatten(end_dim=1).to(device))), columns)
    labels = [f"z{dimension}   {kl_nats[dimension]:.2f}" for dimension in dimensions]
    return _labelled_picture(
        grid, labels, "dim   KL", [f"{step:+.1f}" if step else "0" for step in steps.tolist()]
    )


def loss_curve(history: Sequence[EpochDone]) -> bytes:
    """Loss, reconstruction and KL of each epoch; training dashed, test solid."""
    figure = _figure(9.6, 3.4)
    epochs = [done.epoch for done in history]
    titles = {"loss": "loss", "reconstruction": "reconstruction, -ln p(x | z)", "kl": "KL"}
    for axes, (part, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for split, style in (("train", "--"), ("test", "-")):
            averages: list[Averages] = [getattr(done, split) for done in history]
            values = [getattr(average, part) for average in averages]
            axes.plot(epochs, values, style, color=_COLOURS[part], label=split, marker=".", ms=4)
        axes.set_title(title, loc="left", fontsize=10, color=_INK)
        axes.set_xlabel("epoch", color=_INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
        axes.legend(frameon=False, fontsize=9)
    figure.axes[0].set_ylabel("nats per image", color=_INK)
    figure.tight_layout()
    return _png(figure)


# --- drawing -----------------------------------------------------------------------------------


def _grid(images: Tensor, columns: int) -> np.ndarray:
    """(images, C, H, W) in [0, 1] -> (height, width, 3), magnified."""
    grid = make_grid(images.cpu(), nrow=columns, padding=_PADDING, pad_value=_PAPER)
    pixels: np.ndarray = grid.permute(1, 2, 0).numpy()
    return pixels.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)


def _picture(pixels: np.ndarray) -> bytes:
    """A figure that is the picture and nothing else, pixel for pixel."""
    height, width, _ = pixels.shape
    figure = _figure(width / DPI, height / DPI)
    figure.figimage(pixels, vmin=0, vmax=1)
    return _png(figure)


def _labelled_picture(
    pixels: np.ndarray, rows: Sequence[str], rows_title: str, columns: Sequence[str]
) -> bytes:
    """The picture with a text left of each row and above each column."""
    left, top = 110, 30
    height, width, _ = pixels.shape
    figure = _figure((left + width) / DPI, (top + height) / DPI)
    figure.figimage(pixels, xo=left, yo=0)
    cell_height, cell_width = height / len(rows), width / len(columns)

    def write(x: float, y: float, text: str, alignment: str) -> None:
        """At x pixels from the left, y from the top."""
        x, y = x / (left + width), 1 - y / (top + height)
        figure.text(x, y, text, ha=alignment, va="center", fontsize=10, color=_INK)

    write(left - 10, top / 2, rows_title, "right")
    for row, label in enumerate(rows):
        write(left - 10, top + (row + 0.5) * cell_height, label, "right")
    for column, label in enumerate(columns):
        write(left + (column + 0.5) * cell_width, top / 2, label, "center")
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    """In inches; a tenth of a pixel more, so that rounding down never costs a row."""
    figure = Figure(figsize=(width + 0.1 / DPI, height + 0.1 / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    with io.BytesIO() as file:
        # without the library's version in it, the same figure is the same file
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()
