"""Seconds an epoch of `lab`: a textbook DataLoader, our loop, the machine's limit; one run.

    python -m benchmarks.training [--images 12800] [--rounds 5] [--threads 2]

The limit is the time of the matrix products alone, forward and backward, of the same layers and
batches: what no loop on this machine gets below. The three take turns, so that whatever else the
machine does falls on all of them; the medians of the rounds are printed. Images are random: what
they show does not change how long they take.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST, VisionDataset  # type: ignore[import-untyped]
from torchvision.transforms import ToTensor  # type: ignore[import-untyped]

from model_store import MLP
from training.config import Preset, load_preset
from training.data import Images
from training.fit import Trainer, initialise

EPOCH = 60_000


class Digits(MNIST):  # type: ignore[misc]
    """torchvision's MNIST as it is, a Pillow image and ToTensor for each; only its pixels given."""

    def __init__(self, pixels: Tensor) -> None:
        VisionDataset.__init__(self, root="", transform=ToTensor())
        self.data = pixels[:, 0]
        self.targets = torch.zeros(len(pixels), dtype=torch.int64)


def textbook(lab: Preset, pixels: Tensor) -> Callable[[], None]:
    """The loop of the tutorials: DataLoader with ToTensor, Adam as it comes, `.item()` a batch."""
    vae = initialise(lab.model, seed=0)
    adam = torch.optim.Adam(vae.parameters(), lr=lab.optimiser.learning_rate)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        Digits(pixels), batch_size=lab.optimiser.batch_size, shuffle=True
    )

    def epoch() -> None:
        total = 0.0
        for x, _ in loader:
            mu, logvar = vae.encode(x)
            x_logits = vae.decode(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
            bce = F.binary_cross_entropy_with_logits(x_logits, x, reduction="sum")
            kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
            loss = (bce + kl) / len(x)
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            total += loss.item()

    return epoch


def ours(lab: Preset, pixels: Tensor) -> Callable[[], None]:
    """The loop of `python -m training train`, reports included."""
    trainer = Trainer(initialise(lab.model, seed=0), lab.objective, lab.optimiser, seed=0)
    images = Images(pixels)

    def epoch() -> None:
        for _ in trainer.epoch(images):
            pass

    return epoch


def limit(lab: Preset, pixels: Tensor) -> Callable[[], None]:
    """The matrix products of `lab` and nothing else."""
    batch = lab.optimiser.batch_size
    layers = [
        (torch.randn(batch, n_in), torch.randn(n_out, n_in), torch.randn(batch, n_out))
        for n_in, n_out in layer_sizes(lab)
    ]

    def epoch() -> None:
        for _ in range(len(pixels) // batch):
            for number, (x, weight, gradient) in enumerate(layers):
                _ = x @ weight.T
                _ = gradient.T @ x
                if number > 0:  # the gradient of the images is not needed
                    _ = gradient @ weight

    return epoch


def layer_sizes(lab: Preset) -> Iterator[tuple[int, int]]:
    """(inputs, outputs) of the linear layers; mu and logvar are two layers on one input."""
    if not isinstance(lab.model.network, MLP):
        raise TypeError("the matrix products of convolutions are not counted here")
    pixels, latent, hidden = lab.model.image.pixels, lab.model.latent, lab.model.network.hidden
    yield from pairwise((pixels, *hidden))
    yield from ((hidden[-1], latent),) * 2
    yield from pairwise((latent, *reversed(hidden), pixels))


def measure(epochs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, taking turns; a first turn warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for number in range(rounds + 1):
        for name, epoch in epochs.items():
            started = time.perf_counter()
            epoch()
            if number > 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--images", type=int, default=12_800, help="images in each round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.set_flush_denormal(True)  # as the command line does
    lab = load_preset("lab")
    pixels = torch.randint(0, 256, (chosen.images, 1, 28, 28), dtype=torch.uint8)
    seconds = measure(
        {
            "DataLoader and ToTensor": textbook(lab, pixels),
            "zserve": ours(lab, pixels),
            "matrix products alone": limit(lab, pixels),
        },
        chosen.rounds,
    )
    print(
        f"lab, batches of {lab.optimiser.batch_size}, {chosen.threads} threads, torch "
        f"{torch.__version__}; medians of {chosen.rounds} rounds of {chosen.images:,} images"
    )
    print(f"{'':24} {'images/s':>9} {'s/epoch':>8} {'to zserve':>10}")
    for name, value in seconds.items():
        images_per_s = chosen.images / value
        ratio = value / seconds["zserve"]
        print(f"{name:24} {images_per_s:9,.0f} {EPOCH / images_per_s:8.2f} {ratio:9.2f}x")


if __name__ == "__main__":
    main()
