"""Images per second of `lab`: a DataLoader, pythae's trainer, ours, the machine's limit; one run.

    python -m benchmarks.training [--images 12800] [--rounds 5] [--threads 2] [--no-pythae]

- The DataLoader is the loop of the tutorials: torchvision's MNIST, a Pillow image and ToTensor for
  each, without workers (the default) and with two that stay.
- pythae (Chadebec et al. 2022) trains the same network from a tensor by its own trainer, in an
  environment of its own that is made by uv where it is missing.
- The limit is the time of the matrix products alone, forward and backward, of the same layers and
  batches: what no loop on this machine gets below.

All take turns, so that whatever else the machine does falls on each of them; the medians of the
rounds are printed. Images are random: what they show does not change how long they take.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST, VisionDataset  # type: ignore[import-untyped]
from torchvision.transforms import ToTensor  # type: ignore[import-untyped]

from model_store.spec import MLP
from training.config import Compute, Preset, load_preset
from training.data.loading import Images
from training.fitting.trainer import Trainer, initialise
from training.runs.pipeline import matmul_precision

EPOCH = 60_000
PYTHAE = "pythae==0.1.2"
ENVIRONMENT = Path(__file__).parent.parent / ".venv-bench" / "pythae"
WORKER = Path(__file__).parent / "pythae_worker.py"


class Digits(MNIST):  # type: ignore[misc]
    """torchvision's MNIST as it is, a Pillow image and ToTensor for each; only its pixels given."""

    def __init__(self, pixels: Tensor) -> None:
        VisionDataset.__init__(self, root="", transform=ToTensor())
        self.data = pixels[:, 0]
        self.targets = torch.zeros(len(pixels), dtype=torch.int64)


def textbook(lab: Preset, pixels: Tensor, workers: int = 0) -> Callable[[], None]:
    """The loop of the tutorials: DataLoader with ToTensor, Adam as it comes, `.item()` a batch."""
    vae = initialise(lab.model, seed=0)
    adam = torch.optim.Adam(vae.parameters(), lr=lab.optimiser.learning_rate)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        Digits(pixels),
        batch_size=lab.optimiser.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
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


def ours(lab: Preset, pixels: Tensor, *, bf16: bool = False) -> Callable[[], None]:
    """The loop of `python -m training train`, reports included."""
    compute = Compute(bf16=bf16)
    trainer = Trainer(initialise(lab.model, seed=0), lab.objective, lab.optimiser, 0, compute)
    images = Images(pixels)

    def epoch() -> None:
        for _ in trainer.epoch(images):
            pass

    return epoch


def with_precision(precision: str, epoch: Callable[[], None]) -> Callable[[], None]:
    """The same epoch with `compute.matmul` set to this."""

    def within() -> None:
        with matmul_precision(precision):
            epoch()

    return within


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


@contextlib.contextmanager
def pythae(lab: Preset, images: int, rounds: int, threads: int) -> Iterator[Callable[[], float]]:
    """pythae's trainer in a process of its own; an epoch a call, which says its seconds."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", str(ENVIRONMENT)], check=True)
    torch_version = torch.__version__.partition("+")[0]
    wanted = [PYTHAE, f"torch=={torch_version}"]
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*install, *wanted], check=True)
    numbers = map(str, (images, rounds + 1, threads, lab.optimiser.batch_size))
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python), str(WORKER), *numbers, str(lab.optimiser.learning_rate), folder]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

        def epoch() -> float:
            if process.stdin is None or process.stdout is None:
                raise TypeError("it has no pipes")
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        try:
            yield epoch
        finally:
            process.kill()
            process.communicate()


def layer_sizes(lab: Preset) -> Iterator[tuple[int, int]]:
    """(inputs, outputs) of the linear layers; mu and logvar are two layers on one input."""
    if not isinstance(lab.model.network, MLP):
        raise TypeError("the matrix products of convolutions are not counted here")
    pixels, latent, hidden = lab.model.image.pixels, lab.model.latent, lab.model.network.hidden
    yield from pairwise((pixels, *hidden))
    yield from ((hidden[-1], latent),) * 2
    yield from pairwise((latent, *reversed(hidden), pixels))


def measure(epochs: dict[str, Callable[[], float | None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, taking turns; a first turn warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for number in range(rounds + 1):
        for name, epoch in epochs.items():
            started = time.perf_counter()
            said = epoch()
            took = time.perf_counter() - started if said is None else said
            if number > 0:
                seconds[name].append(took)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--images", type=int, default=12_800, help="images in each round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--pythae", action=argparse.BooleanOptionalAction, default=True)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.set_flush_denormal(True)  # as the command line does
    lab = load_preset("lab")
    pixels = torch.randint(0, 256, (chosen.images, 1, 28, 28), dtype=torch.uint8)
    epochs: dict[str, Callable[[], float | None]] = {
        "DataLoader": textbook(lab, pixels),
        "DataLoader, 2 workers": textbook(lab, pixels, workers=2),
        "zserve": ours(lab, pixels),
        "zserve, matmul medium": with_precision("medium", ours(lab, pixels)),
        "zserve, bf16": ours(lab, pixels, bf16=True),
        "matrix products alone": limit(lab, pixels),
        "the same, medium": with_precision("medium", limit(lab, pixels)),
    }
    with contextlib.ExitStack() as stack:
        if chosen.pythae:
            peer = pythae(lab, chosen.images, chosen.rounds, chosen.threads)
            epochs[PYTHAE] = stack.enter_context(peer)
        seconds = measure(epochs, chosen.rounds)
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
