"""Draw the figures of a version, each as the bytes of a PNG file.

Images are arranged by `torchvision.utils.make_grid` and magnified without smoothing, so that each
pixel of the model stays a square in the figure.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.patches import Circle
from torch import Tensor

from model_store.class_latents import ClassLatents
from model_store.spec import EpochRecord
from model_store.vae import TrainedVAE
from training.evaluation.class_mixtures import latents_of_class
from training.publishing.drawing import (
    INK,
    curve,
    figure_png,
    finish_curve,
    grid,
    image_png,
    labelled_png,
    new_figure,
)

MOST_CLASS_IMAGES = 250
"""Largest number of images in the figure of the classes, unless that leaves fewer than 4 of each."""
SEED = 0
MAX_VALUES = 66 * 3 * 64 * 64
"""Values of the images of one figure. Larger images get fewer rows, so that a version stays small."""
_PARTS = {"loss": "loss", "reconstruction": "reconstruction, -ln p(x | z)", "kl": "KL"}
_CLASS_COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
_COLOURS = {"loss": "#1f3a5f", "reconstruction": "#c8553d", "kl": "#588157"}


@torch.no_grad()
def samples(vae: TrainedVAE, rows: int = 10) -> bytes:
    """Draw rows x rows images decoded from z ~ N(0, I), torch seed SEED."""
    rows = min(rows, math.isqrt(_affordable(vae)))
    z = torch.randn((rows * rows, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    return image_png(grid(_decode(vae, z), columns=rows))


@torch.no_grad()
def reconstructions(vae: TrainedVAE, x: Tensor, columns: int = 12) -> bytes:
    """Draw images and below them the images decoded from their mu; x (images, C, H, W) in [0, 1]."""
    mu, _ = vae.encode(x)
    x_mean = vae.mean_image(vae.decode(mu))
    pairs = zip(torch.split(x, columns), torch.split(x_mean, columns), strict=True)
    return image_png(grid(torch.cat([image for pair in pairs for image in pair]), columns))


@torch.no_grad()
def traversal(
    vae: TrainedVAE,
    kl_nats: Sequence[float],
    *,
    columns: int = 11,
    span: float = 3.0,
    rows: int = 20,
) -> bytes:
    """Draw one row per latent dimension, most informative first, from -span to +span sigma.

    All other dimensions are 0. Each row is labelled with its dimension and its KL in nats.
    """
    dimensions = most_informative(kl_nats)[: _affordable_rows(vae, rows, columns)]
    steps = _steps(span, columns)
    images = _decode(vae, _traversed(len(kl_nats), dimensions, steps))
    labels = [f"z{dimension}   {kl_nats[dimension]:.2f}" for dimension in dimensions]
    return labelled_png(
        grid(images, columns),
        labels,
        "dim   KL",
        [f"{step:+.1f}" if step else "0" for step in steps.tolist()],
    )


@torch.no_grad()
def seed_interpolations(vae: TrainedVAE, rows: int = 8, steps: int = 10) -> bytes:
    """Draw rows of straight lines between two z ~ N(0, I), torch seed SEED; shows no data."""
    rows = _affordable_rows(vae, rows, steps)
    z = torch.randn((2, rows, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
    return image_png(grid(_decode(vae, _lines(z[0], z[1], steps)), columns=steps))


@torch.no_grad()
def interpolations(vae: TrainedVAE, x: Tensor, steps: int = 8) -> bytes:
    """Draw rows from one image to another: the image, `steps` decoded latents, the other image.

    x (images, C, H, W) in [0, 1]; each image of the first half is paired with one of the second.
    """
    mu, _ = vae.encode(x)
    rows = len(x) // 2
    between = _decode(vae, _lines(mu[:rows].cpu(), mu[rows:].cpu(), steps))
    between = between.view(rows, steps, *x.shape[1:])
    ends = x.view(2, rows, 1, *x.shape[1:]).cpu()
    return image_png(grid(torch.cat((ends[0], between, ends[1]), dim=1).flatten(0, 1), steps + 2))


@torch.no_grad()
def classes(
    vae: TrainedVAE, class_latents: ClassLatents, names: Sequence[str], columns: int = 11
) -> bytes:
    """Draw one row per class: images sampled for its label, torch seed SEED."""
    noise = torch.Generator().manual_seed(SEED)
    columns = _affordable_rows(
        vae, min(columns, max(4, MOST_CLASS_IMAGES // len(names))), len(names)
    )
    z = [latents_of_class(vae, class_latents, label, columns, noise) for label in range(len(names))]
    images = _decode(vae, torch.cat(z))
    return labelled_png(grid(images, columns), list(names), "", [""] * columns)


@torch.no_grad()
def manifold(vae: TrainedVAE, side: int = 20) -> bytes:
    """Draw the plane of a two-dimensional latent space, side x side images, z0 right, z1 up.

    The latents are at the quantiles (i + 1/2) / side of N(0, 1), so that every image represents the
    same probability under the prior. Kingma & Welling 2014, figure 4.
    """
    quantiles = torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side).float()
    rows, columns = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    z = torch.stack((columns.flatten(), rows.flatten()), dim=1)
    return image_png(grid(_decode(vae, z), columns=side, magnification=2, padding=0))


def latent_scatter(mu: Tensor, labels: Tensor | None, names: Sequence[str] | None) -> bytes:
    """Plot the means of the test images in a two-dimensional latent space; mu (images, 2)."""
    figure = new_figure(7.6, 6.4)
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
    axes.set_xlabel("mean of z0", color=INK)
    axes.set_ylabel("mean of z1", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    if len(groups) > 1:
        axes.legend(
            frameon=False, fontsize=9, markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    figure.tight_layout()
    return figure_png(figure)


def loss_curve(history: Sequence[EpochRecord]) -> bytes:
    """Plot loss, reconstruction and KL of each epoch; training dashed, test solid."""
    figure = new_figure(9.6, 3.4)
    for axes, part in zip(figure.subplots(1, 3), _PARTS, strict=True):
        for split, style in (("train", "--"), ("test", "-")):
            curve(axes, history, f"{split}_{part}", style=style, colour=_COLOURS[part], label=split)
        finish_curve(axes, _PARTS[part])
    figure.axes[0].set_ylabel("nats per image", color=INK)
    figure.tight_layout()
    return figure_png(figure)


# --- comparisons of several versions -----------------------------------------------------------


def compared_curves(histories: Mapping[str, Sequence[EpochRecord]]) -> bytes:
    """Plot test -ELBO, reconstruction and KL of each epoch; one line per version."""
    figure = new_figure(9.6, 3.6)
    colours = dict(zip(histories, itertools.cycle(_CLASS_COLOURS), strict=False))
    titles = {"elbo": "-ELBO: reconstruction + KL"} | {
        part: _PARTS[part] for part in ("reconstruction", "kl")
    }
    for axes, (part, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for name, history in histories.items():
            curve(axes, history, f"test_{part}", style="-", colour=colours[name], label=name)
        finish_curve(axes, title)
    figure.axes[0].set_ylabel("nats per test image", color=INK)
    figure.tight_layout()
    return figure_png(figure)


@torch.no_grad()
def compared_samples(vaes: Mapping[str, TrainedVAE], columns: int = 16, rows: int = 2) -> bytes:
    """Draw samples of each version; versions with equally many latents get the same z."""
    parts = []
    for vae in vaes.values():
        noise = torch.Generator().manual_seed(SEED)
        z = torch.randn((rows * columns, vae.spec.latent), generator=noise)
        parts.append(_decode(vae, z))
    names = [name if row == 0 else "" for name in vaes for row in range(rows)]
    return labelled_png(grid(torch.cat(parts), columns), names, "", [""] * columns)


@torch.no_grad()
def compared_traversals(
    vaes: Mapping[str, TrainedVAE],
    kl_nats: Mapping[str, Sequence[float]],
    *,
    columns: int = 11,
    span: float = 3.0,
    rows: int = 5,
) -> bytes:
    """Draw the most informative dimensions of each version, from -span to +span, all others 0."""
    steps = _steps(span, columns)
    images, labels = [], []
    for name, vae in vaes.items():
        dimensions = most_informative(kl_nats[name])[:rows]
        images.append(_decode(vae, _traversed(vae.spec.latent, dimensions, steps)))
        labels += [f"{name}  z{d}   {kl_nats[name][d]:.2f}" for d in dimensions]
    titles = [f"{step:+.1f}" if step else "0" for step in steps.tolist()]
    return labelled_png(grid(torch.cat(images), columns), labels, "dim   KL", titles)


def most_informative(kl_nats: Sequence[float]) -> list[int]:
    """Return all dimensions, the one with the largest KL first."""
    return sorted(range(len(kl_nats)), key=lambda d: (-kl_nats[d], d))


# --- latents -----------------------------------------------------------------------------------


def _affordable(vae: TrainedVAE) -> int:
    """Return the largest number of images of one figure, at least one."""
    return max(1, MAX_VALUES // vae.spec.image.pixels)


def _affordable_rows(vae: TrainedVAE, rows: int, columns: int) -> int:
    """Return the largest number of rows of `columns` images, at most `rows` and at least one."""
    return max(1, min(rows, _affordable(vae) // columns))


def _decode(vae: TrainedVAE, z: Tensor) -> Tensor:
    """Decode z (images, latent) to mean images; both are on the CPU."""
    device = vae.device
    return vae.mean_image(vae.decode(z.to(device))).cpu()


def _lines(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Interpolate from rows of a to rows of b; (rows, latent) -> (rows * steps, latent)."""
    t = torch.linspace(0, 1, steps).view(1, steps, 1)
    return ((1 - t) * a.unsqueeze(1) + t * b.unsqueeze(1)).flatten(0, 1)


def _steps(span: float, columns: int) -> Tensor:
    return torch.linspace(-span, span, columns).round(decimals=4) + 0.0  # no -0.0


def _traversed(latent: int, dimensions: Sequence[int], steps: Tensor) -> Tensor:
    z = torch.zeros(len(dimensions), len(steps), latent)
    for row, dimension in enumerate(dimensions):
        z[row, :, dimension] = steps
    return z.flatten(end_dim=1)
