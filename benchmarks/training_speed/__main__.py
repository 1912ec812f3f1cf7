"""Compare the training speed of `lab` with other loops, in one run: `make bench-training`.

    python -m benchmarks.training_speed [--images 12800] [--rounds 5] [--threads 2] [--no-pythae]
                                        [--record]

- DataLoader: the loop of tutorials, with torchvision's MNIST, a Pillow image and ToTensor for each
  item, without workers (the default) and with two persistent ones.
- pythae (Chadebec et al. 2022) trains the same network from a tensor with its own trainer, in an
  environment of its own, which uv builds if it is missing.
- Matrix products: the products of the same layers and batches, forward and backward, and nothing
  else. No training loop on this machine can be faster.

The loops take turns, so that other work on the machine affects all of them; medians over the
rounds are printed. Images are random, because their content does not change the time.
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.common.machine import Machine, read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.training_speed import loops
from benchmarks.training_speed.pythae_peer import PYTHAE, pythae_loop
from training.config import Preset, load_preset

EPOCH = 60_000
"""Images of an epoch of MNIST."""
ZSERVE = "zserve"


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    machine = read_machine()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as `python -m training` does
    lab = load_preset("lab")
    with contextlib.ExitStack() as stack:
        epochs = _loops(lab, options.images)
        if options.pythae:
            pythae = pythae_loop(lab, options.images, options.rounds, options.threads)
            epochs[PYTHAE] = stack.enter_context(pythae)
        seconds = measure(epochs, options.rounds)
    settings = (
        f"lab, batches of {lab.optimiser.batch_size}, {options.threads} threads; "
        f"medians of {options.rounds} rounds of {options.images:,} images"
    )
    _report(machine, settings, options.images, seconds, recorded=options.record)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=12_800, help="images in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pythae", action=argparse.BooleanOptionalAction, default=True)
    add_record_option(parser)
    return parser


def _loops(lab: Preset, images: int) -> dict[str, Callable[[], float | None]]:
    pixels = torch.randint(0, 256, (images, 1, 28, 28), dtype=torch.uint8)
    ours, products = loops.zserve_loop, loops.matrix_products
    return {
        "DataLoader": loops.textbook_loop(lab, pixels),
        "DataLoader, 2 workers": loops.textbook_loop(lab, pixels, workers=2),
        ZSERVE: ours(lab, pixels),
        "zserve, matmul medium": loops.with_precision("medium", ours(lab, pixels)),
        "zserve, bf16": ours(lab, pixels, bf16=True),
        "matrix products": products(lab, pixels),
        "matrix products, medium": loops.with_precision("medium", products(lab, pixels)),
    }


def measure(epochs: dict[str, Callable[[], float | None]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each loop.

    The loops take turns. A first round warms up and is not counted. An epoch that returns a
    number has measured its own seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for number in range(rounds + 1):
        for name, epoch in epochs.items():
            started = time.perf_counter()
            own_seconds = epoch()
            elapsed = time.perf_counter() - started
            if number > 0:
                seconds[name].append(elapsed if own_seconds is None else own_seconds)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _report(
    machine: Machine, settings: str, images: int, seconds: dict[str, float], *, recorded: bool
) -> None:
    rows = [
        [
            name,
            f"{images / value:,.0f}",
            f"{EPOCH * value / images:.2f}",
            f"{value / seconds[ZSERVE]:.2f}x",
        ]
        for name, value in seconds.items()
    ]
    text = f"{settings}\n\n" + table(
        ["loop", "images/s", "seconds per epoch", "time relative to zserve"], rows
    )
    print(f"{machine.summary()}\n{text}")
    if recorded:
        values = {"settings": settings, "images": images, "seconds": seconds}
        print(f"recorded in {record('training_speed', machine, text, values)}")


if __name__ == "__main__":
    main()
