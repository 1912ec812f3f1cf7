"""The figures of a version: PNG files as bytes, drawn from values.

Images are laid out as `torchvision.utils.make_grid` does it and magnified without smoothing, so
that a pixel of the model stays a square in the figure.
"""

import io
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid  # type: ignore[import-untyped]

from model_store.class_latents import ClassLatents
from model_store.spec import EpochRecord
from model_store.vae import VAE
from training.evaluation.class_mixtures import latents_of_class

SEED = 0
DPI = 100
_SCALE = 3
_PADDING = 2
_PAPER = 1.0
_INK = "#222222"
_PARTS = {"loss": "loss", "reconstruction": "reconstruction, -ln p(x | z)", "kl": "KL"}
_CLASS_COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
_COLOURS = {"loss": "#1f3a5f", "reconstruction": "#c8553d", "kl": "#588157"}


@torch.no_grad()
def samples(vae: VAE, rows: int = 10) -> bytes:
    """rows x rows images decoded from z ~ N(0, I), torch seed SEED."""
    z = torch.randn((rows * rows, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    return _picture(_grid(_decode(vae, z), columns=rows))


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
    dimensions = most_informative(kl_nats)[:rows]
    steps = _steps(span, columns)
    grid = _grid(_decode(vae, _traversed(len(kl_nats), dimensions, steps)), columns)
    labels = [f"z{dimension}   {kl_nats[dimension]:.2f}" for dimension in dimensions]
    return _labelled_picture(
        grid, labels, "dim   KL", [f"{step:+.1f}" if step else "0" for step in steps.tolist()]
    )


@torch.no_grad()
def seed_interpolations(vae: VAE, rows: int = 8, steps: int = 10) -> bytes:
    """Each row a straight line between two z ~ N(0, I), torch seed SEED: no data is shown."""
    z = torch.randn((2, rows, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    return _picture(_grid(_decode(vae, _lines(z[0], z[1], steps)), columns=steps))


@torch.no_grad()
def interpolations(vae: VAE, x: Tensor, steps: int = 8) -> bytes:
    """Each row from one image to another: the image, `steps` reconstructions, the other image.

    x (images, C, H, W) in [0, 1]: the first half goes to the second half.
    """
    mu, _ = vae.encode(x)
    rows = len(x) // 2
    between = _decode(vae, _lines(mu[:rows].cpu(), mu[rows:].cpu(), steps))
    between = between.view(rows, steps, *x.shape[1:])
    ends = x.view(2, rows, 1, *x.shape[1:]).cpu()
    return _picture(_grid(torch.cat((ends[0], between, ends[1]), dim=1).flatten(0, 1), steps + 2))


@torch.no_grad()
def classes(
    vae: VAE, class_latents: ClassLatents, names: Sequence[str], columns: int = 11
) -> bytes:
    """A row a class: images drawn for its label, torch seed SEED."""
    noise = torch.Generator().manual_seed(SEED)
    z = [latents_of_class(vae, class_latents, label, columns, noise) for label in range(len(names))]
    images = _decode(vae, torch.cat(z))
    return _labelled_picture(_grid(images, columns), list(names), "", [""] * columns)


@torch.no_grad()
def manifold(vae: VAE, side: int = 20) -> bytes:
    """The plane of a two-dimensional latent space, side x side images, z0 to the right, z1 up.

    At the quantiles (i + 1/2) / side of N(0, 1), so that each image stands for as much of the
    prior as any other. Kingma & Welling 2014, figure 4.
    """
    quantiles = torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side).float()
    rows, columns = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    z = torch.stack((columns.flatten(), rows.flatten()), dim=1)
    return _picture(_grid(_decode(vae, z), columns=side, scale=2, padding=0))


def latent_scatter(mu: Tensor, labels: Tensor | None, names: Sequence[str] | None) -> bytes:
    """Where a two-dimensional encoder puts the images of the test split; mu (images, 2)."""
    figure = _figure(7.6, 6.4)
    axes = figure.subplots()
    groups: list[tuple[str, Tensor]] = [("", mu)]
    if labels is not None and names is not None:
        groups = [(name, mu[labels.cpu() == label]) for label, name in enumerate(names)]
    for label, (name, points) in enumerate(groups):
        colour = _CLASS_COLOURS[label % len(_CLASS_COLOURS)]
        z0, z1 = points.T.tolist()
        axes.scatter(z0, z1, s=4, linewidths=0, alpha=0.6, color=colour, label=name)
    for radius in (1, 2, 3):
        circle = Circle((0, 0), radius, fill=False, color="#999999", linewidth=0.8, linestyle=":")
        axes.add_patch(circle)
    axes.set_aspect("equal")
    axes.set_xlabel("mean of z0", color=_INK)
    axes.set_ylabel("mean of z1", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    if len(groups) > 1:
        axes.legend(
            frameon=False, fontsize=9, markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    figure.tight_layout()
    return _png(figure)


def loss_curve(history: Sequence[EpochRecord]) -> bytes:
    """Loss, reconstruction and KL of each epoch; training dashed, test solid."""
    figure = _figure(9.6, 3.4)
    for axes, part in zip(figure.subplots(1, 3), _PARTS, strict=True):
        for split, style in (("train", "--"), ("test", "-")):
            _curve(
                axes, history, f"{split}_{part}", style=style, colour=_COLOURS[part], label=split
            )
        _finish_curve(axes, _PARTS[part])
    figure.axes[0].set_ylabel("nats per image", color=_INK)
    figure.tight_layout()
    return _png(figure)


# --- several versions beside each other --------------------------------------------------------


def compared_curves(histories: Mapping[str, Sequence[EpochRecord]]) -> bytes:
    """-ELBO, reconstruction and KL of each epoch on the test split; a line a version."""
    figure = _figure(9.6, 3.6)
    colours = dict(zip(histories, itertools.cycle(_CLASS_COLOURS), strict=False))
    titles = {"elbo": "-ELBO: reconstruction + KL"} | {
        part: _PARTS[part] for part in ("reconstruction", "kl")
    }
    for axes, (part, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for name, history in histories.items():
            _curve(axes, history, f"test_{part}", style="-", colour=colours[name], label=name)
        _finish_curve(axes, title)
    figure.axes[0].set_ylabel("nats per test image", color=_INK)
    figure.tight_layout()
    return _png(figure)


@torch.no_grad()
def compared_samples(vaes: Mapping[str, VAE], columns: int = 16, rows: int = 2) -> bytes:
    """Samples of each version; of the same z where the latent spaces have the same size."""
    parts = []
    for vae in vaes.values():
        noise = torch.Generator().manual_seed(SEED)
        z = torch.randn((rows * columns, vae.spec.latent), generator=noise)
        parts.append(_decode(vae, z))
    names = [name if row == 0 else "" for name in vaes for row in range(rows)]
    return _labelled_picture(_grid(torch.cat(parts), columns), names, "", [""] * columns)


@torch.no_grad()
def compared_traversals(
    vaes: Mapping[str, VAE],
    kl_nats: Mapping[str, Sequence[float]],
    *,
    columns: int = 11,
    span: float = 3.0,
    rows: int = 5,
) -> bytes:
    """The most informative dimensions of each version, from -span to +span, all others 0."""
    steps = _steps(span, columns)
    images, labels = [], []
    for name, vae in vaes.items():
        dimensions = most_informative(kl_nats[name])[:rows]
        images.append(_decode(vae, _traversed(vae.spec.latent, dimensions, steps)))
        labels += [f"{name}  z{d}   {kl_nats[name][d]:.2f}" for d in dimensions]
    titles = [f"{step:+.1f}" if step else "0" for step in steps.tolist()]
    return _labelled_picture(_grid(torch.cat(images), columns), labels, "dim   KL", titles)


def most_informative(kl_nats: Sequence[float]) -> list[int]:
    """All dimensions, the one with the largest KL first."""
    return sorted(range(len(kl_nats)), key=lambda d: (-kl_nats[d], d))


# --- latents -----------------------------------------------------------------------------------


def _decode(vae: VAE, z: Tensor) -> Tensor:
    """z (images, latent), on the CPU -> mean images, on the CPU."""
    device = next(vae.parameters()).device
    return vae.mean_image(vae.decode(z.to(device))).cpu()


def _lines(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Straight lines from rows of a to rows of b; (rows, latent) -> (rows * steps, latent)."""
    t = torch.linspace(0, 1, steps).view(1, steps, 1)
    return ((1 - t) * a.unsqueeze(1) + t * b.unsqueeze(1)).flatten(0, 1)


def _steps(span: float, columns: int) -> Tensor:
    return torch.linspace(-span, span, columns).round(decimals=4) + 0.0  # no -0.0


def _traversed(latent: int, dimensions: Sequence[int], steps: Tensor) -> Tensor:
    z = torch.zeros(len(dimensions), len(steps), latent)
    for row, dimension in enumerate(dimensions):
        z[row, :, dimension] = steps
    return z.flatten(end_dim=1)


# --- drawing -----------------------------------------------------------------------------------


def _curve(
    axes: Axes,
    history: Sequence[EpochRecord],
    part: str,
    *,
    style: str,
    colour: str,
    label: str,
) -> None:
    epochs = [record.epoch for record in history]
    values = [_part(record, part) for record in history]
    axes.plot(epochs, values, style, color=colour, label=label, marker=".", ms=4)


def _part(record: EpochRecord, part: str) -> float:
    if part == "test_elbo":
        return record.test_reconstruction + record.test_kl
    return float(getattr(record, part))


def _finish_curve(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.set_xlabel("epoch", color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.legend(frameon=False, fontsize=9)


def _grid(images: Tensor, columns: int, scale: int = _SCALE, padding: int = _PADDING) -> np.ndarray:
    """(images, C, H, W) in [0, 1] -> (height, width, 3), magnified."""
    grid = make_grid(images.cpu(), nrow=columns, padding=padding, pad_value=_PAPER)
    pixels: np.ndarray = grid.permute(1, 2, 0).numpy()
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


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
    longest = max(len(text) for text in (rows_title, *rows))
    left, top = max(110, 20 + 8 * longest), 30 if any(columns) or rows_title else 0
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
    return Figure(figsize=(width + 0.1 / DPI, height + 0.1 / DPI), dpi=DPI, facecolor="white")


def _png(figure: Figure) -> bytes:
    """One channel where nothing has a colour: half the bytes. The same figure is the same file."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    with io.BytesIO() as file:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png", optimize=True)
        return file.getvalue()
